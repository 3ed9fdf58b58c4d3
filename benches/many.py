"""How a hit fares in a full cache: many units that share headers, and 10,000 records of each kind,
against one unit in a cache of its own."""

import re
import secrets
import shutil
import sys
import time

from measure import median, run, seconds

RECORDS = 10_000
PASSES = 5
# Without direct mode a hit takes seconds: then fewer passes are made.
LONGEST = 180
FLAGS = ["-arch=sm_80"]

SOURCE = """\
#include <cuda_fp16.h>
#include <cuda/std/array>
#include <cuda/std/tuple>

__global__ void kernel_{n}(__half* values, cuda::std::array<int, {size}> by) {{
  values[threadIdx.x] = values[threadIdx.x] * __half(by[threadIdx.x % {size}] + {n});
}}
"""


def measure(pcache, work, count):
    sources = work / "src/many"
    shutil.rmtree(sources, ignore_errors=True)
    sources.mkdir(parents=True)
    for n in range(count):
        (sources / f"kernel_{n}.cu").write_text(SOURCE.format(n=n, size=n % 7 + 1))
    small, full = (Cache(pcache, work / name, sources) for name in ("many-one", "many-full"))
    small.compile(0)
    for n in range(count):
        full.compile(n)
        if n % 10 == 9:
            print(f"bench: many: {n + 1} of {count} compiled", file=sys.stderr, flush=True)
    files = full.fill()
    one, many, same = [], [], []
    before = small.hits(), full.hits()
    started = time.monotonic()
    for at in range(PASSES):
        if at and time.monotonic() - started > LONGEST:
            break
        for n in range(count):
            one.append(small.compile(0).wall)
            many.append(full.compile(n).wall)
            same.append(full.compile(0).wall)
    hits = small.hits() - before[0], full.hits() - before[1]
    if hits != (len(one), len(many) + len(same)):
        sys.exit(f"bench: many: only {hits} hits of {len(one)} and {len(many) + len(same)}")
    rows = [("one unit in a cache of its own", one), (f"{count} units in turn in a full cache", many)]
    rows.append(("the same one unit in the full cache", same))
    for cache in (small, full):
        cache.tool.empty()
    base = median(one)
    lines = [f"The full cache holds {files:,} files; {len(one)} hits each.", "", "| | hit | |", "|---|---|---|"]
    lines += [f"| {name} | {seconds(median(taken))} | {median(taken) / base:.2f}× |" for name, taken in rows]
    return "\n".join(lines)


class Cache:
    """One cache of pcache-nvcc, and compiles into it."""

    def __init__(self, pcache, directory, sources):
        self.directory, self.sources = directory, sources
        self.tool = type(pcache)(pcache.nvcc, directory, pcache.release)
        self.tool.empty()

    def compile(self, n):
        output = self.sources / "out.o"
        output.unlink(missing_ok=True)
        command = self.tool.command(["-c", f"kernel_{n}.cu", "-o", output, *FLAGS])
        sample = run(command, self.sources, self.tool.environment, self.sources / "log")
        if sample.status:
            sys.exit((self.sources / "log").read_text())
        return sample

    def hits(self):
        return self.tool.hits()

    def fill(self):
        """Copies of what is in each sharded folder, under other names, until each holds RECORDS
        files. Nobody asks for them; they are there to be walked past. Returns the number of files."""
        shards = {shard.parent for shard in self.directory.rglob("*") if re.fullmatch("[0-9a-f]{2}", shard.name)}
        for folder in sorted(shards):
            files = [path for path in folder.rglob("*") if path.is_file()]
            for at in range(RECORDS - len(files)):
                name = secrets.token_hex(32)
                into = folder / name[:2]
                into.mkdir(mode=0o700, exist_ok=True)
                shutil.copyfile(files[at % len(files)], into / name[2:])
        return sum(path.is_file() for path in self.directory.rglob("*"))
