"""Writes a project of twelve units, of which some are slow, with headers that some share, and a build.ninja."""

import pathlib
import sys

# Source, headers of the project, headers of others, lines of device code.
UNITS = [
    ("reduce", ["config.h", "grid.h"], ["cub/cub.cuh"], 4),
    ("sort", ["config.h"], ["cub/device/device_radix_sort.cuh"], 4),
    ("stencil", ["config.h", "grid.h"], ["vector"], 40),
    ("matmul", ["config.h", "matrix.h"], ["vector", "algorithm"], 120),
    ("transpose", ["config.h", "matrix.h"], [], 30),
    ("softmax", ["config.h", "matrix.h"], ["cmath"], 60),
    ("fft", ["config.h"], ["complex", "vector"], 200),
    ("histogram", ["config.h", "grid.h"], ["map"], 20),
    ("scan", ["config.h"], ["cub/block/block_scan.cuh"], 10),
    ("parser", ["config.h"], ["regex", "string"], 2),
    ("particles", ["config.h", "grid.h"], ["random"], 80),
    ("main", ["config.h", "grid.h", "matrix.h"], ["iostream"], 2),
]
HEADERS = {
    "config.h": "#pragma once\n#define BLOCK 256\n",
    "grid.h": "#pragma once\n#include \"config.h\"\n#define SCALE 2\n",
    "matrix.h": "#pragma once\ntemplate <class T> struct Matrix { T *data; int rows, columns; };\n",
}


def source(name: str, own: list[str], others: list[str], lines: int) -> str:
    text = "".join(f'#include "{header}"\n' for header in own)
    text += "".join(f"#include <{header}>\n" for header in others)
    scale = "SCALE" if "grid.h" in own else "1"
    text += f"__global__ void {name}_kernel(float *p, int n) {{\n  int i = blockIdx.x * BLOCK + threadIdx.x;\n"
    text += "".join(f"  p[(i + {n}) % n] += sinf(p[i] * {n}.5f) * {scale};\n" for n in range(lines))
    text += "}\n"
    if name == "main":
        return text + "int main() { main_kernel<<<1, BLOCK>>>(nullptr, 1); return 0; }\n"
    return text + f"void {name}(float *p, int n) {{ {name}_kernel<<<1, BLOCK>>>(p, n); }}\n"


def main() -> None:
    root, compiler, toolkit = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    (root / "include").mkdir(parents=True)
    for name, text in HEADERS.items():
        (root / "include" / name).write_text(text)
    ninja = f"rule cuda\n  command = {compiler} -c $in -o $out -Iinclude -arch=sm_80 -MD -MF $out.d\n  depfile = $out.d\n"
    ninja += f"rule link\n  command = {compiler} $in -o $out -arch=sm_80 -L{toolkit}/lib64\n"
    for name, own, others, lines in UNITS:
        (root / f"{name}.cu").write_text(source(name, own, others, lines))
        ninja += f"build {name}.o: cuda {name}.cu\n"
    objects = " ".join(f"{name}.o" for name, *_ in UNITS)
    ninja += f"build app: link {objects}\n"
    (root / "build.ninja").write_text(ninja)


main()
