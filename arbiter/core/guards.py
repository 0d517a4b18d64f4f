"""Triggers that refuse to change or delete rows of append-only models, on SQLite and PostgreSQL alike.

They are made after every `migrate`: on SQLite a migration that makes a table anew (a field with a default, an
altered one) drops its triggers without a word. A migration that fills a new column of a guarded table, takes
one away, or alters `core_purge` begins with the operation `lift_for_migration()`, else it is refused.

A trigger's name ends with a hash of what it does, so that one of another version is missed and replaced.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple

from django.apps import apps
from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.migrations import RunPython

from arbiter.core.appendonly import AppendOnly

PREFIX = "guard_"
DOOR = "core_purge"
FUNCTION = "arbiter_guard"
MISSING = "W001"
ADVICE = "run manage.py migrate"


class Guard(NamedTuple):
    """What a table's triggers let pass, by columns."""

    table: str
    fixed: tuple[str, ...]
    mutable: tuple[str, ...]
    erasable: tuple[str, ...]
    permanent: bool
    unfinished: tuple[str, str]


class Trigger(NamedTuple):
    name: str
    table: str
    sql: str  # that makes it, without its name


def guards() -> list[Guard]:
    """Return the guard of each model that is append-only."""
    models = [model for model in apps.get_models() if issubclass(model, AppendOnly)]
    return sorted(map(_guard_of, models))


def _guard_of(model: type[AppendOnly]) -> Guard:
    columns = {field.name: str(field.column) for field in model._meta.concrete_fields}
    mutable = tuple(columns[name] for name in model.MUTABLE)
    erasable = tuple(columns[name] for name in model.ERASABLE)
    fixed = tuple(column for column in columns.values() if column not in {*mutable, *erasable})
    field, value = model.UNFINISHED
    unfinished = (columns[field], value) if field else ("", "")
    return Guard(model._meta.db_table, fixed, mutable, erasable, model.PERMANENT, unfinished)


# Making, lifting and looking


def install(using: str = DEFAULT_DB_ALIAS) -> None:
    """Make the triggers that are missing, and remove those of another version."""
    connection = connections[using]
    wanted = {trigger.name: trigger for trigger in wanted_triggers(connection)}
    there = triggers_there(connection)
    kept = {name for name, _, works in there if works and name in wanted}
    if len(kept) == len(wanted) == len(there):
        return
    with transaction.atomic(using=using), connection.cursor() as cursor:
        for name, table, _ in there:
            if name not in kept:
                cursor.execute(_dropping(connection, name, table))
        if connection.vendor == "postgresql":
            cursor.execute(POSTGRESQL_FUNCTION)
        for name in sorted(wanted.keys() - kept):
            cursor.execute(f"CREATE TRIGGER {name} {wanted[name].sql}")


def lift(using: str = DEFAULT_DB_ALIAS) -> None:
    """Remove all guards, until `install` makes them again."""
    connection = connections[using]
    with transaction.atomic(using=using), connection.cursor() as cursor:
        for name, table, _ in triggers_there(connection):
            cursor.execute(_dropping(connection, name, table))


def lift_for_migration() -> RunPython:
    """Return what a migration begins with that the guards would refuse."""
    return RunPython(lambda _, editor: lift(editor.connection.alias), RunPython.noop)


def missing(using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Return the tables that lack a trigger of this version."""
    connection = connections[using]
    there = {name for name, _, works in triggers_there(connection) if works}
    return sorted({trigger.table for trigger in wanted_triggers(connection) if trigger.name not in there})


def install_after_migrate(using: str = DEFAULT_DB_ALIAS, **_: Any) -> None:
    install(using)


@register(Tags.database)
def check_guards(databases: Iterable[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Name the tables whose rows could be changed. It is a warning since `migrate`, which mends it, runs
    checks first."""
    return [
        Warning(f"Rows of {table} could be changed or deleted.", hint=ADVICE, id=f"arbiter.{MISSING}")
        for using in databases or ()
        for table in missing(using)
    ]


def triggers_there(connection: Any) -> list[tuple[str, str, bool]]:
    """Return the guards by name, each with its table, and whether it works: one can be disabled."""
    with connection.cursor() as cursor:
        cursor.execute(THERE[connection.vendor])
        return [row for row in cursor.fetchall() if row[0].startswith(PREFIX)]


def wanted_triggers(connection: Any) -> list[Trigger]:
    """Return the triggers of the tables that are there; of none before the door's own is."""
    with connection.cursor() as cursor:
        there = set(connection.introspection.table_names(cursor))
    if DOOR not in there:
        return []
    known = [guard for guard in guards() if guard.table in there]
    if connection.vendor == "sqlite":
        known = [_of_columns(connection, guard) for guard in known]
    return _of_guards(connection.vendor, known)


def all_triggers(vendor: str) -> list[Trigger]:
    """Return the triggers of a database that is up to date."""
    return _of_guards(vendor, guards())


def _of_guards(vendor: str, known: Iterable[Guard]) -> list[Trigger]:
    make = _on_sqlite if vendor == "sqlite" else _on_postgresql
    return [trigger for guard in known for trigger in make(guard)]


def _of_columns(connection: Any, guard: Guard) -> Guard:
    """Return the guard of the columns that are there: not all are, where a table was migrated back."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pragma_table_info(%s)", [guard.table])
        there = {name for (name,) in cursor.fetchall()}
    fixed, mutable, erasable = (
        tuple(filter(there.__contains__, columns)) for columns in (guard.fixed, guard.mutable, guard.erasable)
    )
    return guard._replace(fixed=fixed, mutable=mutable, erasable=erasable)


def _dropping(connection: Any, name: str, table: str) -> str:
    return f"DROP TRIGGER {name}" + (f" ON {table}" if connection.vendor == "postgresql" else "")


def _trigger(guard: Guard, does: str, sql: str) -> Trigger:
    version = sha256(f"{sql}{POSTGRESQL_FUNCTION}".encode()).hexdigest()[:8]
    return Trigger(f"{PREFIX}{guard.table}_{does}_{version}", guard.table, sql)


# SQLite

THERE = {
    "sqlite": "SELECT name, tbl_name, 1 FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": """
        SELECT t.tgname, c.relname, t.tgenabled IN ('O', 'A')
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE NOT t.tgisinternal AND n.nspname = current_schema()
    """,
}
OPEN = f'EXISTS (SELECT 1 FROM {DOOR} WHERE "open")'  # noqa: S608
REFUSED = "rows are never {done}: they are added, and go by core_purge alone"


def _on_sqlite(guard: Guard) -> list[Trigger]:
    changed, deleted = (_refusing(guard.table, done) for done in ("changed", "deleted"))
    update, delete = f"BEFORE UPDATE ON {guard.table}", f"BEFORE DELETE ON {guard.table}"
    ended = _has_ended(guard)
    triggers = {"update": f"{update} WHEN {ended} AND ({_any_differs(guard.fixed)}) {changed}"}
    if guard.erasable or not guard.mutable:  # where no column may change, no UPDATE passes but by the door
        touched = _any_differs(guard.erasable) if guard.mutable else "1"
        triggers["erase"] = f"{update} WHEN {ended} AND ({touched}) AND NOT {OPEN} {changed}"
    passes = "0" if guard.permanent else OPEN
    triggers["delete"] = f"{delete} WHEN {ended} AND NOT {passes} {deleted}"
    return [_trigger(guard, does, sql) for does, sql in triggers.items()]


def _has_ended(guard: Guard) -> str:
    column, value = guard.unfinished
    return f"OLD.\"{column}\" IS NOT '{value}'" if column else "1"


def _any_differs(columns: Iterable[str]) -> str:
    return " OR ".join(f'OLD."{column}" IS NOT NEW."{column}"' for column in columns)


def _refusing(table: str, done: str) -> str:
    return f"BEGIN SELECT RAISE(ABORT, '{table}: {REFUSED.format(done=done)}'); END"


# PostgreSQL: one function for all, which takes what may change from its trigger, and so no column is bound

POSTGRESQL_FUNCTION = f"""
CREATE OR REPLACE FUNCTION {FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $guard$
DECLARE
    mutable text[] := string_to_array(TG_ARGV[0], ',');
    erasable text[] := string_to_array(TG_ARGV[1], ',');
    permanent boolean := TG_ARGV[2]::boolean;
    opened boolean := {OPEN.replace('"open"', '"open" AND transaction = txid_current()')};
BEGIN
    IF TG_LEVEL = 'ROW' AND TG_ARGV[3] <> '' THEN
        IF to_jsonb(OLD) ->> TG_ARGV[3] = TG_ARGV[4] THEN
            IF TG_OP = 'UPDATE' THEN RETURN NEW; ELSE RETURN OLD; END IF;
        END IF;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF to_jsonb(NEW) - mutable - erasable = to_jsonb(OLD) - mutable - erasable AND (
            opened OR cardinality(mutable) > 0 AND to_jsonb(NEW) - mutable = to_jsonb(OLD) - mutable
        ) THEN RETURN NEW; END IF;
    ELSIF TG_OP = 'DELETE' AND opened AND NOT permanent THEN RETURN OLD;
    END IF;
    RAISE EXCEPTION '%: {REFUSED.format(done="%")}', TG_TABLE_NAME,
        CASE TG_OP WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END
        USING ERRCODE = 'integrity_constraint_violation';
END $guard$
"""


def _on_postgresql(guard: Guard) -> list[Trigger]:
    columns = (",".join(names) for names in (guard.mutable, guard.erasable))
    told = ", ".join(f"'{one}'" for one in (*columns, str(guard.permanent).lower(), *guard.unfinished))
    call = f"EXECUTE FUNCTION {FUNCTION}({told})"
    return [
        _trigger(guard, "row", f"BEFORE UPDATE OR DELETE ON {guard.table} FOR EACH ROW {call}"),
        _trigger(guard, "all", f"BEFORE TRUNCATE ON {guard.table} FOR EACH STATEMENT {call}"),
    ]
