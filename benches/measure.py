"""Runs one command and measures it: wall time from spawn to exit, processor time and largest resident
size of it and of every process it waited for. Knows nothing of compilers."""

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass


@dataclass
class Sample:
    """Seconds and bytes of one run."""

    wall: float
    cpu: float
    rss: int
    status: int


def run(command, directory, environment, log):
    """Runs `command` with its output in `log`. The working directory is this process's own, as
    posix_spawn has none to give; so it is set before the clock starts."""
    os.chdir(directory)
    argv = [os.fspath(part) for part in command]
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.fspath(log), flags, 0o666),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    start = time.perf_counter_ns()
    pid = os.posix_spawn(argv[0], argv, environment, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    end = time.perf_counter_ns()
    return Sample(
        wall=(end - start) / 1e9,
        cpu=usage.ru_utime + usage.ru_stime,
        rss=usage.ru_maxrss * 1024,
        status=os.waitstatus_to_exitcode(status),
    )


# A process is never told a smaller size than that of the one which spawned it: this one is small.
PEAK = """
import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
print(os.wait4(pid, 0)[2].ru_maxrss)
"""


def peak(command, directory, environment):
    """Largest resident size of a command that succeeds and prints nothing, in bytes."""
    argv = [sys.executable, "-I", "-S", "-c", PEAK, *map(os.fspath, command)]
    done = subprocess.run(argv, cwd=directory, env=environment, capture_output=True, check=True)
    return int(done.stdout) * 1024


def median(values):
    values = list(values)
    return statistics.median(values) if values else None


def seconds(value):
    """Three figures, in the unit that a reader wants."""
    if value is None:
        return "–"
    if value >= 10:
        return f"{value:.1f} s"
    if value >= 1:
        return f"{value:.2f} s"
    if value >= 0.1:
        return f"{value * 1e3:.0f} ms"
    if value >= 1e-3:
        return f"{value * 1e3:.1f} ms"
    return f"{value * 1e6:.0f} µs"
