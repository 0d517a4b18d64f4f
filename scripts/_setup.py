"""The Python environment in .venv: made once, made again when what it is made from changes."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from arbiter.cli.launch.console import LaunchProblem, say, shown
from arbiter.cli.launch.processes import pause, run_logged
from arbiter.core.folders import ROOT
from arbiter.core.privatefiles import private_folder

EVERY_EXTRA = ("docs", "lint", "test")
INPUTS = ("pyproject.toml", "constraints.txt")
# Prints where the environment believes it is: a copied or moved one names its old place.
PROBE = "import sys, pip; assert sys.version_info >= (3, 11); print(sys.prefix)"


class Environment:
    """The virtual environment of one checkout."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.python = self.folder / "bin" / "python"
        self.log = root / "var" / "setup.log"
        self._stamp = self.folder / "arbiter-stamp.json"
        # There while pip works: an environment that still has it was left half-made.
        self._unfinished = self.folder / "arbiter-unfinished"

    def ensure(self, extras: Collection[str] = ()) -> None:
        """Have every package the project names, with these extras.

        Costs a few file reads when nothing changed.
        """
        if self.is_current(extras):
            return
        with setup_lock(self.log.parent):
            if not self.is_current(extras):
                self._build(frozenset(extras))

    def is_current(self, extras: Collection[str]) -> bool:
        stamp = self._read_stamp()
        fits = stamp.get("inputs") == self._fingerprint() and stamp.get("place") == str(self.root)
        return fits and set(extras) <= set(stamp.get("extras", ())) and self.python.exists()

    def _build(self, extras: frozenset[str]) -> None:
        started = time.monotonic()
        self.log.write_bytes(b"")
        if not self._is_sound():
            say("Making the Python environment in .venv ...")
            self._make()
        say(f"Installing packages (details in {shown(self.log)}) ...")
        self._install(extras)
        say(f"Installed in {time.monotonic() - started:.0f} s.")

    def _make(self) -> None:
        if importlib.util.find_spec("ensurepip") is None:
            raise LaunchProblem(
                "Python's venv module is incomplete here. On Debian or Ubuntu: apt-get install python3-venv"
            )
        run_logged([sys.executable, "-m", "venv", "--clear", str(self.folder)], self.log, "Making .venv")

    def _install(self, extras: frozenset[str]) -> None:
        project = f".[{','.join(sorted(extras))}]" if extras else "."
        options = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
        command = [str(self.python), "-m", "pip", "install", *options, "-e", project, "-c", "constraints.txt"]
        self._stamp.unlink(missing_ok=True)
        self._unfinished.touch()
        try:
            run_logged(command, self.log, "Installing packages", progress=True, folder=self.root)
        except LaunchProblem:
            self._unfinished.unlink()  # pip ended in order (no network, say): keep what there is
            raise
        self.write_stamp(extras)
        self._unfinished.unlink()

    def _is_sound(self) -> bool:
        if self._unfinished.exists() or not self.python.exists():
            return False
        try:
            answer = subprocess.run(
                [str(self.python), "-c", PROBE], capture_output=True, text=True, timeout=60
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return answer.returncode == 0 and Path(answer.stdout.strip()) == self.folder

    def write_stamp(self, extras: Collection[str]) -> None:
        stamp = {"inputs": self._fingerprint(), "place": str(self.root), "extras": sorted(extras)}
        new = self._stamp.with_suffix(".new")
        new.write_text(json.dumps(stamp), encoding="utf-8")
        os.replace(new, self._stamp)

    def _read_stamp(self) -> dict[str, Any]:
        try:
            stamp = json.loads(self._stamp.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return stamp if isinstance(stamp, dict) else {}

    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for name in INPUTS:
            digest.update(hashlib.sha256((self.root / name).read_bytes()).digest())
        return digest.hexdigest()


@contextlib.contextmanager
def setup_lock(folder: Path) -> Iterator[None]:
    """Let one command at a time install things: two started together (say, run and test) would
    disturb each other.
    """
    private_folder(folder)
    with (folder / "setup.lock").open("w") as lock:
        told = False
        while not _try_lock(lock.fileno()):
            if not told:
                say("Another command is setting up this checkout; waiting for it ...")
                told = True
            pause(0.3)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
