"""Two builds of pcache-nvcc beside each other: the direct hits of a trivial kernel, or its first compiles, in turn.
What a change costs is less than a machine's noise between two runs of a benchmark."""

import shutil
import sys
import time

from measure import median, run, seconds

# A toolkit and a source that are younger are not remembered, and the first hits look into the files.
REST = 2.5


def measure(unit, tools, names, work, count):
    taken = {name: [] for name in names}
    for tool in tools:
        tool.empty()
        for _ in range(3):
            compile_once(unit, tool, work)
            time.sleep(REST)
    before = [tool.hits() for tool in tools]
    pairs = list(zip(names, tools))
    for at in range(count):
        for name, tool in pairs if at % 2 else reversed(pairs):
            taken[name].append(compile_once(unit, tool, work).wall)
    if any(tool.hits() - had != count for tool, had in zip(tools, before)):
        sys.exit("bench: against: not every compile was a hit")
    rows = [f"{unit.title}; hits of each: {count}.", "", "| build | median | fastest tenth |", "|---|---|---|"]
    base = [value(taken[names[0]]) for value in (median, fastest)]
    for name in names:
        cells = [f"{seconds(value(taken[name]))} ({value(taken[name]) / by:.3f}×)" for value, by in zip((median, fastest), base)]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def measure_cold(unit, tools, names, work, count):
    """Compiles of sources that are new to all caches. Two names of one build show what is noise."""
    taken = {name: [] for name in names}
    for tool in tools:
        tool.empty()
    pairs = list(zip(names, tools))
    for at in range(count + 1):
        unit.write(f"__global__ void another(float *x) {{ x[0] += {at}.5f; }}\n")
        first = at % len(pairs)
        for name, tool in pairs[first:] + pairs[:first]:
            sample = compile_once(unit, tool, work)
            # The first one identifies the tools.
            if at > 0:
                taken[name].append(sample)
    if any(tool.hits() for tool in tools):
        sys.exit("bench: against: not every compile was a miss")
    rows = [f"{unit.title}; misses of each: {count}.", "", "| build | wall time | processor time |", "|---|---|---|"]
    kinds = [lambda one: one.wall, lambda one: one.cpu]
    base = [median([kind(one) for one in taken[names[0]]]) for kind in kinds]
    for name in names:
        times = [median([kind(one) for one in taken[name]]) for kind in kinds]
        cells = [f"{seconds(time)} ({time / by:.3f}×)" for time, by in zip(times, base)]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def fresh_copy(release, folder):
    """The programs of a build, written in one go. What a linker wrote in pieces lies in smaller pieces in the page
    cache, and costs each start more faults: up to 4 % of a hit, for equal programs."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("pcache", "pcache-nvcc"):
        shutil.copy(release / name, folder)
    return folder


def fastest(values):
    """The slowest of the fastest tenth: less of it is the machine's noise."""
    return sorted(values)[len(values) // 10]


def compile_once(unit, tool, work):
    log = work / "builds.log"
    sample = run(tool.command(unit.command(work / "builds.o")), unit.directory, tool.environment, log)
    if sample.status:
        sys.exit(log.read_text())
    return sample
