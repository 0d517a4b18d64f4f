"""Posteriors that mean what they say: calibration error, temperature, shrinkage, cross-fitting, weighted
votes."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm, t

from arbiter.statistics import Interval, Undefined, WeightedShare
from arbiter.statistics.dawid_skene import dawid_skene
from arbiter.statistics.posteriors import (
    FEWEST,
    calibrate,
    calibration_bins,
    calibration_error,
    fit_temperature,
    least_share,
    temper,
    vote_weights,
    weighted_share,
    weighted_votes,
)
from arbiter.statistics.rates import wilson
from judging.settlement.scores import backing
from tests.studies.settlement import SCENARIOS, drawn, items, row, table

from .plain_em import correlated, distinct, voted


def score(posteriors, gold, weights):
    return -(weights * np.log(posteriors[np.arange(len(gold)), gold])).sum()


# Calibration error


def test_by_hand():
    confidence = np.array([0.95, 0.95, 0.85, 0.85, 0.55])
    right = np.array([True, False, True, True, True])
    bins = calibration_bins(confidence, right)
    assert [(one.low, one.items, one.right) for one in bins] == [(0.5, 1, 1.0), (0.8, 2, 1.0), (0.9, 2, 0.5)]
    assert calibration_error(confidence, right) == pytest.approx((0.45 + 2 * 0.15 + 2 * 0.45) / 5)
    weighted = calibration_error(confidence, right, np.array([1, 1, 0, 0, 2.0]))
    assert weighted == pytest.approx((2 * 0.45 + 2 * 0.45) / 4)


def test_edges_belong_to_the_bin_above_and_one_to_the_last():
    bins = calibration_bins(np.array([0.0, 0.3, 0.7, 0.1 + 0.2, 1.0]), np.ones(5, dtype=bool))
    assert [(round(one.low, 1), one.items) for one in bins] == [(0.0, 1), (0.3, 2), (0.7, 1), (0.9, 1)]


def test_a_weight_is_as_many_items():
    random = np.random.default_rng(2)
    confidence, right = random.random(50), random.random(50) < 0.5
    times = random.integers(1, 5, 50)
    assert calibration_error(confidence, right, times.astype(float)) == pytest.approx(
        calibration_error(np.repeat(confidence, times), np.repeat(right, times))
    )


def test_no_items_have_no_calibration_error():
    with pytest.raises(Undefined):
        calibration_error(np.array([]), np.array([], dtype=bool))


@pytest.mark.parametrize("confidence", [[1.2], [-0.1]])
def test_what_is_no_confidence_is_refused(confidence):
    with pytest.raises(ValueError):
        calibration_error(np.array(confidence), np.array([True]))


# Temperature


@given(st.floats(1, 20), st.lists(st.floats(0.01, 1), min_size=2, max_size=5))
def test_temperature_keeps_the_order_and_makes_less_sure(temperature, parts):
    posterior = np.array([parts]) / sum(parts)
    tempered = temper(posterior, temperature)
    assert tempered.sum() == pytest.approx(1) and tempered.max() <= posterior.max() + 1e-12
    assert (np.argsort(tempered[0], kind="stable") == np.argsort(posterior[0], kind="stable")).all() or len(
        set(parts)
    ) < len(parts)


def test_a_temperature_of_one_changes_nothing_and_a_high_one_knows_nothing():
    posterior = np.array([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(temper(posterior, 1), posterior, atol=1e-12)
    np.testing.assert_allclose(temper(posterior[:1], 1e6), 1 / 3, atol=1e-4)
    with pytest.raises(ValueError):
        temper(posterior, 0)


def test_the_temperature_is_the_likeliest():
    random = np.random.default_rng(4)
    posteriors = random.dirichlet([0.3, 0.3, 0.3], 400)
    truth = np.array([random.choice(3, p=temper(row[None], 2.5)[0]) for row in posteriors])
    weights = random.random(400) + 0.5
    fitted = fit_temperature(posteriors, truth, weights)
    grid = np.linspace(1, 8, 1500)
    best = grid[np.argmin([score(temper(posteriors, t), truth, weights) for t in grid])]
    assert fitted == pytest.approx(best, abs=0.02) and 1.8 < fitted < 3.5


def test_it_never_sharpens():
    posteriors, gold = np.full((30, 2), [0.6, 0.4]), np.zeros(30, dtype=int)
    assert fit_temperature(posteriors, gold, np.ones(30)) == 1


# The whole


def fit(seed=0, share=0.2, weights=None, **how):
    """Fit judges who err together, with gold on a share of items: the fit, and what is left to score."""
    truth, votes = correlated(seed, **how)
    patterns, row, counts = distinct(votes)
    chosen = np.random.default_rng(seed + 1000).permutation(len(truth))[: round(share * len(truth))]
    tasks = np.arange(len(truth)) % 76
    calibrated = calibrate(
        patterns, counts, row[chosen], truth[chosen], tasks[chosen], np.ones(len(chosen)), 2
    )
    return calibrated, truth, row, chosen, np.setdiff1d(np.arange(len(truth)), chosen), (patterns, counts)


def error_of(posteriors, truth):
    return calibration_error(np.minimum(posteriors.max(axis=1), 1), posteriors.argmax(axis=1) == truth)


def test_judges_who_share_their_errors():
    """The settlement of correlated judges: tests/studies/settlement.py has it over many more repetitions."""
    plain, calibrated, told, sure, right = [], [], [], [], []
    for seed in range(12):
        fitted, truth, row, chosen, rest, (patterns, counts) = fit(seed)
        model = dawid_skene(patterns, counts, 2)
        plain.append(error_of(model.posteriors[row[rest]], truth[rest]))
        calibrated.append(error_of(fitted.posteriors[row[rest]], truth[rest]))
        told.append(error_of(fitted.out, truth[chosen]))
        sure.append(model.posteriors[row].max(axis=1).mean())
        right.append((model.posteriors[row].argmax(axis=1) == truth).mean())
    assert np.mean(sure) > 0.98 and np.mean(right) < 0.9  # what it is about
    assert np.mean(plain) > 0.09
    assert np.mean(calibrated) <= 0.04
    assert np.mean(told) <= 0.05  # what is said of it, on gold left out


SHARED = Path(__file__).parents[4] / "shared"


@pytest.mark.skipif(
    not (SHARED / "worlds").is_dir(), reason="the simulated worlds are not beside this checkout"
)
@pytest.mark.parametrize("cell", ["weak raters, 3 of them, gold 70", "weak raters, 5 of them, gold 100"])
def test_weak_raters_settle_nothing_at_nine_tenths(cell, monkeypatch):
    """Raters with a view of their own, who barely follow the experts: claimed .94, right .72 before gold in
    its own bin was asked for."""
    monkeypatch.syspath_prepend(str(SHARED))
    worlds = pytest.importorskip("worlds")
    for repetition in range(6):
        study = worlds.simulate(worlds.cell_named(cell), repetition)
        patterns, place, counts = np.unique(study.votes, axis=0, return_inverse=True, return_counts=True)
        gold = np.flatnonzero(study.gold)
        weights, rows = 1 / study.inclusion[gold], place.reshape(-1)[gold]
        calibrated = calibrate(patterns, counts, rows, study.label[gold], study.task[gold], weights, 3)
        right = calibrated.out.argmax(axis=1) == study.label[gold]
        backed = backing(np.minimum(calibrated.out.max(axis=1), 1), right, weights, study.task[gold], 0.9)
        assert not any(row["backed"] for row in backed)


def test_the_least_a_share_may_be():
    """Clopper and Pearson's: 22 of 23 give .804 at 97.5 %, one-sided; all of n give alpha to the power of
    1 / n."""

    def share(right, n):
        return WeightedShare(right / n, Interval(0, 1), n, float(n))

    expected = binomtest(22, 23).proportion_ci(0.95, method="exact").low
    assert least_share(share(22, 23), 0.025) == pytest.approx(expected)
    assert least_share(share(20, 20)) == pytest.approx(0.05 ** (1 / 20))
    assert least_share(share(0, 20)) == 0
    with pytest.raises(ValueError, match="alpha"):
        least_share(share(1, 2), 1.0)


def test_independent_judges_lose_nothing():
    calibrated, truth, row, _, rest, _ = fit(3, shared=0.0, accuracy=0.8)
    assert error_of(calibrated.posteriors[row[rest]], truth[rest]) < 0.04
    assert (calibrated.posteriors[row].argmax(axis=1) == truth).mean() > 0.87


def test_an_items_own_fold_is_not_seen_in_what_is_said_of_it():
    """With the labels of one fold turned round, its own posteriors without it stay the same to the last
    digit."""
    truth, votes = correlated(1)
    patterns, row, counts = distinct(votes)
    chosen = np.arange(0, 1368, 5)
    tasks, ones = chosen % 76, np.ones(len(chosen))
    first = calibrate(patterns, counts, row[chosen], truth[chosen], tasks, ones, 2)
    for fold in (0, 3):
        other = np.where(first.folds == fold, 1 - truth[chosen], truth[chosen])
        second = calibrate(patterns, counts, row[chosen], other, tasks, ones, 2)
        mine = first.folds == fold
        # The starting point of a fold's fit has seen all gold; what it converges to has not.
        np.testing.assert_allclose(first.out[mine], second.out[mine], atol=2e-3)
        assert np.abs(first.out[~mine] - second.out[~mine]).max() > 0.02


def test_folds_are_of_whole_tasks_and_even():
    calibrated, _, _, chosen, _, _ = fit(2)
    tasks = chosen % 76
    assert all(len(set(calibrated.folds[tasks == task])) == 1 for task in set(tasks))
    sizes = np.bincount(calibrated.folds)
    assert len(sizes) == 5 and sizes.max() - sizes.min() <= 6


def test_the_shrinkage_is_the_formula():
    calibrated, truth, row, chosen, _, (patterns, _) = fit(6)
    q = temper(calibrated.model.posteriors, calibrated.temperature)
    for strength, level in zip(
        calibrated.strengths, (patterns.sum(axis=1), np.arange(len(patterns))), strict=True
    ):
        for pattern in range(len(patterns)):
            like = truth[chosen][level[row[chosen]] == level[pattern]]
            if len(like) and math.isfinite(strength):
                shares = np.bincount(like, minlength=2) / len(like)
                q[pattern] = (strength * q[pattern] + len(like) * shares) / (strength + len(like))
    np.testing.assert_allclose(calibrated.posteriors, q, atol=1e-9)


def test_gold_from_a_draw_by_disagreement_is_weighted():
    """Gold is drawn more often among the first half of tasks, where judges are worse: unweighted shares would
    say so of all."""
    random = np.random.default_rng(8)
    hard = np.arange(6000) < 3000
    truth = (random.random(6000) < 0.5).astype(np.int64)
    right = random.random((6000, 2)) < np.where(hard, 0.6, 0.95)[:, None]
    votes = np.where(right, truth[:, None], 1 - truth[:, None])
    patterns, row, counts = distinct(votes)
    chance = np.where(hard, 0.2, 0.04)
    chosen = np.flatnonzero(random.random(6000) < chance)
    tasks = np.arange(6000) % 100
    both = [
        calibrate(patterns, counts, row[chosen], truth[chosen], tasks[chosen], weights, 2)
        for weights in (1 / chance[chosen], np.ones(len(chosen)))
    ]
    rest = np.setdiff1d(np.arange(6000), chosen)
    errors = [
        abs(
            one.posteriors[row[rest]].max(axis=1).mean()
            - (one.posteriors[row[rest]].argmax(axis=1) == truth[rest]).mean()
        )
        for one in both
    ]
    assert errors[0] < 0.03 < errors[1]


def test_four_labels_and_missing_votes():
    truth, votes = voted(9, items=1500, raters=4, k=4, accuracy=0.7, missing=0.3)
    patterns, row, counts = distinct(votes)
    chosen = np.arange(0, 1500, 4)
    calibrated = calibrate(patterns, counts, row[chosen], truth[chosen], chosen % 50, np.ones(len(chosen)), 4)
    np.testing.assert_allclose(calibrated.posteriors.sum(axis=1), 1)
    np.testing.assert_allclose(calibrated.out.sum(axis=1), 1)
    rest = np.setdiff1d(np.arange(1500), chosen)
    assert error_of(calibrated.posteriors[row[rest]], truth[rest]) < 0.07


def test_too_little_gold_is_said():
    truth, votes = correlated(1)
    patterns, row, counts = distinct(votes)
    few = np.arange(FEWEST - 1)
    with pytest.raises(Undefined, match="49 items"):
        calibrate(patterns, counts, row[few], truth[few], few, np.ones(len(few)), 2)
    many = np.arange(200)
    with pytest.raises(Undefined, match=r"too few tasks \(4\)"):
        calibrate(patterns, counts, row[many], truth[many], many % 4, np.ones(200), 2)


def test_more_gold_than_items_is_refused():
    with pytest.raises(ValueError, match="more items with gold"):
        calibrate(
            np.array([[0], [1]]),
            np.array([10, 60]),
            np.zeros(60, dtype=int),
            np.zeros(60, dtype=int),
            np.arange(60),
            np.ones(60),
            2,
        )


def test_it_is_the_same_every_time():
    one, two = fit(4)[0], fit(4)[0]
    assert (one.posteriors == two.posteriors).all() and (one.out == two.out).all()


# Shares


def test_a_share_of_independent_items_is_wilsons():
    hits = np.arange(50) < 5
    share = weighted_share(hits, np.ones(50), np.arange(50))
    exact = wilson(5, 50)
    assert share.estimate == pytest.approx(0.1) and share.effective == pytest.approx(49, abs=1.1)
    assert share.interval.low == pytest.approx(exact.low, abs=0.003)
    assert share.interval.high == pytest.approx(exact.high, abs=0.003)


def test_copies_within_a_task_count_once():
    hits = np.repeat(np.arange(20) < 6, 10)
    assert weighted_share(hits, np.ones(200), np.repeat(np.arange(20), 10)).effective < 21
    # Where all are hits nothing shows how alike a task's are: a correlation of .2 is assumed.
    share = weighted_share(np.ones(200, dtype=bool), np.ones(200), np.repeat(np.arange(20), 10))
    assert share.effective == pytest.approx(200 / (1 + 0.2 * 9) * (norm.ppf(0.975) / t.ppf(0.975, 19)) ** 2)


def test_unequal_weights_widen():
    hits = np.arange(100) % 2 == 0
    weights = np.where(np.arange(100) < 10, 50.0, 1.0)
    assert weighted_share(hits, weights, np.arange(100)).effective < 15
    with pytest.raises(Undefined):
        weighted_share(np.array([], dtype=bool), np.array([]), np.array([], dtype=int))


def test_the_intervals_cover():
    random, covered = np.random.default_rng(5), 0
    for _ in range(400):
        level = random.beta(2, 6, 40)  # by task
        hits = random.random((40, 5)) < level[:, None]
        weights = np.tile([1.0, 1, 1, 3, 3], 40)
        share = weighted_share(hits.ravel(), weights, np.repeat(np.arange(40), 5))
        covered += share.interval.low <= 0.25 <= share.interval.high
    assert 0.92 <= covered / 400 <= 0.985


# Weighted votes


def test_a_good_rater_outvotes_two_poor_ones():
    random = np.random.default_rng(1)
    truth = random.integers(0, 2, 2000)
    right = random.random((2000, 3)) < [0.95, 0.6, 0.6]
    votes = np.where(right, truth[:, None], 1 - truth[:, None])
    weights = vote_weights(votes, truth, np.ones(2000), 2)
    np.testing.assert_allclose(weights, np.log([0.95 / 0.05, 1.5, 1.5]), atol=0.3)
    posteriors = weighted_votes(np.array([[1, 0, 0], [-1, 0, 0], [-1, -1, -1]]), weights, 2)
    assert (
        posteriors[0].argmax() == 1 and posteriors[1].argmax() == 0 and posteriors[2].tolist() == [0.5, 0.5]
    )
    assert posteriors[1, 0] == pytest.approx(0.36 / (0.36 + 0.16), abs=0.04)  # Bayes


def test_one_without_gold_counts_as_the_average_and_one_below_chance_for_nothing():
    truth = np.arange(300) % 3
    votes = np.column_stack([truth, (truth + 1) % 3, np.full(300, -1)])
    weights = vote_weights(votes, truth, np.ones(300), 3)
    assert weights[0] > 4 and weights[1] == 0
    assert weights[2] == pytest.approx(math.log(0.5 * 2 / 0.5), abs=0.01)


def test_weights_of_the_design_count():
    truth = np.zeros(200, dtype=int)
    votes = np.where(np.arange(200) < 100, 0, 1)[:, None]
    first = np.where(np.arange(200) < 100, 9.0, 1.0)
    assert vote_weights(votes, truth, first, 2)[0] == pytest.approx(math.log(0.9 / 0.1), abs=0.02)


def test_nobody_has_voted_on_gold():
    with pytest.raises(Undefined):
        vote_weights(np.full((5, 2), -1), np.zeros(5, dtype=int), np.ones(5), 2)


# The study of it


def test_the_study_runs_and_says_the_same_of_the_same_seed():
    one, two = (row(SCENARIOS[0], 0, 3, seed=1) for _ in range(2))
    assert one == two and one["plain"] > 0.08 > one["calibrated"] and one["error"] > 0
    assert "errors shared on 60 %" in table([one])


def test_gold_weighted_by_disagreement_stands_for_all_items():
    world = next(world for world in SCENARIOS if world.weighted)
    random = np.random.default_rng(1)
    _, votes = items(world, random)
    chosen, weights = drawn(world, votes, random)
    assert len(set(chosen)) == len(chosen) == round(0.2 * len(votes)) and weights.sum() == pytest.approx(
        len(votes)
    )
