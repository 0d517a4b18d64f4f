"""What every script says and how it ends: calm lines, one clear message on failure."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

from arbiter.core.folders import IN_CHECKOUT, ROOT

OLDEST_PYTHON = (3, 11)


class LaunchProblem(Exception):
    """Something the person at the terminal has to know and can act on."""


def say(text: str = "") -> None:
    # The terminal may be gone (SIGHUP); that must not keep us from stopping what we started.
    with contextlib.suppress(OSError):
        print(text, flush=True)


def complain(text: str) -> None:
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true"}


def tail(path: Path, lines: int = 20) -> str:
    """Return the last lines of a log, indented, or a word on why there are none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as log:
            last = deque(log, maxlen=lines)
    except OSError as error:
        return f"  ({error})"
    return "".join(f"  {line.rstrip()}\n" for line in last).rstrip("\n") or "  (empty)"


def shown(path: Path) -> str:
    """Return a path as a person in the repository would type it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def run_command(variables: str) -> str:
    """Return what a person types to start Arbiter with these variables."""
    return f"make run {variables}" if IN_CHECKOUT else f"{variables} arbiter run"


def require_python() -> None:
    if sys.version_info < OLDEST_PYTHON:
        version = ".".join(str(part) for part in sys.version_info[:3])
        needed = ".".join(str(part) for part in OLDEST_PYTHON)
        raise LaunchProblem(
            f"Arbiter needs Python {needed} or newer; {sys.executable} is {version}.\n"
            f"Install a newer one, or name it: make run PYTHON=/path/to/python{needed}"
        )


def run_script(script: Callable[[list[str]], int]) -> None:
    """Run a script's main function and leave the process with its exit code."""
    # Imported late: it needs nothing newer, but the version message must come before anything else can fail.
    from arbiter.cli.launch.processes import Stopped, catch_signals

    try:
        require_python()
        catch_signals()
        sys.exit(script(sys.argv[1:]))
    except LaunchProblem as problem:
        complain(str(problem))
        sys.exit(1)
    except Stopped as stopped:
        complain(f"Stopped by {stopped.signal.name}.")
        sys.exit(128 + stopped.signal)
