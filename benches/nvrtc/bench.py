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
        self.client = self.made("client", "-ldl", "-lpthread")
        self.launcher, self.empty_library = self.made("launcher", "-static"), self.made("empty", "-shared", "-fPIC", "-nostdlib")
        self.pcache = given.release / "pcache"
        self.library = given.nvrtc / "lib/libnvrtc.so.13"
        include = given.toolkit / "include"
        self.options = [ARCH, "-std=c++17", f"-I{include}", f"-I{include}/cccl"]
        self.environment = os.environ | {"PCACHE_DIR": os.fspath(WORK / "cache"), "XDG_CONFIG_HOME": os.fspath(WORK)}
        for name, text in (("trivial", TRIVIAL), ("block_reduce", BLOCK_REDUCE)):
            for number in range(PROGRAMS):
                (WORK / f"{name}_{number}.cu").write_text(text % (number, number))

    def made(self, name, *flags):
        source = TOP / f"benches/nvrtc/{name}.c"
        subprocess.run(["gcc", "-O2", "-o", WORK / name, source, *flags], check=True)
        return WORK / name

    def command(self, name, numbers, repeat, threads):
        """A client that compiles the sources of these numbers."""
        sources = [WORK / f"{name}_{number}.cu" for number in numbers]
        options = self.options if name == "block_reduce" else self.options[:2]
        return [self.client, str(repeat), str(threads), self.library, *sources, "--", *options]

    def run(self, cached, name, programs=1, repeat=1, threads=1):
        """What the client prints: first and median of each program, and the time of all, in seconds."""
        client = self.command(name, range(programs), repeat, threads)
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
        turn, side, apart = [], [], []
        for _ in range(rounds):
            turn.append(self.run(True, "block_reduce", programs=PROGRAMS, repeat=100, threads=1)[1])
            side.append(self.run(True, "block_reduce", programs=PROGRAMS, repeat=100, threads=0)[1])
            apart.append(self.in_two_processes())
        base = median(turn)
        side, apart = (f"{seconds(median(taken))} in {where} ({median(taken) / base:.2f}×)" for taken, where in ((side, f"{PROGRAMS} threads"), (apart, "two processes")))
        return f"{PROGRAMS} programs, 100 hits each: {seconds(base)} one after the other, {side}, {apart}."

    def in_two_processes(self):
        """The time of the slower of two that share the programs: what the machine's two cores can do."""
        halves = (self.command("block_reduce", range(first, PROGRAMS, 2), 100, 1) for first in (0, 1))
        running = [subprocess.Popen([self.pcache, "run", "--", *half], env=self.environment, cwd=WORK, stdout=subprocess.PIPE) for half in halves]
        return max(float(process.communicate()[0].split()[-1]) / 1e6 for process in running)

    def start(self, rounds):
        """The start of programs that compile nothing."""
        python = self.given.clients / "bin/python"
        programs = {
            "python with cuda-bindings": [python, "-c", "from cuda.bindings import nvrtc; nvrtc.nvrtcVersion()"],
            "C program with libnvrtc": [self.client, "0", "1", self.library],
        }
        columns = ["plain", "under `pcache run`", "its library alone", "an empty launcher and library"]
        lines = [f"| start of | {' | '.join(columns)} |", "|---|---|---|---|---|"]
        library = os.fspath(self.given.release / "libpcache_nvcc.so")
        brought_in = self.environment | {"LD_AUDIT": library, "LD_PRELOAD": library}
        for name, program in programs.items():
            ways = [
                (program, self.environment),
                ([self.pcache, "run", "--", *program], self.environment),
                (program, brought_in),
                ([self.launcher, self.empty_library, *program], self.environment),
            ]
            taken = [[] for _ in ways]
            for at in range(rounds):
                for way in range(len(ways)):
                    way = (way + at) % len(ways)
                    command, environment = ways[way]
                    began = time.perf_counter()
                    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
                    taken[way].append(time.perf_counter() - began)
            plain, *others = (median(times) for times in taken)
            cells = [seconds(plain), *(f"{seconds(other)} ({other / plain:.3f}×)" for other in others)]
            lines.append(f"| {name} | {' | '.join(cells)} |")
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
