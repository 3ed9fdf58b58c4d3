"""What a compile costs after an edit that changes nothing that is compiled: comments in one of the cub
unit's own headers and in its source. Each edit is new to every cache."""

import sys
import time

from measure import median, run, seconds
from report import ratio

HEADER = "local_3.h"
# A call that tells its line, above which a line is added: only the stages that see it may run again.
TELLING = """
#if defined(__CUDA_ARCH__)
__device__ int here(int line = __builtin_LINE()) { return line; }
__global__ void tell(int* out) { *out = here(); }
#endif
"""
# Caches that remember a file by its times do not do so while it is younger than two seconds.
REST = 2.5


def comment(text, n):
    """A comment behind code: no line moves."""
    return f"{text.rstrip()}  // {n:06}\n"


def line(text, n):
    return f"// {n:06}\n{text}"


def line_above_call(text, n):
    return text.replace("#if defined(__CUDA_ARCH__)", f"// {n:06}\n#if defined(__CUDA_ARCH__)")


def measure(unit, tools, work, rounds, times):
    source, header = unit.directory / unit.source, unit.directory / HEADER
    edits = {
        "comment in a header": (header, comment),
        "comment line on a header": (header, line),
        "comment line on the source": (source, line),
        "comment line above a call that tells its line": (source, line_above_call),
    }
    texts = {source: source.read_text() + TELLING, header: header.read_text()}
    taken, number = {}, 0
    for at in range(rounds):
        for tool in tools:
            tool.empty()
            for path, text in texts.items():
                path.write_text(text)
            time.sleep(REST)
            states = [("cold", None, 1), ("warm", None, times)] + [(name, edit, times) for name, edit in edits.items()]
            for name, edit, count in states:
                if name != "cold" and tool.hits() is None:
                    continue
                for _ in range(count):
                    number += 1
                    if edit:
                        path, change = edit
                        path.write_text(change(texts[path], number))
                        time.sleep(REST)
                    sample = compile_once(unit, tool, work)
                    if sample is None:
                        print(f"bench: semantic: {tool.name} fails: {name}", file=sys.stderr)
                        break
                    taken.setdefault((tool.name, name), []).append(sample)
                    # One is enough of what takes seconds.
                    if sample > 1 and name != "cold":
                        break
                for path, text in texts.items():
                    path.write_text(text)
        print(f"bench: semantic: round {at + 1} of {rounds}", file=sys.stderr, flush=True)
    for path in texts:
        path.write_text(unit.files[path.name])
    return table(unit, tools, taken, ["cold", "warm", *edits], rounds)


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
