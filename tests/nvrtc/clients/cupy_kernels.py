"""Compiles with CuPy, which puts each program into a random directory, without a GPU: its architecture is given."""
import hashlib
import os
import time
os.environ["CUPY_CACHE_IN_MEMORY"] = "1"
import nvidia
from cupy._core import core
from cupy.cuda import compiler

compiler._get_arch_for_options_for_nvrtc = lambda arch=None: ("-arch=sm_80", "cubin")
SOURCE = 'extern "C" __global__ void k(float *a, int n) { if (n > %d) a[0] = n; }'
for number in range(3):
    code, names = compiler.compile_using_nvrtc(SOURCE % number, options=("-std=c++17",), arch="80")
    print(hashlib.sha256(code).hexdigest(), names)

# What CuPy puts before its own kernels: headers that mention `assert` and __builtin_FILE, and use neither there.
HEADERS = "#include <cupy/complex.cuh>\n#include <cupy/carray.cuh>\n#include <cupy/atomics.cuh>\n"
OWN = HEADERS + 'extern "C" __global__ void k(complex<float> *a) { a[0] = a[0] * a[0]; }'
folder = os.path.join(os.path.dirname(core.__file__), "include")
toolkit = os.path.join(nvidia.__path__[0], "cu13/include")
options = ("-std=c++17", *core._get_cccl_include_options(), "-I" + folder, "-I" + toolkit)
code, names = compiler.compile_using_nvrtc(OWN, options=options, arch="80")
print(hashlib.sha256(code).hexdigest(), names)

# A header in quotes is looked for in the random directory first. This one lies below the working directory.
include = os.path.join(os.getcwd(), "include")
if not os.path.isdir(include):
    os.mkdir(include)
    with open(os.path.join(include, "scale.h"), "w") as header:
        header.write("#define SCALE 3\n")
    time.sleep(0.05)  # what is written while the compile begins is not remembered
QUOTING = '#include "scale.h"\nextern "C" __global__ void k(float *a) { a[0] *= SCALE; }'
code, names = compiler.compile_using_nvrtc(QUOTING, options=("-std=c++17", "-I" + include), arch="80")
print(hashlib.sha256(code).hexdigest(), names)
