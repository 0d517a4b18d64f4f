"""Running a program to its end and asking the system what it took."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).resolve().parents[2]
KIB = 1024 if sys.platform == "linux" else 1  # what ru_maxrss counts in
MB = 1e6
# The system counts what a process was before it became the program, so a small one starts it rather than
# ourselves.
STARTER = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


@dataclass(frozen=True)
class Ran:
    seconds: float
    peak: float  # bytes of memory at most
    said: str = ""


def run(*command: str | Path) -> Ran:
    """Run a Python program from its start to its end; it must succeed."""
    clock = monotonic()
    whole = [sys.executable, "-c", STARTER, sys.executable, *map(str, command)]
    process = subprocess.run(whole, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} ended with exit code {process.returncode}.")
    said, _, peak = process.stdout.rstrip("\n").rpartition("\n")
    return Ran(monotonic() - clock, int(peak) * KIB, said)
