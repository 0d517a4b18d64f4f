"""Rows that are never changed, of each model that has revisions: the newest of a place holds."""

import pytest
from django.db import IntegrityError, transaction

from annotation.models import Adjudication, Gold, Rating
from judging.models import Settlement
from tests import builders
from tests.together import together

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
FIELDS = {
    Rating: {},
    Gold: {"origin": "single"},
    Adjudication: {"reason": "Because."},
    Settlement: {"rule": "majority", "inputs_hash": "h"},
}


@pytest.fixture(params=FIELDS, ids=lambda model: model.__name__)
def revised(request, study):
    """Return a model with revisions, and what writes one of one of its places."""
    by = {name: builders.rater(name) for name in ("one", "other")}
    labels = {label.key: label for label in study.scheme.labels.all()}

    def write(item, revision, label="convergence", who="one"):
        rater = {Rating: {"rater": by[who]}, Adjudication: {"adjudicator": by[who]}}.get(request.param, {})
        fields = FIELDS[request.param] | rater | {"label": labels[label]}
        return request.param.objects.create(item=item, revision=revision, **fields)

    return request.param, write


def test_of_each_place_the_newest_revision_holds(revised, study):
    model, write = revised
    first, second, third, *_ = study.items.all()
    write(first, 1)
    holds = [write(first, 2, "nonsensical"), write(second, 1)]
    write(third, 1)
    write(third, 3)  # numbers may be missing
    holds.append(write(third, 7))
    assert list(model.objects.newest().order_by("pk")) == holds


def test_what_was_overtaken_does_not_hold_because_the_newest_is_not_looked_for(revised, study):
    model, write = revised
    item = study.items.first()
    write(item, 1, "convergence")
    newest = write(item, 2, "nonsensical")
    before, now = (model.objects.filter(label__key=key) for key in ("convergence", "nonsensical"))
    assert not before.newest().exists() and now.newest().get() == newest
    assert not model.objects.newest().filter(revision=1).exists()


def test_the_newest_are_found_behind_joins_and_by_reference(revised, study):
    model, write = revised
    first, second, *_ = study.items.all()
    write(first, 1)
    write(first, 2)
    write(second, 1)
    newer = model.objects.filter(item__study=study, item__response__task__category__suite__slug="tiny")
    assert newer.newest().count() == 2
    assert model.objects.filter(item__in=study.items.all()).newest().count() == 2


def test_history_goes_from_the_first_revision_to_the_newest(revised, study):
    model, write = revised
    item = study.items.first()
    later, first = write(item, 2), write(item, 1)
    assert list(model.objects.filter(item=item).history()) == [first, later]
    assert model.objects.filter(item=item).history().last() == later


def test_a_revision_is_not_changed(revised, study):
    _, write = revised
    row = write(study.items.first(), 1)
    with pytest.raises(TypeError, match="never changed"):
        row.save()


def test_a_place_has_a_revision_once(revised, study):
    _, write = revised
    item = study.items.first()
    write(item, 1)
    with pytest.raises(IntegrityError), transaction.atomic():
        write(item, 1, "nonsensical")


@pytest.mark.django_db(transaction=True)
def test_of_two_who_write_the_same_revision_at_once_one_is_refused(revised, study):
    model, write = revised
    item = study.items.first()
    write(item, 1)
    results = together(
        *[lambda label=label: write(item, 2, label) for label in ("convergence", "nonsensical")]
    )
    [written] = [one for one in results if isinstance(one, model)]
    [refused] = [one for one in results if not isinstance(one, model)]
    assert isinstance(refused, IntegrityError) and model.objects.newest().get() == written


def test_raters_and_questions_are_places_of_their_own(study):
    item = study.items.first()
    one, other = builders.rater("one"), builders.rater("other")
    label = study.scheme.labels.first()
    for fields in (
        {"rater": one},
        {"rater": other},
        {"rater": one, "ordinal": 1},
        {"rater": one, "question": "tone"},
        {"rater": one, "purpose": "repeat"},
    ):
        for revision in (1, 2):
            Rating.objects.create(item=item, label=label, revision=revision, **fields)
    assert Rating.objects.newest().count() == 5
    assert set(Rating.objects.newest().values_list("revision", flat=True)) == {2}


def test_an_item_whose_newest_gold_is_a_withdrawal_has_none(study):
    item, other, *_ = study.items.all()
    label = study.scheme.labels.first()
    Gold.objects.create(item=item, label=label, origin="consensus")
    kept = Gold.objects.create(item=other, label=label, origin="single")
    ended = Gold.objects.create(item=item, label=label, origin="withdrawn", revision=2)
    assert set(Gold.objects.newest()) == {ended, kept}
    assert Gold.objects.current_in(study).get() == kept
    again = Gold.objects.create(item=item, label=label, origin="single", revision=3)
    assert set(Gold.objects.current()) == {again, kept}
