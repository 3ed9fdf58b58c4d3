"""What a unit costs on disk: after its first compile, and for each of some edits. Counted are the files that hold results
and what they are made of; counters, locks, journals and tables of fixed size are not."""

import pathlib
import sys

from measure import run

MARK = "0x5eed"
EDIT = f"\n__device__ int device_only() {{ return {MARK}; }}\nint host_only() {{ return {MARK}; }}\n"

# Relative to the cache; of ccache and sccache, everything else is of fixed size too.
FIXED = ("digests", "counters", "shards", "locks", "journal", "stats", "lock", "CACHEDIR.TAG", "toolchains")


def bytes_of(directory):
    files = (path for path in pathlib.Path(directory).rglob("*") if path.is_file())
    counted = (path for path in files if not set(path.relative_to(directory).parts) & set(FIXED))
    return sum(path.stat().st_size for path in counted)


def compile_once(unit, tool, work):
    output, log = work / f"disk.{tool.name}.o", work / f"{tool.name}.log"
    sample = run(tool.command(unit.command(output)), unit.directory, tool.environment, log)
    if sample.status:
        sys.exit(log.read_text())
    return output.stat().st_size


def measure(units, tools, work, edits):
    rows = [f"Edits: {edits}.", "", "| unit | object | cache | first compile | each edit |", "|---|---|---|---|---|"]
    for unit in units:
        source = unit.directory / unit.source
        base = source.read_text()
        for tool in tools:
            tool.empty()
            source.write_text(base + EDIT.replace(MARK, "1"))
            size = compile_once(unit, tool, work)
            first = bytes_of(tool.directory)
            for number in range(edits):
                source.write_text(base + EDIT.replace(MARK, str(number + 2)))
                compile_once(unit, tool, work)
            each = (bytes_of(tool.directory) - first) / edits
            rows.append(f"| {unit.title} | {kib(size)} | {tool.name} | {kib(first)} | {kib(each)} |")
        source.write_text(base)
    return "\n".join(rows)


def under_a_cap(unit, tools, work, edits, cap, last):
    """How many of the last states of a unit are hits after `edits` edits in a cache of `cap` MB."""
    source = unit.directory / unit.source
    base = source.read_text()
    rows = [f"| {unit.title}, {edits} edits, at most {cap} MB | of the last {last} states, hits |", "|---|---|"]
    for tool in tools:
        tool.empty()
        tool.limit(cap)
        for number in range(edits):
            source.write_text(base + EDIT.replace(MARK, str(number)))
            compile_once(unit, tool, work)
        before = tool.hits()
        for number in range(edits - last, edits):
            source.write_text(base + EDIT.replace(MARK, str(number)))
            compile_once(unit, tool, work)
        rows.append(f"| {tool.name} | {tool.hits() - before} |")
        source.write_text(base)
    return "\n".join(rows)


def kib(count):
    return f"{count / 1024:.1f} KiB"
