"""What is compiled: three translation units, in folders of their own that are git repositories, so
that a checkout gives new times to old contents. The toolkit is a private copy, whose headers may be
touched."""

import os
import pathlib
import shutil
import subprocess

TOP = pathlib.Path(__file__).resolve().parent.parent

TRIVIAL = "__global__ void scale(float* x, float by) { x[threadIdx.x] *= by; }\n"

ARCHS = """\
#include "shape.h"

template <int N>
__global__ void blur(const float* in, float* out, Shape shape) {
  int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
  if (!shape.holds(x, y)) return;
  float sum = 0;
#pragma unroll
  for (int step = -N; step <= N; ++step) sum += in[shape.at(x + step, y)] * shape.weight(step);
  out[shape.at(x, y)] = sum;
}

void run(const float* in, float* out, Shape shape) {
  dim3 block(16, 16), grid(shape.width / 16 + 1, shape.height / 16 + 1);
  blur<2><<<grid, block>>>(in, out, shape);
  blur<7><<<grid, block>>>(in, out, shape);
}
"""

SHAPE = """\
#pragma once
struct Shape {
  int width, height;
  __host__ __device__ bool holds(int x, int y) const { return x >= 0 && y >= 0 && x < width && y < height; }
  __host__ __device__ int at(int x, int y) const { return y * width + (x < 0 ? 0 : x >= width ? width - 1 : x); }
  __host__ __device__ float weight(int step) const { return 1.0f / (1 + step * step); }
};
"""

LOCAL = """\
#pragma once
namespace local_{n} {{ inline int answer() {{ return {n}; }} }}
"""


class Unit:
    """A source with its flags. `files` maps names to texts; the first is the source."""

    def __init__(self, name, title, files, flags):
        self.name, self.title, self.files, self.flags = name, title, files, flags
        self.source = next(iter(files))
        self.directory = None
        self.headers = []

    def command(self, output):
        return ["-c", self.source, "-o", output, *self.flags]

    def place(self, directory, nvcc):
        """Writes the files, commits them and other ones, and lists what the source includes."""
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        self.directory = directory
        self.write("")
        self.git("init", "--quiet")
        self.commit("same")
        self.write("// other\n")
        self.commit("other")
        self.git("checkout", "--quiet", "same")
        self.headers = dependencies(nvcc, self)

    def write(self, extra):
        for name, text in self.files.items():
            (self.directory / name).write_text(text + extra)

    def commit(self, name):
        self.git("checkout", "--quiet", "-b", name)
        self.git("add", "--all")
        self.git("-c", "user.name=bench", "-c", "user.email=bench", "commit", "--quiet", "-m", name)

    def checkout(self):
        """To other contents and back."""
        self.git("checkout", "--quiet", "other")
        self.git("checkout", "--quiet", "same")

    def git(self, *arguments):
        environment = os.environ | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
        subprocess.run(["git", *arguments], cwd=self.directory, env=environment, check=True)


def all_units():
    sort = (TOP / "fixtures/demo/sort.cu").read_text()
    local = {f"local_{n}.h": LOCAL.format(n=n) for n in range(12)}
    includes = "".join(f'#include "{name}"\n' for name in local)
    return [
        Unit("trivial", "trivial kernel", {"scale.cu": TRIVIAL}, ["-arch=sm_80"]),
        Unit("cub", "CUB sort and reduce", {"sort.cu": sort + includes} | local, ["-arch=sm_80"]),
        Unit(
            "cub3",
            "CUB sort and reduce for three archs",
            {"sort.cu": sort + includes} | local,
            [f"-gencode=arch=compute_{n},code=sm_{n}" for n in (80, 86, 90)],
        ),
        Unit(
            "archs",
            "two kernels for three archs",
            {"blur.cu": ARCHS, "shape.h": SHAPE},
            [f"-gencode=arch=compute_{n},code=sm_{n}" for n in (80, 86, 90)],
        ),
    ]


def dependencies(nvcc, unit):
    """Every file that nvcc says the source is made of, by absolute path."""
    command = [nvcc, "-M", unit.source, *unit.flags]
    rule = subprocess.run(command, cwd=unit.directory, check=True, stdout=subprocess.PIPE).stdout.decode()
    names = rule.partition(":")[2].replace("\\\n", " ").split()
    return sorted({os.path.normpath(unit.directory / name) for name in names})


def toolkit(original):
    """A copy of the toolkit below target/bench, made once for each release."""
    original = pathlib.Path(original).resolve()
    release = subprocess.run(
        [original / "bin/nvcc", "--version"], check=True, stdout=subprocess.PIPE
    ).stdout.decode()
    release = release.partition(", V")[2].split()[0]
    copy = TOP / "target/bench" / f"toolkit-{release}"
    if not (copy / ".copied").exists():
        shutil.rmtree(copy, ignore_errors=True)
        copy.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", f"{original}/.", copy], check=True)
        (copy / ".copied").touch()
    return copy


def touch(files):
    """New times, same contents."""
    for file in files:
        os.utime(file)
