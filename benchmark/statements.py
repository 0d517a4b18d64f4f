"""SQL written out, for what a server does hundreds of times a minute: Django would spend most of that time on putting each
statement together anew. Both databases take them; `%s` stands for a value."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection


def rows(statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """What the statement returns, as the database's driver gives it."""
    with connection.cursor() as cursor:
        cursor.execute(statement, adapted(values))
        return list(cursor.fetchall())


def changed(statement: str, values: Sequence[Any]) -> int:
    """How many rows the statement changed."""
    with connection.cursor() as cursor:
        cursor.execute(statement, adapted(values))
        return int(cursor.rowcount)


def adapted(values: Sequence[Any]) -> list[Any]:
    """Times as the database takes them."""
    adapt = connection.ops.adapt_datetimefield_value
    return [adapt(value) if isinstance(value, datetime) else value for value in values]


def places(values: Sequence[Any]) -> str:
    """As many `%s`, for an IN (...)."""
    return ", ".join(["%s"] * len(values))
