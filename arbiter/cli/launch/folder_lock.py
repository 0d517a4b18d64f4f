"""Which running Arbiter works where: one a data folder, and a word about it for whoever finds its folder or
its port taken."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arbiter.cli.launch.address import Address
from arbiter.cli.launch.console import LaunchProblem, run_command
from arbiter.core.folders import ROOT
from arbiter.core.privatefiles import private_folder

LOCK = "running.lock"


@contextlib.contextmanager
def only_one(data: Path, address: Address) -> Iterator[dict[str, Any]]:
    """Hold the data folder for as long as the block runs, which is given what others are told. The system
    lets go of it however this process ends.

    Two in one folder would send each other's judges to their own simulated provider, and stop it when they
    end.
    """
    lock = _open(data)
    with contextlib.closing(lock):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LaunchProblem(_taken(data, _read(lock), address)) from None
        note = {
            "url": address.url,
            "checkout": str(ROOT),
            "data": str(data),
            "process": os.getpid(),
            "since": time.strftime("%Y-%m-%d %H:%M"),
        }
        lock.seek(0)
        lock.truncate()
        json.dump(note, lock)
        lock.flush()
        yield note


def _open(data: Path) -> Any:
    try:
        handle = os.open(private_folder(data) / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise LaunchProblem(
            f"The data folder cannot be used ({error}). ARBITER_DATA names another."
        ) from None
    return os.fdopen(handle, "r+", encoding="utf-8")


def _taken(data: Path, note: dict[str, Any], address: Address) -> str:
    who = f"{_told(note)}, on the data in {data}" if note else f"just starting, on the data in {data}"
    return (
        f"Arbiter is running already: {who}. Use that one or stop it (Ctrl-C where it was started); for "
        "another beside it:\n" + run_command(f"{beside(address)} ARBITER_DATA={data}-2")
    )


def beside(address: Address) -> str:
    """Return variables with ports that are likely to be free."""
    port = address.port + 1000 if address.port < 60000 else 9000
    return f"PORT={port} ARBITER_SIMULATOR_PORT={port + 1}"


def _told(note: dict[str, Any]) -> str:
    return f"at {note['url']}, from {note['checkout']}, process {note['process']}, since {note['since']}"


def on_port(port: int) -> str:
    """Return what to say of the Arbiter whose web server or simulated provider has the port; empty where it
    is none of ours."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        note = _read_path(_notes() / str(port))
        os.kill(note["process"], 0)
        return f"the Arbiter {_told(note)}, on the data in {note['data']}"
    return ""


@contextlib.contextmanager
def noted(address: Address, note: dict[str, Any]) -> Iterator[None]:
    """Leave a note under each port, which must be ours, for those who find it taken."""
    names = [_notes() / str(port) for port in (address.port, address.simulator_port)]
    for name in names:
        with contextlib.suppress(OSError):  # it only helps to tell
            private_folder(name.parent)
            name.write_text(json.dumps(note), encoding="utf-8")
    try:
        yield
    finally:
        for name in names:
            with contextlib.suppress(OSError):
                if _read_path(name).get("process") == os.getpid():
                    name.unlink()


def _notes() -> Path:
    """Make the folder of this user's notes, into which nobody else can put one."""
    folder = Path(tempfile.gettempdir()) / f"arbiter-{os.getuid()}"
    if folder.is_symlink() or (folder.exists() and folder.stat().st_uid != os.getuid()):
        raise OSError(f"{folder} is somebody else's")
    return folder


def _read_path(path: Path) -> dict[str, Any]:
    with path.open(encoding="utf-8") as file:
        return _read(file)


def _read(file: Any) -> dict[str, Any]:
    try:
        file.seek(0)
        note = json.load(file)
    except ValueError:  # it has not been written yet
        return {}
    return note if isinstance(note, dict) else {}
