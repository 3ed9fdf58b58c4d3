"""Compiles with CuPy, which puts each program into a random directory, without a GPU: its architecture is given."""
import hashlib
import os
os.environ["CUPY_CACHE_IN_MEMORY"] = "1"
from cupy.cuda import compiler

compiler._get_arch_for_options_for_nvrtc = lambda arch=None: ("-arch=sm_80", "cubin")
SOURCE = 'extern "C" __global__ void k(float *a, int n) { if (n > %d) a[0] = n; }'
for number in range(3):
    code, names = compiler.compile_using_nvrtc(SOURCE % number, options=("-std=c++17",), arch="80")
    print(hashlib.sha256(code).hexdigest(), names)
