"""What a compile costs after an edit that changes nothing that is compiled: comments in one of the cub
unit's own headers and in its source. Each edit is new to every cache."""

import sys
import time

from measure import median, run, seconds
from report import ratio

HEADER = "local_3.h"
# A constructor that takes its caller's line, so that nothing can be said of lines in device code: the stages that see
# them run again, and what they give is the same.
TELLING = """
#ifdef __CUDA_ARCH__
struct Here {
  int line;
  __device__ Here(int line = __builtin_LINE()) : line(line) {}
};
__device__ int here() { return Here().line; }
#endif
"""
# Caches that remember a file by its times do not do so while it is younger than two seconds.
REST = 2.5


def comment(text, n):
    """A comment behind code: no line moves."""
    return f"{text.rstrip()}  // {n:06}\n"


def line(text, n):
    return f"// {n:06}\n{text}"


def measure(unit, tools, work, rounds, times):
    source, header = unit.directory / unit.source, unit.directory / HEADER
    plain = {path: path.read_text() for path in (source, header)}
    telling = plain | {source: plain[source] + TELLING}
    edits = {
        "comment in a header": (plain, header, comment),
        "comment line on a header": (plain, header, line),
        "comment line on the source": (plain, source, line),
        "the same, early cut-off": (telling, source, line),
    }
    taken, number = {}, 0

    def sample(tool, name):
        wall = compile_once(unit, tool, work)
        if wall is None:
            sys.exit(f"bench: semantic: {tool.name} fails, see {work / tool.name}.log")
        taken.setdefault((tool.name, name), []).append(wall)
        return wall

    for at in range(rounds):
        for tool in tools:
            write(plain)
            tool.empty()
            time.sleep(REST)
            sample(tool, "cold")
            if tool.hits() is None:
                continue
            for _ in range(times):
                sample(tool, "warm")
            for name, (texts, path, change) in edits.items():
                write(texts)
                compile_once(unit, tool, work)
                for _ in range(times):
                    number += 1
                    path.write_text(change(texts[path], number))
                    time.sleep(REST)
                    # One is enough of what takes seconds.
                    if sample(tool, name) > 1:
                        break
        print(f"bench: semantic: round {at + 1} of {rounds}", file=sys.stderr, flush=True)
    write(plain)
    return table(unit, tools, taken, ["cold", "warm", *edits], rounds)


def write(texts):
    for path, text in texts.items():
        path.write_text(text)


def compile_once(unit, tool, work):
    output, log = work / f"semantic.{tool.name}.o", work / f"{tool.name}.log"
    output.unlink(missing_ok=True)
    sample = run(tool.command(unit.command(output)), unit.directory, tool.environment, log)
    return sample.wall if sample.status == 0 and output.exists() else None


def table(unit, tools, taken, names, rounds):
    base = median(taken[tools[0].name, "cold"])
    rows = [f"{unit.title}; rounds: {rounds}.", "", f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for tool in tools:
        cells = []
        for name in names:
            value = median(taken.get((tool.name, name), []))
            cells.append("" if value is None else f"{seconds(value)} ({ratio(value / base)})")
        rows.append(f"| {tool.name} | {' | '.join(cells)} |")
    return "\n".join(rows)
