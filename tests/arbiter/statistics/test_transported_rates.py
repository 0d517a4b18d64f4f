"""Rates from carried-over judge errors, prediction-powered ones and contrasts: published numbers and direct
computation."""

import json
import math

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from arbiter.statistics import (
    Undefined,
    contrast,
    ppi_rate,
    rogan_gladen,
    same_across_arms,
    task_correlation,
    task_influence,
    transported_interval,
    wilson,
)


@pytest.fixture
def published(shared):
    return json.loads((shared / "reference" / "rogan_gladen_verification_bias.json").read_text())


def test_rogan_and_gladens_cows(published):
    cows = published["brucellosis"]
    apparent = cows["pos"] / cows["n"]
    assert apparent == pytest.approx(cows["expected"]["apparent"], abs=5e-6)
    assert rogan_gladen(apparent, cows["se"], cows["sp"]) == pytest.approx(cows["expected"]["true"], abs=5e-6)


def test_lees_readme_example(published):
    """The bounds are those their implementation prints for it."""
    one = published["lee2025_readme"]
    assert rogan_gladen(one["p"], one["q1"], one["q0"]) == pytest.approx(1 / 6)
    interval = transported_interval(one["p"], one["n"], one["q1"], one["m1"], one["q0"], one["m0"])
    assert (interval.low, interval.high) == pytest.approx((0.05635072, 0.26273303), abs=5e-9)


@pytest.mark.parametrize(
    ("p", "q0", "q1", "n", "m0", "m1", "level", "low", "high"),
    [
        (0.5, 0.8, 0.8, 500, 100, 100, 0.95, 0.3799746588561528, 0.6200253411438469),
        (0.62, 0.85, 0.93, 2000, 150, 350, 0.95, 0.5544774781496563, 0.6456327845409667),
        (0.1, 0.95, 0.6, 300, 50, 80, 0.9, 0.0, 0.17813731660303905),
        (0.9, 0.6, 0.99, 10000, 1000, 1000, 0.99, 0.8273348478706124, 0.8686713102464316),
        (0.3333, 0.777, 0.888, 123, 45, 67, 0.8, 0.012521172499902977, 0.2816724189695818),
        (0.0, 1.0, 1.0, 50, 10, 10, 0.95, 0.0, 0.09568563633822108),
    ],
)
def test_lees_interval_as_their_implementation_has_it(p, q0, q1, n, m0, m1, level, low, high):
    interval = transported_interval(p, n, q1, m1, q0, m0, level)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-9)


def test_errors_that_are_not_this_arms_are_refused():
    with pytest.raises(Undefined, match="less often than the judge's errors alone"):
        transported_interval(0.05, 1000, 0.9, 200, 0.9, 200)
    with pytest.raises(Undefined, match="more often"):
        transported_interval(0.97, 1000, 0.9, 200, 0.9, 200)
    with pytest.raises(Undefined, match="tells nothing"):
        rogan_gladen(0.5, 0.4, 0.6)
    with pytest.raises(Undefined, match="too little gold"):
        transported_interval(0.92, 100, 0.95, 1, 0.1, 1000)
    with pytest.raises(ValueError, match="apparent must lie"):
        rogan_gladen(1.2, 0.9, 0.9)
    assert rogan_gladen(0.02, 0.9, 0.9) == 0.0


def test_arms_that_share_a_proportion_pass_and_others_do_not():
    comparison = same_across_arms([30, 18], [40, 40])
    expected = chi2_contingency([[30, 10], [18, 22]], correction=False)
    assert (comparison.statistic, comparison.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert comparison.freedom == 1
    assert same_across_arms([3, 30], [4, 40]).p is None  # an arm with too little is left out
    assert same_across_arms([10, 10], [10, 10]) == same_across_arms([0, 0], [9, 9])
    with pytest.raises(ValueError, match="successes in"):
        same_across_arms([5], [4])


def test_carried_errors_cover_an_arm_of_another_rate():
    """A blind judge measured where a third is convergent, used where a tenth is."""
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(600):
        right, false = rng.binomial(100, 0.85) / 100, rng.binomial(200, 0.1) / 200
        apparent = rng.binomial(1000, 0.1 * 0.85 + 0.9 * 0.1) / 1000
        interval = transported_interval(apparent, 1000, right, 100, 1 - false, 200)
        held += interval.low <= 0.1 <= interval.high
    assert held / 600 >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / 600)


# Prediction-powered


def _directly(y, f, rest):
    """Work PPI++ for a mean out step by step."""
    n, many = len(y), len(rest)
    covariance = np.cov(y, f, ddof=0)[0, 1]
    tuning = covariance / ((1 + n / many) * np.var(np.concatenate([f, rest]), ddof=1))
    tuning = min(1, max(0, tuning))
    rate = tuning * rest.mean() + (y - tuning * f).mean()
    error = math.sqrt(tuning**2 * rest.var() / many + (y - tuning * f).var() / n)
    return rate, rate - 1.959963985 * error, rate + 1.959963985 * error


@pytest.mark.parametrize("seed", range(5))
def test_ppi_as_computed_directly(seed):
    rng = np.random.default_rng(seed)
    truth = rng.random(900) < 0.4
    votes = rng.binomial(3, np.where(truth, 0.8, 0.2)) / 3
    y, f, rest = truth[:100].astype(float), votes[:100], votes[100:]
    rate = ppi_rate(y, f, rest)
    assert (rate.estimate, rate.low, rate.high) == pytest.approx(_directly(y, f, rest))
    values, counts = np.unique(rest, return_counts=True)
    counted = ppi_rate(y, f, values, rest_counts=counts)
    assert (counted.low, counted.high) == pytest.approx((rate.low, rate.high))
    plain = wilson(y.sum(), 100)
    assert rate.high - rate.low < plain.high - plain.low


def test_ppi_with_weights_is_unbiased_where_gold_was_weighted():
    rng = np.random.default_rng(8)
    estimates = []
    for _ in range(300):
        truth = rng.random(600) < 0.3
        f = np.where(rng.random(600) < 0.8, truth, ~truth).astype(float)
        chance = np.where(f > 0, 0.5, 0.1)
        drawn = rng.random(600) < chance
        estimates.append(ppi_rate(truth[drawn], f[drawn], f[~drawn], weights=1 / chance[drawn]).estimate)
    assert np.mean(estimates) == pytest.approx(0.3, abs=0.01)


def test_ppi_refuses():
    half = np.arange(50) % 2
    assert ppi_rate(half, half, [0, 1]).estimate == pytest.approx(0.5)
    with pytest.raises(
        Undefined, match="takes 50 gold items in the arm, as its interval is a normal one; it has 49"
    ):
        ppi_rate(half[:49], half[:49], [0, 1])
    with pytest.raises(Undefined, match="nothing to predict"):
        ppi_rate(half, half, [])
    with pytest.raises(ValueError, match=r"0\.\.1"):
        ppi_rate([1, 2], [1, 0], [0])


# Contrasts


def test_a_difference_of_independent_rates_is_newcombes():
    """Newcombe (1998), table II: 56/70 against 48/80, method 10."""
    first, second = wilson(56, 70), wilson(48, 80)
    difference = contrast([1, -1], [0.8, 0.6], [first.low, second.low], [first.high, second.high])
    assert (difference.estimate, difference.low, difference.high) == pytest.approx(
        (0.2, 0.0524, 0.3339), abs=5e-5
    )


def test_rates_over_the_same_tasks_go_together():
    shared = np.array([1.0, -1, 2, -2])
    together = task_correlation([shared, 2 * shared, np.array([1.0, 1, 0, 0]), np.zeros(4)])
    assert together[0, 1] == pytest.approx(1)
    assert together[0, 2] == together[0, 3] == 0
    paired = contrast([1, -1], [0.5, 0.4], [0.4, 0.3], [0.6, 0.5], together[:2, :2])
    assert (paired.low, paired.high) == pytest.approx((0.1, 0.1))


def test_a_gap_of_differences():
    difference = contrast(
        [1, -1, -1, 1], [0.6, 0.5, 0.4, 0.35], [0.5] * 1 + [0.4, 0.3, 0.25], [0.7, 0.6, 0.5, 0.45]
    )
    assert difference.estimate == pytest.approx(0.05)
    assert (difference.low, difference.high) == pytest.approx((0.05 - 0.2, 0.05 + 0.2))
    with pytest.raises(ValueError, match="hold its estimate"):
        contrast([1], [0.5], [0.6], [0.7])


def test_influences_add_up_to_the_deviation():
    assert task_influence([2, 0, 1], [2, 2, 2]).sum() == pytest.approx(0)
    assert task_influence([0, 0], [0, 0]).tolist() == [0, 0]
