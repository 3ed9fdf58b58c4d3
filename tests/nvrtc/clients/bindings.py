"""Compiles with cuda-bindings, to PTX and to CUBIN, and prints all that it is told."""
import hashlib
from cuda.bindings import nvrtc

SOURCE = b"template <class T> __global__ void k(T *a) { int unused; a[0] = 1; }"


def asked(answer):
    error, *rest = answer
    assert error == nvrtc.nvrtcResult.NVRTC_SUCCESS, error
    return rest[0] if rest else None


def fetch(program, kind):
    size = asked(getattr(nvrtc, f"nvrtcGet{kind}Size")(program))
    place = b" " * size
    asked(getattr(nvrtc, f"nvrtcGet{kind}")(program, place))
    return f"{size} {hashlib.sha256(place).hexdigest()}"


for arch in (b"-arch=sm_80", b"-arch=compute_90"):
    program = asked(nvrtc.nvrtcCreateProgram(SOURCE, b"x.cu", 0, [], []))
    asked(nvrtc.nvrtcAddNameExpression(program, b"k<float>"))
    asked(nvrtc.nvrtcCompileProgram(program, 1, [arch]))
    print(arch, asked(nvrtc.nvrtcGetLoweredName(program, b"k<float>")))
    for kind in ("ProgramLog", "PTX", "CUBIN"):
        print(kind, fetch(program, kind))
    asked(nvrtc.nvrtcDestroyProgram(program))
