"""cuda-core with a program cache of its own: it refuses what has an include path or name expressions, and by hand
it loses the lowered names."""
import hashlib
import os
from cuda.core import ObjectCode, Program, ProgramOptions
from cuda.core.utils import FileStreamProgramCache, make_program_cache_key

WITH_HEADER = '#include <found.h>\nextern "C" __global__ void k(int *a) { a[0] = FOUND; }'
TEMPLATE = "template <class T> __global__ void k(T *a) { a[0] = 1; }"
os.makedirs("include", exist_ok=True)
if not os.path.exists("include/found.h"):
    with open("include/found.h", "w") as file:
        file.write("#define FOUND 1\n")


def program(source, include_path=None):
    return Program(source, "c++", ProgramOptions(arch="sm_80", include_path=include_path))


def refusal(work):
    try:
        work()
    except ValueError as error:
        return str(error)
    raise SystemExit("cuda-core's cache took it")


with FileStreamProgramCache("own") as cache:
    told = refusal(lambda: program(WITH_HEADER, "include").compile("cubin", cache=cache))
    assert "include_path" in told, told
    told = refusal(lambda: program(TEMPLATE).compile("cubin", name_expressions=("k<int>",), cache=cache))
    assert "name_expressions" in told, told
    code = program(TEMPLATE).compile("cubin", name_expressions=("k<int>",))
    key = make_program_cache_key(
        code=TEMPLATE, code_type="c++", options=ProgramOptions(arch="sm_80"), target_type="cubin", name_expressions=("k<int>",)
    )
    cache[key] = code
    assert code.symbol_mapping and not ObjectCode.from_cubin(cache[key]).symbol_mapping

print(hashlib.sha256(bytes(code.code)).hexdigest(), sorted(code.symbol_mapping.items()))
code = program(WITH_HEADER, "include").compile("cubin")
print(hashlib.sha256(bytes(code.code)).hexdigest())
