"""The whole database in one file, and back: made while others write, verified, restored whole or not at all.

No key reaches a backup: those of services are in the environment, and SECRET_KEY is kept beside the data.
Sessions and sign-in links are left out, as a restored link would sign in whoever finds it used.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader

from arbiter.core.backups import postgresql, sqlite
from arbiter.core.backups.archive import Manifest, verify, writing
from arbiter.core.errors import UserError

OWN = ("benchmark_", "annotation_", "judging_", "auth_user")  # what tells a database in use from an empty one
Migration = tuple[str, str]


def make(out: Path) -> dict[str, Any]:
    """Write a backup of the database to a new file."""
    with _one_sentence(), writing(out) as parts:
        columns: dict[str, list[str]] = {}
        if connection.vendor == "sqlite":
            rows, applied = sqlite.save(_file(), parts, out.parent, settings.NOT_BACKED_UP)
        else:
            rows, columns, applied = postgresql.save(parts, settings.NOT_BACKED_UP)
        manifest = parts.add_manifest(
            engine=connection.vendor, migrations=applied, rows=rows, columns=columns
        )
    return {"backup": str(out), "size": out.stat().st_size, **summary(manifest)}


def check(path: Path) -> dict[str, Any]:
    """Read the whole backup and return what it holds. Raises UserError with what is wrong."""
    return {"backup": str(path), "size": _size(path), **summary(verify(path))}


def restore(path: Path, *, replace: bool = False) -> dict[str, Any]:
    """Put a backup's rows into this database, which must be empty unless `replace` is given."""
    manifest = verify(path)
    pending = _pending(path, manifest)
    if connection.vendor != manifest.engine:
        raise UserError(
            f"{path}: is of {_title(manifest.engine)}, and DATABASE_URL names {_title(connection.vendor)}; "
            "restore it there."
        )
    with _one_sentence():
        if not replace and (table := _in_use()):
            raise UserError(
                f"The database is not empty: {table} has rows. To put the backup in its place, add --replace."
            )
        kept = ""
        if connection.vendor == "sqlite":
            connection.close()
            kept = sqlite.restore(path, manifest, _file(), pending, keep=replace)
        else:
            postgresql.restore(path, manifest, _last(manifest))
    return {"restored": str(path), "migrated": pending, "kept": kept, **summary(manifest)}


def summary(manifest: Manifest) -> dict[str, Any]:
    """Return what people want to know of a backup."""
    return {
        "engine": manifest.engine,
        "made_at": manifest.made_at,
        "arbiter": manifest.arbiter,
        "tables": len(manifest.rows),
        "rows": sum(manifest.rows.values()),
    }


@contextmanager
def _one_sentence() -> Any:
    try:
        yield
    except (sqlite3.Error, psycopg.Error, DatabaseError) as error:
        said = " ".join(str(error).split())
        raise UserError(f"The database refused: {said}. Nothing was changed.") from error
    except OSError as error:
        raise UserError(f"It can't be written: {error.strerror or error}. Nothing was changed.") from error


def _file() -> Path:
    return Path(str(connection.settings_dict["NAME"]))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise UserError(f"{path}: can't be read: {error.strerror}.") from error


def _title(engine: str) -> str:
    return {"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(engine, engine)


def _pending(path: Path, manifest: Manifest) -> bool:
    """Tell whether this version has migrations that the backup lacks.

    Raises UserError where it is the other way.
    """
    known = set(MigrationLoader(None).disk_migrations)
    applied = {(app, name) for app, name in manifest.migrations}
    if newer := sorted(applied - known):
        named = ".".join(newer[0])
        raise UserError(
            f"{path}: was made by a newer Arbiter ({manifest.arbiter}), which had the migration {named}; "
            "update this one first."
        )
    return bool(known - applied)


def _last(manifest: Manifest) -> list[Migration]:
    """Return the migrations of the backup's version after which no other of the same app came."""
    graph = MigrationLoader(None).graph
    applied: set[Migration] = {(app, name) for app, name in manifest.migrations}
    return sorted(key for key in applied if not _followed(graph.node_map[key].children, key[0], applied))


def _followed(children: Iterable[Any], app: str, applied: set[Migration]) -> bool:
    return any(child.key in applied and child.key[0] == app for child in children)


def _in_use() -> str | None:
    """Return a table of ours that has rows; None where none has."""
    if connection.vendor == "sqlite" and not _file().exists():
        return None
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            if table.startswith(OWN):
                cursor.execute(f"SELECT 1 FROM {connection.ops.quote_name(table)} LIMIT 1")  # noqa: S608
                if cursor.fetchone():
                    return table
    return None
