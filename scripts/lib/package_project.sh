# What a user does after installing, in a fresh root or venv: builds a CMake project twice, the second time from the cache,
# and starts a program with the library of `pcache run` in it. Run by scripts/test-packages: package_project.sh CUDA [CMAKE]
set -euo pipefail
cuda=$1 cmake=${2:-cmake}
work=$(mktemp -d)
unset PCACHE_TEST_CUDA
export PATH=$PATH:$cuda/bin PCACHE_DIR=$work/cache HOME=$work
mkdir "$work/project"
for name in one two; do
  echo "__global__ void $name(int *p) { *p = 1; } void call_$name() { $name<<<1, 1>>>(nullptr); }" >"$work/project/$name.cu"
done
echo 'int main() {}' >"$work/project/main.cpp"
# CMake 3.16 is that of Ubuntu 20.04.
cat >"$work/project/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.16)
project(tiny LANGUAGES CXX CUDA)
set(CMAKE_CUDA_ARCHITECTURES 75)
add_executable(tiny main.cpp one.cu two.cu)
END

pcache --version
getconf GNU_LIBC_VERSION
pcache doctor >"$work/log" || { cat "$work/log" >&2; exit 1; }

build() {
  rm -rf "$work/build"
  "$cmake" -S "$work/project" -B "$work/build" -DCMAKE_CUDA_COMPILER_LAUNCHER=pcache-nvcc \
    -DCMAKE_CUDA_COMPILER="$cuda/bin/nvcc" -DCMAKE_BUILD_TYPE=Release >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
  pcache stats --zero >/dev/null
  "$cmake" --build "$work/build" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
  pcache stats --json
}
counter() { grep -m1 "\"$1\"" | tr -dc 0-9; }
first=$(build)
second=$(build)
misses=$(counter misses <<<"$first") hits=$(counter direct_hits <<<"$second") left=$(counter misses <<<"$second")
echo "first build: $misses misses; second: $hits direct hits, $left misses"
[ "$misses" -gt 0 ] && [ "$hits" = "$misses" ] && [ "$left" = 0 ]

pcache run -- cat /proc/self/maps >"$work/log"
grep -q libpcache_nvcc.so "$work/log"
pcache run -- sh -c 'exit 7' || [ $? = 7 ]
echo "pcache run: the library is in the program"
rm -rf "$work"
