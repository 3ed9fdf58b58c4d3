# Shared by the scripts: the tools they need, and one real CUDA 13 compiler. Source it, do not run it.

# Says which of the named programs are missing, in one line, and ends.
need() {
  local missing=()
  for program in "$@"; do command -v "$program" >/dev/null || missing+=("$program"); done
  [ "${#missing[@]}" -eq 0 ] && return
  echo "$(basename "$0"): missing: ${missing[*]}; install them first" >&2
  exit 1
}

# Sets PCACHE_TEST_CUDA to the root of a CUDA toolkit: as given, the nvcc 13 on PATH, or a fetched one.
use_toolkit() {
  local found
  if [ -n "${PCACHE_TEST_CUDA:-}" ]; then
    [ -x "$PCACHE_TEST_CUDA/bin/nvcc" ] || { echo "PCACHE_TEST_CUDA: no $PCACHE_TEST_CUDA/bin/nvcc" >&2; exit 1; }
  elif found=$(command -v nvcc) && nvcc --version 2>/dev/null | grep -q 'release 13\.'; then
    PCACHE_TEST_CUDA=$(dirname "$(dirname "$(readlink -f "$found")")")
  else
    PCACHE_TEST_CUDA=$(scripts/get-cuda) || exit 1
  fi
  export PCACHE_TEST_CUDA
  echo "using nvcc $(toolkit_release) in $PCACHE_TEST_CUDA"
}

toolkit_release() {
  "$PCACHE_TEST_CUDA/bin/nvcc" --version | sed -n 's/.*release [^,]*, V//p'
}

# Runs a command under a heading, and says what it took.
step() {
  local name=$1 began=$SECONDS
  echo "== $name"
  shift
  "$@"
  echo "== $name: $((SECONDS - began)) s"
}
