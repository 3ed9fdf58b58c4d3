"""The projects that scripts/survey compiles: the packages that hold their sources, and the flags of their units. These
are those of each project's own build, with fewer architectures; a comment says where the build has them."""

from dataclasses import dataclass, field

from survey_sources import Source

# How build tools call nvcc: CMake's rule for CUDA, the Ninja file that PyTorch writes for extensions, a Makefile.
CMAKE = "{flags} -MD -MT {object} -MF {object}.d -x cu -c {source} -o {object}"
TORCH = "--generate-dependencies-with-compile --dependency-output {object}.d {flags} -c {source} -o {object}"
MAKE = "{flags} -c {source} -o {object}"

# The headers of CUDA's libraries, of the versions that the package cuda-toolkit 13.2.2 names. They go where a full
# toolkit has them.
LIBRARIES = [
    Source(name, "wheel", name, version, ("nvidia/cu13/include/",))
    for name, version in (
        ("nvidia-cublas", "13.4.1.3"), ("nvidia-cufft", "12.2.0.57"), ("nvidia-curand", "10.4.2.66"),
        ("nvidia-cusolver", "12.2.0.11"), ("nvidia-cusparse", "12.7.10.12"), ("nvidia-nvtx", "13.2.86"),
        ("nvidia-nvml-dev", "13.2.86"), ("nvidia-cuda-profiler-api", "13.2.86"),
    )
]

SOURCES = [
    Source("candle-flash-attn", "crate", "candle-flash-attn", "0.11.1"),
    Source("candle-kernels", "crate", "candle-kernels", "0.11.1"),
    Source("causal-conv1d", "sdist", "causal-conv1d", "1.6.1"),
    Source("cccl", "debian", "cccl", "2.5.0-1", ("thrust/", "cub/", "libcudacxx/include/")),
    Source("cufinufft", "sdist", "cufinufft", "2.4.1", ("src/", "include/")),
    Source("cupy", "sdist", "cupy", "13.6.0", ("cupy/", "cupy_backends/")),
    Source("cutlass", "wheel", "nvidia-cutlass", "4.2.0.0", ("cutlass_library/source/",)),
    Source("deepspeed", "sdist", "deepspeed", "0.19.8", ("csrc/", "deepspeed/inference/v2/kernels/")),
    Source("exllamav2", "wheel", "exllamav2", "0.3.2", ("exllamav2/exllamav2_ext/",)),
    Source("faiss", "debian", "faiss", "1.7.3-2", ("faiss/",)),
    Source("flash-attn", "sdist", "flash-attn", "2.8.3", ("csrc/flash_attn/", "csrc/cutlass/include/")),
    Source("flashinfer", "wheel", "flashinfer-python", "0.7.4", ("flashinfer/data/",)),
    Source("gromacs", "debian", "gromacs", "2022.5-2", ("src/", "api/")),
    Source("gsplat", "wheel", "gsplat", "1.5.3", ("gsplat/cuda/",)),
    Source("kokkos", "sdist", "pykokkos-base", "0.0.7", ("external/kokkos/",)),
    Source("lammps", "debian", "lammps", "20250204+dfsg.1-2", ("lib/gpu/",)),
    Source("lightgbm", "sdist", "lightgbm", "4.7.0"),
    Source("llama-cpp", "crate", "llama-cpp-sys-2", "0.1.161"),
    Source("mamba", "sdist", "mamba-ssm", "2.3.1"),
    Source("minkowski", "sdist", "MinkowskiEngine", "0.5.4"),
    Source("mmcv", "sdist", "mmcv", "2.2.0", ("mmcv/ops/csrc/",)),
    Source("natten", "sdist", "natten", "0.21.0"),
    Source("nccl", "debian", "nvidia-nccl", "2.29.7-1-1", ("src/", "docs/")),
    Source("nccl-headers", "wheel", "nvidia-nccl-cu13", "2.29.7", ("nvidia/nccl/include/",)),
    Source("nerfacc", "wheel", "nerfacc", "0.5.3", ("nerfacc/cuda/",)),
    Source("raft", "wheel", "libraft-cu13", "26.10.0", ("libraft/include/",)),
    Source("relion", "debian", "relion", "3.1.3-4", ("src/",)),
    Source("ripserplusplus", "sdist", "ripserplusplus", "1.1.2"),
    Source("rmm", "wheel", "librmm-cu13", "26.10.0", ("librmm/include/",)),
    Source("rapids-logger", "wheel", "rapids-logger", "0.2.3", ("rapids_logger/include/",)),
    Source("sundials", "debian", "sundials", "7.1.1+dfsg1-10", ("src/", "include/", "test/", "examples/")),
    Source("torch", "wheel", "torch", "2.9.1", ("torch/include/",)),
    Source("torch-cluster", "sdist", "torch-cluster", "1.6.3"),
    Source("torch-scatter", "sdist", "torch-scatter", "2.1.2"),
    Source("tvm-ffi", "wheel", "apache-tvm-ffi", "0.1.15.post2", ("tvm_ffi/include/",)),
    Source("vllm", "sdist", "vllm", "0.11.0", ("csrc/",)),
    Source("warp", "wheel", "warp-lang", "1.19.0", ("warp/native/",)),
    Source("xformers", "sdist", "xformers", "0.0.33"),
    Source("xgboost", "sdist", "xgboost", "1.7.6", ("xgboost/",)),
]


@dataclass(frozen=True)
class Project:
    """Units that are built alike. Texts may name the folder of a source as {its name}, that of the project's build as
    {build}, the toolkit's as {cuda}, and Python's headers as {python}; flags and commands also the {source}, its
    {folder}, and the {object}."""

    name: str
    sources: tuple
    flags: str
    units: tuple
    # Of many units, this number, evenly spread; 0 for all.
    count: int = 0
    command: str = CMAKE
    # Where the build calls nvcc.
    directory: str = "{build}"
    # Files that the build writes: path below {build}, text.
    written: dict = field(default_factory=dict)


# What torch.utils.cpp_extension adds, for setup.py (-I) and for load() (-isystem).
NO_HALF = (" -D__CUDA_NO_HALF_OPERATORS__ -D__CUDA_NO_HALF_CONVERSIONS__ -D__CUDA_NO_BFLOAT16_CONVERSIONS__"
           " -D__CUDA_NO_HALF2_OPERATORS__ --expt-relaxed-constexpr --compiler-options -fPIC ")
TORCH_SETUP = (" -I{torch}/torch/include -I{torch}/torch/include/torch/csrc/api/include -I{cuda}/include -I{python}"
               + NO_HALF + "-DTORCH_API_INCLUDE_EXTENSION_H -DTORCH_EXTENSION_NAME=_C -std=c++17 ")
TORCH_LOAD = (" -isystem {torch}/torch/include -isystem {torch}/torch/include/torch/csrc/api/include"
              " -isystem {cuda}/include -isystem {python}" + NO_HALF
              + "-DTORCH_EXTENSION_NAME=_C -DTORCH_API_INCLUDE_EXTENSION_H -std=c++17 ")
SM80 = " -gencode=arch=compute_80,code=sm_80 "
HALF = (" -U__CUDA_NO_HALF_OPERATORS__ -U__CUDA_NO_HALF_CONVERSIONS__ -U__CUDA_NO_BFLOAT16_OPERATORS__"
        " -U__CUDA_NO_BFLOAT16_CONVERSIONS__ -U__CUDA_NO_BFLOAT162_OPERATORS__ -U__CUDA_NO_BFLOAT162_CONVERSIONS__"
        " --expt-relaxed-constexpr --expt-extended-lambda --use_fast_math ")
CMAKE80 = " -O3 -DNDEBUG -std=c++17 --generate-code=arch=compute_80,code=[compute_80,sm_80] "

PROJECTS = [
    # Flags: thrust/cmake/ThrustBuildCompilerTargets.cmake.
    Project(
        "thrust", ("cccl",),
        "-DTHRUST_HOST_SYSTEM=THRUST_HOST_SYSTEM_CPP -DTHRUST_DEVICE_SYSTEM=THRUST_DEVICE_SYSTEM_CUDA"
        " -DCCCL_DISABLE_PDL -I{cccl}/thrust/examples -I{cccl}/thrust/testing -I{cccl}/thrust"
        " -I{cccl}/libcudacxx/include -I{cccl}/cub" + CMAKE80 + "-Xcompiler=-Wall,-Wextra -Wno-deprecated-gpu-targets",
        ("{cccl}/thrust/examples/*.cu", "{cccl}/thrust/testing/*.cu"), 16,
    ),
    # Flags: cub/examples/CMakeLists.txt.
    Project(
        "cub", ("cccl",),
        "-I{cccl}/cub/examples -I{cccl}/cub/test -I{cccl}/cub -I{cccl}/libcudacxx/include -I{cccl}/thrust" + CMAKE80,
        ("{cccl}/cub/examples/*/*.cu",), 8,
    ),
    # Flags: CUTLASS's CMakeLists.txt, for Hopper.
    Project(
        "cutlass", ("cutlass",),
        "-DCUTLASS_VERSIONS_GENERATED -I{cutlass}/cutlass_library/source/include"
        " -I{cutlass}/cutlass_library/source/examples/common -I{cutlass}/cutlass_library/source/tools/util/include"
        " -I{folder} -O3 -DNDEBUG -std=c++17 --generate-code=arch=compute_90a,code=[sm_90a] -Xcompiler=-fPIC"
        " -Xcompiler=-fno-strict-aliasing -DCUTLASS_ENABLE_TENSOR_CORE_MMA=1 --expt-relaxed-constexpr",
        ("{cutlass}/cutlass_library/source/examples/[0-9]*/*.cu",), 10,
    ),
    # Flags: as cutlass.
    Project(
        "cute", ("cutlass",),
        "-I{cutlass}/cutlass_library/source/include -I{cutlass}/cutlass_library/source/examples/common"
        " -I{cutlass}/cutlass_library/source/tools/util/include"
        " -O3 -DNDEBUG -std=c++17 --generate-code=arch=compute_90a,code=[sm_90a] --expt-relaxed-constexpr",
        ("{cutlass}/cutlass_library/source/examples/cute/tutorial/**/*.cu",), 8,
    ),
    # Flags: torch.utils.cpp_extension; units of this survey.
    Project(
        "torch-units", ("torch",),
        "-I{build}/units" + TORCH_SETUP + SM80 + "-O2",
        ("{build}/units/*.cu",), command=TORCH,
        written={
            "units/add.cu": "#include <torch/extension.h>\n__global__ void add(float *x) { *x += 1; }\n"
                            "void run(torch::Tensor x) { add<<<1, 1>>>(x.data_ptr<float>()); }\n",
            "units/stream.cu": "#include <torch/extension.h>\n#include <ATen/cuda/CUDAContext.h>\n"
                               "#include <c10/cuda/CUDAGuard.h>\n__global__ void stream() {}\n",
            "units/types.cu": "#include <ATen/ATen.h>\n#include <ATen/Dispatch.h>\n"
                              "#include <ATen/AccumulateType.h>\ntemplate <typename T> __global__ void types(T *) {}\n",
            "units/atomics.cu": "#include <torch/types.h>\n#include <ATen/cuda/Atomic.cuh>\n"
                                "__global__ void atomics(float *x) { gpuAtomicAdd(x, 1.f); }\n",
            "units/random.cu": "#include <torch/all.h>\n#include <ATen/cuda/CUDAGraphsUtils.cuh>\n"
                               "#include <ATen/cuda/CUDAGeneratorImpl.h>\n__global__ void random() {}\n",
        },
    ),
    # Flags: setup.py.
    *(
        Project(
            name, ("torch", name),
            f"-DWITH_PYTHON -DWITH_CUDA -I{{{name}}}/csrc" + TORCH_SETUP + SM80 + "-O2",
            (f"{{{name}}}/csrc/cuda/*.cu",), command=TORCH,
        )
        for name in ("torch-scatter", "torch-cluster")
    ),
    # Flags: gsplat/cuda/_backend.py.
    Project(
        "gsplat", ("torch", "gsplat"),
        "-I{gsplat}/gsplat/cuda/include -I{gsplat}/gsplat/cuda/csrc/third_party/glm" + TORCH_LOAD + SM80
        + "-O3 -use_fast_math",
        ("{gsplat}/gsplat/cuda/csrc/*.cu",), 8, command=TORCH,
    ),
    # Flags: nerfacc/cuda/_backend.py.
    Project(
        "nerfacc", ("torch", "nerfacc"), TORCH_LOAD + SM80 + "-O3",
        ("{nerfacc}/nerfacc/cuda/csrc/*.cu",), command=TORCH,
    ),
    # Flags: exllamav2/ext.py.
    Project(
        "exllamav2", ("torch", "exllamav2"),
        "-I{exllamav2}/exllamav2/exllamav2_ext" + TORCH_LOAD + SM80 + "-lineinfo -O3",
        ("{exllamav2}/exllamav2/exllamav2_ext/cuda/**/*.cu",), 8, command=TORCH,
    ),
    # Flags: setup.py.
    Project(
        "mmcv", ("torch", "mmcv"),
        "-DMMCV_WITH_CUDA -I{mmcv}/mmcv/ops/csrc/pytorch -I{mmcv}/mmcv/ops/csrc/common"
        " -I{mmcv}/mmcv/ops/csrc/common/cuda" + TORCH_SETUP + SM80,
        ("{mmcv}/mmcv/ops/csrc/pytorch/cuda/*.cu",), 10, command=TORCH,
    ),
    # Flags: setup.py.
    Project(
        "mamba", ("torch", "mamba"),
        "-I{mamba}/csrc/selective_scan" + TORCH_SETUP + "-O3" + HALF + "--ptxas-options=-v -lineinfo" + SM80
        + "-gencode arch=compute_90,code=sm_90 --threads 4",
        ("{mamba}/csrc/selective_scan/*.cu",), 5, command=TORCH,
    ),
    # Flags: setup.py.
    Project(
        "causal-conv1d", ("torch", "causal-conv1d"),
        "-I{causal-conv1d}/csrc/causal_conv1d" + TORCH_SETUP + "-O3" + HALF + "--ptxas-options=-v -lineinfo" + SM80
        + "--threads 4",
        ("{causal-conv1d}/csrc/*.cu",), command=TORCH,
    ),
    # Flags: setup.py.
    Project(
        "flash-attn", ("torch", "flash-attn"),
        "-I{flash-attn}/csrc/flash_attn -I{flash-attn}/csrc/flash_attn/src -I{flash-attn}/csrc/cutlass/include"
        + TORCH_SETUP + "-O3" + HALF + SM80 + "--threads 4",
        ("{flash-attn}/csrc/flash_attn/src/*.cu",), 6, command=TORCH,
    ),
    # Flags: setup.py; cblas.h is a stand-in.
    Project(
        "minkowski", ("torch", "minkowski"),
        "-I{minkowski}/src -I{minkowski}/src/3rdparty -I{build}/include" + TORCH_SETUP + "--expt-extended-lambda -O3"
        + SM80,
        ("{minkowski}/src/*.cu",), 6, command=TORCH, written={"include/cblas.h": "#pragma once\n"},
    ),
    # Flags: op_builder/builder.py.
    Project(
        "deepspeed", ("torch", "deepspeed"),
        "-I{deepspeed}/csrc/includes -I{deepspeed}/csrc/transformer/inference/includes" + TORCH_LOAD
        + "-DBF16_AVAILABLE -O3 --use_fast_math" + HALF + SM80,
        ("{deepspeed}/csrc/[!d]*/**/*.cu",), 8, command=TORCH,
    ),
    # Flags: setup.py.
    Project(
        "xformers", ("torch", "xformers"),
        "-I{xformers}/xformers/csrc -I{xformers}/third_party/cutlass/include"
        " -I{xformers}/third_party/cutlass/examples -I{xformers}/third_party/cutlass/tools/util/include"
        + TORCH_SETUP + "-O3 -DHAS_PYTORCH --use_fast_math --expt-extended-lambda --extended-lambda"
        " -D_ENABLE_EXTENDED_ALIGNED_STORAGE --ptxas-options=-v" + SM80,
        ("{xformers}/xformers/csrc/s*/**/*.cu",), 5, command=TORCH,
    ),
    # Flags: build.rs.
    Project(
        "candle-flash-attn", ("candle-flash-attn", "cutlass"),
        "-gencode=arch=compute_80,code=sm_80 -I{cutlass}/cutlass_library/source/include -std=c++17 -O3"
        " -U__CUDA_NO_HALF_OPERATORS__ -U__CUDA_NO_HALF_CONVERSIONS__ -U__CUDA_NO_HALF2_OPERATORS__"
        " -U__CUDA_NO_BFLOAT16_CONVERSIONS__ --expt-relaxed-constexpr --expt-extended-lambda --use_fast_math"
        " -Xcompiler -fPIC --default-stream per-thread",
        ("{candle-flash-attn}/kernels/*.cu",), 4, command=MAKE, directory="{candle-flash-attn}",
    ),
    # Flags: build.rs.
    Project(
        "candle-kernels", ("candle-kernels",),
        "-gencode=arch=compute_80,code=sm_80 --ptx --default-stream per-thread --expt-relaxed-constexpr -std=c++17 -O3",
        ("{candle-kernels}/src/*.cu",), 8, command="{flags} {source} -o {object}", directory="{candle-kernels}",
    ),
    # Flags: ggml/src/ggml-cuda/CMakeLists.txt.
    Project(
        "ggml", ("llama-cpp",),
        "-DGGML_BACKEND_BUILD -DGGML_BACKEND_SHARED -DGGML_CUDA_PEER_MAX_BATCH_SIZE=128 -DGGML_CUDA_USE_GRAPHS"
        " -DGGML_SCHED_MAX_COPIES=4 -DGGML_SHARED -D_GNU_SOURCE -D_XOPEN_SOURCE=600 -Dggml_cuda_EXPORTS"
        " -I{llama-cpp}/llama.cpp/ggml/src/ggml-cuda/.. -I{llama-cpp}/llama.cpp/ggml/include"
        " -O3 -DNDEBUG -std=c++17 --generate-code=arch=compute_80,code=[compute_80]"
        " --generate-code=arch=compute_86,code=[sm_86] -Xcompiler=-fPIC -use_fast_math -extended-lambda"
        " -compress-mode=size -Xcompiler \"-Wmissing-declarations -Wmissing-noreturn -Wall -Wextra -Wpedantic"
        " -Wcast-qual -Wno-unused-function -Wno-array-bounds -Wextra-semi -Wno-pedantic\"",
        ("{llama-cpp}/llama.cpp/ggml/src/ggml-cuda/**/*.cu",), 24,
    ),
    # Flags: faiss/gpu/CMakeLists.txt.
    Project(
        "faiss", ("faiss",),
        "-DFINTEGER=int -I{faiss}" + CMAKE80 + "-Xcompiler=-fopenmp -Xfatbin=-compress-all",
        ("{faiss}/faiss/gpu/*.cu", "{faiss}/faiss/gpu/impl/**/*.cu", "{faiss}/faiss/gpu/utils/**/*.cu"), 14,
    ),
    # Flags: build_dll.py, with three of its architectures.
    Project(
        "warp", ("warp",),
        "--std=c++17 -O3 -gencode=arch=compute_75,code=sm_75 -gencode=arch=compute_80,code=sm_80"
        " -gencode=arch=compute_90,code=compute_90 -DWP_BUILD_DLL -t0 --extended-lambda -diag-suppress=221"
        " -I{warp}/warp/native -DNDEBUG -DWP_ENABLE_CUDA=1 -DWP_ENABLE_MATHDX=0 -Xcompiler -fPIC,-fvisibility=hidden",
tuple("{warp}/warp/native/" + name + ".cu" for name in (
            "apic", "bvh", "deterministic", "hashgrid", "mesh", "reduce", "runlength_encode", "scan", "sort",
            "sparse")),
        command="{flags} -o {object} -c {source}",
    ),
    # Flags: makefiles/common.mk and src/device/Makefile; the units in gensrc are like those of generate.py.
    Project(
        "nccl", ("nccl", "nccl-headers"),
        "-std=c++17 -gencode=arch=compute_80,code=sm_80 -gencode=arch=compute_90,code=sm_90"
        " -gencode=arch=compute_90,code=compute_90 -O3 -Xptxas -maxrregcount=96 -Xfatbin -compress-all"
        " --expt-extended-lambda -I. -I.. -I{nccl-headers}/nvidia/nccl/include -I../include -I../include/plugin"
        " --compiler-options \"-fPIC -fvisibility=hidden\"",
        ("{nccl}/src/device/*.cu", "{build}/gensrc/*.cu"), command="{flags} -dc {source} -o {object}",
        directory="{nccl}/src/device",
        written={
            f"gensrc/{header}.cu": f"""\
#include "common.h"
#include "{header}.h"
DEFINE_ncclDevKernel({function}_RING_LL, ncclFunc{function}, FuncSum, float, NCCL_ALGO_RING, NCCL_PROTO_LL, 1)
"""
            for header, function in (
                ("all_gather", "AllGather"), ("all_reduce", "AllReduce"), ("broadcast", "Broadcast"),
                ("reduce_scatter", "ReduceScatter"), ("sendrecv", "SendRecv"))
        },
    ),
    # Flags: flashinfer/jit/core.py and cpp_ext.py.
    Project(
        "flashinfer", ("flashinfer", "torch", "tvm-ffi"),
        "-DPy_LIMITED_API=0x03090000 -D_GLIBCXX_USE_CXX11_ABI=1 -I{flashinfer}/flashinfer/data/cccl/cub"
        " -I{flashinfer}/flashinfer/data/cccl/libcudacxx/include -I{flashinfer}/flashinfer/data/cccl/thrust"
        " -isystem {python} -isystem {cuda}/include -isystem {torch}/torch/include"
        " -isystem {tvm-ffi}/tvm_ffi/include -isystem {flashinfer}/flashinfer/data/include"
        " -isystem {flashinfer}/flashinfer/data/csrc"
        " -isystem {flashinfer}/flashinfer/data/cutlass/include"
        " -isystem {flashinfer}/flashinfer/data/cutlass/tools/util/include"
        " -isystem {flashinfer}/flashinfer/data/spdlog/include --compiler-options=-fPIC --expt-relaxed-constexpr"
        " -static-global-template-stub=false -gencode=arch=compute_80,code=sm_80 -std=c++17 --threads=1 -use_fast_math"
        " -Xfatbin=-compress-all --compress-mode=size -DFLASHINFER_ENABLE_F16 -DFLASHINFER_ENABLE_BF16"
        " -DFLASHINFER_ENABLE_FP8_E4M3 -DFLASHINFER_ENABLE_FP8_E5M2 -DNDEBUG -O3",
        tuple("{flashinfer}/flashinfer/data/csrc/" + name + ".cu" for name in (
            "sampling", "renorm", "norm", "page", "rope", "cascade", "quantization", "topk",
            "bmm_fp8", "concat_mla", "trtllm_allreduce")),
        command="--generate-dependencies-with-compile -MF {object}.d {flags} -c {source} -o {object}",
    ),
    # Flags: CMakeLists.txt, as in scripts/corpus.
    Project(
        "lightgbm", ("lightgbm", "nccl-headers"),
        "-forward-unknown-to-host-compiler -DEIGEN_DONT_PARALLELIZE -DEIGEN_MPL2_ONLY -DMM_MALLOC -DMM_PREFETCH"
        " -DUSE_CUDA -DUSE_SOCKET -I{lightgbm}/external_libs/eigen"
        " -I{lightgbm}/external_libs/fast_double_parser/include -I{lightgbm}/external_libs/fmt/include"
        " -I{lightgbm}/include -I{lightgbm}/external_libs/nanoarrow/src"
        " -isystem {nccl-headers}/nvidia/nccl/include -Xcompiler=-fopenmp -Xcompiler=-fPIC -Xcompiler=-Wall -O3"
        " -lineinfo" + CMAKE80 + "-rdc=true",
        ("{lightgbm}/src/**/*.cu",), 8,
    ),
    # Flags: cmake/Utils.cmake.
    Project(
        "xgboost", ("xgboost",),
        "-DDMLC_LOG_CUSTOMIZE=1 -DXGBOOST_MM_PREFETCH_PRESENT=1 -DXGBOOST_USE_CUDA=1"
        " -DTHRUST_IGNORE_CUB_VERSION_CHECK=1 -I{xgboost}/xgboost/include -I{xgboost}/xgboost/dmlc-core/include"
        " -I{xgboost}/xgboost/rabit/include --expt-extended-lambda --expt-relaxed-constexpr -Xcompiler=-fopenmp"
        " -Xfatbin=-compress-all -lineinfo" + CMAKE80,
        ("{xgboost}/xgboost/src/**/*.cu",), 12,
    ),
    # Flags: CMakeLists.txt.
    Project(
        "ripserplusplus", ("ripserplusplus",),
        "-I{ripserplusplus}/ripserplusplus/include -std=c++17 -O3 -gencode arch=compute_80,code=sm_80"
        " -D_FORCE_INLINES --compiler-options -fPIC",
        ("{ripserplusplus}/ripserplusplus/*.cu",),
    ),
    # Flags: those of a CMake project that uses raft; units of this survey.
    Project(
        "raft", ("raft", "rmm", "rapids-logger"),
        "-DCCCL_DISABLE_PDL -DLIBCUDACXX_ENABLE_EXPERIMENTAL_MEMORY_RESOURCE"
        " -DRAFT_LOG_ACTIVE_LEVEL=RAPIDS_LOGGER_LOG_LEVEL_INFO -DTHRUST_DISABLE_ABI_NAMESPACE"
        " -DTHRUST_IGNORE_ABI_NAMESPACE_ERROR -I{raft}/libraft/include"
        " -isystem {rmm}/librmm/include -isystem {rapids-logger}/rapids_logger/include"
        " -isystem {raft}/libraft/include/rapids -O3 -DNDEBUG -std=c++20"
        " --generate-code=arch=compute_80,code=[compute_80,sm_80] --expt-extended-lambda --expt-relaxed-constexpr",
        ("{build}/units/*.cu",),
        written={
            f"units/{header.replace('/', '_')}.cu": f"#include <{header}>\n#include <raft/core/device_resources.hpp>\n"
                                                    f"__global__ void kernel() {{}}\n"
            for header in ("raft/linalg/gemm.cuh", "raft/linalg/norm.cuh", "raft/matrix/select_k.cuh",
                           "raft/random/rng.cuh", "raft/stats/mean.cuh", "raft/sparse/convert/csr.cuh")
        },
    ),
    # Flags: as raft; units of this survey.
    Project(
        "rmm", ("rmm", "rapids-logger"),
        "-DLIBCUDACXX_ENABLE_EXPERIMENTAL_MEMORY_RESOURCE -I{rmm}/librmm/include -isystem {rmm}/librmm/include/rapids"
        " -isystem {rapids-logger}/rapids_logger/include -O3 -DNDEBUG -std=c++20"
        " --generate-code=arch=compute_80,code=[compute_80,sm_80] --expt-extended-lambda",
        ("{build}/units/*.cu",),
        written={
            f"units/{name}.cu": f"#include <rmm/{name}.hpp>\n#include <rmm/exec_policy.hpp>\n"
                                "#include <thrust/fill.h>\n__global__ void kernel() {}\n"
            for name in ("device_uvector", "device_buffer", "device_scalar")
        },
    ),
    # Flags: lib/gpu/Nvidia.makefile.
    Project(
        "lammps", ("lammps",),
        "-I{cuda}/include -DUNIX -O3 --use_fast_math -DLAMMPS_SMALLBIG -Xcompiler -fPIC -arch=sm_80 -D_SINGLE_DOUBLE",
        ("{lammps}/lib/gpu/lal_[!p]*.cu",), 8, command="{flags} --fatbin -DNV_KERNEL -o {object} {source}",
        directory="{lammps}/lib/gpu",
    ),
    # Flags: cmake/BuildTypes.cmake. The other sources need FFTW and MPI.
    Project(
        "relion", ("relion",),
        "-arch=sm_80 -D__INTEL_COMPILER --default-stream per-thread -std=c++17 --disable-warnings -DACC_CUDA=2"
        " -DACC_CPU=1 -DCUDA -I{relion}",
        tuple("{relion}/src/acc/cuda/cuda_" + name + ".cu" for name in (
            "backprojector", "benchmark_utils", "projector")),
        command=MAKE,
    ),
    # Flags: CMakeLists.txt; CMake writes the headers.
    Project(
        "sundials", ("sundials",),
        "-I{build}/include -I{sundials}/include -I{sundials}/src/sundials" + CMAKE80,
        ("{sundials}/src/**/*.cu",),
        written={"include/sundials/sundials_config.h": """\
#define SUNDIALS_VERSION "7.1.1"
#define SUNDIALS_DOUBLE_PRECISION 1
#define SUNDIALS_INT64_T 1
#define SUNDIALS_INDEX_TYPE int64_t
#define SUNDIALS_COUNTER_TYPE long int
#define SUNDIALS_LOGGING_LEVEL 2
#define SUNDIALS_MPI_ENABLED 0
#define SUN_FMT
""", "include/sundials/sundials_export.h": "#define SUNDIALS_EXPORT\n#define SUNDIALS_DEPRECATED_EXPORT\n"},
    ),
    # Flags: CMakeLists.txt; CMake writes the headers.
    Project(
        "gromacs", ("gromacs",),
        "-DGMX_DOUBLE=0 -DHAVE_CONFIG_H -DUSE_STD_INTTYPES_H -Dlibgromacs_EXPORTS -I{build}/include -I{gromacs}/src"
        " -I{gromacs}/src/gromacs/math/include -I{gromacs}/src/include -I{gromacs}/api/legacy/include"
        " -I{gromacs}/src/external -I{gromacs}/src/external/thread_mpi/include -I{gromacs}/src/gromacs/utility/include"
        " -I{gromacs}/src/gromacs/pbcutil/include -I{gromacs}/src/gromacs/topology/include"
        " -O3 -DNDEBUG -std=c++17 --generate-code=arch=compute_80,code=sm_80 -use_fast_math -Xcompiler=-fopenmp",
        ("{gromacs}/src/gromacs/nbnxm/cuda/*.cu", "{gromacs}/src/gromacs/ewald/*.cu",
         "{gromacs}/src/gromacs/mdlib/*.cu", "{gromacs}/src/gromacs/gpu_utils/*.cu"), 10,
        written={"include/config.h": "#define GMX_GPU 1\n#define GMX_GPU_CUDA 1\n#define GMX_THREAD_MPI 1\n",
                 "include/gromacs/libgromacs_export.h": "#define LIBGROMACS_EXPORT\n",
                 "include/gmxpre-config.h": "#define TMPI_WAIT_FOR_NO_ONE 0\n"},
    ),
    # Flags: bin/nvcc_wrapper; CMake writes the headers.
    Project(
        "kokkos", ("kokkos",),
        "-I{build}/include -I{kokkos}/external/kokkos/core/src -I{kokkos}/external/kokkos/core/src/impl"
        " -I{kokkos}/external/kokkos/containers/src -I{kokkos}/external/kokkos/algorithms/src -I{folder}"
        " -expt-extended-lambda -Wext-lambda-captures-this -arch=sm_80 -O3 -DNDEBUG -std=c++17",
        ("{kokkos}/external/kokkos/core/src/Cuda/*.cpp", "{kokkos}/external/kokkos/benchmarks/*/*.cpp"), 8,
        written={
            "include/KokkosCore_config.h": "#define KOKKOS_VERSION 30500\n#define KOKKOS_ENABLE_CUDA\n"
                                           "#define KOKKOS_ENABLE_CUDA_LAMBDA\n#define KOKKOS_ENABLE_SERIAL\n"
                                           "#define KOKKOS_ARCH_AMPERE80\n#define KOKKOS_ENABLE_CXX17\n",
            "include/KokkosCore_Config_FwdBackend.hpp": "#include <fwd/Kokkos_Fwd_CUDA.hpp>\n"
                                                        "#include <fwd/Kokkos_Fwd_SERIAL.hpp>\n",
            "include/KokkosCore_Config_SetupBackend.hpp": "#include <setup/Kokkos_Setup_Cuda.hpp>\n",
            "include/KokkosCore_Config_DeclareBackend.hpp": "#include <decl/Kokkos_Declare_CUDA.hpp>\n"
                                                            "#include <decl/Kokkos_Declare_SERIAL.hpp>\n",
            "include/KokkosCore_Config_PostInclude.hpp": "// no backend needs more\n",
        },
    ),
    # Flags: CMakeLists.txt and cmake/utils.cmake.
    Project(
        "vllm", ("vllm", "torch", "cutlass"),
        "-DTORCH_EXTENSION_NAME=_C -DUSE_C10D_GLOO -DUSE_DISTRIBUTED -DUSE_RPC -D_C_EXPORTS -I{vllm}/csrc"
        " -I{cutlass}/cutlass_library/source/include -I{cutlass}/cutlass_library/source/tools/util/include"
        " -isystem {python} -isystem {torch}/torch/include -isystem {torch}/torch/include/torch/csrc/api/include"
        " -DONNX_NAMESPACE=onnx_c2 -Xcudafe --diag_suppress=cc_clobber_ignored --expt-relaxed-constexpr"
        " --expt-extended-lambda -O2 -g -DNDEBUG -std=c++17 -Xcompiler=-fPIC -DENABLE_FP8 --threads=1"
        " -D_GLIBCXX_USE_CXX11_ABI=1 -gencode arch=compute_80,code=sm_80",
        ("{vllm}/csrc/[a-b]*.cu", "{vllm}/csrc/[l-z]*.cu", "{vllm}/csrc/attention/*.cu", "{vllm}/csrc/moe/*.cu",
         "{vllm}/csrc/quantization/**/*.cu"), 14,
    ),
    # Flags: CMakeLists.txt.
    Project(
        "natten", ("natten", "torch", "cutlass"),
        "-DTORCH_EXTENSION_NAME=libnatten -I{natten}/csrc/include -I{natten}/csrc/autogen/include"
        " -I{cutlass}/cutlass_library/source/include -isystem {python} -isystem {torch}/torch/include"
        " -isystem {torch}/torch/include/torch/csrc/api/include -O3 -DNDEBUG -std=c++17 -Xcompiler=-fPIC"
        " --generate-code=arch=compute_90a,code=[sm_90a] --expt-relaxed-constexpr --use_fast_math",
        ("{natten}/csrc/**/*.cu",), 5,
    ),
    # Flags: CMakeLists.txt.
    Project(
        "cufinufft", ("cufinufft",),
        "-Dcufinufft_EXPORTS -I{cufinufft}/include --extended-lambda --expt-relaxed-constexpr -Xcompiler=-fPIC"
        + CMAKE80,
        ("{cufinufft}/src/cuda/**/*.cu",), 5,
    ),
    # Flags: install/cupy_builder.
    Project(
        "cupy", ("cupy",),
        "-D_FORCE_INLINES=1 -DCUPY_CUB_VERSION_CODE=200800 -I{cuda}/include -I{cupy}/cupy/_core/include"
        " -I{cupy}/cupy/_core/include/cupy/_cccl/cub -I{cupy}/cupy/_core/include/cupy/_cccl/thrust"
        " -I{cupy}/cupy/_core/include/cupy/_cccl/libcudacxx -I{cupy}/cupy/cuda"
        " --generate-code=arch=compute_80,code=sm_80 -O2 --compiler-options=-fPIC --expt-relaxed-constexpr"
        " --std=c++17 -t2 -Xfatbin=-compress-all",
        ("{cupy}/cupy/**/*.cu",), command=MAKE,
    ),
]
