"""Compares the store with cuda.core's FileStreamProgramCache: the same operations on the same values, in turn,
by one process and by eight. Prints the best of several rounds. Started by scripts/store-bench.

    store_bench.py PROGRAM ROOT                                    the comparison
    store_bench.py worker ROOT OPERATION SIZE KEYS COUNT FIRST     one process of the class
"""

import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 5
# size of a value, keys of each process, operations of each process
SIZES = [(4 << 10, 64, 1500), (256 << 10, 32, 300), (8 << 20, 6, 24)]
PLENTY = 1 << 40


def value(key: int, size: int) -> bytes:
    return key.to_bytes(8, "little") + bytes([key & 255]) * (size - 8)


def worker(root: str, operation: str, size: int, keys: int, count: int, first: int) -> None:
    from cuda.core.utils import FileStreamProgramCache

    cache = FileStreamProgramCache(root, max_size_bytes=PLENTY)
    names = [(first + at).to_bytes(8, "little") for at in range(keys)]
    values = [value(first + at, size) for at in range(keys)]
    if operation == "prepare":
        for name, data in zip(names, values):
            cache[name] = data
        return
    begin = time.time()
    for n in range(count):
        if operation == "get":
            assert len(cache[names[n % keys]]) == size
        else:
            cache[names[n % keys]] = values[n % keys]
    print(begin, time.time())


def measure(command: list[str], root: Path, operation: str, size: int, keys: int, count: int, processes: int) -> float:
    """Bytes per second of all processes together."""

    def start(what: str, at: int) -> subprocess.Popen:
        arguments = ["worker", str(root), what, str(size), str(keys), str(count), str(at * 1000)]
        return subprocess.Popen(command + arguments, stdout=subprocess.PIPE, text=True)

    def finish(workers: list[subprocess.Popen]) -> list[str]:
        said = [each.communicate()[0] for each in workers]
        assert all(each.returncode == 0 for each in workers), command
        return said

    for at in range(processes):
        finish([start("prepare", at)])
    times = [tuple(map(float, said.split())) for said in finish([start(operation, at) for at in range(processes)])]
    # The rate of each while it ran: they do not all begin at the same moment.
    return sum(size * count / (end - begin) for begin, end in times)


def compare(program: str, root: Path) -> None:
    theirs, ours = [sys.executable, __file__], [program]
    print(f"MB/s, best of {ROUNDS}: cuda.core, ours (ratio); ours verified by SHA-256")
    for size, keys, count in SIZES:
        for processes in (1, 8):
            for operation in ("get", "put"):
                best = [0.0, 0.0, 0.0]
                runs = [(theirs, operation), (ours, operation), (ours, operation + "-verified")]
                for turn in range(ROUNDS):
                    for at, (command, what) in enumerate(runs):
                        place = root / f"{at}"
                        n = max(count // processes, keys // 2)
                        best[at] = max(best[at], measure(command, place, what, size, keys, n, processes) / 1e6)
                    subprocess.run(["rm", "-rf", str(root)], check=True)
                python, plain, verified = best
                kib = size >> 10
                print(
                    f"{kib:5} KiB  {operation}  {processes} process{'es' if processes > 1 else ''}:"
                    f"  {python:7.0f} {plain:7.0f} ({plain / python:.2f})  {verified:7.0f}",
                    flush=True,
                )


if sys.argv[1] == "worker":
    worker(sys.argv[2], sys.argv[3], *map(int, sys.argv[4:]))
else:
    compare(sys.argv[1], Path(sys.argv[2]))
