"""Agreement: the same figures as krippendorff's own package on the same labels, and a reason where there is
none."""

import random

import krippendorff
import numpy as np
import pytest

from annotation.models import PlacePurpose, Rater, Study
from arbiter.analysis.agreement.coefficients import agreement, pair_of
from arbiter.core.errors import UserError
from tests import builders

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
LABELS = ["convergence", "no_convergence", "safety_refusal", "nonsensical"]
RATERS = ["ann", "judge-a", "judge-b"]


def rated(matrix, names=RATERS, **fields) -> Study:
    """A study rated so: a row a rater, None for no label."""
    study = builders.study(tasks=4, epochs=-(-len(matrix[0]) // 4))
    for name, row in zip(names, matrix, strict=True):
        by = builders.rater(name, "human" if name == "ann" else "judge")
        for item, label in zip(study.items.order_by("id"), row, strict=False):
            if label is not None:
                builders.rate(item, by, LABELS[label], **fields)
    return study


def drawn(seed, raters=3, items=12):
    """Labels that agree more often than not, some missing."""
    chance = random.Random(seed)
    truth = [chance.randrange(4) for _ in range(items)]
    return [
        [
            None if chance.random() < 0.2 else t if chance.random() < 0.7 else chance.randrange(4)
            for t in truth
        ]
        for _ in range(raters)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_alpha_is_krippendorffs(seed):
    matrix = drawn(seed)
    measured = agreement(rated(matrix))
    data = np.array([[np.nan if label is None else label for label in row] for row in matrix])
    assert measured["alpha"] == pytest.approx(krippendorff.alpha(data, level_of_measurement="nominal"))
    assert measured["low"] <= measured["alpha"] <= measured["high"]
    labelled = (~np.isnan(data)).sum(axis=0)
    assert (measured["raters"], measured["names"]) == (3, RATERS)
    assert (measured["items"], measured["pairable"]) == ((labelled > 0).sum(), (labelled > 1).sum())
    for pair in measured["pairs"]:
        rows = [data[RATERS.index(pair[which])] for which in ("first", "second")]
        both = ~np.isnan(rows[0]) & ~np.isnan(rows[1])
        assert pair["items"] == both.sum()
        assert pair["percent"] == pytest.approx((rows[0][both] == rows[1][both]).mean())
        assert pair["alpha"] == pytest.approx(
            krippendorff.alpha(np.array(rows), level_of_measurement="nominal")
        )


def test_percent_agreement_is_the_share_of_agreeing_pairs():
    measured = agreement(rated([[0, 1, 2], [0, 1, 1], [0, 2, 0]]))
    assert measured["percent"] == pytest.approx((1 + 1 / 3 + 0) / 3)


def test_only_the_raters_named_are_compared():
    study = rated([[0, 1, 2, 0], [0, 1, 2, 1], [3, 3, 3, 3]])
    measured = agreement(study, ["judge-a", "ann"])
    assert (measured["names"], measured["items"], measured["percent"]) == (["judge-a", "ann"], 4, 0.75)
    assert [(pair["first"], pair["second"]) for pair in measured["pairs"]] == [("judge-a", "ann")]
    assert agreement(study, ["judge-a", "ann", "judge-a"]) == measured  # nobody agrees with himself
    with pytest.raises(
        UserError, match="'nobody' has no rating in study 'tiny'; those who have: ann, judge-a, judge-b"
    ):
        agreement(study, ["ann", "nobody"])


def test_of_a_judges_versions_the_latest_is_compared():
    study = rated([[0, 1], [0, 1]], ["ann", "judge-a"])
    newer = Rater.objects.create(name="judge-a", version=2, kind="judge")
    builders.rate(study.items.first(), newer, LABELS[3])
    assert agreement(study)["names"] == ["ann", "judge-a@2"]
    assert agreement(study, ["judge-a@1", "judge-a@2"])["percent"] == 0


@pytest.mark.parametrize(
    ("matrix", "why", "percent"),
    [
        ([[0, 1, None, None], [None, None, 0, 1]], "no item has labels from two raters or more", None),
        ([[0, 0, 0, 0], [0, 0, 0, 0]], "only one label occurs among the pairable items", 1.0),
    ],
)
def test_where_there_is_no_figure_the_reason_is_given(matrix, why, percent):
    measured = agreement(rated(matrix, ["judge-a", "judge-b"]))
    assert why in measured["undefined"]
    assert (measured["alpha"], measured["low"], measured["high"], measured["percent"]) == (
        None,
        None,
        None,
        percent,
    )


def test_with_one_task_there_is_alpha_and_no_interval():
    study = rated([[0, 1, None, None], [0, 0, None, None]], ["ann", "judge-a"])
    first = study.items.order_by("id")[0].response
    type(first).objects.filter(task__key="task-2").update(task=first.task, epoch=2)
    measured = agreement(study)
    assert measured["alpha"] is not None
    assert (measured["low"], measured["high"]) == (None, None)
    assert "only one task has pairable items" in measured["undefined"]


def test_a_study_without_ratings_has_nothing_to_compare():
    measured = agreement(builders.study())
    assert (
        measured["raters"],
        measured["items"],
        measured["pairable"],
        measured["pairs"],
        measured["alpha"],
    ) == (0, 0, 0, [], None)
    assert measured["undefined"]


def test_a_single_rater_has_nobody_to_agree_with():
    measured = agreement(rated([[0, 1, 2]], ["ann"]))
    assert (measured["raters"], measured["items"], measured["pairable"], measured["pairs"]) == (1, 3, 0, [])
    assert "two raters" in measured["undefined"]


def test_repeats_checks_and_earlier_revisions_are_no_votes():
    study = rated([[0, 1], [0, 1]], ["ann", "judge-a"])
    item = study.items.first()
    builders.rate(item, builders.rater("judge-a"), LABELS[2])
    builders.rate(item, builders.rater("judge-a"), LABELS[0])  # back to what it said
    builders.rate(item, builders.rater("judge-a"), LABELS[3], ordinal=1)
    builders.rate(item, builders.rater("checker", "human"), LABELS[3], purpose=PlacePurpose.GOLD_CHECK)
    measured = agreement(study, ["ann", "judge-a"])
    assert (measured["items"], measured["percent"]) == (2, 1.0)


def test_a_simulated_rater_marks_the_figures():
    assert not agreement(rated([[0, 1], [0, 1]], ["ann", "judge-a"]))["simulated"]
    study = builders.study("other")
    builders.rate(study.items.first(), builders.rater("sim"), simulated=True)
    assert agreement(study)["simulated"]


def test_the_confusion_table_counts_the_firsts_labels_by_the_seconds():
    study = rated([[0, 0, 1, 3, None], [0, 1, 1, 3, 2]], ["ann", "judge-a"])
    table = [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert pair_of(study, "ann", "judge-a")["table"] == table
    assert pair_of(study, "judge-a", "ann")["table"] == np.transpose(table).tolist()
    assert pair_of(study, "ann@1", "judge-a@1")["table"] == table


def test_the_confusion_table_of_raters_who_share_no_item_is_empty():
    study = rated([[0, None], [None, 1]], ["ann", "judge-a"])
    assert pair_of(study, "ann", "judge-a")["table"] == [[0] * 4] * 4
