"""What Arbiter writes is its user's own: folders 0700, files 0600, also those made before this was so.

Needs nothing but Python.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

OTHERS = stat.S_IRWXG | stat.S_IRWXO
# Folders in the data folder whose files are looked at one by one.
CLOSED = ("log", "exports", "backups", "locks", "jobs", "imports")


class SharedFolder(ValueError):
    """Raised where a folder that all users share is named as the data folder."""


def private_folder(folder: Path) -> Path:
    """Make the folder for this user alone, and close one that others could enter."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_shared(folder):  # one that is shared is refused where it is used
        close(folder.resolve())
    return folder


def private_data_folder(folder: Path) -> Path:
    """Make the data folder for its user alone; close it and what Arbiter keeps in it. Raises SharedFolder."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if _is_shared(folder):
        raise SharedFolder(folder)
    for path in (folder, *_kept(folder)):
        close(path)
    return folder


def private_file(path: Path) -> None:
    """Have the file, empty where it is new, for its user alone, and so what SQLite writes beside it."""
    path = path.resolve()
    with suppress(OSError):  # whoever opens it says what is wrong with its place
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    for beside in ("", "-wal", "-shm", "-journal"):
        close(path.with_name(path.name + beside))


def made_once(path: Path, make: Callable[[], str]) -> str:
    """Return what a file holds that is made when it is first asked for, readable by its user alone.

    Written aside, then linked: of two processes at once one names the file, and nobody reads half of it.
    """
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=path.parent) as file:
            file.write(make())
            file.flush()
            with suppress(FileExistsError):
                os.link(file.name, path)
    return path.read_text()


def close(path: Path) -> None:
    """Take from everybody else what they may do with it.

    What belongs to another user stays as that one has it.
    """
    with suppress(FileNotFoundError, PermissionError):
        mode = path.lstat().st_mode
        if mode & OTHERS and not stat.S_ISLNK(mode):
            path.chmod(stat.S_IMODE(mode) & ~OTHERS)


def _is_shared(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_ISVTX) or folder == folder.parent


def _kept(folder: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError, PermissionError):
        for path in folder.iterdir():
            if path.is_file():
                yield path
            elif path.name in CLOSED and path.is_dir() and not path.is_symlink():
                yield path
                yield from path.rglob("*")
