#!/usr/bin/env python3
"""Measures programs that compile at run time, with the cache and without, and writes the tables of docs/benchmarks.md.

    scripts/nvrtc-bench            all of it, some minutes; writes the page
    scripts/nvrtc-bench --quick    few repetitions; does not write
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, os.fspath(TOP / "benches"))

import report  # noqa: E402
from measure import median, seconds  # noqa: E402

WORK = TOP / "target/bench/nvrtc"
ARCH = "-arch=sm_80"
TRIVIAL = 'extern "C" __global__ void scale_%d(float *x, float by) { x[threadIdx.x] *= by + %d; }\n'
BLOCK_REDUCE = """\
#include <cub/block/block_reduce.cuh>
extern "C" __global__ void sum_%d(const int *in, int *out) {
  using Reduce = cub::BlockReduce<int, 128>;
  __shared__ typename Reduce::TempStorage storage;
  int sum = Reduce(storage).Sum(in[threadIdx.x] + %d);
  if (threadIdx.x == 0) *out = sum;
}
"""
PROGRAMS = 8


class Bench:
    def __init__(self, given):
        self.given = given
        shutil.rmtree(WORK, ignore_errors=True)
        WORK.mkdir(parents=True)
        self.client = WORK / "client"
        source = TOP / "benches/nvrtc/client.c"
        subprocess.run(["gcc", "-O2", "-o", self.client, source, "-ldl", "-lpthread"], check=True)
        self.pcache = given.release / "pcache"
        self.library = given.nvrtc / "lib/libnvrtc.so.13"
        include = given.toolkit / "include"
        self.options = [ARCH, "-std=c++17", f"-I{include}", f"-I{include}/cccl"]
        self.environment = os.environ | {"PCACHE_DIR": os.fspath(WORK / "cache"), "XDG_CONFIG_HOME": os.fspath(WORK)}
        for name, text in (("trivial", TRIVIAL), ("block_reduce", BLOCK_REDUCE)):
            for number in range(PROGRAMS):
                (WORK / f"{name}_{number}.cu").write_text(text % (number, number))

    def run(self, cached, name, programs=1, repeat=1, threads=1):
        """What the client prints: first and median of each program, and the time of all, in seconds."""
        sources = [WORK / f"{name}_{number}.cu" for number in range(programs)]
        options = self.options if name == "block_reduce" else self.options[:2]
        client = [self.client, str(repeat), str(threads), self.library, *sources, "--", *options]
        command = [self.pcache, "run", "--", *client] if cached else client
        done = subprocess.run(command, env=self.environment, cwd=WORK, stdout=subprocess.PIPE, check=True)
        *rows, last = [[float(value) / 1e6 for value in line.split()] for line in done.stdout.decode().splitlines()]
        return rows, last[0]

    def empty(self):
        shutil.rmtree(WORK / "cache", ignore_errors=True)

    def hits(self, rounds):
        lines = ["| | NVRTC | miss | hit, first of a process | hit, later |", "|---|---|---|---|---|"]
        for name in ("trivial", "block_reduce"):
            taken = {"plain": [], "miss": [], "first": [], "later": []}
            for _ in range(rounds):
                # The first compile of a process makes ready what later ones have: each is the second.
                taken["plain"].append(self.run(False, name, programs=2)[0][1][0])
                self.empty()
                taken["miss"].append(self.run(True, name, programs=2)[0][1][0])
                (first, later), = self.run(True, name, programs=1, repeat=100)[0]
                taken["first"].append(first)
                taken["later"].append(later)
            base = median(taken["plain"])
            cells = [f"{seconds(median(values))} ({report.ratio(median(values) / base)})" for values in taken.values()]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        return lines

    def threads(self, rounds):
        self.empty()
        self.run(True, "block_reduce", programs=PROGRAMS)
        turn, side = [], []
        for _ in range(rounds):
            turn.append(self.run(True, "block_reduce", programs=PROGRAMS, repeat=100, threads=1)[1])
            side.append(self.run(True, "block_reduce", programs=PROGRAMS, repeat=100, threads=0)[1])
        ratio = median(side) / median(turn)
        return f"{PROGRAMS} programs, 100 hits each: {seconds(median(turn))} one after the other, {seconds(median(side))} in {PROGRAMS} threads ({ratio:.2f}×)."

    def start(self, rounds):
        """The start of programs that compile nothing."""
        python = self.given.clients / "bin/python"
        programs = {
            "python with cuda-bindings": [python, "-c", "from cuda.bindings import nvrtc; nvrtc.nvrtcVersion()"],
            "C program with libnvrtc": [self.client, "0", "1", self.library],
        }
        lines = ["| start of | plain | under `pcache run` |", "|---|---|---|"]
        for name, program in programs.items():
            taken = {False: [], True: []}
            command = {False: program, True: [self.pcache, "run", "--", *program]}
            for at in range(rounds):
                for cached in (False, True) if at % 2 else (True, False):
                    began = time.perf_counter()
                    subprocess.run(command[cached], env=self.environment, stdout=subprocess.DEVNULL, check=True)
                    taken[cached].append(time.perf_counter() - began)
            plain, cached = (median(taken[which]) for which in (False, True))
            lines.append(f"| {name} | {seconds(plain)} | {seconds(cached)} ({cached / plain:.2f}×) |")
        return lines


def main():
    parser = argparse.ArgumentParser(prog="scripts/nvrtc-bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few repetitions")
    for name in ("release", "toolkit", "nvrtc", "clients"):
        parser.add_argument(f"--{name}", required=True, type=pathlib.Path, help="set by scripts/nvrtc-bench")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    bench = Bench(given)
    rounds = 2 if given.quick else 9
    hits, threads, start = bench.hits(rounds), bench.threads(rounds), bench.start(5 * rounds)
    report.publish("nvrtc", "\n".join([report.machine(load) + f" Rounds: {rounds}.", "", *hits, "", threads, "", *start]), not given.quick)


if __name__ == "__main__":
    main()
