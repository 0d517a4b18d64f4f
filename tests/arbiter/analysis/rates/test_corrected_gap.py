"""The gap between two arms of the real steering runs, where the judge errs differently in each and the truth
is known."""

import numpy as np
import pytest

from arbiter.statistics import (
    ArmGold,
    clustered_rate,
    contrast,
    post_stratified_all,
    task_correlation,
    task_influence,
)
from judging.votes.counting import group_names, votes_of
from tests.arbiter.cli.commands import document
from tests.studies.worlds import tally

pytestmark = pytest.mark.django_db
REPETITIONS, BUDGET, SPLIT_SHARE = 500, 300, 0.4
# The stated error model of the imported judge: how likely a response is convergent where it says so, and
# where it doesn't.
TRUTH = {"pro_ic": (0.65, 0.03), "anti_ic": (0.95, 0.2), "baseline": (0.8, 0.1)}
# Two more judges, by arm: sensitivity and specificity.
MORE = (
    {"pro_ic": (0.9, 0.7), "anti_ic": (0.7, 0.95), "baseline": (0.8, 0.85)},
    {"pro_ic": (0.85, 0.8), "anti_ic": (0.75, 0.9), "baseline": (0.75, 0.9)},
)


@pytest.fixture
def responses(shared):
    """Of every response: its task, arm, subject and whether the imported judge found it convergent."""
    document("loadsuite", shared / "instrumentaleval", "--slug", "instrumentaleval")
    options = ["--format", "steering", "--suite", "instrumentaleval", "--study", "steering"]
    document("importresponses", shared / "steering", *options)
    from annotation.models import Study

    study = Study.objects.get(slug="steering")
    votes = votes_of(study, ("task", "condition", "subject"))
    names = group_names(study, "condition")
    arm = np.array([names[pk] for pk in votes.groups["condition"].tolist()])
    target = np.array([label.role == "target" for label in votes.labels])
    rows = np.repeat(np.arange(len(votes.counts)), votes.counts)
    task = np.unique(votes.groups["task"], return_inverse=True)[1]
    assert len(rows) == 852
    return task[rows], arm[rows], votes.groups["subject"][rows], target[votes.patterns[:, 0]][rows]


def chances(by_arm, arm, side):
    return np.array([by_arm[name][side] for name in arm])


def worlds(arm, says, rng):
    """Truths and numbers of target votes: both (repetitions, responses)."""
    shape = (REPETITIONS, len(arm))
    truth = rng.random(shape) < np.where(says, chances(TRUTH, arm, 0), chances(TRUTH, arm, 1))
    votes = np.tile(says.astype(int), (REPETITIONS, 1))
    for judge in MORE:
        chance = np.where(truth, chances(judge, arm, 0), 1 - chances(judge, arm, 1))
        votes += rng.random(shape) < chance
    return truth, votes


def weighted_gold(votes, rng):
    """Which are drawn, and the items each stands for: 40 % of the budget where judges split."""
    split = (votes > 0) & (votes < 3)
    order = np.argsort(rng.random(votes.shape) + split, axis=1)
    place = np.argsort(order, axis=1)  # those that are not split come first
    rest = (~split).sum(axis=1, keepdims=True)
    of_split = np.minimum(votes.shape[1] - rest, round(BUDGET * SPLIT_SHARE))
    of_rest = BUDGET - of_split
    drawn = np.where(split, place - rest < of_split, place < of_rest)
    return drawn, np.where(split, (votes.shape[1] - rest) / of_split, rest / of_rest)


def counted(chosen, task, truth, votes, drawn, weight):
    """An arm of every repetition as the estimator takes it."""
    tasks = int(task.max()) + 1
    items = tally(task[chosen] * 4 + votes[:, chosen], tasks * 4).reshape(-1, tasks, 4)
    cells = (task[chosen] * 4 + votes[:, chosen]) * 3 + (1 - truth[:, chosen].astype(int))
    parts = [
        tally(cells, tasks * 12, (drawn * worth)[:, chosen]).reshape(-1, tasks, 4, 3)
        for worth in (np.ones_like(weight), weight, weight**2)
    ]
    return items, ArmGold(*parts)


def raw_gap(task, says, pro, anti):
    tables = [
        (np.bincount(task[one], weights=says[one], minlength=71), np.bincount(task[one], minlength=71))
        for one in (pro, anti)
    ]
    rates = [clustered_rate(*table) for table in tables]
    together = task_correlation([task_influence(*table) for table in tables])
    return contrast([1, -1], *zip(*[(r.estimate, r.low, r.high) for r in rates], strict=True), together)


def covered(estimates, truths, correlated):
    """Repetitions whose corrected gap holds the true one, and the mean width."""
    held, width = 0, 0.0
    for n, true in enumerate(truths):
        rates = [(one.estimate[n], one.low[n], one.high[n]) for one in estimates]
        together = task_correlation([one.influence[n] for one in estimates]) if correlated else None
        gap = contrast([1, -1], *zip(*rates, strict=True), together)
        held += gap.low <= true + 1e-12 and true - 1e-12 <= gap.high
        width += gap.high - gap.low
    return held / len(truths), width / len(truths)


def test_the_corrected_gap_covers_the_truth_and_the_raw_gap_does_not(responses):
    task, arm, _, says = responses
    rng = np.random.default_rng(5)
    truth, votes = worlds(arm, says, rng)
    drawn, weight = weighted_gold(votes, rng)
    pro, anti = arm == "pro_ic", arm == "anti_ic"
    gaps = truth[:, pro].mean(axis=1) - truth[:, anti].mean(axis=1)
    arms = [counted(one, task, truth, votes, drawn, weight) for one in (pro, anti)]
    raw = raw_gap(task, says, pro, anti)
    assert np.mean((raw.low <= gaps) & (gaps <= raw.high)) < 0.5
    for finite in (True, False):
        estimates = [post_stratified_all(*one, finite=finite) for one in arms]
        share, width = covered(estimates, gaps, correlated=not finite)
        assert share >= 0.93, (finite, share)
        assert width < 0.35


def test_so_does_that_of_every_subject_with_less_gold(responses):
    task, arm, subject, says = responses
    rng = np.random.default_rng(6)
    truth, votes = worlds(arm, says, rng)
    drawn, weight = weighted_gold(votes, rng)
    shares = []
    for one in np.unique(subject):
        pair = [(arm == name) & (subject == one) for name in ("pro_ic", "anti_ic")]
        gaps = truth[:, pair[0]].mean(axis=1) - truth[:, pair[1]].mean(axis=1)
        arms = [
            post_stratified_all(*counted(mine, task, truth, votes, drawn, weight), finite=True)
            for mine in pair
        ]
        shares.append(covered(arms, gaps, correlated=False)[0])
    assert np.mean(shares) >= 0.93, shares
