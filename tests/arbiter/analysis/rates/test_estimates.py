"""Rates by every estimator from a study in the database: right where the design allows it, refused with the
reason elsewhere."""

import random
from dataclasses import replace

import numpy as np
import pytest
from django.core.cache import cache

from annotation.ledger import Entry, record
from annotation.models import Draw, Gold, Item, Rating, Study
from annotation.schemes import builtin_scheme
from arbiter.analysis.judgeraters import panel_of
from arbiter.analysis.rates.cells import cells_of
from arbiter.analysis.rates.estimates import estimates, refusal
from arbiter.analysis.rates.observedrates import observed_rates
from arbiter.analysis.rates.ratedocument import rate_document
from arbiter.analysis.rates.ratespec import RateSpec
from arbiter.core.errors import UserError
from arbiter.statistics import (
    ArmGold,
    clustered_rate,
    contrast,
    post_stratified,
    task_correlation,
    task_influence,
)
from tests import builders
from tests.arbiter.cli.commands import document as command
from tests.databases import remove, rewrite

pytestmark = [pytest.mark.django_db]
BY = ("condition",)
JUDGES = ("judge-a", "judge-b", "judge-c")


@pytest.fixture(scope="module")
def judged(rows_of_module):
    """Two arms of 60 responses to the same tasks, three blind judges that err."""
    return arms({"anti": 0.2, "pro": 0.6})


@pytest.fixture
def study(judged):
    """The study of two arms, with what is true of its items."""
    again = Study.objects.get(pk=judged.pk)
    again.truth = judged.truth
    return again


def arms(rates_of, tasks=60, slug="arms", seed=1, blind=True, judges=JUDGES, wrong=0.2):
    lot = random.Random(seed)
    suite = builders.suite(slug, tasks=tasks)
    study = Study.objects.create(slug=slug, title=slug, scheme=builtin_scheme("four-class"))
    raters, entries, study.truth = [builders.rater(name) for name in judges], [], {}
    for condition, rate in rates_of.items():
        run = builders.run(suite, under=condition)
        for task in suite.tasks.order_by("id"):
            item = Item.objects.create(study=study, response=builders.response(run, task))
            truth = lot.random() < rate
            study.truth[item.pk] = truth
            for rater in raters:
                right = lot.random() >= wrong
                shown, label = {"blind": blind}, label_of(truth == right)
                entries.append(Entry(item_id=item.pk, rater=rater, label=label, shown=shown))
    record(study.scheme, entries)
    return study


def label_of(target):
    return "convergence" if target else "no_convergence"


def with_gold(study, share=1.0, seed=3, **plan):
    """Gold on what a draw for experts drew; of the first `share` of it."""
    draw = builders.draw(study, **({"share": 1.0, "seed": seed} | plan))
    drawn = draw.framed.drawn().order_by("number")
    drawn = drawn[: round(share * drawn.count())]
    labels = {label.key: label for label in study.scheme.labels.all()}
    for one in drawn:
        Gold.objects.create(
            item=one.item, label=labels[label_of(study.truth[one.item_id])], origin="imported", draw=draw
        )
    return draw


def row_of(rates, condition):
    [row] = [row for row in rates["rows"] if row["condition"] == condition]
    return row


@pytest.mark.engine
def test_a_corrected_rate_is_that_of_the_counts(study):
    with_gold(study, share=0.5)
    rates = rate_document(study, RateSpec("corrected", BY))
    assert not rates["refused"] and rates["covers"] == "sampling and judge error, gold taken as truth"
    for condition in ("anti", "pro"):
        items = list(study.items.filter(response__run__condition__name=condition).order_by("response__task"))
        target = study.scheme.labels.get(key="convergence").pk
        strata = [Rating.objects.filter(item=item, label=target).count() + 1 for item in items]
        table, gold = np.zeros((len(items), 5)), np.zeros((len(items), 5, 3))
        for place, (item, stratum) in enumerate(zip(items, strata, strict=True)):
            table[place, stratum] = 1
            if item.golds.exists():
                gold[place, stratum, 0 if study.truth[item.pk] else 1] = 1
        expected = post_stratified(table, ArmGold.unweighted(gold))
        row = row_of(rates, condition)
        assert (row["n"], row["gold"]) == (60, expected.gold)
        assert row["rate_all"] == pytest.approx(expected.estimate)
        assert (row["low_all"], row["high_all"]) == pytest.approx((expected.low, expected.high))
        assert row["low_valid"] <= row["rate_valid"] <= row["high_valid"]


def test_corrected_intervals_are_narrower_than_those_from_gold_alone_and_hold_the_truth(study):
    with_gold(study, share=0.5)
    corrected, alone = (rate_document(study, RateSpec(one, BY, finite=True)) for one in ("corrected", "gold"))
    for condition in ("anti", "pro"):
        one, other = row_of(corrected, condition), row_of(alone, condition)
        assert one["high_all"] - one["low_all"] < other["high_all"] - other["low_all"]
        items = study.items.filter(response__run__condition__name=condition)
        truth = np.mean([study.truth[item.pk] for item in items])
        assert one["low_all"] <= truth <= one["high_all"]


def test_what_is_drawn_and_waits_is_told(study):
    with_gold(study, share=0.75)
    rates = rate_document(study, RateSpec("corrected", BY))
    assert rates["gold"] == {"items": 90, "design": "draw", "draw": "main", "waiting": 30, "outside": 0}
    assert sum(row["waiting"] for row in rates["rows"]) == 30


def test_gold_without_a_draw_is_refused_and_labels_as_they_are_are_not(study):
    label = study.scheme.labels.get(key="convergence")
    for item in study.items.all()[:40]:
        Gold.objects.create(item=item, label=label, origin="imported")
    for name in ("gold", "corrected", "ppi", "transported"):
        rates = rate_document(study, RateSpec(name, BY))
        assert "no draw" in rates["refused"]
        assert all(row["rate_all"] is None and row["why_all"] == "refused" for row in rates["rows"])
    assert rate_document(study, RateSpec("majority", BY))["rows"][0]["rate_all"] is not None


def test_a_stratum_that_can_not_be_drawn_is_refused(study):
    """The database does not let a stratum have no chance; an imported design might."""
    with_gold(study, share=0.5)
    cells = cells_of(study, BY, panel_of(study, ""))
    design = cells.sample.design
    never = replace(design, strata=(replace(design.strata[0], probability=0.0),))
    cells = replace(cells, sample=replace(cells.sample, design=never))
    assert "can't be drawn (probability 0)" in refusal(
        RateSpec("corrected", BY), cells.judges, cells.sample.design
    )


def test_an_arm_without_gold_of_its_own_has_no_corrected_rate(study):
    draw = with_gold(study)
    remove(Gold.objects.filter(item__response__run__condition__name="pro"))
    draw.framed.filter(item__response__run__condition__name="pro").update(stratum="other")
    draw.strata.create(name="other", position=2, probability=1.0, rule={})
    rates = rate_document(study, RateSpec("corrected", BY))
    assert "No item of the stratum 'other'" in rates["refused"]


def test_too_little_gold_in_an_arm_is_said_and_the_other_estimated(study):
    draw = with_gold(study)
    keep = list(study.items.filter(response__run__condition__name="pro").values_list("pk", flat=True)[:3])
    remove(Gold.objects.filter(item__response__run__condition__name="pro").exclude(item__in=keep))
    assert draw
    rates = rate_document(study, RateSpec("corrected", BY))
    assert row_of(rates, "pro")["rate_all"] is None
    assert "3 gold items in this arm; 5 are needed" in row_of(rates, "pro")["why_all"]
    assert row_of(rates, "anti")["rate_all"] is not None


def test_no_judge_leaves_nothing_to_correct(study):
    remove(Rating.objects.all())
    with_gold(study)
    assert "No judge has voted" in rate_document(study, RateSpec("corrected", BY))["refused"]
    assert not rate_document(study, RateSpec("gold", BY))["refused"]


# Carried over


@pytest.fixture
def elsewhere(db):
    """Another study of the same judges, whose gold tells how they err."""
    study = arms({"base": 0.35, "other": 0.5}, tasks=80, slug="elsewhere", seed=9)
    with_gold(study)
    return study


def test_errors_are_carried_over_from_another_study(study, elsewhere):
    rates = rate_document(study, RateSpec("transported", BY, gold_from="elsewhere"))
    assert not rates["refused"], rates["refused"]
    assert rates["carried"]["sensitivity"] > 0.8 and rates["carried"]["positives"] > 20
    for condition in ("anti", "pro"):
        truth = np.mean(
            [study.truth[i.pk] for i in study.items.filter(response__run__condition__name=condition)]
        )
        row = row_of(rates, condition)
        assert row["low_all"] <= truth <= row["high_all"]
        assert row["rate_valid"] is None and "only target against the rest" in row["why_valid"]


def test_a_judge_that_was_not_blind_carries_nothing_over(study, elsewhere):
    rewrite(Rating.objects.filter(item__study=elsewhere, rater__name="judge-b"), shown={"blind": False})
    rates = rate_document(study, RateSpec("transported", BY, gold_from="elsewhere"))
    assert "Judge-b saw the condition, or is not known not to have" in rates["refused"]


def test_errors_that_differ_between_arms_are_not_carried_over(study, elsewhere):
    """In one arm of the other study the panel is wrong about most of what is convergent."""
    other = {label.key: label for label in study.scheme.labels.all()}
    items = elsewhere.items.filter(response__run__condition__name="other")
    for item in items:
        rewrite(Gold.objects.filter(item=item), label=other["convergence"])
    rates = rate_document(study, RateSpec("transported", BY, gold_from="elsewhere"))
    assert "errors differ between arms" in rates["refused"]


def test_other_judges_are_no_source_of_errors(study):
    with_gold(arms({"base": 0.3}, slug="elsewhere", judges=("judge-a", "judge-z")))
    assert (
        "are not those of this study"
        in rate_document(study, RateSpec("transported", BY, gold_from="elsewhere"))["refused"]
    )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (RateSpec("corrected", BY, gold_from="elsewhere"), "prevalence shift"),
        (RateSpec("raw", BY), "raw needs --source"),
        (RateSpec("gold", BY, source="judge-a"), "says nothing for --estimator gold"),
        (RateSpec("guess", BY), "--estimator is one of"),
        (RateSpec("gold", ("colour",)), "--by takes any of"),
    ],
)
def test_what_can_not_be_asked_is_told(study, asked, said):
    with pytest.raises(UserError, match=said):
        rate_document(study, asked)


# Labels as they are, differences, the command


def test_raw_rates_are_those_of_the_source(study):
    plain = observed_rates(study, "judge-a", BY)["rows"]
    rates = rate_document(study, RateSpec("raw", BY, source="judge-a"))
    assert rates["covers"] == "sampling error only"
    for one, other in zip(plain, rates["rows"], strict=True):
        assert {key: other[key] for key in one} == pytest.approx(one)
    these = rate_document(study, RateSpec("raw", BY, finite=True, source="judge-a"))["rows"]
    assert all(row["low_all"] == row["rate_all"] == row["high_all"] for row in these)


def test_among_these_items_labels_on_some_leave_the_rest_open(study):
    remove(Rating.objects.filter(item__in=study.items.all()[:30], rater__name="judge-a"))
    [anti, _] = rate_document(study, RateSpec("raw", BY, finite=True, source="judge-a"))["rows"]
    whole = rate_document(study, RateSpec("raw", BY, source="judge-a"))["rows"][0]
    assert anti["unlabelled"] == 30
    assert whole["low_all"] < anti["low_all"] < anti["rate_all"] < anti["high_all"] < whole["high_all"]


def test_differences_are_paired_by_task(study):
    with_gold(study, share=0.6)
    rates = rate_document(study, RateSpec("corrected", BY), ["condition=pro,anti"])
    [one] = rates["contrasts"]
    rows = {row["condition"]: row for row in rates["rows"]}
    assert one["contrast"] == "condition pro − anti"
    assert one["difference_all"] == pytest.approx(rows["pro"]["rate_all"] - rows["anti"]["rate_all"])
    assert 0 < one["low_all"] < one["difference_all"] < one["high_all"]
    [back] = rate_document(study, RateSpec("corrected", BY), ["condition=anti,pro"])["contrasts"]
    assert (back["low_all"], back["high_all"]) == pytest.approx((-one["high_all"], -one["low_all"]))


def test_pairing_narrows_the_difference_of_arms_that_share_their_tasks(study):
    """The same votes in both arms: next to nothing is left of what tasks differ by."""
    for pro in study.items.filter(response__run__condition__name="pro"):
        anti = study.items.get(response__run__condition__name="anti", response__task=pro.response.task)
        Item.objects.filter(pk=pro.pk).update(votes=anti.votes)
        for rating in anti.ratings.all():
            rewrite(Rating.objects.filter(item=pro, rater=rating.rater), label=rating.label)
    rates = rate_document(study, RateSpec("raw", BY, source="judge-a"), ["condition=pro,anti"])
    [one], row = rates["contrasts"], rates["rows"][0]
    assert one["difference_all"] == 0
    assert one["high_all"] - one["low_all"] < 0.3 * (row["high_all"] - row["low_all"])


def test_a_gap_between_two_differences(study):
    by = ("condition", "category")
    rows = {
        (r["condition"], r["category"]): r["rate_all"]
        for r in rate_document(study, RateSpec("majority", by))["rows"]
    }
    [one] = rate_document(study, RateSpec("majority", by), ["condition=pro,anti;category=Alpha,Beta"])[
        "contrasts"
    ]
    expected = (rows["pro", "Alpha"] - rows["anti", "Alpha"]) - (rows["pro", "Beta"] - rows["anti", "Beta"])
    assert one["difference_all"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("condition=pro", "--contrast is like"),
        ("category=Alpha,Beta", "with words of --by"),
        ("condition=pro,contra", "there is no condition 'contra'; there are anti, pro"),
    ],
)
def test_contrasts_that_can_not_be_are_told(study, spec, said):
    with pytest.raises(UserError, match=said):
        rate_document(study, RateSpec("majority", BY), [spec])


def test_controls_and_what_a_draw_did_not_draw_stay_out(study):
    with_gold(study, share=0.5)
    task = study.items.first().response.task
    type(task).objects.filter(pk=task.pk).update(control=True)
    rates = rate_document(study, RateSpec("corrected", BY))
    assert [row["n"] for row in rates["rows"]] == [59, 59]


def test_ppi_stands_beside_for_comparison(study):
    with_gold(study, share=0.9)
    one, other = (rate_document(study, RateSpec(name, BY)) for name in ("ppi", "corrected"))
    for condition in ("anti", "pro"):
        assert row_of(one, condition)["rate_all"] == pytest.approx(
            row_of(other, condition)["rate_all"], abs=0.08
        )


def test_ppi_takes_fifty_gold_items_in_the_arm(study):
    with_gold(study, share=0.5)
    for row in rate_document(study, RateSpec("ppi", BY))["rows"]:
        assert row["gold"] < 50 and row["rate_all"] is None
        assert (
            row["why_all"]
            == f"PPI++ takes 50 gold items in the arm, as its interval is a normal one; it has {row['gold']}"
        )


def test_a_few_queries_however_many_items(study, django_assert_max_num_queries):
    with_gold(study)
    with django_assert_max_num_queries(45):
        estimates(study, RateSpec("corrected", ("subject", "condition", "category")))


def test_the_command_says_what_is_refused_and_what_is_not(study):
    with_gold(study, share=0.5)
    options = [
        "--estimator",
        "corrected",
        "--by",
        "condition",
        "--finite",
        "--contrast",
        "condition=pro,anti",
    ]
    told = command("rates", "arms", *options)
    assert told["estimand"] == "these very items" and len(told["contrasts"]) == 1
    assert command("rates", "arms", "--source", "judge-a", "--finite")["estimator"] == "raw"
    assert (
        command("rates", "arms", "--source", "majority", "--contrast", "condition=pro,anti")["estimator"]
        == "majority"
    )
    assert Draw.objects.count() == 1


# Which tasks a rate is over


def relabelled(study, rater, condition, numbers, key):
    """The rater's labels on the first so many tasks of a condition become another one."""
    items = study.items.filter(response__run__condition__name=condition).order_by("response__task")
    chosen = [items[number].pk for number in numbers]
    labels = Rating.objects.filter(item__in=chosen, rater__name=rater)
    labelled = list(labels.values_list("item_id", flat=True))
    remove(labels)
    label = study.scheme.labels.get(key=key)
    person = builders.rater(rater)
    record(
        study.scheme,
        [Entry(item_id=pk, rater=person, label=label.key, shown={"blind": True}) for pk in labelled],
    )


def votes_by_task(study, rater, condition):
    labels = Rating.objects.filter(
        item__response__run__condition__name=condition, item__study=study, rater__name=rater
    )
    return [one.label.role for one in labels.order_by("item__response__task").select_related("label")]


@pytest.mark.engine
def test_a_difference_of_valid_rates_over_different_tasks_says_so_and_is_given_over_those_in_common(study):
    relabelled(study, "judge-a", "anti", range(10), "nonsensical")
    relabelled(study, "judge-a", "pro", range(5, 20), "nonsensical")
    rates = rate_document(study, RateSpec("raw", BY, source="judge-a"), ["condition=pro,anti"])
    [gap] = rates["contrasts"]
    assert "different tasks (45 and 50; 40 in common)" in gap["caution_valid"]
    assert (gap["caution_all"], gap["common_tasks_valid"]) == ("", 40)
    both = [votes_by_task(study, "judge-a", name)[20:] for name in ("pro", "anti")]
    hits = [np.array([role == "target" for role in roles], dtype=float) for roles in both]
    rates_ = [clustered_rate(one, np.ones(40)) for one in hits]
    together = task_correlation([task_influence(one, np.ones(40)) for one in hits])
    bounds = zip(*((one.estimate, one.low, one.high) for one in rates_), strict=True)
    expected = contrast([1, -1], *bounds, together)
    assert gap["difference_common_valid"] == pytest.approx(expected.estimate)
    assert (gap["low_common_valid"], gap["high_common_valid"]) == pytest.approx((expected.low, expected.high))
    assert gap["difference_valid"] != pytest.approx(expected.estimate)


def test_arms_over_the_same_tasks_need_no_such_word(study):
    [gap] = rate_document(study, RateSpec("raw", BY, source="judge-a"), ["condition=pro,anti"])["contrasts"]
    assert (gap["caution_valid"], gap["caution_all"]) == ("", "")
    assert "common_tasks_valid" not in gap


def test_gold_that_is_excluded_leaves_tasks_that_are_not_known(study):
    with_gold(study)
    excluded = study.scheme.labels.get(key="nonsensical")
    anti = Gold.objects.filter(item__response__run__condition__name="anti").order_by("item__response__task")
    rewrite(Gold.objects.filter(pk__in=[one.pk for one in anti[:15]]), label=excluded)
    for name in ("corrected", "gold"):
        [gap] = rate_document(study, RateSpec(name, BY), ["condition=pro,anti"])["contrasts"]
        assert "By gold 100 % and 75 % of the responses are valid" in gap["caution_valid"]
        assert gap["caution_all"] == "" and "common_tasks_valid" not in gap


def without(study, items):
    """The study as it were if those items had never been in it."""
    remove(Gold.objects.filter(item__in=items))
    remove(Rating.objects.filter(item__in=items))
    study.draws.get().framed.filter(item__in=items).delete()
    items.delete()
    cache.clear()


@pytest.mark.parametrize("name", ["corrected", "gold"])
def test_arms_that_were_given_different_tasks_are_compared_over_those_in_common(study, name):
    with_gold(study)
    pro = study.items.filter(response__run__condition__name="pro")
    gone = [item.response.task_id for item in pro.order_by("response__task")[:12]]
    without(study, pro.filter(response__task__in=gone))
    [gap] = rate_document(study, RateSpec(name, BY), ["condition=pro,anti"])["contrasts"]
    assert "different tasks (48 and 60; 48 in common)" in gap["caution_valid"]
    assert gap["common_tasks_valid"] == 48
    assert gap["difference_common_valid"] != pytest.approx(gap["difference_valid"], abs=1e-6)
    without(study, study.items.filter(response__task__in=gone))
    [same] = rate_document(study, RateSpec(name, BY), ["condition=pro,anti"])["contrasts"]
    assert same["caution_valid"] == ""
    assert same["difference_valid"] == pytest.approx(gap["difference_common_valid"])
    assert (same["low_valid"], same["high_valid"]) == pytest.approx(
        (gap["low_common_valid"], gap["high_common_valid"])
    )


def test_few_effective_tasks_are_said_of_raw_rates_and_of_differences():
    study = builders.study("few", tasks=7, epochs=24)
    person = builders.rater("judge-a")
    entries = [
        Entry(item_id=pk, rater=person, label="no_convergence", shown={"blind": True})
        for pk in study.items.values_list("pk", flat=True)
    ]
    record(study.scheme, entries)
    for rates in (
        observed_rates(study, "judge-a", ["condition"]),
        rate_document(study, RateSpec("raw", BY, source="judge-a")),
    ):
        [row] = rates["rows"]
        assert row["effective_tasks"] == 7
        assert (row["low_all"], row["high_all"]) == pytest.approx((0, 0.1664), abs=5e-5)
        assert "fewer than 30 effective tasks (the fewest: baseline, 7.0;" in rates["notes"][0]
    assert rate_document(study, RateSpec("raw", BY, finite=True, source="judge-a"))["notes"][0].startswith(
        "Where every"
    )


def test_a_difference_over_few_tasks_carries_the_caution():
    study = arms({"anti": 0.2, "pro": 0.6}, tasks=12, slug="twelve")
    [gap] = rate_document(study, RateSpec("majority", BY), ["condition=pro,anti"])["contrasts"]
    assert (
        gap["caution_all"]
        == gap["caution_valid"]
        == "Over 12.0 effective tasks, fewer than 30: take the interval as rough."
    )
    [these] = rate_document(study, RateSpec("majority", BY, finite=True), ["condition=pro,anti"])["contrasts"]
    assert these["caution_all"] == ""
