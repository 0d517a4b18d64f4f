"""Running a program to its end and asking the system what it took."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).resolve().parents[2]
KIB = 1024 if sys.platform == "linux" else 1  # what ru_maxrss counts in
MB = 1e6


@dataclass(frozen=True)
class Ran:
    seconds: float
    peak: float  # bytes of memory at most


def run(*command: str | Path) -> Ran:
    """A Python program, from its start to its end; it says nothing and must succeed."""
    clock = monotonic()
    process = subprocess.Popen([sys.executable, *map(str, command)], cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} ended with exit code {process.returncode}.")
    return Ran(monotonic() - clock, usage.ru_maxrss * KIB)
