"""System calls and processes of a warm hit, counted by strace, and its memory."""

import re
import shutil
import subprocess
from collections import Counter

from measure import peak

MOST = 6


def measure(unit, tools, work):
    strace = shutil.which("strace")
    if strace is None:
        return "Not measured: strace is not installed."
    rows = [
        f"A warm hit of: {unit.title}.",
        "",
        "| | processes | threads | system calls | files looked at | directories | above these | memory | most of them |",
        "|---|---|---|---|---|---|---|---|---|",
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
            return f"| {tool.name} | fails | | | | | | | |"
    before = tool.hits()
    traced = [strace, "-f", "-o", log, *command]
    subprocess.run(traced, cwd=unit.directory, env=tool.environment, check=True, capture_output=True)
    name = tool.name + (", no hit" if before is not None and tool.hits() == before else "")
    text = log.read_text(errors="replace")
    calls, tasks, programs = count(text)
    files, directories = looks(text)
    total = sum(calls.values())
    most = ", ".join(f"{call} {number:,}" for call, number in calls.most_common(MOST))
    seen = f"{files:,} | {directories:,} | {total - files - directories:,}"
    memory = peak(command, unit.directory, tool.environment) / 1e6
    return f"| {name} | {programs} | {len(tasks)} | {total:,} | {seen} | {memory:.0f} MB | {most} |"


def looks(log):
    """Different files and directories that were looked at by name and are there."""
    found = {"REG": set(), "DIR": set()}
    for line in log.splitlines():
        look = re.search(r'\b(?:statx|newfstatat|stat|lstat)\((?:AT_FDCWD, )?"([^"]+)".*S_IF(REG|DIR).*= 0$', line)
        if look:
            found[look[2]].add(look[1])
    return len(found["REG"]), len(found["DIR"])


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
