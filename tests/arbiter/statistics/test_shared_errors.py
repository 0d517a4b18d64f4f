"""Errors that raters share."""

import numpy as np
import pytest

from arbiter.statistics import Undefined, effective_raters, error_correlation, even_errors, truth_weights


def test_how_many_independent_raters():
    assert effective_raters(5, 0) == 5
    assert effective_raters(5, 1) == 1
    assert effective_raters(4, 1 / 3) == 2
    assert effective_raters(4, -0.2) == 4
    with pytest.raises(ValueError, match="at most 1"):
        effective_raters(4, 1.1)


def errors(seed, shared, n=300, raters=4):
    """Draw errors of raters that err together on a share of the items."""
    rng = np.random.default_rng(seed)
    together = rng.random(n) < shared
    alone = rng.random((n, raters)) < 0.2
    return np.where(together[:, None], (rng.random(n) < 0.2)[:, None], alone), rng.integers(0, 40, n)


def test_phi_is_the_correlation_of_errors_and_its_mean_has_an_interval():
    wrong, task = errors(1, 0.5)
    correlation = error_correlation(wrong, task)
    expected = np.corrcoef(wrong.T)
    assert correlation.phi == pytest.approx(expected)
    assert correlation.mean == pytest.approx(expected[np.triu_indices(4, 1)].mean())
    assert correlation.low < correlation.mean < correlation.high and correlation.p < 1e-6
    assert correlation.fewest < correlation.effective < correlation.most
    assert correlation.effective == pytest.approx(effective_raters(4, correlation.mean))


def test_the_interval_of_the_mean_correlation_covers():
    covered = accused = 0
    for seed in range(200):
        correlation = error_correlation(*errors(seed, 0.4, raters=3))
        covered += correlation.low <= 0.4 <= correlation.high
        accused += error_correlation(*errors(seed + 1000, 0.0, raters=3)).p < 0.05
    assert covered >= 180
    assert accused <= 18


def test_weights_of_two_are_two_items():
    wrong, task = errors(2, 0.3)
    weights = np.where(np.arange(300) % 3, 1.0, 2.0)
    rows = np.repeat(np.arange(300), weights.astype(int))
    one, other = error_correlation(wrong, task, weights), error_correlation(wrong[rows], task[rows])
    assert (one.mean, one.low) == pytest.approx((other.mean, other.low))


def test_errors_that_have_no_correlation():
    wrong, task = errors(3, 0.2)
    never = wrong.copy()
    never[:, 1] = False
    for bad, says in (
        ((never, task), "errs never"),
        ((wrong[:, :1], task), "two raters"),
        ((wrong, np.zeros_like(task)), "three tasks"),
    ):
        with pytest.raises(Undefined, match=says):
            error_correlation(*bad)
    with pytest.raises(ValueError, match="booleans"):
        error_correlation(wrong.astype(int), task)


def test_gold_that_errs_makes_independent_raters_look_as_if_they_erred_together():
    rng, tasks = np.random.default_rng(4), np.arange(6000) % 300
    truth = rng.random(6000) < 0.3
    votes = np.where(rng.random((6000, 3)) < 0.2, ~truth[:, None], truth[:, None]).astype(int)
    gold = np.where(rng.random(6000) < 0.05, ~truth, truth).astype(int)
    assert error_correlation(votes != gold[:, None], tasks).low > 0.05
    weights = truth_weights(gold, even_errors([0.7, 0.3], 0.05))
    item, label = np.nonzero(weights)
    undone = error_correlation(votes[item] != label[:, None], tasks[item], weights[item, label], signed=True)
    assert undone.low < 0 < undone.high and undone.high - undone.low < 0.12
