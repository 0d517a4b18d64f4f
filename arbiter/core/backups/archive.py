"""One file with all that a database holds: a zip with a manifest, which says what each part should be.

It appears whole or not at all, readable by its owner alone, and is read again before it gets its name.
"""

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from django.utils import timezone

from arbiter.core.errors import UserError

MANIFEST, FORMAT = "manifest.json", 1
CHUNK = 1 << 20
COMPRESSION = 3  # of 9: beyond, it takes twice the time for a few percent


@dataclass(frozen=True)
class Manifest:
    """What a backup holds, and how it was made."""

    engine: str  # sqlite or postgresql
    migrations: list[list[str]]  # app and name of each that had been applied
    rows: dict[str, int]  # by table
    parts: dict[str, dict[str, Any]]  # sha256 and size of each file, by name
    columns: dict[str, list[str]]  # by table, where the parts are tables
    arbiter: str
    made_at: str
    format: int = FORMAT


class Parts:
    """The archive as it is written: each part is hashed on its way in."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        self.written: dict[str, dict[str, Any]] = {}

    @contextmanager
    def add(self, name: str) -> Iterator[Callable[[bytes], None]]:
        """Yield what takes the part's bytes, piece by piece."""
        sha, size = hashlib.sha256(), 0
        with self.archive.open(name, "w", force_zip64=True) as file:

            def write(piece: bytes) -> None:
                nonlocal size
                sha.update(piece)
                size += len(piece)
                file.write(piece)

            yield write
        self.written[name] = {"sha256": sha.hexdigest(), "size": size}

    def add_manifest(self, **facts: Any) -> Manifest:
        manifest = Manifest(
            parts=self.written,
            arbiter=metadata.version("arbiter"),
            made_at=timezone.now().isoformat(timespec="seconds"),
            **facts,
        )
        self.archive.writestr(MANIFEST, json.dumps(asdict(manifest), indent=1))
        return manifest


@contextmanager
def writing(out: Path) -> Iterator[Parts]:
    """Write an archive aside and give it its name once all of it can be read again."""
    if out.exists():
        raise UserError(f"{out} exists already; a backup never replaces a file.")
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
            with _zip(file) as archive:
                yield Parts(archive)
            file.flush()
            os.fsync(file.fileno())
        verify(part)
        os.replace(part, out)
        sync_folder(out.parent)
    except OSError as error:
        raise UserError(f"The backup can't be written to {out.parent}: {error.strerror or error}.") from error
    finally:
        part.unlink(missing_ok=True)


def _zip(file: Any) -> zipfile.ZipFile:
    return zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION)


def sync_folder(folder: Path) -> None:
    """Write a folder to the disk, so that a new name in it outlasts a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def verify(path: Path) -> Manifest:
    """Read the whole archive and compare it with its manifest. Raises UserError where anything differs."""
    with opened(path) as archive:
        manifest = _manifest(path, archive)
        if set(archive.namelist()) != {MANIFEST, *manifest.parts}:
            raise UserError(f"{path}: its parts are not those its manifest names; use another backup.")
        for name, facts in manifest.parts.items():
            sha = hashlib.sha256()
            for piece in pieces(archive, name):
                sha.update(piece)
            if sha.hexdigest() != facts["sha256"]:
                raise UserError(f"{path}: {name} is not as it was written; use another backup.")
    return manifest


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except OSError as error:
        raise UserError(f"{path}: can't be read: {error.strerror or error}.") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path}: is no backup, or is damaged ({error}); use another.") from error


def pieces(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    with archive.open(name) as file:
        while piece := file.read(CHUNK):
            yield piece


def _manifest(path: Path, archive: zipfile.ZipFile) -> Manifest:
    try:
        facts = json.loads(archive.read(MANIFEST))
        if facts["format"] > FORMAT:
            raise UserError(
                f"{path}: was made by a newer Arbiter ({facts['arbiter']}); restore it with that."
            )
        return Manifest(**facts)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: is no backup of Arbiter: its {MANIFEST} is missing or damaged.") from error
