"""System calls and processes of a warm hit, counted by strace."""

import re
import shutil
import subprocess
from collections import Counter

MOST = 6


def measure(unit, tools, work):
    strace = shutil.which("strace")
    if strace is None:
        return "Not measured: strace is not installed."
    rows = [
        f"A warm hit of: {unit.title}.",
        "",
        "| | processes | threads | system calls | most of them |",
        "|---|---|---|---|---|",
    ]
    for tool in tools:
        rows.append(row(strace, unit, tool, work))
    return "\n".join(rows)


def row(strace, unit, tool, work):
    output, log = work / f"{unit.name}.{tool.name}.o", work / f"{tool.name}.strace"
    tool.empty()
    command = tool.command(unit.command(output))
    for _ in range(2 if tool.hits() is not None else 1):
        done = subprocess.run(command, cwd=unit.directory, env=tool.environment, capture_output=True)
        if done.returncode:
            return f"| {tool.name} | fails | | | |"
    before = tool.hits()
    traced = [strace, "-f", "-o", log, *command]
    subprocess.run(traced, cwd=unit.directory, env=tool.environment, check=True, capture_output=True)
    name = tool.name + (", no hit" if before is not None and tool.hits() == before else "")
    calls, tasks, programs = count(log.read_text(errors="replace"))
    most = ", ".join(f"{call} {number:,}" for call, number in calls.most_common(MOST))
    return f"| {name} | {programs} | {len(tasks)} | {sum(calls.values()):,} | {most} |"


def count(log):
    """Calls by name, the tasks that made them, and processes. A call that another task's line
    interrupts is logged twice; its second half does not count."""
    calls, tasks, processes = Counter(), set(), 1
    for line in log.splitlines():
        task, _, rest = line.partition(" ")
        found = re.match(r"(\w+)\(", rest.lstrip())
        if found:
            calls[found[1]] += 1
            tasks.add(task)
            if found[1] in ("fork", "vfork") or (found[1].startswith("clone") and "CLONE_THREAD" not in rest):
                processes += 1
    return calls, tasks, processes
