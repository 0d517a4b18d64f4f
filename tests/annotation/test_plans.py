"""Human plans: strata, their probabilities, and that both stay right however a study grows."""

import random
from collections import Counter

import pytest
from django.db.models import F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from annotation.draws import Waiting, ask_for_more, budgeted, extend_draws, plan_draw, waits_for
from annotation.humanplan import DrawSpec, HumansSpec
from annotation.models import Assignment, Draw, DrawnItem, Item, Rating
from arbiter.core.errors import UserError
from tests import builders
from tests.sizes import size
from tests.together import expect_no_errors, together

pytestmark = pytest.mark.django_db


@pytest.fixture
def study(db):
    """Make a study of forty items in two categories; two judges part on every fourth."""
    made = builders.study(tasks=4, epochs=10)
    judged(made)
    return made


def judged(study, every=4):
    a, b = builders.rater("judge-a"), builders.rater("judge-b")
    for place, item in enumerate(study.items.filter(judge_votes=0)):
        builders.rate(item, a)
        builders.rate(item, b, "no_convergence" if place % every == 0 else "convergence")


def more_items(study, epochs):
    run = study.items.first().response.run
    for task in run.suite.tasks.all():
        for epoch in epochs:
            Item.objects.create(study=study, response=builders.response(run, task, epoch))


def strata(draw):
    return dict(draw.strata.values_list("name", "probability"))


def sizes(draw):
    return dict(Counter(draw.framed.values_list("stratum", flat=True)))


def drawn(study):
    return set(DrawnItem.objects.drawn().filter(draw__study=study).values_list("item_id", flat=True))


def all_is_right(draw):
    """Check that every item of the frame has its stratum's probability, and that those below it have their
    slots and no others do."""
    held = strata(draw)
    for row in draw.framed.all():
        assert row.probability == held[row.stratum]
    below = set(draw.framed.filter(number__lt=F("probability")).values_list("item_id", flat=True))
    slots = Assignment.objects.filter(study=draw.study, purpose=draw.purpose, slot__isnull=False)
    assert set(slots.values_list("item_id", flat=True)) == below
    assert slots.count() == len(below) * draw.raters_per_item


# The shipped plans


def test_everyone_labels_everything_unless_said_otherwise(study):
    made = builders.draw(study)
    assert strata(made) == {"all": 1.0} and len(drawn(study)) == 40
    all_is_right(made)


def test_a_random_share(study):
    made = builders.draw(study, plan="random", share=0.3)
    assert strata(made) == {"all": 0.3} and 0 < len(drawn(study)) < 40
    all_is_right(made)


@pytest.mark.parametrize(
    ("sizes", "budget", "share", "split", "rest"),
    [
        ({"split": 100, "unanimous": 900}, 100, 0.4, 0.4, 60 / 900),
        ({"split": 100, "unanimous": 900}, 100, 0.3, 0.3, 70 / 900),
        ({"split": 100, "unanimous": 900}, 100, 0.5, 0.5, 50 / 900),
        ({"split": 10, "unanimous": 900}, 100, 0.4, 1.0, 0.1),  # what split items can't use
        ({"split": 900, "unanimous": 10}, 100, 0.4, 0.1, 1.0),  # what unanimous ones can't
        ({"split": 10, "unanimous": 20}, 100, 0.4, 1.0, 1.0),
        ({"unanimous": 100}, 50, 0.4, 1.0, 0.5),
        ({"split": 100}, 50, 0.4, 0.5, 1.0),
        ({}, 50, 0.4, 1.0, 1.0),
    ],
)
def test_a_budget_is_spent_on_both_strata(sizes, budget, share, split, rest):
    assert budgeted(sizes, budget, share) == pytest.approx({"split": split, "unanimous": rest})


@given(
    split=st.integers(0, 10**6),
    rest=st.integers(0, 10**6),
    budget=st.integers(1, 10**7),
    share=st.floats(0.3, 0.5),
)
def test_a_budget_is_never_overspent_nor_left_where_items_are(split, rest, budget, share):
    probabilities = budgeted({"split": split, "unanimous": rest}, budget, share)
    assert all(0 < probability <= 1 for probability in probabilities.values())
    expected = probabilities["split"] * split + probabilities["unanimous"] * rest
    assert expected == pytest.approx(min(budget, split + rest))
    if share * budget <= split and (1 - share) * budget <= rest:
        assert probabilities["split"] * split == pytest.approx(share * budget)


def test_the_disagreement_plan_draws_by_the_judges_votes(study):
    made = builders.draw(study, budget=20)
    assert sizes(made) == {"split": 10, "unanimous": 30}
    assert strata(made) == pytest.approx({"split": 0.8, "unanimous": 0.4})
    split = set(study.items.filter(judges_split=True).values_list("pk", flat=True))
    assert set(made.framed.filter(stratum="split").values_list("item_id", flat=True)) == split
    all_is_right(made)


def test_strata_by_category_with_a_default(study):
    made = builders.draw(study, by="category", probabilities={"Alpha": 0.9, "default": 0.2})
    assert strata(made) == {"Alpha": 0.9, "Beta": 0.2} and sizes(made) == {"Alpha": 20, "Beta": 20}
    all_is_right(made)


def test_strata_by_condition_and_by_judges(study):
    made = builders.draw(study, by="judges", probabilities={"split": 1, "unanimous": 0.1})
    assert sizes(made) == {"split": 10, "unanimous": 30}
    other = builders.Study.objects.create(slug="other", title="Other", scheme=study.scheme)
    for item in study.items.all():
        Item.objects.create(study=other, response=item.response)
    assert strata(builders.draw(other, by="condition", probabilities={"baseline": 0.5})) == {"baseline": 0.5}


def test_an_item_lies_in_the_first_stratum_it_fits(study):
    rules = [
        {"name": "alpha and split", "where": {"categories": ["Alpha"], "judges": "split"}, "probability": 1},
        {"name": "alpha", "where": {"categories": ["Alpha"]}, "probability": 0.5},
        {"name": "rest", "probability": 0.25},
    ]
    made = builders.draw(study, strata=rules)
    alpha = study.items.filter(response__task__category__title="Alpha")
    assert sizes(made) == {
        "alpha and split": alpha.filter(judges_split=True).count(),
        "alpha": alpha.filter(judges_split=False).count(),
        "rest": 20,
    }
    all_is_right(made)


@pytest.mark.parametrize(
    ("where", "fits"),
    [
        ({"subjects": ["model-a"]}, True),
        ({"subjects": ["model-b"]}, False),
        ({"conditions": ["baseline"]}, True),
        ({"conditions": ["nudged"]}, False),
        ({"categories": ["Alpha", "Beta"]}, True),
        ({"categories": ["Gamma"]}, False),
        ({"languages": ["en"]}, True),
        ({"languages": ["de"]}, False),
    ],
)
def test_each_part_of_a_where(study, where, fits):
    made = builders.draw(
        study,
        strata=[{"name": "some", "where": where, "probability": 1}, {"name": "rest", "probability": 0.5}],
    )
    assert sizes(made) == {"some" if fits else "rest": 40}


def test_an_item_in_no_stratum_is_refused(study):
    rules = [{"name": "alpha", "where": {"categories": ["Alpha"]}, "probability": 1}]
    with pytest.raises(UserError, match=r"humans\.strata: item \w+ \(Beta, .*\) falls in no stratum.*a last"):
        builders.draw(study, strata=rules)
    assert not Draw.objects.exists() and not DrawnItem.objects.exists()


def test_a_category_with_a_very_long_title_has_a_stratum(study):
    study.items.first().response.task.category.__class__.objects.filter(key="alpha").update(title="A" * 200)
    made = builders.draw(study, by="category", probabilities={"A" * 200: 0.5, "default": 1})
    assert strata(made) == {"A" * 120: 0.5, "Beta": 1.0}


def test_the_draw_for_gold_has_slots_of_its_own_and_messages_of_its_own(study):
    main = builders.draw(study, share=0.5, seed=3)
    spec = {"share": 0.2, "seed": 3, "per_item": 1}
    gold = plan_draw(study, DrawSpec(**spec), name="gold", purpose="gold")
    all_is_right(main)
    all_is_right(gold)
    items = set(gold.framed.drawn().values_list("item_id", flat=True))
    assert items <= set(main.framed.drawn().values_list("item_id", flat=True))  # one seed, the same numbers
    with pytest.raises(UserError, match=r"^humans\.gold\.share can only grow"):
        plan_draw(study, DrawSpec(**spec | {"share": 0.1}), name="gold", purpose="gold")


# What is refused


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"share": 0}, "no rate can be estimated"),
        ({"share": -0.1}, "no rate can be estimated"),
        ({"share": float("nan")}, "no rate can be estimated"),
        ({"share": float("inf")}, "no rate can be estimated"),
        ({"by": "category", "probabilities": {"Alpha": 0, "default": 1}}, "no rate can be estimated"),
        ({"strata": [{"name": "a", "probability": 0}]}, "no rate can be estimated"),
        ({"plan": "random"}, "random needs a share"),
        ({"plan": "disagreement"}, "needs a budget"),
        ({"plan": "strata"}, "needs strata, or by"),
        ({"by": "judges"}, "needs probabilities"),
        ({"probabilities": {"Alpha": 1}}, "needs strata, or by"),
        (
            {"by": "judges", "probabilities": {"default": 1}, "strata": [{"name": "a", "probability": 1}]},
            "not both",
        ),
        (
            {"strata": [{"name": "a", "probability": 1}], "probabilities": {"a": 1}},
            "probabilities go with by",
        ),
        (
            {"strata": [{"name": "a", "probability": 1}, {"name": "a", "probability": 1}]},
            "two strata named 'a'",
        ),
        ({"plan": "everyone", "share": 0.5}, "everyone takes no share"),
        ({"plan": "everyone", "share": 1, "budget": 5}, "everyone takes no budget"),
        ({"plan": "random", "share": 0.5, "budget": 5}, "random takes no budget"),
        ({"share": 0.5, "split_share": 0.5}, "random takes no split_share"),
        ({"budget": 5, "split_share": 0.2}, "greater than or equal to 0.3"),
        ({"budget": 0}, "greater than or equal to 1"),
    ],
    ids=str,
)
def test_a_plan_that_makes_no_sense_is_refused(plan, said):
    with pytest.raises(ValidationError, match=said):
        DrawSpec.model_validate(plan)


@pytest.mark.parametrize(
    ("old", "plan", "probability"),
    [
        ({}, "everyone", 1),
        ({"per_item": 3}, "everyone", 1),
        ({"share": 1}, "random", 1),
        ({"share": 0.5, "seed": 7, "per_item": 2}, "random", 0.5),
        ({"plan": "everyone", "share": 1}, "everyone", 1),
    ],
    ids=str,
)
def test_what_study_files_said_before_means_the_same(study, old, plan, probability):
    spec = HumansSpec.model_validate(old)
    assert spec.chosen() == plan
    assert strata(builders.draw(study, **old)) == {"all": probability}


@pytest.mark.parametrize(
    "plan", [{"share": 0.5}, {"budget": 9}, {"by": "judges", "probabilities": {"default": 0.5}}]
)
def test_a_plan_reads_back_what_it_wrote(plan):
    spec = HumansSpec.model_validate(plan | {"gold": {"share": 0.1}, "training": {}})
    assert HumansSpec.model_validate(spec.model_dump(mode="json")) == spec
    assert HumansSpec.model_validate(spec.model_dump(mode="json", exclude_defaults=True)) == spec


@pytest.mark.parametrize(
    ("probabilities", "said"),
    [
        ({"Alpha": 0.5}, r"humans\.probabilities: 'Beta' has none, and without one no rate can be estimated"),
        ({"Gamma": 0.5, "default": 1}, r"there is no category 'Gamma' in the study; there are Alpha, Beta"),
    ],
)
def test_probabilities_have_to_name_what_there_is(study, probabilities, said):
    with pytest.raises(UserError, match=said):
        builders.draw(study, by="category", probabilities=probabilities)


# Waiting for judges


def test_a_draw_by_votes_waits_for_two_judges(study):
    more_items(study, [11])
    outcome = plan_draw(study, DrawSpec(budget=20))
    assert isinstance(outcome, Waiting)
    assert outcome.reason.startswith(
        "4 items have fewer than two judges' votes, and the strata of humans are"
    )
    assert not Draw.objects.exists()
    judged(study)
    assert isinstance(plan_draw(study, DrawSpec(budget=20)), Draw)


def test_drawing_now_counts_what_is_not_judged_among_the_split(study):
    more_items(study, [11])
    made = plan_draw(study, DrawSpec(budget=20), now=True)
    assert sizes(made) == {"split": 14, "unanimous": 30}
    assert waits_for(study, DrawSpec(budget=20), made) == ""
    all_is_right(made)


def test_later_items_join_once_they_are_judged(study):
    spec = DrawSpec(by="judges", probabilities={"split": 0.9, "unanimous": 0.3})
    made = plan_draw(study, spec)
    more_items(study, [11, 12])
    extend_draws(study)
    assert sum(sizes(made).values()) == 40
    assert waits_for(study, spec, made).startswith("8 items have fewer")
    judged(study)
    extend_draws(study)
    assert sizes(made) == {"split": 12, "unanimous": 36}
    assert strata(made) == {"split": 0.9, "unanimous": 0.3}
    all_is_right(made)


def test_a_draw_grows_while_new_items_wait_to_be_judged(study):
    made = plan_draw(study, DrawSpec(by="judges", probabilities={"default": 0.3}))
    more_items(study, [11])
    made = plan_draw(study, DrawSpec(by="judges", probabilities={"default": 0.6}, per_item=3))
    assert isinstance(made, Draw) and strata(made) == {"split": 0.6, "unanimous": 0.6}
    assert sum(sizes(made).values()) == 40
    all_is_right(made)


def test_a_stratum_that_was_empty_takes_its_part_of_the_budget_when_items_come(study):
    """While empty it has the probability 1, which must not hold for a hundred items that come later."""
    Item.objects.filter(study=study).update(judges_split=False)
    made = builders.draw(study, budget=20)
    assert strata(made) == {"split": 1.0, "unanimous": 0.5}
    more_items(study, range(11, 21))
    judged(study, every=1)
    made = builders.draw(study, budget=20)
    assert sizes(made) == {"split": 40, "unanimous": 40}
    assert strata(made) == {"split": 0.2, "unanimous": 0.5}  # 8 of the budget; and what was drawn stays
    all_is_right(made)


# Growing


PROBABILITY = st.floats(0.01, 1)
GROWTH = st.lists(
    st.tuples(PROBABILITY, PROBABILITY, st.integers(0, 2), st.booleans(), st.booleans()),
    min_size=1,
    max_size=6,
)


@settings(
    max_examples=size(10, 25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=GROWTH)
def test_whatever_way_a_draw_grows_its_probabilities_stay_right(steps):
    from django.db import transaction

    with transaction.atomic():
        study = builders.study(tasks=2, epochs=4)
        judged(study)
        grow_at_random(study, steps)
        transaction.set_rollback(True)


def grow_at_random(study, steps):
    split = unanimous = 0.0
    per_item, epoch, kept, before = 1, 5, {}, set()
    for more_split, more_unanimous, raters, come, change in steps:
        split, unanimous = max(split, more_split), max(unanimous, more_unanimous)
        per_item = max(per_item, raters)
        if come:
            more_items(study, [epoch])
            judged(study, every=2)
            epoch += 1
        if change:  # judges come to be of another mind; where an item lies stays
            for item in study.items.all():
                builders.rate(item, builders.rater("judge-b"), "safety_refusal")
        made = builders.draw(
            study, by="judges", probabilities={"split": split, "unanimous": unanimous}, per_item=per_item
        )
        assert strata(made) == {"split": split, "unanimous": unanimous}
        all_is_right(made)
        lies = dict(made.framed.values_list("item_id", "stratum"))
        assert kept.items() <= lies.items() and before <= drawn(study)
        assert set(lies) == set(study.items.values_list("pk", flat=True))
        kept, before = lies, drawn(study)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            [
                {"name": "a", "where": {"categories": ["Beta"]}, "probability": 0.5},
                {"name": "rest", "probability": 0.5},
            ],
            "stratum 'a'; strata and their order",
        ),
        ([{"name": "rest", "probability": 0.5}], "stratum 'a'; strata and their order"),
        (
            [
                {"name": "rest", "probability": 0.5},
                {"name": "a", "where": {"categories": ["Alpha"]}, "probability": 0.5},
            ],
            "strata and their order",
        ),
        (
            [
                {"name": "first", "where": {"languages": ["de"]}, "probability": 0.5},
                {"name": "a", "where": {"categories": ["Alpha"]}, "probability": 0.5},
                {"name": "rest", "probability": 0.5},
            ],
            "strata and their order",
        ),
        (
            [
                {"name": "a", "where": {"categories": ["Alpha"]}, "probability": 0.4},
                {"name": "rest", "probability": 0.5},
            ],
            "probability of stratum 'a' can only grow: the draw has 0.5, the file says 0.4",
        ),
    ],
)
def test_strata_stay_once_items_lie_in_them(study, change, said):
    rules = [
        {"name": "a", "where": {"categories": ["Alpha"]}, "probability": 0.5},
        {"name": "rest", "probability": 0.5},
    ]
    builders.draw(study, strata=rules)
    before = list(DrawnItem.objects.values()), list(Draw.objects.values())
    with pytest.raises(UserError, match=said):
        builders.draw(study, strata=change)
    assert (list(DrawnItem.objects.values()), list(Draw.objects.values())) == before


def test_strata_without_items_may_change_where_they_take_from_none(study):
    rules = [{"name": "a", "where": {"categories": ["Alpha", "Beta"]}, "probability": 0.5}]
    builders.draw(study, strata=[*rules, {"name": "rest", "probability": 0.5}])
    made = builders.draw(study, strata=[*rules, {"name": "others", "probability": 0.1}])
    assert strata(made) == {"a": 0.5, "others": 0.1}
    builders.draw(study, strata=[*rules, {"name": "others", "probability": 0.05}])  # nobody was drawn from it


def test_a_stratum_before_one_with_items_can_not_come_to_take_from_it(study):
    rules = [
        {"name": "none", "where": {"languages": ["de"]}, "probability": 0.5},
        {"name": "rest", "probability": 0.5},
    ]
    builders.draw(study, strata=rules)
    rules[0] = rules[0] | {"where": {"categories": ["Alpha"]}}
    with pytest.raises(UserError, match="'none' stands before 'rest', in which items lie"):
        builders.draw(study, strata=rules)


def test_a_new_category_is_a_new_stratum(study):
    probabilities = {"Beta": 0.7, "default": 0.4}
    builders.draw(study, by="category", probabilities=probabilities)
    suite = study.items.first().response.run.suite
    category = suite.categories.create(key="aaa", title="Aaa", context="c", question="q", position=3)
    task = suite.tasks.create(category=category, key="new", text="New.")
    run = study.items.first().response.run
    Item.objects.create(study=study, response=builders.response(run, task))
    extend_draws(study)
    made = builders.draw(study, by="category", probabilities=probabilities)
    assert strata(made) == {"Aaa": 0.4, "Alpha": 0.4, "Beta": 0.7} and sizes(made)["Aaa"] == 1
    all_is_right(made)


def test_another_plan_can_not_take_the_place_of_one_that_was_drawn(study):
    builders.draw(study, share=0.5)
    with pytest.raises(UserError, match="items lie in the stratum 'all'"):
        builders.draw(study, budget=20)
    assert strata(builders.draw(study)) == {"all": 1.0}  # everyone is a share of 1


# Estimating


def test_totals_weighted_by_the_inclusion_probabilities_are_unbiased():
    """Horvitz and Thompson: over many seeds the sum of 1/probability over what was drawn comes to the frame's
    total."""
    sizes, seeds = {"split": 60, "unanimous": 240}, 3000
    probability = budgeted(sizes, 90, 0.4)
    frame = [(name, place % 3 == 0) for name, count in sizes.items() for place in range(count)]
    total = sum(target for _, target in frame)
    chance = random.Random("plans")
    estimates = []
    for _ in range(seeds):
        estimates.append(
            sum(target / probability[name] for name, target in frame if chance.random() < probability[name])
        )
    mean = sum(estimates) / seeds
    variance = sum((1 - probability[name]) / probability[name] for name, target in frame if target)
    assert abs(mean - total) < 4 * (variance / seeds) ** 0.5
    plain = sum(target * probability[name] for name, target in frame) / sum(
        probability[name] * 1 for name, _ in frame
    )
    assert plain == pytest.approx(1 / 3)  # here even the plain mean is right; below it is not


@pytest.mark.sized
def test_a_plain_mean_of_a_disagreement_draw_is_biased_and_the_weighted_one_is_not(study):
    """The draw itself, over seeds: its numbers, its strata and its probabilities, as an estimator would read
    them."""
    target = {item.pk: item.judges_split for item in study.items.all()}
    weighted, plain, seeds = [], [], size(100, 250)
    for seed in range(seeds):
        made = builders.draw(study, budget=20, seed=seed)
        rows = list(made.framed.drawn().values_list("item_id", "probability"))
        weighted.append(sum(target[item] / probability for item, probability in rows))
        plain.append(40 * sum(target[item] for item, _ in rows) / max(1, len(rows)))
        Assignment.objects.all().delete()
        made.delete()
    # 10 items at 0.8: the total's standard deviation is sqrt(10 * 0.2 / 0.8) = 1.58; of a mean it is
    # that over the square root of the seeds.
    assert abs(sum(weighted) / seeds - 10) < 4 * 1.58 / seeds**0.5
    assert sum(plain) / seeds > 14


# More raters


def finished(study, item, labels):
    """Let people label the item's slots, one label each."""
    for place, label in enumerate(labels):
        by = builders.rater(f"person-{place}", "human")
        held = Assignment.objects.filter(item=item, purpose="slot", state="open").order_by("slot").first()
        Assignment.objects.filter(pk=held.pk).update(state="leased", rater=by)
        serving = item.servings.create(study=study, rater=by)
        builders.label(serving, label)


def slots(item):
    return list(
        Assignment.objects.filter(item=item, purpose="slot").order_by("slot").values_list("slot", "state")
    )


def test_an_item_whose_raters_differ_gets_the_extra_ones_once(study):
    builders.humans(study, extra_when_split=2)
    builders.draw(study)
    item = study.items.first()
    finished(study, item, ["convergence", "no_convergence"])
    assert slots(item) == [(1, "done"), (2, "done"), (3, "open"), (4, "open")]
    finished_by = builders.rater("person-8", "human"), builders.rater("person-9", "human")
    for by in finished_by:
        held = Assignment.objects.filter(item=item, purpose="slot", state="open").order_by("slot").first()
        Assignment.objects.filter(pk=held.pk).update(state="leased", rater=by)
        builders.label(item.servings.create(study=study, rater=by), "safety_refusal")
    assert len(slots(item)) == 4


def test_an_item_whose_raters_agree_gets_none_until_one_changes_their_mind(study):
    builders.humans(study, extra_when_split=1)
    builders.draw(study)
    item = study.items.first()
    finished(study, item, ["convergence", "convergence"])
    assert len(slots(item)) == 2
    builders.label(item.servings.first(), "no_convergence")
    assert slots(item)[2:] == [(3, "open")]
    builders.label(item.servings.first(), "safety_refusal")
    assert len(slots(item)) == 3


def test_no_extra_raters_before_the_last_slot_is_labelled(study):
    builders.humans(study, extra_when_split=1)
    builders.draw(study, per_item=3)
    item = study.items.first()
    finished(study, item, ["convergence", "no_convergence"])
    assert len(slots(item)) == 3


def test_asking_for_more_adds_slots_in_the_items_place_in_the_order(study):
    builders.draw(study)
    item = study.items.first()
    assert ask_for_more(item, 2) == 4
    assert Assignment.objects.filter(item=item).values("number").distinct().count() == 1
    for odd in (0, -1, 101):
        with pytest.raises(UserError, match="Between 1 and 100 more raters"):
            ask_for_more(item, odd)


def test_a_growing_plan_counts_what_was_asked_for_meanwhile(study):
    builders.draw(study)
    item = study.items.first()
    ask_for_more(item, 1)
    builders.draw(study, per_item=4)
    assert [slot for slot, _ in slots(item)] == [1, 2, 3, 4]


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_of_the_last_two_raters_at_once_exactly_one_asks_for_more():
    study = builders.study(tasks=2, epochs=6)
    builders.humans(study, extra_when_split=2)
    builders.draw(study)
    ann, ben = builders.rater("ann", "human"), builders.rater("ben", "human")
    for item in study.items.all():
        servings = []
        for slot, by in ((1, ann), (2, ben)):
            Assignment.objects.filter(item=item, slot=slot).update(state="leased", rater=by)
            servings.append(item.servings.create(study=study, rater=by))
        expect_no_errors(
            together(
                lambda of=servings[0]: builders.label(of, "convergence"),
                lambda of=servings[1]: builders.label(of, "no_convergence"),
            )
        )
        assert [slot for slot, _ in slots(item)] == [1, 2, 3, 4]
    assert Rating.objects.filter(surplus=True).count() == 0


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_all_who_ask_for_more_at_once_get_slots_of_their_own():
    study = builders.study(tasks=1, epochs=1)
    builders.draw(study)
    item = study.items.first()
    expect_no_errors(together(*[lambda n=n: ask_for_more(item, n) for n in (1, 2, 3, 1)]))
    assert [slot for slot, _ in slots(item)] == list(range(1, 10))


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_asking_for_more_while_the_draw_grows():
    study = builders.study(tasks=2, epochs=5)
    builders.draw(study)
    items = list(study.items.all())
    for per_item in (3, 4, 5):
        expect_no_errors(
            together(
                lambda n=per_item: builders.draw(study, per_item=n),
                *[lambda of=of: ask_for_more(of, 1) for of in items[:3]],
            )
        )
    for item in items:
        numbers = [slot for slot, _ in slots(item)]
        assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= 5


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_drawing_twice_at_once_draws_once():
    study = builders.study(tasks=2, epochs=5)
    expect_no_errors(together(*[lambda: builders.draw(study, share=0.5)] * 4))
    assert Draw.objects.count() == 1 and DrawnItem.objects.count() == 10
    all_is_right(Draw.objects.get())
