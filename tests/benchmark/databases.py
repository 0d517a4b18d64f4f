"""Further databases beside the test's own, and our commands on them."""

import json
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import psycopg
from django.db import connection

from tests.databases import copy
from tests.processes import database_url, start


@contextmanager
def another_database(folder: Path) -> Iterator[str]:
    """Yield the DATABASE_URL of a new, empty database of the test's engine."""
    name = f"other_{uuid.uuid4().hex[:12]}"
    if connection.vendor == "sqlite":
        yield f"sqlite://{quote(str(folder / name))}.sqlite3"
        return
    own, _, options = database_url().partition("?")
    with closing(psycopg.connect(database_url(), autocommit=True)) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield f"{own.rpartition('/')[0]}/{name}?{options}"
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def migrate(database: str) -> None:
    """Do what the command does to an empty database, by a copy of one."""
    where = unquote(database.partition("?")[0])
    copy(where.removeprefix("sqlite://") if connection.vendor == "sqlite" else where.rpartition("/")[2])


def start_on(database: str, *command: object) -> Any:
    return start("manage.py", *map(str, command), DATABASE_URL=database)


def run_on(database: str, *command: object) -> str:
    """Run a command on a database and return what it prints."""
    out, errors = (process := start_on(database, *command)).communicate(timeout=600)
    assert process.returncode == 0, errors
    return out


def json_on(database: str, *command: object) -> Any:
    return json.loads(run_on(database, *command, "--json"))


def refusal_on(database: str, *command: object) -> str:
    """Run a command on a database and return the one line it fails with."""
    _, errors = (process := start_on(database, *command)).communicate(timeout=600)
    assert process.returncode == 1 and errors.count("\n") == 1, errors
    return errors.removeprefix("CommandError: ").strip()
