"""Running a program to its end and asking the system what it took."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
KIB = 1024 if sys.platform == "linux" else 1  # what ru_maxrss counts in
MB = 1e6


@dataclass(frozen=True)
class Ran:
    seconds: float
    peak: float  # bytes of memory at most
    output: str = ""

    def document(self) -> dict[str, Any]:
        """What a command given --json printed."""
        return dict(json.loads(self.output))


def run(*command: str | Path) -> Ran:
    """A Python program, from its start to its end; it must succeed."""
    clock = monotonic()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen([sys.executable, *map(str, command)], cwd=ROOT, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        out.seek(0)
        said = out.read()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} ended with exit code {process.returncode}.")
    return Ran(monotonic() - clock, usage.ru_maxrss * KIB, said)
