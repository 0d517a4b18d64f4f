"""Slots: claimed under a lease, given back, skipped, closed by a label, or found taken."""

import itertools
import time
from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from annotation import routing, submitting
from annotation.draws import ask_for_more
from annotation.ledger import UnknownLabel
from annotation.models import Assignment, Enrolment, Gold, PlacePurpose, Rating, Serving, Skip
from annotation.raterprogress import RaterProgress, progress
from annotation.routing import BLOCK, held, release, renew, serve, skip
from annotation.submitting import Conflict, Submission, answer_in, last_answered
from arbiter.core.errors import UserError
from tests import builders
from tests.builders import desk, label, take
from tests.together import expect_no_errors, together

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


@pytest.fixture
def drawn(study):
    builders.draw(study, seed=1)
    return study


def rater(name="ann"):
    return builders.rater(name, "human")


def run_out(serving):
    """Let the lease of a serving's place expire."""
    Assignment.objects.filter(item=serving.item, rater=serving.rater).update(
        leased_until=timezone.now() - timedelta(seconds=1)
    )


def states(item):
    return sorted(Assignment.objects.filter(item=item).values_list("state", "rater__name"))


def drain(study, by):
    """Label all there is; the items in the order they came."""
    items = []
    while serving := take(study, by):
        items.append(serving.item_id)
        label(serving)
    return items


def test_asking_again_gives_the_same_place_with_a_longer_lease(drawn):
    first = take(drawn, rater())
    run_out(first)
    assert take(drawn, rater()) == first
    assert Assignment.objects.get(rater__name="ann").leased_until > timezone.now()


def test_a_lease_lasts_as_long_as_the_setting_says(drawn, settings):
    settings.ASSIGNMENT_LEASE_MINUTES = 2
    take(drawn, rater())
    left = Assignment.objects.get(rater__name="ann").leased_until - timezone.now()
    assert timedelta(minutes=1) < left <= timedelta(minutes=2)


def test_a_rater_gets_each_item_once(drawn):
    assert sorted(drain(drawn, rater())) == sorted(drawn.items.values_list("pk", flat=True))


def test_several_items_may_be_held_ahead_and_never_more_than_the_limit(drawn):
    given = serve(desk(drawn, rater()), 100)
    assert len({serving.item_id for serving in given}) == len(given) == 6
    assert serve(desk(drawn, rater()), 3) == given  # what is held comes first, however many are wanted


def test_items_stay_in_the_order_they_were_given_in_also_where_one_was_theirs_before(drawn):
    ann = rater()
    last = serve(desk(drawn, ann), 3)[-1]
    release(drawn, ann)
    Serving.objects.filter(rater=ann).exclude(pk=last.pk).delete()
    Enrolment.objects.filter(rater=ann).update(position=0, served=0)
    again = serve(desk(drawn, ann), 3)
    assert again[-1] == last
    assert again == held(desk(drawn, ann))


def test_what_others_were_faster_at_is_made_up_for_by_what_is_left(drawn, monkeypatch):
    """Between the look at what is free and the claim, two of the slots looked at go to somebody else."""
    choose = routing._choose

    def meanwhile(*given):
        monkeypatch.setattr(routing, "_choose", choose)
        chosen = choose(*given)
        lost = Assignment.objects.filter(pk__in=[slot.pk for slot in chosen[:2]])
        lost.update(rater=rater("ben"), state="leased", leased_until=timezone.now() + timedelta(hours=1))
        return chosen

    monkeypatch.setattr(routing, "_choose", meanwhile)
    given = serve(desk(drawn, rater()), 4)
    assert len({serving.item_id for serving in given}) == 4
    assert given == held(desk(drawn, rater()))
    assert Enrolment.objects.get(rater__name="ann").served == 4


def test_where_another_window_took_one_of_the_items_the_others_come_all_the_same(drawn, monkeypatch):
    """The claim of several collides with the rater's own place on one of them, and takes none of them."""
    choose, ann = routing._choose, rater()
    blind = routing.CLAIM.replace(routing.NOT_HAD, " AND %s + %s + %s + %s > 0")

    def meanwhile(*given):
        monkeypatch.setattr(routing, "_choose", choose)
        chosen = choose(*given)
        other = Assignment.objects.get(item=chosen[1].item, slot=3 - chosen[1].slot)
        Assignment.objects.filter(pk=other.pk).update(
            rater=ann, state="leased", leased_until=timezone.now() + timedelta(hours=1)
        )
        return chosen

    monkeypatch.setattr(routing, "_choose", meanwhile)
    monkeypatch.setattr(routing, "CLAIM", blind)  # as if the other window were a moment later
    given = serve(desk(drawn, ann), 3)
    assert len({serving.item_id for serving in given}) == 3
    assert Assignment.objects.filter(rater=ann).count() == 4


@pytest.mark.parametrize("why", ["label", "gold"])
def test_somebody_who_labelled_it_elsewhere_or_wrote_its_gold_is_not_asked(drawn, why):
    item = drawn.items.first()
    if why == "label":
        builders.rate(item, rater())
    else:
        Gold.objects.create(item=item, label=drawn.scheme.labels.first(), origin="single", author=rater())
    assert set(drain(drawn, rater())) == set(drawn.items.values_list("pk", flat=True)) - {item.pk}


def test_an_item_goes_to_as_many_raters_as_it_has_slots(drawn):
    by_item = Counter(item for name in ("ann", "ben", "cat") for item in drain(drawn, rater(name)))
    assert set(by_item.values()) == {2} and len(by_item) == 6


def test_only_slots_are_given_out(drawn):
    Assignment.objects.update(purpose=PlacePurpose.TRAINING)
    assert take(drawn, rater()) is None


def test_places_of_another_study_are_not_given_out(drawn):
    assert take(builders.study("other"), rater()) is None


def test_a_place_whose_lease_ran_out_goes_to_somebody_else(drawn):
    lost = take(drawn, rater())
    run_out(lost)
    Assignment.objects.filter(state="open").exclude(item=lost.item).delete()
    Assignment.objects.filter(state="open").delete()
    assert take(drawn, rater("ben")).item == lost.item
    assert held(desk(drawn, rater())) == []
    assert renew(Serving.objects.filter(pk=lost.pk), rater()) == [lost.key]


def test_a_place_whose_lease_ran_out_is_still_ones_own_until_somebody_takes_it(drawn):
    lost = take(drawn, rater())
    run_out(lost)
    assert renew(Serving.objects.filter(pk=lost.pk), rater()) == []
    assert held(desk(drawn, rater())) == [lost]


# Order


def test_raters_go_through_the_items_in_random_order_each_in_one_of_their_own():
    study = builders.study("long", tasks=10, epochs=6)
    builders.draw(study, per_item=3, seed=1)
    numbers = dict(Assignment.objects.values_list("item", "number"))
    order = sorted(numbers, key=numbers.get)
    orders = [drain(study, rater(name)) for name in ("ann", "ben", "cat")]
    assert len({tuple(one) for one in orders}) == 3
    for one in orders:
        assert sorted(one) == sorted(order)
    assert drain(study, rater("dan")) == []


def test_no_item_is_served_far_from_its_place_in_the_order_of_the_numbers():
    """As what is labelled so far is a random sample, and the same one for all: without tasks that wait
    because they were had just before, an item comes a block early or late, and by chance of how far numbers
    lie apart up to two."""
    study = builders.study("far", tasks=60, epochs=1)
    builders.draw(study, per_item=3, seed=1)
    numbers = dict(Assignment.objects.values_list("item", "number"))
    order = sorted(numbers, key=numbers.get)
    for name in ("ann", "ben", "cat"):
        served = drain(study, rater(name))
        assert max(abs(served.index(item) - place) for place, item in enumerate(order)) <= 2 * BLOCK


def test_responses_to_one_task_come_apart():
    study = builders.study("apart", tasks=6, epochs=10)
    builders.draw(study, per_item=1, seed=3)
    tasks = dict(study.items.values_list("pk", "response__task"))
    served = [tasks[item] for item in drain(study, rater())]
    same = sum(one == other for one, other in itertools.pairwise(served))
    assert len(served) == 60 and same <= 2  # at random it would be ten; near the end there may be no choice


# Restrictions


def test_a_paused_rater_keeps_what_they_hold_and_gets_no_more(drawn):
    first = take(drawn, rater())
    Enrolment.objects.update(paused=True)
    assert serve(desk(drawn, rater()), 6) == [first]


def test_a_cap_counts_labels(drawn):
    take(drawn, rater())
    Enrolment.objects.update(cap=2)
    assert len(serve(desk(drawn, rater()), 6)) == 2  # what is held counts too
    assert len(drain(drawn, rater())) == 2
    builders.humans(drawn, per_rater=3)
    assert len(drain(drawn, rater("ben"))) == 3


def test_a_rater_restricted_to_categories_or_languages_gets_those(drawn):
    desk(drawn, rater())
    Enrolment.objects.update(categories=["beta"])
    beta = set(drawn.items.filter(response__task__category__key="beta").values_list("pk", flat=True))
    assert set(drain(drawn, rater())) == beta and len(beta) == 3
    desk(drawn, rater("ben"))
    Enrolment.objects.filter(rater=rater("ben")).update(languages=["de"])
    assert drain(drawn, rater("ben")) == []


def test_what_a_rater_holds_can_be_released(drawn):
    given = serve(desk(drawn, rater()), 4)
    assert release(drawn, rater()) == 4
    assert not Assignment.objects.filter(state="leased").exists()
    assert not label(given[0]).surplus  # a label that still comes is taken


# Labels


def test_a_label_closes_ones_slot(drawn):
    serving = take(drawn, rater())
    rating = label(serving)
    assert not rating.surplus and rating.shown["label_order"][0] == "convergence"
    assert rating.shown["served_at"] == serving.served_at.isoformat()
    assert states(serving.item) == [("done", "ann"), ("open", None)]


def test_a_second_label_is_a_revision_in_the_same_slot(drawn):
    serving = take(drawn, rater())
    for key in ("convergence", "nonsensical"):
        last = label(serving, key)
    assert (last.revision, last.surplus) == (2, False)
    assert states(serving.item) == [("done", "ann"), ("open", None)]


def test_two_windows_do_not_write_over_each_other(drawn):
    serving = take(drawn, rater())
    label(serving, "convergence", base=0)
    with pytest.raises(Conflict):
        label(serving, "nonsensical", base=0)
    assert Rating.objects.get().label.key == "convergence"


def test_the_last_label_can_be_reopened(drawn):
    assert last_answered(drawn, rater()) is None
    first, second = serve(desk(drawn, rater()), 2)
    for serving in (first, second):
        label(serving, rationale="why", confidence=2.0, evidence=[{"start": 0, "end": 8}])
    assert last_answered(drawn, rater()) == second
    assert answer_in(second) == {
        "label": "convergence",
        "confidence": 2.0,
        "note": "why",
        "flagged": False,
        "evidence": [{"start": 0, "end": 8}],
        "answers": {},
    }


def elsewhere(study, item, *names):
    """Let others take that very item's places."""
    for name in names:
        place = Assignment.objects.filter(item=item, purpose="slot").exclude(state="done")
        one = place.filter(state="open").first() or place.filter(leased_until__lt=timezone.now()).first()
        Assignment.objects.filter(pk=one.pk).update(
            rater=rater(name), state="leased", leased_until=timezone.now() + timedelta(hours=1)
        )
        Serving.objects.get_or_create(study=study, item=item, rater=rater(name))


def test_a_late_label_counts_while_nobody_took_the_slot(drawn):
    serving = take(drawn, rater())
    run_out(serving)
    assert not label(serving).surplus


def test_a_late_label_takes_another_slot_of_the_item_that_is_free(drawn):
    serving = take(drawn, rater())
    Assignment.objects.filter(rater=rater()).update(rater=rater("ben"))
    assert not label(serving).surplus
    assert states(serving.item) == [("done", "ann"), ("leased", "ben")]


def test_a_label_too_many_is_kept_as_surplus_and_is_no_vote(drawn):
    serving = take(drawn, rater())
    run_out(serving)
    elsewhere(drawn, serving.item, "ben", "cat")
    for name in ("ben", "cat"):
        label(Serving.objects.get(item=serving.item, rater=rater(name)))
    rating = label(serving)
    assert rating.surplus and rating.label.key == "convergence"
    votes = Rating.objects.votes().filter(item=serving.item)
    assert sorted(votes.values_list("rater__name", flat=True)) == ["ben", "cat"]
    assert serving.item_id not in drain(drawn, rater())


def test_a_late_label_takes_no_place_that_somebody_holds(drawn):
    serving = take(drawn, rater())
    run_out(serving)
    elsewhere(drawn, serving.item, "ben", "cat")
    assert label(serving).surplus
    assert states(serving.item) == [("leased", "ben"), ("leased", "cat")]


def test_an_unknown_label_leaves_the_place_as_it_was(drawn):
    serving = take(drawn, rater())
    with pytest.raises(UnknownLabel):
        label(serving, "perhaps")
    serving.refresh_from_db()
    assert states(serving.item) == [("leased", "ann"), ("open", None)]
    assert (serving.revision, serving.answered_at) == (0, None)


def test_sending_twice_gives_the_first_rating(drawn):
    serving = take(drawn, rater())
    first = label(serving, submission="one-and-the-same")
    assert label(serving, "nonsensical", submission="one-and-the-same") == first
    assert Rating.objects.count() == 1
    assert Enrolment.objects.get().done == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("holds_a_place", [True, False])
@pytest.mark.parametrize("same", [True, False])
def test_sending_at_once_from_several_windows_counts_once(drawn, monkeypatch, holds_a_place, same):
    looked = submitting._close_own

    def look_and_dawdle(serving):
        closed = looked(serving)
        time.sleep(0.02)  # so that all have looked for a place of their own before any takes another
        return closed

    monkeypatch.setattr(submitting, "_close_own", look_and_dawdle)
    for item in drawn.items.all():
        serving = Serving.objects.create(study=drawn, item=item, rater=rater())
        if holds_a_place:
            Assignment.objects.filter(item=item, slot=1).update(
                rater=rater(), state="leased", leased_until=timezone.now()
            )
        keys = [f"{serving.key}.{0 if same else number}" for number in range(4)]
        sent = [lambda s=serving, k=key: submit_or_conflict(s.pk, k) for key in keys]
        ratings = {rating.pk for rating in expect_no_errors(together(*sent)) if rating}
        assert len(ratings) == 1 == Rating.objects.filter(item=item).count()
        assert states(item) == [("done", "ann"), ("open", None)]


def submit_or_conflict(pk, key):
    try:
        return submitting.submit(Serving.objects.get(pk=pk), Submission(key=key, label="convergence"))
    except Conflict:
        return None


@pytest.mark.django_db(transaction=True)
def test_one_rater_in_several_windows_never_holds_two_places_on_an_item(drawn):
    by = rater()
    desk(drawn, by)
    expect_no_errors(together(*[lambda: serve(desk(drawn, by), 2)] * 4))
    items = list(Assignment.objects.filter(rater=by).values_list("item", flat=True))
    assert items and len(items) == len(set(items))


# Skips


def test_a_skip_needs_a_reason(drawn):
    serving = take(drawn, rater())
    for reason in ("", " \n"):
        with pytest.raises(UserError, match="why you skip"):
            skip(serving, reason)
    assert not Skip.objects.exists() and held(desk(drawn, rater())) == [serving]


def test_a_skip_gives_the_place_back_and_the_item_is_not_offered_again(drawn):
    serving = take(drawn, rater())
    skip(serving, " I know this case.\x00")
    assert states(serving.item) == [("open", None), ("open", None)]
    assert Skip.objects.get().reason == "I know this case.\\u0000"
    assert set(drain(drawn, rater())) == set(drawn.items.values_list("pk", flat=True)) - {serving.item_id}
    assert serving.item_id in drain(drawn, rater("ben"))


def test_skipping_twice_keeps_the_first_reason(drawn):
    serving = take(drawn, rater())
    for reason in ("First.", "Second."):
        skip(serving, reason)
    assert Skip.objects.get().reason == "First." and Enrolment.objects.get().skipped == 1


def test_a_skip_after_the_place_was_lost_leaves_it_to_its_new_holder(drawn):
    serving = take(drawn, rater())
    Assignment.objects.filter(rater=rater()).update(rater=rater("ben"))
    skip(serving, "Too long.")
    assert states(serving.item) == [("leased", "ben"), ("open", None)]


def test_a_skip_does_not_undo_a_label(drawn):
    serving = take(drawn, rater())
    label(serving)
    skip(serving, "On second thoughts.")
    assert states(serving.item) == [("done", "ann"), ("open", None)]


# Progress


def test_progress_counts_what_is_done_and_what_could_still_come(drawn):
    at = desk(drawn, rater())
    assert progress(at) == RaterProgress(done=0, left=6)
    serving = take(drawn, rater())
    assert progress(at) == RaterProgress(done=0, left=6)
    label(serving)
    assert progress(at) == RaterProgress(done=1, left=5)
    skip(take(drawn, rater()), "No.")
    assert progress(at) == RaterProgress(done=1, left=4)


def test_a_place_that_is_added_behind_is_found_before_the_end(settings):
    """As when an adjudicator sends an item back: nobody has to come round to it by finishing all the rest."""
    study = builders.study("back", tasks=6, epochs=12)
    builders.draw(study, per_item=1, seed=1)
    by = rater()
    for _ in range(30):
        label(take(study, by))
    done = Assignment.objects.filter(state="done").order_by("number").first()
    other = rater("ben")
    for _ in range(20):
        label(take(study, other))
    ask_for_more(done.item, 1)
    items = []
    while done.item_id not in items:
        serving = take(study, other)
        items.append(serving.item_id)
        label(serving)
    assert len(items) <= 2 * BLOCK and take(study, other) is not None
