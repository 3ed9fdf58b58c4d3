#!/usr/bin/env python3
"""Measures pcache-nvcc beside plain nvcc, ccache and sccache, in one run, and writes the tables of
docs/benchmarks.md, which says what is measured and how.

    scripts/bench                        everything, about a quarter of an hour; writes the page
    scripts/bench --quick                one round with few repetitions
    scripts/bench --unit trivial,archs   some units (trivial, cub, archs, cub3)
    scripts/bench --many                 hits among 10,000 records and 100 units, against one
    scripts/bench --strace               system calls and processes of a warm hit
    scripts/bench --edits                what a compile costs after one edit
    scripts/bench --semantic             what it costs after an edit of comments
    scripts/bench --build                a clean build of LightGBM's units by ninja
    scripts/bench --wrapper              direct hits with mpicxx in front of g++
    scripts/bench --heavy                direct hits of a Thrust and a PyTorch unit beside those of ccache
    scripts/bench --disk                 what a unit costs on disk beside ccache and sccache, and what an edit adds
    scripts/bench --against DIRECTORY    hits of this build beside those of another one's release folder
    scripts/bench --against DIRECTORY --cold    the same for first compiles
    scripts/bench --shared               hits in a cache that a group shares beside those in a private one

Only runs without --quick and --unit write to the page.
"""

import argparse
import atexit
import os
import pathlib
import sys
import time

import build
import builds
import disk
import edits
import heavy
import many
import report
import semantic
import trace
import units
import wrappers
from measure import run
from tools import Ccache, KnownTools, OneJob, Pcache, Sccache, Shared, Threads, Tool

TOP = units.TOP
WORK = TOP / "target/bench"

# A tool whose hits take longer than this sits out most of the warm passes.
SLOW = 0.5
# How long a touched file rests before the next compile, in seconds. Caches that remember a file by its
# times do not do so while it is younger than two.
REST = 2.5

ROUNDS = {"trivial": 5, "cub": 3, "archs": 5, "cub3": 1}
WARM_PASSES = {"trivial": 15, "cub": 10, "archs": 10, "cub3": 5}


class Floor:
    """The program that only looks at the files and copies the object."""

    name = "floor"

    def __init__(self, release, unit, like):
        self.program, self.environment = release / "examples/floor", like.environment
        self.list, self.object = WORK / f"{unit.name}.list", WORK / f"{unit.name}.object"
        self.list.write_text("".join(f"{name}\n" for name in unit.headers))

    def invocation(self, output):
        return [self.program, self.list, self.object, output]


class Bench:
    """The samples of one unit, by tool and state."""

    def __init__(self, unit, tools, release, rounds, passes):
        self.unit, self.tools, self.rounds, self.passes = unit, tools, rounds, passes
        self.floor = Floor(release, unit, tools[0])
        self.samples, self.hits, self.failed, self.cold = {}, {}, {}, {}

    def caches(self):
        return [tool for tool in self.standing() if tool.hits() is not None]

    def standing(self):
        return [tool for tool in self.tools if tool.name not in self.failed]

    def take(self, tool, state):
        """One sample. A tool that fails is out, with the last thing that it said."""
        output, log = WORK / f"{self.unit.name}.{tool.name}.o", WORK / f"{tool.name}.log"
        output.unlink(missing_ok=True)
        if tool is self.floor:
            command = tool.invocation(output)
        else:
            command = tool.command(self.unit.command(output))
        sample = run(command, self.unit.directory, tool.environment, log)
        if sample.status != 0 or not output.exists():
            lines = log.read_text(errors="replace").strip().splitlines()
            self.failed[tool.name] = lines[-1] if lines else f"status {sample.status}"
            return
        self.samples.setdefault((tool.name, state), []).append(sample)
        content = output.read_bytes()
        if state == "cold":
            self.cold[tool.name] = content
            self.floor.object.write_bytes(content)

    def pass_through(self, tools, state):
        """One sample of each tool, and how many of them were hits."""
        before = {tool.name: tool.hits() for tool in tools}
        for tool in tools:
            self.take(tool, state)
        for tool in tools:
            if tool.name not in self.failed:
                runs, hits = self.hits.get((tool.name, state), (0, 0))
                rose = tool.hits() - before[tool.name]
                self.hits[tool.name, state] = (runs + 1, hits + rose)
                self.compare(tool, rose)

    def compare(self, tool, rose):
        """A hit must be what was stored."""
        output = WORK / f"{self.unit.name}.{tool.name}.o"
        if rose and output.read_bytes() != self.cold[tool.name]:
            sys.exit(f"bench: {tool.name} served another object for {self.unit.name}")

    def is_slow(self, tool):
        samples = self.samples.get((tool.name, "warm"), [])
        return bool(samples) and samples[-1].wall > SLOW

    def round(self, number):
        turn = number % len(self.tools)
        order = self.tools[turn:] + self.tools[:turn]
        for tool in order:
            if tool.name not in self.failed:
                tool.empty()
                self.take(tool, "cold")
        for at in range(self.passes):
            in_turn = [tool for tool in order if tool in self.caches()]
            self.pass_through([tool for tool in in_turn if at == 0 or not self.is_slow(tool)], "warm")
            self.take(self.floor, "warm")
        for state, change in [("touched", self.touch), ("checkout", self.unit.checkout)]:
            change()
            time.sleep(REST)
            for which in ("first", "next"):
                self.pass_through([tool for tool in order if tool in self.caches()], f"{state}, {which}")

    def touch(self):
        """The source, its own headers and the toolkit's. The host compiler's belong to the system."""
        toolkit = self.tools[0].nvcc.parent.parent
        own = [self.unit.directory, toolkit]
        units.touch(name for name in self.unit.headers if any(map(pathlib.Path(name).is_relative_to, own)))

    def run(self):
        for number in range(self.rounds):
            started = time.monotonic()
            self.round(number)
            say(f"{self.unit.name}: round {number + 1} of {self.rounds}, {time.monotonic() - started:.0f} s")
        for tool in self.tools:
            if tool.name in self.failed:
                say(f"{self.unit.name}: {tool.name} fails: {self.failed[tool.name]}")


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--unit", help="some of trivial, cub, archs, cub3, with commas between them")
    parser.add_argument("--quick", action="store_true", help="one round, few repetitions")
    parser.add_argument("--many", action="store_true", help="hits in a full cache against hits in a small one")
    parser.add_argument("--strace", action="store_true", help="system calls and processes of a warm hit")
    parser.add_argument("--edits", action="store_true", help="what a compile costs after one edit")
    parser.add_argument("--semantic", action="store_true", help="what a compile costs after an edit of comments")
    parser.add_argument("--build", action="store_true", help="a clean build of LightGBM's units by ninja")
    parser.add_argument("--against", type=pathlib.Path, help="release folder of another build: its hits and ours in turn")
    parser.add_argument("--cold", action="store_true", help="with --against: first compiles in place of hits")
    parser.add_argument("--shared", action="store_true", help="hits in a shared cache and in a private one in turn")
    parser.add_argument("--wrapper", action="store_true", help="direct hits with mpicxx in front of g++")
    parser.add_argument("--heavy", action="store_true", help="direct hits of Thrust and PyTorch units beside ccache's")
    parser.add_argument("--disk", action="store_true", help="what a unit costs on disk, and what an edit adds")
    parser.add_argument("--toolkit", required=True, help="the CUDA toolkit to copy (set by scripts/bench)")
    parser.add_argument("--release", required=True, type=pathlib.Path, help="folder of the release build")
    parser.add_argument("--ninja", required=True, type=pathlib.Path, help="ninja (set by scripts/bench)")
    parser.add_argument("--peers", required=True, type=pathlib.Path, help="folder of ccache and sccache")
    return parser.parse_args()


def against(given, unit, nvcc):
    """Another build and this one; the other one twice where their difference is near the noise."""
    releases = {"other": given.against, "this": given.release}
    if given.cold:
        releases["other again"] = given.against
    tools = [Pcache(nvcc, WORK / name, builds.fresh_copy(release, WORK / f"{name}-build")) for name, release in releases.items()]
    if given.cold:
        return builds.measure_cold(unit, tools, list(releases), WORK, 10 if given.quick else 150)
    return builds.measure(unit, tools, list(releases), WORK, 200 if given.quick else 3000)


def main():
    given = arguments()
    WORK.mkdir(parents=True, exist_ok=True)
    nvcc = units.toolkit(given.toolkit) / "bin/nvcc"
    tools = [
        Tool(nvcc, WORK / "nvcc"),
        Pcache(nvcc, WORK / "pcache", given.release),
        Ccache(nvcc, WORK / "ccache", given.peers / "ccache"),
        Sccache(nvcc, WORK / "sccache", given.peers / "sccache"),
    ]
    for tool in tools:
        atexit.register(tool.stop)
    known = {unit.name: unit for unit in units.all_units()}
    names = given.unit.split(",") if given.unit else list(known)
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"bench: no unit {', '.join(unknown)}; there are: {', '.join(known)}")
    writes = not given.quick and not given.unit
    if given.many:
        text = many.measure(tools[1], WORK, 10 if given.quick else 100)
        return report.publish("many", text, writes)
    if given.build:
        text = build.measure(tools, WORK, given.ninja, 1, 1 if given.quick else 2)
        return report.publish("build", text, writes)
    if given.heavy:
        heavy_units = heavy.units()
        for unit in heavy_units:
            unit.place(WORK / "src" / unit.name, nvcc)
        count = 10 if given.quick else 60
        texts = [heavy.measure(unit, tools[1:3], WORK, count) for unit in heavy_units]
        return report.publish("heavy", "\n\n".join(texts), writes)
    for name in names:
        known[name].place(WORK / "src" / name, nvcc)
    if given.disk:
        text = disk.measure([known[name] for name in ("trivial", "cub")], tools[1:], WORK, 2 if given.quick else 5)
        report.publish("disk", text, writes)
        edits_under_cap = 12 if given.quick else 100
        text = disk.under_a_cap(known["cub"], tools[1:2], WORK, edits_under_cap, cap=20, last=10)
        return report.publish("disk-cap", text, writes)
    if given.against:
        text = against(given, known["trivial"], nvcc)
        return report.publish("against", text, False)
    if given.shared:
        fresh = builds.fresh_copy(given.release, WORK / "this-build")
        two = [Pcache(nvcc, WORK / "private", fresh), Shared(nvcc, WORK / "shared", fresh)]
        count = 200 if given.quick else 1500
        texts = [builds.measure(known[name], two, ["private", "shared"], WORK, count) for name in ("trivial", "cub")]
        return report.publish("shared", "\n\n".join(texts), writes)
    if given.wrapper:
        text = wrappers.measure(known["trivial"], tools[1], WORK, 50 if given.quick else 300)
        return report.publish("wrapper", text, writes)
    if given.strace:
        text = trace.measure(known["cub"] if not given.unit else known[names[0]], tools, WORK)
        return report.publish("strace", text, writes)
    if given.edits:
        text = edits.measure(known["cub"], tools, WORK, 1 if given.quick else 2)
        return report.publish("edits", text, writes)
    if given.semantic:
        text = semantic.measure(known["cub"], tools, WORK, 1, 2 if given.quick else 5)
        return report.publish("semantic", text, writes)
    # Before the run: a commit made meanwhile is not what was built.
    versions, load = [tool.version() for tool in tools], os.getloadavg()[0]
    benches = []
    for name in names:
        rounds = 1 if given.quick else ROUNDS[name]
        passes = 3 if given.quick else WARM_PASSES[name]
        known_tools = [kind(nvcc, WORK / "pcache-known", given.release) for kind in (KnownTools, OneJob)]
        compilers = [tools[0], Threads(nvcc, WORK / "nvcc"), *known_tools, *tools[1:]]
        bench = Bench(known[name], compilers, given.release, rounds, passes)
        bench.run()
        benches.append(bench)
    return report.publish("bench", report.tables(benches, versions, load), writes)


if __name__ == "__main__":
    main()
