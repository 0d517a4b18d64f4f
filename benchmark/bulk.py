"""Inserting many rows. Django's `bulk_create` compiles every value by itself, which would be most of an import's time."""

from collections.abc import Iterable, Sequence
from types import NoneType
from typing import Any

from django.db import connections, router, transaction
from django.db.models import Field, JSONField, Model

FEW = 5  # rows for which PostgreSQL's COPY would take longer to begin than to do
AT_ONCE = 500  # rows a statement; SQLite takes some 32,000 values in one
PLAIN = (str, int, float, bool, NoneType)  # what every database takes as it is


def insert(rows: Sequence[Model]) -> None:
    """Insert new rows of one model and give each its key, as `bulk_create` does, in less than half the time."""
    if not rows:
        return
    connection = connections[router.db_for_write(type(rows[0]))]
    write = _copy if connection.vendor == "postgresql" and len(rows) > FEW else _insert
    with transaction.atomic(using=connection.alias, savepoint=False):
        for start in range(0, len(rows), AT_ONCE):
            batch = rows[start : start + AT_ONCE]
            for row, key in zip(batch, write(connection, batch), strict=True):
                row.pk, row._state.adding, row._state.db = key, False, connection.alias


def _insert(connection: Any, rows: Sequence[Model]) -> list[int]:
    meta, quote = rows[0]._meta, connection.ops.quote_name
    names, values = _table(connection, rows)
    places = ", ".join([f"({', '.join(['%s'] * len(names))})"] * len(rows))
    statement = f"INSERT INTO {quote(meta.db_table)} ({', '.join(names)}) VALUES {places} RETURNING {quote(meta.pk.column)}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, [value for row in values for value in row])
        return [key for (key,) in cursor.fetchall()]


def _copy(connection: Any, rows: Sequence[Model]) -> list[int]:
    """By COPY, whose rows need no statement to be put together. It returns nothing, so the keys are drawn before."""
    meta, quote = rows[0]._meta, connection.ops.quote_name
    names, values = _table(connection, rows)
    into = f"{quote(meta.db_table)} ({', '.join([quote(meta.pk.column), *names])})"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, %s)) FROM generate_series(1, %s)",
            [meta.db_table, meta.pk.column, len(rows)],
        )
        keys = [key for (key,) in cursor.fetchall()]
        with connection.wrap_database_errors, cursor.copy(f"COPY {into} FROM STDIN") as copy:
            for key, row in zip(keys, values, strict=True):
                copy.write_row((key, *row))
    return keys


def _table(connection: Any, rows: Sequence[Model]) -> tuple[list[str], Iterable[tuple[Any, ...]]]:
    """The columns' names, and a tuple of values a row."""
    fields = [field for field in rows[0]._meta.concrete_fields if not field.primary_key]
    columns = [_column(connection, field, rows) for field in fields]
    return [connection.ops.quote_name(field.column) for field in fields], zip(*columns, strict=True)


def _column(connection: Any, field: "Field[Any, Any]", rows: Sequence[Model]) -> list[Any]:
    values = [field.pre_save(row, add=True) for row in rows]
    kept = () if isinstance(field, JSONField) else PLAIN
    return [value if type(value) in kept else field.get_db_prep_save(value, connection) for value in values]
