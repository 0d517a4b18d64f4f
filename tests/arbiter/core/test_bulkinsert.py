"""Inserting many rows at once comes to the same as `bulk_create`."""

import pytest
from django.db import IntegrityError, transaction
from django.forms.models import model_to_dict
from django.utils import timezone

from annotation.models import Item, Rating
from arbiter.core import bulkinsert
from arbiter.core.bulkinsert import insert
from benchmark.models import Response
from tests import builders

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
TEXTS = ["", "a\tb\\N", "\\.", "two\r\nlines", 'a "quote", and %s', "日本 🙂", "x" * 5000]
DOCUMENTS = [None, {}, [], {"a": [1, 2.5, None, True, 'b"\\']}, "text", 7, {"naïve": "日本\n"}]


def ratings(study, **fields):
    """Return a rating of each item, not yet written."""
    by, label = builders.rater(), study.scheme.labels.first()
    return [Rating(item=item, rater=by, label=label, **fields) for item in study.items.order_by("id")]


@pytest.mark.parametrize("model", [Response, Rating, Item])
def test_an_unsaved_row_is_what_the_model_itself_makes(model):
    """But for what is drawn anew for each row, such as an item's key."""
    one, other, third = bulkinsert.unsaved(model), model(), model()
    names = [field.attname for field in model._meta.concrete_fields]
    drawn = {name for name in names if getattr(other, name) != getattr(third, name)}
    assert {name: getattr(one, name) for name in names if name not in drawn} == {
        name: getattr(other, name) for name in names if name not in drawn
    }
    assert all(getattr(one, name) != getattr(bulkinsert.unsaved(model), name) for name in drawn)
    assert one._state.adding and one._state.db is None and one.pk is None
    lists = [name for name in names if isinstance(getattr(one, name), list | dict)]
    assert all(getattr(one, name) is not getattr(bulkinsert.unsaved(model), name) for name in lists)


def test_an_unsaved_row_takes_rows_and_their_keys(study):
    by, label = builders.rater(), study.scheme.labels.first()
    row = bulkinsert.unsaved(Rating, item=study.items.first(), rater=by, label_id=label.pk)
    assert row.rater_id == by.pk and row.rater is by and row.label == label
    insert([row])
    assert Rating.objects.get() == row and row.pk


@pytest.mark.parametrize("write", [insert, Response.objects.bulk_create], ids=["insert", "bulk_create"])
def test_every_kind_of_value_comes_back(study, write):
    run, task = (
        builders.run(study.items.first().response.run.suite, "other"),
        study.items.first().response.task,
    )
    now = timezone.now()
    rows = [
        Response(
            run=run,
            task=task,
            epoch=number,
            text=text,
            transcript=document,
            latency=number / 3,
            escaped=bool(number % 2),
            leased_until=now,
            usage=None,
            finish_reason="stop",
        )
        for number, (text, document) in enumerate(zip(TEXTS, DOCUMENTS, strict=True), start=1)
    ]
    write(rows)
    stored = list(Response.objects.filter(run=run).order_by("epoch"))
    assert [model_to_dict(row) for row in stored] == [model_to_dict(row) for row in rows]
    assert [(row.text, row.transcript, row.leased_until) for row in stored] == [
        (t, d, now) for t, d in zip(TEXTS, DOCUMENTS, strict=True)
    ]
    assert all(row.created_at >= now for row in stored)


def test_each_row_gets_its_own_key_also_over_several_statements(study, monkeypatch):
    monkeypatch.setattr(bulkinsert, "AT_ONCE", 4)
    rows = ratings(study)
    insert(rows)
    assert [Rating.objects.get(pk=row.pk).item_id for row in rows] == [row.item_id for row in rows]
    assert not any(row._state.adding for row in rows)
    assert Rating.objects.create(
        item=rows[0].item, rater=rows[0].rater, label=rows[0].label, revision=2
    ).pk not in [row.pk for row in rows]


def test_defaults_are_made_for_each_row(study):
    twin = builders.Study.objects.create(slug="twin", title="Twin", scheme=study.scheme)
    rows = [Item(study=twin, response=item.response) for item in study.items.all()]
    insert(rows)
    assert len(set(twin.items.values_list("key", flat=True))) == 6


def test_all_or_none_are_written(study, monkeypatch):
    monkeypatch.setattr(bulkinsert, "AT_ONCE", 4)
    rows = ratings(study)
    with pytest.raises(IntegrityError), transaction.atomic():
        insert([*rows, rows[0]])
    assert Rating.objects.count() == 0


def test_nothing_is_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        insert([])
