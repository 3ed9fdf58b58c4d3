"""What a compile costs after one edit: the CUB unit with a few lines more, of which one changes each
time. The edit is new to every cache each time."""

import sys

from measure import median, run, seconds
from report import ratio

# Lines stay where they are, and so do all line markers.
MARK = "0x5eed"
EDITS = {
    "host-only edit": f"#ifndef __CUDA_ARCH__\nint host_only() {{ return {MARK}; }}\n#endif\n",
    "device edit, same PTX": f"static __device__ int unused() {{ return {MARK}; }}\n",
    "device-only edit": f"#ifdef __CUDA_ARCH__\n__device__ int device_only() {{ return {MARK}; }}\n#endif\n",
}


def measure(unit, tools, work, rounds):
    source = unit.directory / unit.source
    base = source.read_text()
    taken = {}
    number = 1
    for at in range(rounds):
        for tool in tools:
            tool.empty()
        # Every tool compiles a state before any compiles the next one: a machine's speed changes.
        for name in ["cold", *EDITS]:
            # The first build has every block, so that an edit changes one number.
            number += 1
            values = {edit: number if edit == name else 1 for edit in EDITS}
            blocks = [text.replace(MARK, str(values[edit])) for edit, text in EDITS.items()]
            source.write_text(base + "".join(blocks))
            for tool in tools:
                sample = compile_once(unit, tool, work)
                if sample is not None:
                    taken.setdefault((tool.name, name), []).append(sample)
        print(f"bench: edits: round {at + 1} of {rounds}", file=sys.stderr, flush=True)
    source.write_text(base)
    return table(unit, tools, taken, rounds)


def compile_once(unit, tool, work):
    output, log = work / f"edits.{tool.name}.o", work / f"{tool.name}.log"
    output.unlink(missing_ok=True)
    sample = run(tool.command(unit.command(output)), unit.directory, tool.environment, log)
    return sample.wall if sample.status == 0 and output.exists() else None


def table(unit, tools, taken, rounds):
    names = ["cold", *EDITS]
    base = {name: median(taken[tools[0].name, name]) for name in names}
    rows = [f"{unit.title}; rounds: {rounds}.", "", f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for tool in tools:
        cells = []
        for name in names:
            value = median(taken.get((tool.name, name), []))
            cells.append("fails" if value is None else f"{seconds(value)} ({ratio(value / base[name])})")
        rows.append(f"| {tool.name} | {' | '.join(cells)} |")
    return "\n".join(rows)
