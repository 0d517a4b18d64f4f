"""Draws: the same sample on any machine, which only ever grows."""

import pytest
from django.db import IntegrityError, transaction

from annotation.draws import extend_draws, permanent_number, slot_counts
from annotation.models import Assignment, Draw, DrawnItem, Item, Stratum
from arbiter.core.errors import UserError
from tests import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def study(db):
    return builders.study(tasks=4, epochs=10)


def draw(study, **changes):
    return builders.draw(study, **({"share": 0.5, "seed": 7} | changes))


def drawn(study):
    return dict(DrawnItem.objects.drawn().filter(draw__study=study).values_list("item_id", "number"))


def slots(study):
    return sorted(Assignment.objects.filter(item__study=study).values_list("item_id", "slot"))


def test_permanent_numbers_come_from_content_alone():
    """Written out, so that no other machine and no later version draws another sample."""
    one = builders.study("one", tasks=2, epochs=1)
    numbers = [permanent_number(7, item) for item in one.items.all()]
    assert numbers == [0.714926348590243, 0.5079692694661176]
    assert permanent_number(8, one.items.first()) != numbers[0]


def test_the_same_responses_in_another_study_have_the_same_numbers(study):
    other = builders.Study.objects.create(slug="other", title="Other", scheme=study.scheme)
    for item in reversed(study.items.all()):
        Item.objects.create(study=other, response=item.response)
    assert {permanent_number(3, i) for i in other.items.all()} == {
        permanent_number(3, i) for i in study.items.all()
    }


def test_numbers_are_spread_over_the_unit_interval(study):
    numbers = sorted(permanent_number(seed, item) for seed in range(25) for item in study.items.all())
    assert numbers[0] >= 0 and numbers[-1] < 1 and len(set(numbers)) == 1000
    assert (
        max(abs(number - place / 1000) for place, number in enumerate(numbers)) < 0.06
    )  # Kolmogorov's 0.1 % point


def test_the_items_below_the_share_are_drawn_with_their_slots(study):
    draw(study)
    numbers = {item.pk: permanent_number(7, item) for item in study.items.all()}
    assert drawn(study) == {pk: number for pk, number in numbers.items() if number < 0.5}
    assert slots(study) == sorted((pk, slot) for pk in drawn(study) for slot in (1, 2))
    assert set(DrawnItem.objects.values_list("probability", "stratum")) == {(0.5, "all")}
    assert slot_counts(study) == {"slots": 2 * len(drawn(study)), "filled": 0, "drawn": len(drawn(study))}


def test_a_share_of_one_draws_all(study):
    draw(study, share=1)
    assert len(drawn(study)) == 40


def test_drawing_again_changes_nothing(study):
    draw(study)
    before = (list(DrawnItem.objects.values()), list(Assignment.objects.values()))
    draw(study)
    assert (list(DrawnItem.objects.values()), list(Assignment.objects.values())) == before


def test_a_growing_share_keeps_what_is_drawn_and_adds(study):
    draw(study, share=0.3)
    before = drawn(study)
    draw(study, share=0.8)
    after = drawn(study)
    assert before.items() < after.items() and all(number < 0.8 for number in after.values())
    assert set(after) == {item.pk for item in study.items.all() if permanent_number(7, item) < 0.8}
    assert set(DrawnItem.objects.values_list("probability", flat=True)) == {0.8}
    assert len(slots(study)) == 2 * len(after)


def test_more_raters_an_item_add_slots(study):
    draw(study)
    Assignment.objects.filter(slot=1).update(state="done", rater=builders.rater("ann", "human"))
    draw(study, per_item=3)
    assert slots(study) == sorted((pk, slot) for pk in drawn(study) for slot in (1, 2, 3))
    assert Assignment.objects.filter(state="done").count() == len(drawn(study))


def test_items_that_come_later_are_drawn_by_the_same_rule(study):
    draw(study)
    run = study.items.first().response.run
    for task in run.suite.tasks.all():
        for epoch in (11, 12, 13):
            Item.objects.create(study=study, response=builders.response(run, task, epoch))
    extend_draws(study)
    assert set(drawn(study)) == {item.pk for item in study.items.all() if permanent_number(7, item) < 0.5}
    assert len(slots(study)) == 2 * len(drawn(study))


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"share": 0.4}, "humans.share can only grow"),
        ({"per_item": 1}, "humans.per_item can only grow"),
        ({"seed": 8}, "humans.seed can't change"),
        ({"share": 0}, "above 0"),
        ({"share": 1.01}, "at most 1"),
        ({"share": float("nan")}, "above 0"),
    ],
)
def test_what_would_undo_a_draw_is_refused(study, change, part):
    draw(study)
    before = drawn(study)
    with pytest.raises((UserError, ValueError), match=part):
        draw(study, **change)
    assert drawn(study) == before and Stratum.objects.get().probability == 0.5


def test_a_share_of_nought_is_refused_from_the_start(study):
    with pytest.raises(ValueError, match="no rate can be estimated"):
        draw(study, share=0)
    assert not Draw.objects.exists()


def test_a_study_without_a_draw_gives_humans_nothing(study):
    extend_draws(study)
    assert not Assignment.objects.exists()


def a_share_of_nought(draw):
    draw.strata.update(probability=0)


def a_share_above_one(draw):
    draw.strata.update(probability=1.5)


def a_number_of_one(draw):
    draw.framed.update(number=1.0)


def an_item_drawn_twice(draw):
    one = draw.framed.first()
    draw.framed.create(item=one.item, number=0.1, probability=0.5)


def a_slot_twice(draw):
    Assignment.objects.create(item=draw.framed.drawn().first().item, study=draw.study, slot=1, number=0.1)


def a_place_held_by_nobody(draw):
    Assignment.objects.update(state="leased")


def an_open_place_with_a_rater(draw):
    Assignment.objects.update(rater=builders.rater("ann", "human"))


def a_rater_twice_on_an_item(draw):
    Assignment.objects.update(rater=builders.rater("ann", "human"), state="done")


@pytest.mark.engine
@pytest.mark.parametrize(
    "wrong",
    [
        a_share_of_nought,
        a_share_above_one,
        a_number_of_one,
        an_item_drawn_twice,
        a_slot_twice,
        a_place_held_by_nobody,
        an_open_place_with_a_rater,
        a_rater_twice_on_an_item,
    ],
)
def test_the_database_refuses(study, wrong):
    made = draw(study)
    with pytest.raises(IntegrityError), transaction.atomic():
        wrong(made)
