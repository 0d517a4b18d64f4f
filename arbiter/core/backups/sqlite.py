"""Backups of SQLite: the database file itself, as it was at one moment, while others go on writing.

A restored file is made whole beside the database, and takes its place in one step:

1. extract, check and migrate the new file. Killed here: a file aside is left over, the database is untouched.
2. have the old database to ourselves, which fails while anybody has it open.
3. keep the old file under another name, and give the new one its place. Killed here:
   one or the other is there, whole.
"""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from arbiter.core.backups.archive import CHUNK, Manifest, Parts, opened, pieces, sync_folder
from arbiter.core.errors import UserError
from arbiter.core.folders import ROOT
from arbiter.core.guards import all_triggers

FILE = "database.sqlite3"
Rows = dict[str, int]  # by table
Migrations = list[list[str]]
LOCK_TIMEOUT = 20.0  # seconds for a lock that another process holds


def save(database: Path, parts: Parts, folder: Path, left_out: Mapping[str, str]) -> tuple[Rows, Migrations]:
    """Add the database to the archive; return the rows of each table and the migrations that were applied."""
    with tempfile.TemporaryDirectory(prefix=".arbiter-backup-", dir=folder) as aside:
        copy = Path(aside) / FILE
        _copy(database, copy)
        facts = _clean(copy, left_out)
        with parts.add(FILE) as write, copy.open("rb") as file:
            while piece := file.read(CHUNK):
                write(piece)
    return facts


def _copy(database: Path, target: Path) -> None:
    target.touch(0o600)
    # All pages in one step: in several, each write of another process would have it begin anew.
    with closing(_open(database)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy)


def _clean(copy: Path, left_out: Mapping[str, str]) -> tuple[Rows, Migrations]:
    """Take out what no backup keeps, also from the file's free pages, and check the rest."""
    with closing(sqlite3.connect(copy, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=DELETE")
        tables = _tables(database)
        for table, condition in left_out.items():
            if table in tables:
                database.execute(f'DELETE FROM "{table}" WHERE {condition}')  # noqa: S608 - names of ours
        database.execute("VACUUM")
        _check(database, "The database")
        applied = database.execute("SELECT app, name FROM django_migrations ORDER BY id")
        return _rows(database), [list(row) for row in applied]


def _open(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(database))}?mode=rw", uri=True, timeout=LOCK_TIMEOUT)


def _tables(database: sqlite3.Connection) -> list[str]:
    names = database.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    return [name for (name,) in names]


def _rows(database: sqlite3.Connection) -> Rows:
    count = 'SELECT count(*) FROM "{}"'
    return {table: database.execute(count.format(table)).fetchone()[0] for table in _tables(database)}


def _check(database: sqlite3.Connection, name: str) -> None:
    (said,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    if said != "ok":
        raise UserError(f"{name} is damaged: {said}.")
    if broken := database.execute("PRAGMA foreign_key_check").fetchone():
        raise UserError(
            f"{name} is damaged: a row of {broken[0]} names one of {broken[2]} that is not there."
        )


def restore(path: Path, manifest: Manifest, database: Path, pending: bool, *, keep: bool) -> str:
    """Put the archive's database in place. Return where the one before is kept, if it was worth keeping."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".arbiter-restore-", dir=database.parent) as aside:
        new = Path(aside) / FILE
        _extract(path, manifest, new)
        if pending or _unguarded(new):
            _migrate(new)
        _finish(new)
        if not database.exists():
            os.replace(new, database)
            kept = ""
        else:
            kept = _swap(new, database, keep)
    sync_folder(database.parent)
    return kept


def _extract(path: Path, manifest: Manifest, new: Path) -> None:
    new.touch(0o600)
    with opened(path) as archive, new.open("wb") as file:
        for piece in pieces(archive, FILE):
            file.write(piece)
    with closing(sqlite3.connect(new)) as database:
        _check(database, "The backup's database")
        if _rows(database) != manifest.rows:
            raise UserError(
                f"{path}: its database has other rows than its manifest says; use another backup."
            )


def _unguarded(new: Path) -> bool:
    """Tell whether its triggers are not those of this version, which `migrate` makes."""
    with closing(sqlite3.connect(new)) as database:
        named = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        there = {name for (name,) in named}
    return not there.issuperset(trigger.name for trigger in all_triggers("sqlite"))


def _migrate(new: Path) -> None:
    """Migrate in a process whose only database this is: a migration that names none would change the one in
    use.
    """
    command = [sys.executable, "-m", "django", "migrate", "--verbosity", "0"]
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    own = {
        "DATABASE_URL": f"sqlite://{quote(str(new))}",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONPATH": paths,
    }
    done = subprocess.run(  # noqa: S603 - this Python, with words of ours
        command, env={**os.environ, **own}, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word of why"])[-1]
        raise UserError(f"The backup can't be brought to this version's tables: {said}")


def _finish(new: Path) -> None:
    """Bring all of the new database into its one file, whole, and onto the disk."""
    with closing(sqlite3.connect(new)) as database:
        database.execute("PRAGMA journal_mode=DELETE")
        _check(database, "The restored database")
    with new.open("rb") as file:
        os.fsync(file.fileno())


def _swap(new: Path, database: Path, keep: bool) -> str:
    kept = database.with_name(f"{database.stem}-before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}{database.suffix}")
    with _exclusively(database):
        if keep:
            os.link(database, kept)
        os.replace(new, database)
    return str(kept) if keep else ""


@contextmanager
def _exclusively(database: Path) -> Iterator[None]:
    """Hold a database that nobody else has open; its journal is worked in, so that the file is all of it."""
    with closing(_open(database)) as connection:
        try:
            connection.execute("PRAGMA journal_mode=DELETE")  # refused while another connection is open
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise UserError(
                f"{database} is in use ({error}); stop the web server and the workers, then restore."
            ) from error
        except sqlite3.DatabaseError:
            pass  # what is there is damaged, which is why it is replaced
        yield
