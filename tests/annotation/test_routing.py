"""Slots: claimed under a lease, given back, skipped, closed by a label, or found taken."""

import time
from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from annotation import routing
from annotation.ledger import UnknownLabel
from annotation.models import Assignment, Purpose, Rating, Skip
from annotation.routing import (
    Progress,
    Submission,
    held,
    next_assignment,
    plan_draw,
    progress,
    renew,
    skip,
    slot_counts,
    submit,
)
from benchmark.errors import UserError
from tests import builders
from tests.together import expect_no_errors, together

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


@pytest.fixture
def drawn(study):
    plan_draw(study, share=1, raters_per_item=2, seed=1)
    return study


def rater(name="ann"):
    return builders.rater(name, "human")


def send(item, by, label="convergence", key=""):
    key = key or f"{item.key}-{by.name}-{Rating.objects.count()}"
    return submit(item, by, Submission(key=key, label=label), {"blind": True})


def take(study, by):
    assignment = next_assignment(study, by)
    assert assignment is not None
    return assignment


def run_out(assignment):
    """The lease has expired."""
    Assignment.objects.filter(pk=assignment.pk).update(leased_until=timezone.now() - timedelta(seconds=1))


def states(item):
    return sorted(Assignment.objects.filter(item=item).values_list("state", "rater__name"))


def test_items_are_served_in_the_order_of_their_numbers(drawn):
    order = list(Assignment.objects.filter(slot=1).order_by("number").values_list("item", flat=True))
    served = []
    while assignment := next_assignment(drawn, rater()):
        served.append(assignment.item_id)
        send(assignment.item, rater())
    assert served == order


def test_asking_again_gives_the_same_place_with_a_longer_lease(drawn):
    first = take(drawn, rater())
    Assignment.objects.filter(pk=first.pk).update(leased_until=F("leased_until") - timedelta(minutes=5))
    again = take(drawn, rater())
    assert again == first == held(drawn, rater())
    assert Assignment.objects.get(pk=first.pk).leased_until >= first.leased_until


def test_a_lease_lasts_as_long_as_the_setting_says(drawn, settings):
    settings.ASSIGNMENT_LEASE_MINUTES = 2
    left = take(drawn, rater()).leased_until - timezone.now()
    assert timedelta(minutes=1) < left <= timedelta(minutes=2)


def test_a_rater_gets_each_item_once(drawn):
    items = []
    while assignment := next_assignment(drawn, rater()):
        items.append(assignment.item_id)
        send(assignment.item, rater())
    assert sorted(items) == sorted(drawn.items.values_list("pk", flat=True))


def test_somebody_with_an_imported_label_is_not_asked_for_it(drawn):
    builders.rate(drawn.items.first(), rater())
    items = set()
    while assignment := next_assignment(drawn, rater()):
        items.add(assignment.item_id)
        send(assignment.item, rater())
    assert items == set(drawn.items.values_list("pk", flat=True)) - {drawn.items.first().pk}


def test_an_item_goes_to_as_many_raters_as_it_has_slots(drawn):
    first = [take(drawn, rater(name)).item_id for name in ("ann", "ben", "cat")]
    assert first[0] == first[1] != first[2]


def test_only_slots_are_given_out(drawn):
    Assignment.objects.update(purpose=Purpose.TRAINING)
    assert next_assignment(drawn, rater()) is None


def test_places_of_another_study_are_not_given_out(drawn):
    assert next_assignment(builders.study("other"), rater()) is None


def test_a_place_whose_lease_ran_out_goes_to_somebody_else(drawn):
    lost = take(drawn, rater())
    run_out(lost)
    assert held(drawn, rater()) is None
    assert take(drawn, rater("ben")) == lost
    assert not renew(lost, rater())


def test_a_place_whose_lease_ran_out_is_still_ones_own_until_somebody_takes_it(drawn):
    run_out(take(drawn, rater()))
    assert renew(Assignment.objects.get(rater__name="ann"), rater())
    assert held(drawn, rater()) is not None


# Labels


def test_a_label_closes_ones_slot(drawn):
    assignment = take(drawn, rater())
    rating = send(assignment.item, rater())
    assert not rating.surplus and rating.shown == {"blind": True}
    assert states(assignment.item) == [("done", "ann"), ("open", None)]
    assert slot_counts(drawn) == {"slots": 12, "filled": 1, "drawn": 6}


def test_a_second_label_is_a_revision_in_the_same_slot(drawn):
    item = take(drawn, rater()).item
    for label in ("convergence", "nonsensical"):
        last = send(item, rater(), label)
    assert (last.revision, last.surplus) == (2, False)
    assert states(item) == [("done", "ann"), ("open", None)]


def test_a_late_label_counts_while_nobody_took_the_slot(drawn):
    assignment = take(drawn, rater())
    run_out(assignment)
    assert not send(assignment.item, rater()).surplus


def test_a_late_label_takes_another_slot_of_the_item_that_is_free(drawn):
    assignment = take(drawn, rater())
    run_out(assignment)
    assert take(drawn, rater("ben")) == assignment
    assert not send(assignment.item, rater()).surplus
    assert states(assignment.item) == [("done", "ann"), ("leased", "ben")]


def test_a_label_too_many_is_kept_as_surplus_and_is_no_vote(drawn):
    assignment = take(drawn, rater())
    run_out(assignment)
    for name in ("ben", "cat"):
        send(take(drawn, rater(name)).item, rater(name))
    rating = send(assignment.item, rater())
    assert rating.surplus and rating.label.key == "convergence"
    votes = Rating.objects.votes().filter(item=assignment.item)
    assert sorted(votes.values_list("rater__name", flat=True)) == ["ben", "cat"]
    assert take(drawn, rater()).item != assignment.item


def test_a_late_label_takes_no_place_that_somebody_holds(drawn):
    assignment = take(drawn, rater())
    run_out(assignment)
    for name in ("ben", "cat"):
        take(drawn, rater(name))
    assert send(assignment.item, rater()).surplus
    assert states(assignment.item) == [("leased", "ben"), ("leased", "cat")]


def test_a_surplus_label_that_is_sent_again_stays_surplus(drawn):
    item = drawn.items.first()
    for name in ("ben", "cat"):
        send(item, rater(name))
    first = send(item, rater(), key="one-and-the-same")
    plan_draw(drawn, share=1, raters_per_item=3, seed=1)
    assert send(item, rater(), key="one-and-the-same") == first
    assert states(item)[-1] == ("open", None) and Rating.objects.votes().count() == 2


def test_an_unknown_label_leaves_the_place_as_it_was(drawn):
    assignment = take(drawn, rater())
    with pytest.raises(UnknownLabel):
        send(assignment.item, rater(), "perhaps")
    assert states(assignment.item) == [("leased", "ann"), ("open", None)]


def test_sending_twice_gives_the_first_rating(drawn):
    item = take(drawn, rater()).item
    first = send(item, rater(), key="one-and-the-same")
    assert send(item, rater(), "nonsensical", key="one-and-the-same") == first
    assert Rating.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("holds_a_place", [True, False])
@pytest.mark.parametrize("keys", [["same-submission-key"] * 4, [f"submission-key-{n}" for n in range(4)]])
def test_sending_at_once_from_several_windows_counts_once(drawn, monkeypatch, holds_a_place, keys):
    looked = routing._close_own

    def look_and_dawdle(*given):
        found = looked(*given)
        time.sleep(0.02)  # so that all have looked for a place of their own before any takes another
        return found

    monkeypatch.setattr(routing, "_close_own", look_and_dawdle)
    by = rater()
    for item in drawn.items.all():
        if holds_a_place:
            Assignment.objects.filter(item=item, slot=1).update(
                rater=by, state="leased", leased_until=timezone.now()
            )
        sent = [lambda item=item, key=key: send(item, by, key=f"{item.key}-{key}") for key in keys]
        ratings = expect_no_errors(together(*sent))
        assert (
            len({rating.pk for rating in ratings})
            == len(set(keys))
            == Rating.objects.filter(item=item).count()
        )
        assert states(item) == [("done", "ann"), ("open", None)]
        assert Rating.objects.votes().filter(item=item).count() == 1


@pytest.mark.django_db(transaction=True)
def test_one_rater_in_several_windows_never_holds_two_places_on_an_item(drawn):
    by = rater()
    expect_no_errors(together(*[lambda: next_assignment(drawn, by)] * 4))
    items = list(Assignment.objects.filter(rater=by).values_list("item", flat=True))
    assert items and len(items) == len(set(items))


# Skips


def test_a_skip_needs_a_reason(drawn):
    assignment = take(drawn, rater())
    for reason in ("", " \n"):
        with pytest.raises(UserError, match="why you skip"):
            skip(assignment.item, rater(), reason)
    assert not Skip.objects.exists() and held(drawn, rater()) == assignment


def test_a_skip_gives_the_place_back_and_the_item_is_not_offered_again(drawn):
    assignment = take(drawn, rater())
    skip(assignment.item, rater(), " I know this case.\x00")
    assert states(assignment.item) == [("open", None), ("open", None)]
    assert Skip.objects.get().reason == "I know this case.\\u0000"
    items = set()
    while other := next_assignment(drawn, rater()):
        items.add(other.item_id)
        send(other.item, rater())
    assert items == set(drawn.items.values_list("pk", flat=True)) - {assignment.item_id}
    assert take(drawn, rater("ben")).item == assignment.item


def test_skipping_twice_keeps_the_first_reason(drawn):
    item = take(drawn, rater()).item
    for reason in ("First.", "Second."):
        skip(item, rater(), reason)
    assert Skip.objects.get().reason == "First."


def test_a_skip_after_the_place_was_lost_leaves_it_to_its_new_holder(drawn):
    assignment = take(drawn, rater())
    run_out(assignment)
    take(drawn, rater("ben"))
    skip(assignment.item, rater(), "Too long.")
    assert states(assignment.item) == [("leased", "ben"), ("open", None)]


def test_a_skip_does_not_undo_a_label(drawn):
    item = take(drawn, rater()).item
    send(item, rater())
    skip(item, rater(), "On second thoughts.")
    assert states(item) == [("done", "ann"), ("open", None)]


# Progress


def test_progress_counts_what_is_done_and_what_could_still_come(drawn):
    assert progress(drawn, rater()) == Progress(done=0, left=6)
    item = take(drawn, rater()).item
    assert progress(drawn, rater()) == Progress(done=0, left=6)
    send(item, rater())
    assert progress(drawn, rater()) == Progress(done=1, left=5)
    skip(take(drawn, rater()).item, rater(), "No.")
    assert progress(drawn, rater()) == Progress(done=1, left=4)
