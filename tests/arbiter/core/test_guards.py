"""The database refuses to change and to delete what is only ever added: by the ORM, SQL and migrations."""

import io
from contextlib import contextmanager
from uuid import uuid4

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import IntegrityError, connection, migrations, models, transaction
from django.db.migrations.state import ProjectState
from django.utils import timezone

from annotation.models import Adjudication, Gold, Item, Rating
from arbiter.core import guards
from arbiter.core.appendonly import AppendOnly
from arbiter.core.errors import UserError
from arbiter.core.models import Purge
from arbiter.core.purging import purge
from benchmark.models import CollectionAttempt
from judging.models import Attempt, Judge, Settlement, StudyJudge, Verdict
from tests import builders
from tests.benchmark.collected import call
from tests.judging.helpers import endpoint

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
DOOR = {"who": "owner", "what": "study tiny", "why": "It was a trial."}


def _attempt(item, by):
    judge = Judge.objects.create(rater=by, endpoint=endpoint("http://nowhere.invalid/v1"), model="m")
    asked = StudyJudge.objects.create(study=item.study, judge=judge)
    verdict = Verdict.objects.create(item=item, study_judge=asked)
    return Attempt.objects.create(
        uid=uuid4(),
        verdict=verdict,
        study_judge=asked,
        outcome="answer",
        started_at=timezone.now(),
        latency=1,
        raw="As it came.",
    )


def _row_of(model, study):
    item, by = study.items.first(), builders.rater()
    label = study.scheme.labels.first()
    if model is Attempt:
        return _attempt(item, by)
    if model is CollectionAttempt:
        return call(item.response, raw="As it came.")
    fields = {
        Rating: {"rater": by, "rationale": "I think."},
        Gold: {"origin": "single", "rationale": "I think."},
        Adjudication: {"adjudicator": by, "reason": "I think."},
        Settlement: {"rule": "majority", "inputs_hash": "h"},
    }[model]
    return model.objects.create(item=item, label=label, **fields)


# A field of content, with another value
CONTENT = {
    Rating: {"label": 2},
    Gold: {"origin": "imported"},
    Attempt: {"raw": "Something else."},
    CollectionAttempt: {"raw": "Something else."},
    Adjudication: {"guideline_unclear": True},
    Settlement: {"rule": "tie"},
}
FREE_TEXT = {Rating: "rationale", Gold: "rationale", Adjudication: "reason"}


@pytest.fixture(params=CONTENT, ids=lambda model: model.__name__)
def row(request, study):
    return _row_of(request.param, study)


@contextmanager
def refused():
    with pytest.raises(IntegrityError, match=r"rows are never (changed|deleted)"), transaction.atomic():
        yield


def sql(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


def table_of(row):
    return row._meta.db_table


def other_content(row):
    [(name, value)] = CONTENT[type(row)].items()
    label = name == "label"
    return {name: row.item.study.scheme.labels.exclude(pk=row.label_id).first() if label else value}


def test_models_that_are_guarded():
    assert {model for model in apps.get_models() if issubclass(model, AppendOnly)} >= {*CONTENT, Purge}
    assert guards.missing() == []


def test_its_queryset_neither_changes_nor_deletes(row):
    rows = type(row).objects.all()
    for refused_by_us in (
        lambda: rows.update(**other_content(row)),
        rows.delete,
        row.delete,
        row.save,
        lambda: type(row).objects.bulk_update([row], list(CONTENT[type(row)])),
    ):
        with pytest.raises(TypeError, match=r"is never (changed|deleted): write a new row"):
            refused_by_us()


def test_the_database_refuses_what_the_orm_would_do(row):
    rows = type(row)._base_manager.all()
    with refused():
        rows.update(**other_content(row))
    with refused():
        rows.delete()
    with refused():
        models.Model.save(row)
    again = rows.get()
    assert again == row and rows.values().get() == type(row).objects.values().get()


def test_the_database_refuses_sql(row):
    for statement in (
        f"UPDATE {table_of(row)} SET id = id + 100",
        f"UPDATE {table_of(row)} SET id = id",  # also where nothing would differ
        f"DELETE FROM {table_of(row)}",
    ):
        with refused():
            sql(statement)
    assert type(row).objects.count() == 1


def test_each_column_is_refused(row):
    meta = row._meta
    columns = [field.column for field in meta.concrete_fields]
    for column in columns:
        with refused():
            sql(f'UPDATE {meta.db_table} SET "{column}" = "{column}"')


def test_a_row_is_not_replaced(row):
    """On SQLite REPLACE deletes what stands in its way; on PostgreSQL ON CONFLICT changes it."""
    names = ", ".join(f'"{field.column}"' for field in row._meta.concrete_fields)
    taken = f"({names}) SELECT {names} FROM {table_of(row)}"
    statements = {
        "sqlite": f"REPLACE INTO {table_of(row)} {taken}",
        "postgresql": f"INSERT INTO {table_of(row)} {taken} ON CONFLICT (id) DO UPDATE SET id = excluded.id",
    }
    with refused():
        sql(statements[connection.vendor])


def test_postgresql_refuses_to_empty_a_table(row, on_sqlite):
    if on_sqlite:
        pytest.skip("SQLite has no TRUNCATE: it is a DELETE there")
    with refused():
        sql("SET CONSTRAINTS ALL IMMEDIATE")
        sql(f"TRUNCATE {table_of(row)} CASCADE")


@pytest.mark.parametrize(
    "data_step",
    [lambda model: model.objects.all().delete(), lambda model: model.objects.update(id=7)],
    ids=["delete", "update"],
)
def test_a_migration_is_refused(row, data_step):
    """What it is given are models as of then, which know nothing of ours."""
    meta = row._meta
    state = ProjectState.from_apps(apps)
    step = migrations.RunPython(lambda then, _: data_step(then.get_model(meta.app_label, meta.model_name)))
    with (
        refused(),
        connection.schema_editor() if connection.vendor == "postgresql" else no_editor() as editor,
    ):
        step.database_forwards(meta.app_label, editor, state, state)


@contextmanager
def no_editor():
    """SQLite's own is not for use in the transaction of a test, and data steps need none."""

    class Editor:
        connection = connection

    yield Editor()


def test_a_call_on_its_way_is_completed_once_or_taken_back(study):
    """What came of it can't be written when its row is: that stands before the call sets out."""
    answered, withdrawn = (call(item.response, CollectionAttempt.ASKED) for item in study.items.all()[:2])
    rows = CollectionAttempt._base_manager
    rows.filter(pk=answered.pk).update(outcome="answer", raw="As it came.")
    for fields in ({"raw": "Something else."}, {"outcome": CollectionAttempt.ASKED, "raw": ""}):
        with refused():
            rows.filter(pk=answered.pk).update(**fields)
    rows.filter(pk=withdrawn.pk).delete()
    assert list(rows.values_list("pk", "raw")) == [(answered.pk, "As it came.")]


# The door


def test_who_says_why_may_delete(row):
    with purge(**DOOR) as removed:
        removed["rows"] = type(row)._base_manager.all()._raw_delete("default")
    assert not type(row).objects.exists()
    kept = Purge.objects.get()
    assert (kept.who, kept.what, kept.why) == tuple(DOOR.values())
    assert kept.removed == {"rows": 1} and not kept.open


def test_the_door_is_closed_behind(row):
    with purge(**DOOR):
        pass
    with refused():
        sql(f"DELETE FROM {table_of(row)}")


def test_the_door_lets_nobody_change_content(row):
    with refused(), purge(**DOOR):
        type(row)._base_manager.update(**other_content(row))
    assert not Purge.objects.exists()  # nothing has happened


def test_the_door_lets_free_text_be_erased(row):
    name = FREE_TEXT.get(type(row))
    if name is None:
        pytest.skip("it holds no free text of a person's")
    with refused():
        type(row)._base_manager.update(**{name: ""})
    with purge(**DOOR):
        type(row)._base_manager.update(**{name: ""})
    assert type(row).objects.values_list(name, flat=True).get() == ""


def test_an_error_in_between_undoes_all(row):
    with pytest.raises(ZeroDivisionError), purge(**DOOR):
        type(row)._base_manager.all()._raw_delete("default")
        raise ZeroDivisionError
    assert type(row).objects.exists() and not Purge.objects.exists()


@pytest.mark.parametrize("left_out", DOOR)
def test_who_names_nothing_is_turned_away(left_out):
    with pytest.raises(UserError, match="Say who takes it away and why"), purge(**{**DOOR, left_out: " "}):
        pass
    assert not Purge.objects.exists()


def test_what_was_taken_away_stays_written():
    with purge(**DOOR):
        pass
    for statement in ("UPDATE core_purge SET why = 'For fun.'", "DELETE FROM core_purge"):
        with refused():
            sql(statement)
    with refused(), purge(**DOOR):
        sql("DELETE FROM core_purge WHERE NOT open")


def test_a_door_of_another_transaction_is_no_door(row, on_sqlite):
    if on_sqlite:
        pytest.skip("a transaction that writes is the only one there")
    Purge.objects.create(**DOOR, transaction=1)
    with refused():
        sql(f"DELETE FROM {table_of(row)}")


# Made after every migrate


@pytest.mark.django_db(transaction=True)
def test_migrate_makes_what_is_missing(study):
    builders.rate(study.items.first(), builders.rater())
    guards.lift()
    tables = [guard.table for guard in guards.guards()]
    assert guards.missing() == tables
    warnings = guards.check_guards(databases=["default"])
    assert [warning.id for warning in warnings] == ["arbiter.W001"] * len(tables)
    assert warnings[0].msg == f"Rows of {tables[0]} could be changed or deleted."
    call_command("migrate", verbosity=0)
    assert guards.missing() == [] and guards.check_guards(databases=["default"]) == []
    with refused():
        sql("DELETE FROM annotation_rating")


@pytest.mark.django_db(transaction=True)
def test_a_table_made_anew_by_a_migration_is_guarded_again(study):
    """SQLite makes it anew for a field with a default, and drops its triggers without a word."""
    builders.rate(study.items.first(), builders.rater())
    field = models.CharField(max_length=9, default="x")
    field.set_attributes_from_name("mood")
    try:
        with connection.schema_editor() as editor:
            editor.add_field(Rating, field)
        if connection.vendor == "sqlite":
            assert guards.missing() == ["annotation_rating"]
        call_command("migrate", verbosity=0)
        with refused():
            sql("UPDATE annotation_rating SET rationale = 'x'")
    finally:
        with connection.schema_editor() as editor:
            editor.remove_field(Rating, field)
        guards.install()


@pytest.mark.django_db(transaction=True)
def test_a_trigger_that_is_not_of_this_version_is_replaced(study):
    names = {name for name, _, _ in guards.triggers_there(connection)}
    guards.lift()
    sql(
        {
            "sqlite": "CREATE TRIGGER guard_annotation_gold_update_0ld BEFORE UPDATE ON annotation_gold "
            "BEGIN SELECT 1; END",
            "postgresql": "CREATE TRIGGER guard_annotation_gold_update_0ld BEFORE UPDATE ON annotation_gold "
            "FOR EACH ROW EXECUTE FUNCTION arbiter_guard('', '', 'false')",
        }[connection.vendor]
    )
    guards.install()
    assert {name for name, _, _ in guards.triggers_there(connection)} == names


@pytest.mark.django_db(transaction=True)
def test_a_disabled_trigger_is_missed_and_made_again(study, on_sqlite):
    if on_sqlite:
        pytest.skip("SQLite disables no trigger")
    sql("ALTER TABLE annotation_gold DISABLE TRIGGER USER")
    assert guards.missing() == ["annotation_gold"]
    guards.install()
    assert guards.missing() == []


@pytest.mark.django_db(transaction=True)
def test_a_migration_may_alter_the_table_of_the_door(study):
    """It begins with an operation that lifts the guards, which SQLite would else not let it."""
    field = Purge._meta.get_field("what")
    longer = models.CharField(max_length=300)
    longer.set_attributes_from_name("what")
    longer.model = Purge
    state = ProjectState.from_apps(apps)
    try:
        with connection.schema_editor() as editor:
            guards.lift_for_migration().database_forwards("core", editor, state, state)
            editor.alter_field(Purge, field, longer)
        call_command("migrate", verbosity=0)
        assert guards.missing() == []
    finally:
        guards.lift()
        with connection.schema_editor() as editor:
            editor.alter_field(Purge, longer, field)
        guards.install()


def test_the_check_runs_with_the_database_alone():
    out = io.StringIO()
    call_command("check", databases=["default"], stdout=out, stderr=out)
    assert "no issues" in out.getvalue()


def test_items_are_no_ledger(study):
    assert Item.objects.update(votes="") == 6
