"""The tests' database: migrated once, copied for each process that runs tests, and emptied after a test
that commits.

A test of migrations has one beside it, as an earlier state of the project would have made it."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import django
from django.apps import apps
from django.conf import settings
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import StateApps
from django.db.models import QuerySet

from arbiter.core import guards
from arbiter.core.folders import ROOT

NAME = settings.DATABASES["default"]["NAME"]  # before this process turns to its own
Targets = list[tuple[str, str]]  # of each app a migration
# What tests of migrations begin from, oldest first: each is made from the one before, today's from the last.
EARLIER: dict[str, Targets] = {
    "first": [("annotation", "0001_initial"), ("benchmark", "0001_initial"), ("judging", "0001_initial")],
    "before-the-workspace": [
        ("annotation", "0002_questions_and_grades"),
        ("benchmark", "0002_endpoint_dialects_and_limits"),
        ("judging", "0004_whole_panel"),
    ],
    "raters-shared-by-studies": [
        ("annotation", "0014_labelled_as_owner"),
        ("benchmark", "0003_how_answers_ended"),
        ("judging", "0006_what_answers_say"),
    ],
    "before-runs-had-endpoints": [
        ("annotation", "0014_labelled_as_owner"),
        ("benchmark", "0004_names_compared_folded"),
        ("judging", "0006_what_answers_say"),
    ],
    "before-native-dialects": [
        ("annotation", "0014_labelled_as_owner"),
        ("benchmark", "0005_one_endpoint_a_run"),
        ("judging", "0007_costs_as_told"),
    ],
}
TODAY = "today"
TEMPLATES = ROOT / ".pytest_cache" / "templates"
# Written by `migrate` alone, so they stay. To make them anew after each test takes longer than most tests.
KEPT = {"django_migrations", "django_content_type", "auth_permission"}


def make() -> None:
    """Make this process's database and turn the connection to it."""
    name = connection.creation._get_test_db_name()
    copy(name)
    _turn_to(name)


@contextmanager
def as_of(state: str) -> Iterator[StateApps]:
    """Turn to a database as this one of `EARLIER` left it; yield its models."""
    own = connection.settings_dict["NAME"]
    copy(f"{own}-then", state)
    _turn_to(f"{own}-then")
    try:
        yield MigrationExecutor(connection).loader.project_state(EARLIER[state]).apps
    finally:
        drop()
        _turn_to(own)


def upgrade() -> None:
    """Bring the database that is turned to up to date."""
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def copy(name: str, state: str = TODAY) -> None:
    """Make a database of this name, a path on SQLite, from the template of today or of an earlier state."""
    with _alone():
        if connection.vendor == "sqlite":
            _remove(name)  # with what a killed run wrote beside it, which SQLite would take for this one's
            shutil.copyfile(_sqlite_template(state), name)
        else:
            _copy_on_postgresql(_postgresql_template(state), name)


def drop() -> None:
    """Remove this process's database; the template stays for the next run."""
    name = connection.settings_dict["NAME"]
    connection.close()
    if connection.vendor == "sqlite":
        _remove(name)
    else:
        _say(f'DROP DATABASE "{name}" WITH (FORCE)')


def _remove(name: str) -> None:
    for ending in ("", "-wal", "-shm"):
        Path(f"{name}{ending}").unlink(missing_ok=True)


def empty() -> None:
    """Delete the rows of every table that has some. To truncate takes PostgreSQL ten times as long, for all
    tables half a second."""
    tables = sorted(set(connection.introspection.table_names()) - KEPT)
    asked = " UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {table})" for table in tables)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(asked)
        filled = [table for (table,) in cursor.fetchall()]
        guarded = {guard.table for guard in guards.guards()}.intersection(filled)
        with lifted() if guarded or connection.vendor == "postgresql" else nullcontext():
            for table in filled:
                cursor.execute(f"DELETE FROM {table}")


@contextmanager
def lifted() -> Iterator[None]:
    """Let a test change and delete rows that are only ever added. For what PostgreSQL takes for a replica no
    trigger fires, and no foreign key is asked: what refers to a row may go after it."""
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL session_replication_role = replica")
            yield
            cursor.execute("SET LOCAL session_replication_role = origin")
        else:
            guards.lift()
            yield
            guards.install()


def rewrite(rows: "QuerySet[Any]", **values: Any) -> int:
    """Change rows that nothing but a test could change."""
    with lifted():
        return QuerySet.update(rows, **values)


def remove(rows: "QuerySet[Any]") -> None:
    """Delete rows that nothing but a test could delete by themselves."""
    with lifted():
        QuerySet.delete(rows)


def _sqlite_template(state: str) -> Path:
    """Return where the template is, beside pytest's cache, so that one file's tests need no migration."""
    schema = _schema()
    template = TEMPLATES / f"{schema}-{state}.sqlite3"
    if not template.exists():
        for older in TEMPLATES.glob("*.sqlite3*"):
            older.unlink()
        unfinished = TEMPLATES / "unfinished.sqlite3"
        _make_each(str(unfinished), lambda one: shutil.copyfile(unfinished, TEMPLATES / f"{one}.sqlite3-new"))
        unfinished.unlink()
        for made in TEMPLATES.glob("*.sqlite3-new"):
            os.replace(made, TEMPLATES / f"{schema}-{made.name.removesuffix('-new')}")
    return template


def _postgresql_template(state: str) -> str:
    """Return the name of the template. Today's is made last: without it what is there is made anew."""
    before = f"{NAME}_template_"
    schema, unfinished = before + _schema(), before + "unfinished"
    there = [name for (name,) in _say("SELECT datname FROM pg_database") if name.startswith(before)]
    if f"{schema}-{TODAY}" not in there:
        for older in there:
            _say(f'DROP DATABASE "{older}" WITH (FORCE)')
        _say(f'CREATE DATABASE "{unfinished}"')
        _make_each(unfinished, lambda one: _copy_on_postgresql(unfinished, f"{schema}-{one}"))
        _say(f'DROP DATABASE "{unfinished}" WITH (FORCE)')
    return f"{schema}-{state}"


def _copy_on_postgresql(template: str, name: str) -> None:
    _say(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    _say(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')


def _make_each(name: str, keep: Callable[[str], object]) -> None:
    """Migrate a new database from state to state, and have each kept."""
    before = connection.settings_dict["NAME"]
    for state, targets in EARLIER.items():
        _turn_to(name)
        MigrationExecutor(connection).migrate(targets)
        _turn_to(before)
        keep(state)
    _turn_to(name)
    call_command("migrate", verbosity=0)
    _turn_to(before)
    keep(TODAY)


def _turn_to(name: str) -> None:
    connection.close()
    cache.clear()  # keys that are remembered of one database are other rows' in the next
    settings.DATABASES["default"]["NAME"] = connection.settings_dict["NAME"] = name


def _say(statement: str) -> list[tuple[Any, ...]]:
    """Run one statement outside this process's database, which may not exist yet."""
    with connection._nodb_cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def _schema() -> str:
    """Return a hash of all that makes the schema."""
    digest = hashlib.sha256(f"{django.__version__} {EARLIER}".encode())
    for app in apps.get_app_configs():
        for file in sorted(Path(app.path).glob("migrations/*.py")):
            digest.update(f"{app.label}/{file.name}".encode() + file.read_bytes())
    triggers = [trigger.name for trigger in guards.all_triggers(connection.vendor)]
    digest.update(" ".join(triggers).encode())
    return digest.hexdigest()[:16]


@contextmanager
def _alone() -> Iterator[None]:
    """Of processes that start together one makes the template and the others wait for it."""
    TEMPLATES.mkdir(parents=True, exist_ok=True)
    with (TEMPLATES / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
