"""Tables of what was measured, for the terminal and for docs/benchmarks.md."""

import os
import platform
import resource
import subprocess

from measure import median, seconds
from units import TOP

PAGE = TOP / "docs/benchmarks.md"
STATES = ["cold", "warm", "touched, first", "touched, next", "checkout, first", "checkout, next"]


def machine(load):
    """What figures depend on, but not whose machine it is. `load` was before the run."""
    with open("/proc/cpuinfo") as cpuinfo:
        models = [line.partition(":")[2].strip() for line in cpuinfo if line.startswith("model name")]
    with open("/proc/meminfo") as meminfo:
        memory = int(next(line for line in meminfo if line.startswith("MemTotal")).split()[1])
    model = models[0] if models else platform.machine()
    return (
        f"{os.cpu_count()} cores ({model}), {memory / 2**20:.0f} GiB, Linux {platform.release().split('-')[0]}, "
        f"load {load:.1f} before and {os.getloadavg()[0]:.1f} at the end"
    )


def tables(benches, versions, load):
    parts = [f"{machine(load)}. {'; '.join(versions)}."]
    parts += [part for bench in benches for part in (times(bench), usage(bench))]
    return "\n\n".join(parts)


def samples_of(bench, name, state):
    return bench.samples.get((name, state), [])


def wall(bench, name, state):
    return median(sample.wall for sample in samples_of(bench, name, state))


def times(bench):
    unit = bench.unit
    title = f"### {unit.title[0].upper()}{unit.title[1:]}"
    command = " ".join(["nvcc", "-c", unit.source, *unit.flags])
    facts = f"`{command}`, {len(unit.headers):,} files; rounds: {bench.rounds}, warm passes in each: {bench.passes}."
    base = wall(bench, "nvcc", "cold")
    rows = [f"| | {' | '.join(STATES)} |", "|---" * (len(STATES) + 1) + "|"]
    for tool in bench.tools:
        cells = [cell(bench, tool, state, base) for state in STATES]
        rows.append(f"| {tool.name} | {' | '.join(cells)} |")
    rows.append(f"| floor | | {seconds(wall(bench, 'floor', 'warm'))} | | | | |")
    return "\n".join([title, "", facts, "", *rows, "", against_floor(bench)])


def cell(bench, tool, state, base):
    if tool.name in bench.failed:
        return "fails"
    samples = samples_of(bench, tool.name, state)
    if not samples:
        return ""
    value = median(sample.wall for sample in samples)
    runs, hits = bench.hits.get((tool.name, state), (0, 0))
    missed = f", {hits} of {runs} hits" if hits < runs else ""
    return f"{seconds(value)} ({ratio(value / base)}{missed})"


def against_floor(bench):
    floor = wall(bench, "floor", "warm")
    lines = []
    for tool in bench.tools:
        value = wall(bench, tool.name, "warm")
        if value and floor and tool.name not in bench.failed:
            count = len(samples_of(bench, tool.name, "warm"))
            lines.append(f"{tool.name} {ratio(value / floor)} ({count} samples)")
    failed = [f"{name} fails: `{text[:160]}`" for name, text in bench.failed.items()]
    return "\n".join([f"Warm against the floor: {'; '.join(lines)}.", *failed])


def usage(bench):
    rows = [
        "| | processor, cold | processor, warm | memory, cold | memory, warm |",
        "|---|---|---|---|---|",
    ]
    for name in [tool.name for tool in bench.tools] + ["floor"]:
        taken = [samples_of(bench, name, state) for state in ("cold", "warm")]
        cpu = [seconds(median(sample.cpu for sample in samples)) for samples in taken]
        rss = [size(median(sample.rss for sample in samples)) for samples in taken]
        rows.append(f"| {name} | {' | '.join(cpu + rss)} |")
    return "\n".join(rows)


def ratio(value):
    """Two figures after the point, or as many as a small value needs."""
    return f"{value:.2f}×" if value >= 0.1 else f"{value:.2g}×"


def size(value):
    """A child's largest size counts from before it becomes the program, when it is still this one."""
    if value is None:
        return "–"
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return f"≤ {own / 1e6:.0f} MB" if value <= own else f"{value / 1e6:.0f} MB"


def publish(name, text, writes):
    """Prints `text`; with `writes`, also puts it between the page's markers called `name`."""
    print(text)
    if not writes:
        return
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    page = PAGE.read_text()
    head, found, rest = page.partition(begin)
    _, ends, tail = rest.partition(end)
    if not found or not ends:
        raise SystemExit(f"bench: no markers for {name} in {PAGE.name}")
    PAGE.write_text(f"{head}{begin}\n{text}\n{end}{tail}")
    subprocess.run([TOP / "scripts/wrap-markdown", PAGE], check=True)
