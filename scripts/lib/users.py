"""Commands as users that need no account. Needs root."""

import os
import subprocess
import sys


def need_root(script):
    if os.geteuid() != 0:
        sys.exit(f"scripts/{script}: needs root, for users of its own")


def as_user(user, groups, umask=None):
    """The start of a command line: what follows runs with this number and these groups, and no rights of root, if not as root."""
    change = [] if umask is None else ["sh", "-c", f'umask {umask:03o}; exec "$@"', "sh"]
    if user == 0:
        return change
    known = f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups"
    return ["setpriv", f"--reuid={user}", f"--regid={user}", known, *change]


# Runs a command with a time limit; the last line of its standard error tells status and memory.
MEASURE = """
import os, resource, signal, subprocess, sys
child = subprocess.Popen(sys.argv[2:], start_new_session=True)
signal.signal(signal.SIGALRM, lambda *_: os.killpg(child.pid, signal.SIGKILL))
signal.alarm(int(sys.argv[1]))
_, status, usage = os.wait4(child.pid, 0)
signal.alarm(0)
code = os.waitstatus_to_exitcode(status)
own = usage.ru_maxrss * 1024
print(f"measured {code} {own}", file=sys.stderr)
sys.exit(code if code >= 0 else 128 - code)
"""


def measured(limit, command):
    return ["python3", "-c", MEASURE, str(limit), *map(str, command)]
