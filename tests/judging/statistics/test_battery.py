"""Holm, places in a drawn order, shared errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from statsmodels.stats.multitest import multipletests

from judging.statistics import Undefined, effective_raters, error_correlation, holm, position_preference

chances = st.floats(0, 1, allow_subnormal=False)


@given(st.lists(chances, min_size=1, max_size=30))
@settings(max_examples=20, deadline=None)
def test_holm_as_statsmodels_has_it(values):
    assert holm(values) == pytest.approx(list(multipletests(values, method="holm")[1]))


@given(st.lists(chances, max_size=12), st.randoms())
def test_holm_minds_no_order_and_lowers_nothing(values, chance):
    adjusted = dict(zip(values, holm(values), strict=True))
    shuffled = values[:]
    chance.shuffle(shuffled)
    assert dict(zip(shuffled, holm(shuffled), strict=True)) == adjusted
    assert all(p >= value for value, p in adjusted.items())


def test_holm_of_the_textbook_and_of_what_is_no_p():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    for wrong in ([1.2], [float("nan")], [-0.1]):
        with pytest.raises(ValueError, match=r"in 0\.\.1"):
            holm(wrong)


@given(st.lists(st.integers(0, 80), min_size=2, max_size=6).filter(lambda one: sum(one) >= 5 * len(one)))
def test_positions_as_scipy_has_them(counts):
    found, expected = position_preference(counts), chisquare(counts)
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.low <= found.excess <= found.high
    assert found.excess == pytest.approx(counts[found.place] / sum(counts) - 1 / len(counts))


def test_too_few_labels_for_their_places():
    with pytest.raises(Undefined, match="5 a place"):
        position_preference([9, 5, 3, 2])
    with pytest.raises(Undefined, match="one place"):
        position_preference([30])
    with pytest.raises(ValueError, match="whole"):
        position_preference([3.5, 20])


def test_how_many_independent_raters():
    assert effective_raters(5, 0) == 5
    assert effective_raters(5, 1) == 1
    assert effective_raters(4, 1 / 3) == 2
    assert effective_raters(4, -0.2) == 4
    with pytest.raises(ValueError, match="at most 1"):
        effective_raters(4, 1.1)


def errors(seed, shared, n=300, raters=4):
    """Raters that err together on a share of the items."""
    rng = np.random.default_rng(seed)
    together = rng.random(n) < shared
    alone = rng.random((n, raters)) < 0.2
    return np.where(together[:, None], (rng.random(n) < 0.2)[:, None], alone), rng.integers(0, 40, n)


def test_phi_is_the_correlation_of_errors_and_its_mean_has_an_interval():
    wrong, task = errors(1, 0.5)
    found = error_correlation(wrong, task)
    expected = np.corrcoef(wrong.T)
    assert found.phi == pytest.approx(expected)
    assert found.mean == pytest.approx(expected[np.triu_indices(4, 1)].mean())
    assert found.low < found.mean < found.high and found.p < 1e-6
    assert found.fewest < found.effective < found.most
    assert found.effective == pytest.approx(effective_raters(4, found.mean))


def test_the_interval_of_the_mean_correlation_covers():
    covered = accused = 0
    for seed in range(200):
        found = error_correlation(*errors(seed, 0.4, raters=3))
        covered += found.low <= 0.4 <= found.high
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
