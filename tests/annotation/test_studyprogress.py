"""Progress by stratum and category, pace, and non-response."""

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation import nonresponse, studyprogress
from annotation.enrolments import enrolment_of, limit, pause
from annotation.models import Adjudication, Assignment, Gold, Rating, Serving, Skip
from annotation.routing import skip
from tests import builders

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
ALPHA_BETA = [
    {"name": "alpha", "where": {"categories": ["Alpha"]}, "probability": 1.0},
    {"name": "beta", "probability": 1.0},
]


@pytest.fixture
def drawn(study, cast):
    """Make three items in each of two strata, two raters an item."""
    builders.humans(study, strata=ALPHA_BETA, per_item=2)
    builders.draw(study, strata=ALPHA_BETA, per_item=2)
    return study


@pytest.fixture
def ann(cast):
    return builders.human(cast["ann"])


@pytest.fixture
def ben(cast):
    return builders.human(cast["ben"])


def stratum_of(study, item):
    return studyprogress.strata_of(study.draws.get(), [item.pk])[item.pk]


def by_name(rows):
    return {row.name: row for row in rows}


def finish(study, *raters, items=99):
    """Let them label what they are given, each so many items."""
    for rater in raters:
        for _ in range(items):
            serving = builders.take(study, rater)
            if serving is None:
                break
            builders.label(serving)


def test_progress_by_stratum_counts_frame_places_and_items_that_are_done(drawn, ann, ben):
    finish(drawn, ann)
    serving = builders.take(drawn, ben)
    first = stratum_of(drawn, serving.item)
    builders.label(serving)
    held = builders.take(drawn, ben)
    rows = by_name(studyprogress.by_stratum(drawn.draws.get()))
    assert [(row.frame, row.drawn, row.slots, row.probability) for row in rows.values()] == [
        (3, 3, 6, 1.0)
    ] * 2
    assert sum(row.filled for row in rows.values()) == 7
    assert {name: row.done for name, row in rows.items()} == {
        "alpha": int(first == "alpha"),
        "beta": int(first == "beta"),
    }
    assert rows[stratum_of(drawn, held.item)].held == 1
    assert studyprogress.slot_totals(drawn) == studyprogress.SlotTotals(slots=12, filled=7, held=1)


def test_a_lease_that_ran_out_is_held_by_nobody(drawn, ann):
    builders.take(drawn, ann)
    Assignment.objects.filter(state="leased").update(leased_until=timezone.now() - timedelta(minutes=1))
    assert studyprogress.slot_totals(drawn).held == 0
    assert sum(row.held for row in studyprogress.by_stratum(drawn.draws.get())) == 0


def test_a_stratum_counts_what_it_has_not_drawn_apart(study):
    draw = builders.draw(study, share=0.5, seed=3)
    [row] = studyprogress.by_stratum(draw)
    assert (row.frame, row.drawn, row.probability) == (6, draw.framed.drawn().count(), 0.5)
    assert row.slots == 2 * row.drawn


def test_progress_by_category_counts_items_with_all_their_labels(drawn, ann, ben):
    finish(drawn, ann)
    item = drawn.items.filter(response__task__category__title="Beta").first()
    builders.rate(item, ben)
    Gold.objects.create(item=item, label=drawn.scheme.labels.first(), origin="single")
    rows = by_name(studyprogress.by_category(drawn.draws.get()))
    assert (rows["Alpha"].drawn, rows["Alpha"].done, rows["Alpha"].gold) == (3, 0, 0)
    assert (rows["Beta"].drawn, rows["Beta"].done, rows["Beta"].gold) == (3, 1, 1)
    assert by_name(studyprogress.by_stratum(drawn.draws.get()))["beta"].gold == 1


def test_no_pace_where_nobody_has_labelled_lately(drawn, ann):
    assert studyprogress.study_pace(drawn, 12).days_left is None
    finish(drawn, ann)
    Serving.objects.update(answered_at=timezone.now() - timedelta(days=8))
    told = studyprogress.study_pace(drawn, 6)
    assert (told.a_day, told.days_left, told.today) == (0.0, None, 0)


def test_the_pace_is_of_the_last_week_and_leaves_skips_out(drawn, ann, ben):
    finish(drawn, ann)
    Serving.objects.update(answered_at=timezone.now() - timedelta(days=7, hours=2))
    finish(drawn, ben, items=3)
    skip(builders.take(drawn, ben), "unclear")
    told = studyprogress.study_pace(drawn, 6)
    assert told.hour == 3 and told.days == pytest.approx(7, abs=0.01)
    assert told.a_day == pytest.approx(3 / 7, rel=0.01) and told.days_left == pytest.approx(14, rel=0.01)


def test_skips_are_counted_by_stratum_with_their_reasons(drawn, ann, ben):
    served = builders.take(drawn, ann)
    where = stratum_of(drawn, served.item)
    skip(served, "not my language")
    row = next(row for row in nonresponse.nonresponse(drawn, drawn.draws.get()) if row.stratum == where)
    assert (row.skips, row.reasons) == (1, [("not my language", 1)])
    outside = drawn.items.exclude(pk=served.item_id).first()
    drawn.draws.get().framed.filter(item=outside).delete()
    Skip.objects.create(item=outside, rater=ben, reason="too long")
    rows = {row.stratum: row for row in nonresponse.nonresponse(drawn, drawn.draws.get())}
    assert rows[nonresponse.OUTSIDE].skips == 1


def test_a_surplus_label_is_counted_once_a_rater(drawn, ann):
    item = drawn.items.first()
    for _ in range(2):
        builders.rate(item, ann, surplus=True)
    other = builders.study("other")
    builders.rate(other.items.first(), ann, surplus=True)
    rows = nonresponse.nonresponse(drawn, drawn.draws.get())
    assert sum(row.surplus for row in rows) == 1


def enrolled(study, *raters):
    return [enrolment_of(study, rater) for rater in raters]


def test_an_item_is_wanted_while_some_rater_could_be_given_it(drawn, ann, ben):
    enrolled(drawn, ann, ben)
    item = drawn.items.first()
    Skip.objects.create(item=item, rater=ann, reason="no")
    assert nonresponse.unwanted(drawn) == []
    Skip.objects.create(item=item, rater=ben, reason="no")
    assert nonresponse.unwanted(drawn) == [item.pk]


def test_one_label_and_one_skip_leave_the_second_place_unwanted(drawn, ann, ben):
    enrolled(drawn, ann, ben)
    served = builders.take(drawn, ann)
    builders.label(served)
    Skip.objects.create(item=served.item, rater=ben, reason="no")
    assert nonresponse.unwanted(drawn) == [served.item_id]


def test_whoever_is_paused_or_restricted_wants_nothing(drawn, ann, ben):
    one, two = enrolled(drawn, ann, ben)
    item = drawn.items.filter(response__task__category__key="alpha").first()
    Skip.objects.create(item=item, rater=ann, reason="no")
    pause(two, True)
    assert nonresponse.unwanted(drawn) == [item.pk]
    pause(two, False)
    limit(two, cap=None, languages=[], categories=["beta"])
    assert nonresponse.unwanted(drawn) == [item.pk]
    limit(one, cap=None, languages=[], categories=["beta"])
    alpha = drawn.items.filter(response__task__category__key="alpha")
    assert nonresponse.unwanted(drawn) == sorted(alpha.values_list("pk", flat=True))


def test_whoever_wrote_an_items_gold_cannot_be_given_it(drawn, ann, ben):
    enrolled(drawn, ann)
    item = drawn.items.first()
    Gold.objects.create(item=item, label=drawn.scheme.labels.first(), origin="single", author=ann)
    assert nonresponse.unwanted(drawn) == [item.pk]


def test_an_item_whose_places_are_filled_is_no_matter(drawn, ann, ben):
    enrolled(drawn, ann, ben)
    finish(drawn, ann, ben)
    assert nonresponse.unwanted(drawn) == []


def test_flags_are_listed_as_they_stand_now(drawn, ann, ben):
    first, second = drawn.items.all()[:2]
    builders.rate(first, ann, flagged=True)
    builders.rate(first, ann)
    kept = builders.rate(second, ben, flagged=True)
    assert studyprogress.flagged_ratings(drawn) == [kept]
    assert studyprogress.flagged_ratings(drawn, before=kept.pk) == []


def test_unclear_guidelines_are_listed_while_the_decision_stands(drawn, ann):
    item, label = drawn.items.first(), drawn.scheme.labels.first()
    decided = {"item": item, "label": label, "adjudicator": ann, "reason": "which one?"}
    Adjudication.objects.create(**decided, guideline_unclear=True)
    assert [one.item for one in studyprogress.unclear_decisions(drawn)] == [item]
    Adjudication.objects.create(**decided, revision=2)
    assert studyprogress.unclear_decisions(drawn) == []


def test_a_plan_that_needs_judges_says_what_it_waits_for(study):
    builders.humans(study, plan="disagreement", budget=3)
    [reason] = studyprogress.draw_waits(study)
    assert "6 items have fewer than two judges' votes" in reason
    assert Rating.objects.count() == 0 and not study.draws.exists()
