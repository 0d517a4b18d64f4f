"""Backups of PostgreSQL: each table as COPY writes it, all from one snapshot. No client programs are needed.

Restoring is one transaction: the tables as they were made for the backup's version, their rows, and the
migrations since. Killed at any moment: the database is as it was before.

Its SQL is what Django's models have no words for: COPY, a snapshot, sequences, constraints put off, tables
dropped and emptied. Columns are asked of the database, since its tables may be of another version than the
models.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from arbiter.core.backups.archive import Manifest, Parts, opened, pieces
from arbiter.core.errors import UserError

COLUMNS = """
    SELECT column_name FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name = %s AND is_generated = 'NEVER'
    ORDER BY ordinal_position
"""
NEXT_NUMBER = """
    SELECT setval(pg_get_serial_sequence(%s, %s), coalesce(max({column}), 1), max({column}) IS NOT NULL)
    FROM {table}
"""
LOCK_TIMEOUT = "20s"  # for locks that another process holds


def tables() -> list[str]:
    """Return the tables of the installed apps, of whatever version, and Django's own."""
    own = ("django_", *(f"{app.label}_" for app in apps.get_app_configs()))
    with connection.cursor() as cursor:
        names = connection.introspection.table_names(cursor)
    return sorted(name for name in names if name.startswith(own))


def save(
    parts: Parts, left_out: Mapping[str, str]
) -> tuple[dict[str, int], dict[str, list[str]], list[list[str]]]:
    """Add every table to the archive; return its rows, its columns and the migrations that were applied."""
    rows, columns = {}, {}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute("SELECT app, name FROM django_migrations ORDER BY id")
        applied = [list(row) for row in cursor.fetchall()]
        for table in tables():
            cursor.execute(COLUMNS, [table])
            columns[table] = [name for (name,) in cursor.fetchall()]
            rows[table] = _save_table(cursor, parts, table, columns[table], left_out.get(table))
    return rows, columns, applied


def _save_table(cursor: Any, parts: Parts, table: str, columns: list[str], left_out: str | None) -> int:
    condition = f" WHERE NOT ({left_out})" if left_out else ""
    chosen = f"SELECT {_names(columns)} FROM {_name(table)}{condition}"  # noqa: S608 - names of ours
    with parts.add(_part(table)) as write, cursor.copy(f"COPY ({chosen}) TO STDOUT") as copy:
        for piece in copy:
            write(bytes(piece))
    return int(cursor.rowcount)


def restore(path: Path, manifest: Manifest, targets: list[tuple[str, str]]) -> None:
    """Put the archive's rows in place of whatever there is. `targets` are its version's last migrations."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
        if there := tables():
            cursor.execute(f"DROP TABLE {_names(there)} CASCADE")
        MigrationExecutor(connection).migrate(targets)
        _fill(cursor, path, manifest)
        _migrate(cursor)


def _fill(cursor: Any, path: Path, manifest: Manifest) -> None:
    if missing := set(manifest.rows) - set(tables()):
        raise UserError(
            f"{path}: holds the table {sorted(missing)[0]}, which its version has not; use another backup."
        )
    _settle(cursor)
    cursor.execute(f"TRUNCATE {_names(tables())}")
    with opened(path) as archive:
        for table, count in manifest.rows.items():
            into = f"COPY {_name(table)} ({_names(manifest.columns[table])}) FROM STDIN"
            with cursor.copy(into) as copy:
                for piece in pieces(archive, _part(table)):
                    copy.write(piece)
            if cursor.rowcount != count:
                raise UserError(
                    f"{path}: {table} has {cursor.rowcount} rows, not the {count} of its manifest."
                )
            _continue_numbers(cursor, table)
    _settle(cursor)


def _continue_numbers(cursor: Any, table: str) -> None:
    """Let new rows be numbered after the restored ones."""
    for sequence in connection.introspection.get_sequences(cursor, table):
        column = sequence["column"]
        statement = NEXT_NUMBER.format(column=_name(column), table=_name(table))
        cursor.execute(statement, [_name(table), column])


def _migrate(cursor: Any) -> None:
    """Bring the tables to this version, checking after each migration what it leaves to the end."""

    def after(action: str, *_: Any) -> None:
        if action == "apply_success":
            _settle(cursor)

    executor = MigrationExecutor(connection, after)
    executor.migrate(executor.loader.graph.leaf_nodes())
    call_command("migrate", verbosity=0)  # nothing is left to migrate: content types and permissions


def _settle(cursor: Any) -> None:
    """Check foreign keys now: PostgreSQL alters no table that has any left to check."""
    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def _part(table: str) -> str:
    return f"tables/{table}.copy"


def _name(name: str) -> str:
    return connection.ops.quote_name(name)


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(_name, names))
