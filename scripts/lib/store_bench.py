"""Compares the store with cuda.core's FileStreamProgramCache: the same operations on the same values, in turn,
by one process and by eight. Prints the best of several rounds. Started by scripts/store-bench.

    store_bench.py PROGRAM ROOT                                    the comparison
    store_bench.py worker ROOT OPERATION SIZE KEYS COUNT FIRST     one process of the class
"""

import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 3
# size of a value, keys of each process, operations of each process
SIZES = [(4 << 10, 64, 800), (256 << 10, 32, 240), (8 << 20, 4, 16)]
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
    # The first buffers of a process cost page faults, in any language.
    if operation == "get":
        for _ in range(2):
            cache[names[0]]
    # All processes of a measurement begin at the moment that is on standard input.
    time.sleep(max(0, float(sys.stdin.readline()) - time.time()))
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
        pipe = subprocess.PIPE
        return subprocess.Popen(command + arguments, stdin=pipe, stdout=pipe, text=True)

    def finish(workers: list[subprocess.Popen], begin: float = 0) -> list[str]:
        for each in workers:
            each.stdin.write(f"{begin}\n")
            each.stdin.flush()
        said = [each.communicate()[0] for each in workers]
        assert all(each.returncode == 0 for each in workers), command
        return said

    for at in range(processes):
        if not (root / f"prepared-{size}-{at}").exists():
            finish([start("prepare", at)])
            (root / f"prepared-{size}-{at}").touch()
    workers = [start(operation, at) for at in range(processes)]
    # Enough for all of them to have started.
    said = finish(workers, time.time() + 0.5 + 0.25 * processes)
    times = [tuple(map(float, line.split())) for line in said]
    return size * count * processes / (max(end for _, end in times) - min(begin for begin, _ in times))


def compare(program: str, root: Path) -> None:
    theirs, ours = [sys.executable, __file__], [program]
    print(f"MB/s, best of {ROUNDS}: cuda.core, ours (ratio); ours verified by SHA-256")
    for size, keys, count in SIZES:
        for processes in (1, 8):
            for operation in ("get", "put"):
                best = [0.0, 0.0, 0.0]
                # Each in a directory of its own.
                runs = [(theirs, operation), (ours, operation), (ours, operation + "-verified")]
                for turn in range(ROUNDS):
                    for at, (command, what) in enumerate(runs):
                        place = root / f"{at}"
                        n = count // processes
                        best[at] = max(best[at], measure(command, place, what, size, keys, n, processes) / 1e6)
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
