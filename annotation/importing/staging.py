"""The staging folder of an import: what its files say, checked, typed and without a row in the database.

It lies in the data folder, for its user alone. `rows.jsonl` has a line for each response: a checksum, where
it belongs and what is said of it, and behind a tab its texts, which are read once, the rest twice.
`tasks.jsonl` has the tasks that are to be made, and `names.json`, written last, everything that rows refer to
by number.
"""

import json
import os
import shutil
import time
import uuid
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

from django.conf import settings

from arbiter.core.errors import UserError
from arbiter.core.models import Job
from arbiter.core.privatefiles import private_folder

ROWS, TASKS, NAMES = "rows.jsonl", "tasks.jsonl", "names.json"
LEFT_SECONDS = 6 * 3600  # after which a folder that nobody writes and no import names is removed
ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), check_circular=False)


class StagedLabel(NamedTuple):
    rater: int  # by its number
    label: str
    rationale: str
    shown: dict[str, Any]


class StagedRow(NamedTuple):
    """Where a response belongs, and what its row says of it."""

    path: int
    line: int
    run: int
    task: str  # its key in the suite
    epoch: int
    labels: list[StagedLabel]
    gold: str | None
    gold_rationale: str
    meta: dict[str, Any]


class StagedTexts(NamedTuple):
    text: str
    reasoning: str
    escaped: bool
    finish_reason: str
    ending: str
    content_hash: str


class StagedTask(NamedTuple):
    key: str
    category: str  # its key
    language: str
    text: str


@dataclass
class StagedNames:
    """What an import's rows refer to, and what was asked of it."""

    suite: str  # SLUG@VERSION
    makes_suite: bool
    study: str
    last_task: int = 0  # the key of the suite's newest task when the files were checked
    scheme: dict[str, Any] | None = None  # of a study that is to be made, or has to have it
    scheme_hash: str = ""
    paths: list[str] = field(default_factory=list)
    subjects: list[dict[str, str]] = field(default_factory=list)
    conditions: list[dict[str, Any]] = field(default_factory=list)
    runs: list[tuple[int, int, str, dict[str, Any]]] = field(
        default_factory=list
    )  # subject, condition, name and settings
    categories: list[tuple[str, str]] = field(default_factory=list)  # to be made: key and title
    raters: list[tuple[str, str, str]] = field(default_factory=list)  # name, kind and family
    rows: int = 0
    holding_reasoning: int = 0


class StagingDamaged(UserError):
    """Raised where a staging folder is gone, or not what was written."""


def imports_folder() -> Path:
    return private_folder(settings.DATA / "imports")


class StagingWriter:
    """Writes a staging folder. Left before `finish`, also by an error, it is removed."""

    def __init__(self) -> None:
        remove_leftovers()
        self.folder = imports_folder() / uuid.uuid4().hex
        self.folder.mkdir(mode=0o700)
        self.finished = False

    def __enter__(self) -> "StagingWriter":
        self.rows = _new_file(self.folder / ROWS)
        self.tasks = _new_file(self.folder / TASKS)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.rows.close()
            self.tasks.close()
        finally:  # to close writes what is left, which a full disk refuses again
            if not self.finished:
                shutil.rmtree(self.folder, ignore_errors=True)

    def add_row(self, row: StagedRow, texts: StagedTexts) -> None:
        _write_line(self.rows, f"{ENCODER.encode(row)}\t{ENCODER.encode(texts)}")

    def add_task(self, task: StagedTask) -> None:
        _write_line(self.tasks, ENCODER.encode(task))

    def finish(self, names: StagedNames) -> str:
        """Say what the rows refer to; returns the folder's name."""
        for file in (self.rows, self.tasks):
            _keep(file)
        with _new_file(self.folder / NAMES) as file:
            file.write(ENCODER.encode(asdict(names)).encode())
            _keep(file)
        _keep_entries(self.folder)
        self.finished = True
        return self.folder.name

    def first_place(self, run: int, task: str, epoch: int, paths: list[str]) -> tuple[str, int]:
        """Return the path and the line of the first row that is at this place."""
        self.rows.flush()
        for _, line in _lines(self.folder / ROWS, 0):
            row = row_of(line)
            if (row.run, row.task, row.epoch) == (run, task, epoch):
                return paths[row.path], row.line
        raise LookupError(run, task, epoch)


def _new_file(path: Path) -> IO[bytes]:
    path.touch(mode=0o600)
    return path.open("wb", buffering=1 << 20)


def _keep(file: IO[bytes]) -> None:
    """Have what was written last through a power cut."""
    file.flush()
    os.fsync(file.fileno())


def _keep_entries(folder: Path) -> None:
    entries = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entries)
    finally:
        os.close(entries)


def _write_line(file: IO[bytes], text: str) -> None:
    data = text.encode("ascii")
    file.write(b"%08x %b\n" % (zlib.crc32(data), data))


class Staging:
    """A staging folder that was finished."""

    def __init__(self, name: str) -> None:
        self.folder = settings.DATA / "imports" / name
        try:
            names = json.loads((self.folder / NAMES).read_bytes())
        except (OSError, ValueError) as error:
            raise StagingDamaged(f"{self.folder}: the staging folder of this import is gone.") from error
        self.names = StagedNames(**names)

    def tasks(self, offset: int) -> Iterator[tuple[int, bytes]]:
        """Yield the lines of tasks to be made from a place in the file on, each with the place behind it."""
        return _lines(self.folder / TASKS, offset)

    def rows(self, offset: int) -> Iterator[tuple[int, bytes]]:
        """Yield the lines of rows from a place in the file on, each with the place behind it."""
        return _lines(self.folder / ROWS, offset)


def is_staged(name: str) -> bool:
    return (settings.DATA / "imports" / name / NAMES).exists()


def remove_staging(name: str) -> None:
    shutil.rmtree(settings.DATA / "imports" / name, ignore_errors=True)


def task_of(line: bytes) -> StagedTask:
    return StagedTask(*json.loads(line))


def row_of(line: bytes) -> StagedRow:
    """Return what a line says, but for its texts."""
    row = StagedRow(*json.loads(line.partition(b"\t")[0].decode("ascii")))
    return row._replace(labels=[StagedLabel(*label) for label in row.labels]) if row.labels else row


def texts_in(line: bytes) -> StagedTexts:
    return StagedTexts(*json.loads(line.partition(b"\t")[2].decode("ascii")))


def _lines(path: Path, offset: int) -> Iterator[tuple[int, bytes]]:
    """Yield lines without their checksums, which must be right."""
    try:
        with path.open("rb", buffering=1 << 20) as file:
            file.seek(offset)
            for raw in file:
                offset += len(raw)
                line = raw[9:-1]
                if raw[:9] != b"%08x " % zlib.crc32(line):
                    raise StagingDamaged(f"{path}: the staging file of this import is damaged.")
                yield offset, line
    except OSError as error:
        raise StagingDamaged(f"{path}: can't be read ({error.strerror}).") from error


def remove_leftovers() -> None:
    """Remove the folders of imports that ended, or that died before anybody could know of them."""
    named = set(Job.objects.filter(kind="import").unfinished().values_list("arguments__folder", flat=True))
    for folder in imports_folder().iterdir():
        with suppress(OSError):
            newest = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
            if folder.name not in named and time.time() - newest > LEFT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
