"""Compiles with cuda-core: for two architectures, with a header that its own cache would not look at."""
import hashlib
import os
from cuda.core import Program, ProgramOptions

SOURCE = '#include "found.h"\ntemplate <class T> __global__ void k(T *a) { a[0] = FOUND; }'
os.makedirs("include", exist_ok=True)
if not os.path.exists("include/found.h"):
    with open("include/found.h", "w") as file:
        file.write("#define FOUND 1\n")

for arch in ("sm_80", "sm_90"):
    options = ProgramOptions(arch=arch, include_path="include")
    code = Program(SOURCE, "c++", options).compile("cubin", name_expressions=("k<int>", "k<float>"))
    print(arch, hashlib.sha256(bytes(code.code)).hexdigest(), sorted(code.symbol_mapping.items()))
