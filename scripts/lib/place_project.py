"""The project that scripts/places builds: four CUDA units, with build files for CMake, Meson, scikit-build-core and
setuptools; and the launcher that compares a cache with nvcc."""

import os
import sys
import textwrap

UNITS = ["axpy.cu", "reduce.cu", "scan.cu", "table.cu"]
FLAGS = ["-O2", "-std=c++17", "-arch=sm_80", "-DPROBE_VERSION=3"]

UNIT = """\
#include "probe.h"
#include <vector>
__global__ void {name}_kernel(const float *in, float *out, int n) {{
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at < n) out[at] = SCALE * in[at] + {number} + PROBE_VERSION;
}}
std::vector<float> {name}(const std::vector<float> &values) {{
    std::vector<float> result(values.size());
    {name}_kernel<<<1, 128>>>(values.data(), result.data(), int(values.size()));
    return result;
}}
"""

CMAKE = """\
cmake_minimum_required(VERSION 3.18)
project(probe LANGUAGES CXX CUDA)
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_ARCHITECTURES 80)
add_library(probe STATIC {units})
target_include_directories(probe PRIVATE include ${{CMAKE_CURRENT_BINARY_DIR}})
target_compile_definitions(probe PRIVATE PROBE_VERSION=3)
configure_file(include/built.h.in built.h)
install(TARGETS probe DESTINATION probe)
"""

MESON = """\
project('probe', ['cpp', 'cuda'])
configure_file(input: 'include/built.h.in', output: 'built.h', configuration: {{'NAME': 'probe'}})
static_library('probe', [{units}], include_directories: include_directories('include'),
  cuda_args: ['-arch=sm_80', '-DPROBE_VERSION=3'])
"""

SETUP = """\
import os, subprocess
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

class Build(build_ext):
    # As PyTorch's extensions: absolute paths, and objects below the build folder.
    def build_extension(self, extension):
        top = os.getcwd()
        for source in extension.sources:
            target = os.path.join(os.path.abspath(self.build_temp), source + ".o")
            os.makedirs(os.path.dirname(target), exist_ok=True)
            subprocess.check_call([
                os.environ["LAUNCHER"], os.environ["PLACES_NVCC"], "-I" + os.path.join(top, "include"), "-c",
                os.path.join(top, source), "-o", target, "-MD", "-MF", target + ".d", "--compiler-options", "-fPIC",
                "-DPROBE_VERSION=3", "-std=c++17", "-arch=sm_80"])
        path = self.get_ext_fullpath(extension.name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").close()

setup(name="probe", version="1.0", ext_modules=[Extension("probe", {units})], cmdclass={{"build_ext": Build}})
"""

LAUNCHER = '''\
"""Runs the compiler through a cache and, if told so, by nvcc itself, and reports what differs."""
import os, pathlib, subprocess, sys, tempfile

OUTPUTS = ("-o", "-MF")


def run(words):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True)
    return done.returncode, done.stdout, done.stderr


def report(line):
    if path := os.environ.get("PLACES_REPORT"):
        with open(path, "a") as file:
            file.write(line + "\\n")


def placed(arguments, folder):
    """The arguments with outputs in another folder, and the pairs of outputs. A depfile keeps its target."""
    # Else the object holds the random names of nvcc's intermediate files.
    changed, pairs, rest, target = ["--keep", "--keep-dir", folder], [], iter(arguments), None
    for word in rest:
        changed.append(word)
        if word in OUTPUTS:
            own = next(rest)
            target = own if word == "-o" else target
            pairs.append((own, os.path.join(folder, str(len(pairs)))))
            changed.append(pairs[-1][1])
    if target and "-MT" not in arguments and "-MF" in arguments:
        changed += ["-MT", target]
    return changed, pairs


def main():
    nvcc, *arguments = sys.argv[1:]
    launcher = os.environ["PLACES_LAUNCHER"].split("\\n")
    ours = run([*launcher, nvcc, *arguments])
    sys.stdout.buffer.write(ours[1])
    sys.stderr.buffer.write(ours[2])
    compiles = "-c" in arguments and "-o" in arguments and "-E" not in arguments and ours[0] == 0
    source = " ".join(word for word in arguments if word.endswith(".cu"))
    if compiles and source:
        report("compiled " + source)
    if compiles and source and os.environ.get("PLACES_COMPARE"):
        with tempfile.TemporaryDirectory() as folder:
            changed, pairs = placed(arguments, folder)
            theirs = run([nvcc, *changed])
            # With -v the host compiler prints nvcc's random names, which a hit repeats from the first compile.
            prints_commands = any(word.endswith("-v") for word in arguments)
            if theirs != ours and not prints_commands:
                report(f"differs: messages of {source}")
            for own, other in pairs:
                if pathlib.Path(own).read_bytes() != pathlib.Path(other).read_bytes():
                    report(f"differs: {own}")
    sys.exit(ours[0])


main()
'''


def write(place):
    """Writes the project without Python's build files."""
    (place / "src").mkdir(parents=True)
    (place / "include").mkdir()
    for number, name in enumerate(UNITS):
        (place / "src" / name).write_text(UNIT.format(name=name.removesuffix(".cu"), number=number))
    (place / "include/probe.h").write_text("#pragma once\n#define SCALE 2.0f\n")
    (place / "include/built.h.in").write_text("#define NAME \"@NAME@\"\n")
    sources = [f"src/{name}" for name in UNITS]
    (place / "CMakeLists.txt").write_text(CMAKE.format(units=" ".join(sources)))
    (place / "meson.build").write_text(MESON.format(units=", ".join(map(repr, sources))))


def write_python(place, backend):
    """Adds the build files for pip."""
    requires = {"setuptools": '"setuptools"', "scikit-build-core": '"scikit-build-core", "ninja"'}[backend]
    module = {"setuptools": "setuptools.build_meta", "scikit-build-core": "scikit_build_core.build"}[backend]
    (place / "pyproject.toml").write_text(textwrap.dedent(f"""\
        [build-system]
        requires = [{requires}]
        build-backend = "{module}"

        [project]
        name = "probe"
        version = "1.0"
        """))
    if backend == "setuptools":
        (place / "setup.py").write_text(SETUP.format(units=[f"src/{name}" for name in UNITS]))


def write_launcher(path):
    path.write_text(f"#!{sys.executable}\n{LAUNCHER}")
    os.chmod(path, 0o755)
