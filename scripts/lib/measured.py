"""Runs a command, and prints its wall time and the most memory that it took: measured.py NAME COMMAND…"""

import resource
import subprocess
import sys
import time

name, *command = sys.argv[1:]
began = time.monotonic()
done = subprocess.run(command, stdout=subprocess.DEVNULL)
seconds = time.monotonic() - began
memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(f"{name}: {seconds:.1f} s, {memory:.0f} MiB, exit status {done.returncode}")
