"""Rates: their counts, denominators and intervals, for every source of labels."""

import pytest

from annotation.adjudication import adjudicate
from annotation.models import Gold, Item, PlacePurpose, Rater, Rating, Study
from annotation.schemes import builtin_scheme
from arbiter.analysis.rates.observedrates import observed_rates
from arbiter.core.errors import UserError
from arbiter.statistics import clustered_rate, wilson
from benchmark.models import Condition, Task
from judging.settlement.settling import settle
from tests import builders

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
C, N, S, X = "convergence", "no_convergence", "safety_refusal", "nonsensical"


def study_of(*labels_by_task, by="judge-a", slug="tiny"):
    """A study whose tasks' responses, one an epoch, one rater gave these labels; None for no label."""
    suite = builders.suite(slug, tasks=len(labels_by_task))
    study = Study.objects.create(slug=slug, title=slug, scheme=builtin_scheme("four-class"))
    run, rater = builders.run(suite), builders.rater(by)
    for task, labels in zip(suite.tasks.order_by("id"), labels_by_task, strict=True):
        for epoch, label in enumerate(labels, start=1):
            item = Item.objects.create(study=study, response=builders.response(run, task, epoch))
            if label:
                builders.rate(item, rater, label)
    return study


def only_row(study, source="judge-a", by=("subject",)):
    [row] = observed_rates(study, source, by)["rows"]
    return row


def bounds(row, which):
    return row[f"rate_{which}"], row[f"low_{which}"], row[f"high_{which}"]


def test_counts_and_both_denominators():
    row = only_row(study_of([C], [N], [X], [S], [C], [None]))
    assert {key: row[key] for key in ("subject", "n", "unlabelled", "excluded", "target")} == {
        "subject": "model-a",
        "n": 5,
        "unlabelled": 1,
        "excluded": 1,
        "target": 2,
    }
    assert (row["rate_valid"], row["rate_all"]) == (2 / 4, 2 / 5)


def test_with_a_response_a_task_the_interval_is_wilsons():
    row = only_row(study_of([C], [N], [X], [S], [C]))
    for which, n in [("valid", 4), ("all", 5)]:
        interval = wilson(2, n)
        assert bounds(row, which) == pytest.approx((2 / n, interval.low, interval.high))


def test_several_responses_to_a_task_widen_it():
    row = only_row(study_of([C, C, C], [N, N, X], [S, N, C]))
    valid, every = clustered_rate([3, 0, 1], [3, 2, 3]), clustered_rate([3, 0, 1], [3, 3, 3])
    assert bounds(row, "valid") == (valid.estimate, valid.low, valid.high)
    assert bounds(row, "all") == (every.estimate, every.low, every.high)
    plain = wilson(4, 8)
    assert valid.low < plain.low < plain.high < valid.high


def test_a_task_whose_responses_are_all_excluded_is_no_cluster_of_the_valid():
    row = only_row(study_of([C, N], [X, X]))
    valid = clustered_rate([1], [2])
    assert bounds(row, "valid") == (valid.estimate, valid.low, valid.high)


@pytest.mark.parametrize(
    ("labels", "valid", "every"),
    [([X, X], None, 0.0), ([None, None], None, None)],
    ids=["all excluded", "none labelled"],
)
def test_a_rate_over_nothing_is_null(labels, valid, every):
    study = study_of(labels)
    if labels == [None, None]:  # the rater must be in the study to be a source
        builders.rate(study.items.first(), builders.rater(), C, purpose=PlacePurpose.TRAINING)
    row = only_row(study)
    assert (row["rate_valid"], row["rate_all"]) == (valid, every)
    assert (row["low_valid"], row["high_valid"]) == (None, None)
    assert (row["low_all"] is None, row["high_all"] is None) == (every is None, every is None)


def test_controls_stay_out():
    study = study_of([C], [N], [C])
    Task.objects.filter(key="task-3").update(control=True)
    for source in ("judge-a", "majority"):
        row = only_row(study, source)
        assert (row["n"], row["target"], row["unlabelled"]) == (2, 1, 0)


def test_cells_are_by_what_was_asked_in_the_order_of_their_names():
    study = study_of([C, N], [X, C])
    run = builders.run(study.items.first().response.run.suite, "another", "nudged")
    Item.objects.create(study=study, response=builders.response(run, Task.objects.first()))
    rows = observed_rates(study, "judge-a", ["subject", "condition", "category"])["rows"]
    assert [(r["subject"], r["condition"], r["category"], r["n"], r["unlabelled"]) for r in rows] == [
        ("another", "nudged", "Alpha", 0, 1),
        ("model-a", "baseline", "Alpha", 2, 0),
        ("model-a", "baseline", "Beta", 2, 0),
    ]
    assert [row["category"] for row in observed_rates(study, "judge-a", ["category"])["rows"]] == [
        "Alpha",
        "Beta",
    ]
    assert "condition" not in observed_rates(study, "judge-a", ["category"])["rows"][0]


def test_two_conditions_of_one_name_are_told_apart():
    study = study_of([C], [N])
    suite = study.items.first().response.run.suite
    other = Condition.objects.create(name="baseline", prompt_suffix=" Please.")
    subject = study.items.first().response.run.subject
    run = suite.runs.create(subject=subject, condition=other)
    Item.objects.create(study=study, response=builders.response(run, Task.objects.first()))
    names = {
        row["condition"]: row["n"] + row["unlabelled"]
        for row in observed_rates(study, "judge-a", ["subject", "condition"])["rows"]
    }
    first = Condition.objects.exclude(pk=other.pk).get()
    assert names == {f"baseline #{other.content_hash[:6]}": 1, f"baseline #{first.content_hash[:6]}": 2}


def test_a_name_is_its_latest_version_and_name_at_version_is_that_one():
    study = study_of([C], [C])
    newer = Rater.objects.create(name="judge-a", version=2, kind="judge")
    builders.rate(study.items.first(), newer, N)
    counts = {
        source: (only_row(study, source)["n"], only_row(study, source)["target"])
        for source in ("judge-a", "judge-a@1", "judge-a@2")
    }
    assert counts == {"judge-a": (1, 0), "judge-a@1": (2, 2), "judge-a@2": (1, 0)}
    with pytest.raises(UserError, match="'judge-b' has no rating in study 'tiny'; those who have: judge-a"):
        observed_rates(study, "judge-b", ["subject"])


def test_only_current_votes_count():
    study = study_of([C], [C])
    item, by = study.items.first(), builders.rater()
    builders.rate(item, by, N)  # it thought again
    for fields in ({"ordinal": 1}, {"purpose": PlacePurpose.TRAINING}, {"question": "harm"}):
        builders.rate(item, by, X, **fields)
    builders.rate(item, builders.rater("late", "human"), X, surplus=True)
    row = only_row(study)
    assert (row["n"], row["target"], row["excluded"]) == (2, 1, 0)
    assert only_row(study, "majority")["target"] == 1
    assert only_row(study, "late")["n"] == 0


def test_the_majority_leaves_ties_unlabelled_and_counts_the_voters_only():
    study = study_of([C], [C], [C], [None])
    items = list(study.items.order_by("id"))
    for name, labels in {"judge-b": [N, C, N], "judge-c": [N, N]}.items():
        for item, label in zip(items, labels, strict=False):
            builders.rate(item, builders.rater(name), label)
    row = only_row(study, "majority")
    assert (row["n"], row["target"], row["unlabelled"]) == (2, 1, 2)
    study.voters = ["judge-a"]
    assert (only_row(study, "majority")["n"], only_row(study, "majority")["target"]) == (3, 3)


def test_gold_is_its_newest_revision():
    study = study_of([None], [None], [None])
    first, second, _ = study.items.order_by("id")
    labels = {label.key: label for label in study.scheme.labels.all()}
    for item, key, revision in [(first, C, 1), (first, N, 2), (second, C, 1)]:
        Gold.objects.create(item=item, label=labels[key], revision=revision, origin="imported")
    row = only_row(study, "gold")
    assert (row["n"], row["target"], row["unlabelled"]) == (2, 1, 1)


def test_settled_is_the_newest_settlement():
    study = study_of([C], [N], [None])
    settle(study)
    adjudicate(study.items.first(), builders.rater("judge", "human"), N, "It waits.")
    assert only_row(study, "settled")["target"] == 1  # until it is settled anew
    settle(study)
    row = only_row(study, "settled")
    assert (row["n"], row["target"], row["unlabelled"]) == (2, 0, 1)


def test_a_simulated_raters_labels_are_marked_wherever_they_count():
    study = study_of([C], [N], [None])
    marked = {
        source: observed_rates(study, source, ["subject"])["simulated"]
        for source in ("judge-a", "majority", "gold")
    }
    assert marked == {"judge-a": False, "majority": False, "gold": False}
    builders.rate(study.items.last(), builders.rater("sim"), C, simulated=True)
    settle(study)
    marked = {
        source: observed_rates(study, source, ["subject"])["simulated"]
        for source in ("judge-a", "sim", "majority", "settled")
    }
    assert marked == {"judge-a": False, "sim": True, "majority": True, "settled": True}


def test_another_studys_ratings_of_the_same_responses_do_not_count():
    study = study_of([C], [N])
    other = Study.objects.create(slug="other", title="Other", scheme=study.scheme)
    for item in study.items.all():
        builders.rate(Item.objects.create(study=other, response=item.response), builders.rater(), C)
    assert only_row(study)["target"] == 1
    assert only_row(other)["target"] == 2


@pytest.mark.parametrize(
    ("by", "said"),
    [
        (
            ["subject", "model"],
            "--by takes any of subject, condition, category, with commas between; found 'model'",
        ),
        ([], "--by needs at least one of subject, condition, category"),
        (["subject", "subject"], "--by names 'subject' twice"),
    ],
)
def test_what_rates_can_not_be_by_is_told(by, said):
    with pytest.raises(UserError, match=said):
        observed_rates(study_of([C]), "judge-a", by)


def test_the_figures_cost_a_few_queries_however_many_items(django_assert_max_num_queries):
    study = study_of(*[[C, N, X]] * 20)
    with django_assert_max_num_queries(1 + 9):  # the first asks whether an import is under way
        observed_rates(study, "judge-a", ["subject", "condition", "category"])
    assert Rating.objects.count() == 60
