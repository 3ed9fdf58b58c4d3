"""What a program in front of the host compiler costs a direct hit: hits with `g++`, hits with OpenMPI's `mpicxx`
in front of it, and the question itself (`mpicxx -###`), in turn."""

import shutil
import sys
import time

from measure import median, run, seconds

# A toolkit and a source that are younger are not remembered, and the first hits look into the files.
REST = 2.5


def measure(unit, tool, work, count):
    wrapper = shutil.which("mpicxx")
    if not wrapper:
        sys.exit("bench: wrapper: no mpicxx on PATH (scripts/get-host-compilers)")
    output = work / "wrappers.o"
    plain = unit.command(output)
    kinds = {
        "hit with g++": tool.command(plain),
        "hit with mpicxx": tool.command([*plain, f"-ccbin={wrapper}"]),
        "mpicxx -###": [wrapper, "-###", "-c", "-x", "c++", "/dev/null", "-o", "/dev/null"],
    }
    tool.empty()
    for _ in range(3):
        for command in kinds.values():
            once(unit, tool, command, work)
        time.sleep(REST)
    before = tool.direct_hits()
    taken = {name: [] for name in kinds}
    for _ in range(count):
        for name, command in kinds.items():
            taken[name].append(once(unit, tool, command, work))
    if tool.direct_hits() - before != 2 * count:
        sys.exit("bench: wrapper: not every compile was a direct hit")
    rows = [f"{unit.title}; runs of each: {count}.", "", "| | median |", "|---|---|"]
    rows.extend(f"| {name} | {seconds(median(walls))} |" for name, walls in taken.items())
    return "\n".join(rows)


def once(unit, tool, command, work):
    log = work / "wrappers.log"
    sample = run(command, unit.directory, tool.environment, log)
    if sample.status:
        sys.exit(log.read_text())
    return sample.wall
