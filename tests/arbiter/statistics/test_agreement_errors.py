"""Indices, repeats and ceilings; standard errors and intervals of agreement."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter.statistics import (
    Undefined,
    agreement_ceiling,
    agreement_estimates,
    bias_index,
    brennan_prediger,
    cohen_kappa,
    count_rows,
    flip_rate,
    pairwise,
    prevalence_index,
)
from tests.sizes import size

from .support import expand, labelled


def test_prevalence_and_bias_as_byrt_defines_them():
    # Table 2 of Byrt et al.: both say yes a, first alone b, second alone c, both no d.
    a, b, c, d = 80, 15, 5, 0
    table = np.array([[a, b], [c, d]])
    assert prevalence_index(table) == pytest.approx([(a - d) / 100, (d - a) / 100])
    assert bias_index(table) == pytest.approx([(b - c) / 100, (c - b) / 100])
    # His equation for kappa from the adjusted one and the two indices.
    adjusted = 2 * (a + d) / 100 - 1
    prevalence, bias = prevalence_index(table)[0], bias_index(table)[0]
    by_byrt = (adjusted - prevalence**2 + bias**2) / (1 - prevalence**2 + bias**2)
    assert cohen_kappa(table) == pytest.approx(by_byrt)
    assert brennan_prediger(count_rows(expand(table), 2)) == pytest.approx(adjusted)


@given(labelled(raters=(2, 2)))
def test_the_indices_of_each_label_are_those_of_it_against_the_rest(case):
    labels, categories = case
    (pair,) = pairwise(labels, categories, resamples=1)
    if not pair.items:
        return
    assert pair.bias.sum() == pytest.approx(0, abs=1e-12)
    for label in range(categories):
        against = np.where(labels < 0, -1, labels != label)
        (two,) = pairwise(against, 2, resamples=1)
        assert pair.prevalence[label] == pytest.approx(two.prevalence[0])
        assert pair.bias[label] == pytest.approx(two.bias[0])


def test_flips_are_pairs_of_answers_that_differ():
    counts = np.array([[2, 0], [1, 1], [3, 0], [2, 1], [1, 0]])
    assert flip_rate(counts) == pytest.approx((0 + 1 + 0 + 2 / 3) / 4)
    with pytest.raises(Undefined, match="nothing was labelled twice"):
        flip_rate(np.array([[1, 0]]))


def test_the_ceiling_of_agreement():
    assert agreement_ceiling(0.81, 1) == pytest.approx(0.9)
    assert agreement_ceiling(0.64, 0.81) == pytest.approx(0.72)
    with pytest.raises(Undefined, match="less than chance"):
        agreement_ceiling(-0.1, 0.5)
    for nonsense in (1.1, float("nan")):
        with pytest.raises(ValueError, match="at most 1"):
            agreement_ceiling(nonsense, 0.5)


@settings(max_examples=size(50, 200))
@given(st.integers(0, 10**6), st.integers(2, 4))
def test_nobody_agrees_beyond_the_ceiling(seed, k):
    """The bound itself, on chances of labels by item: exact expectations, no sampling."""
    random = np.random.default_rng(seed)
    first, second = random.dirichlet(np.full(k, 0.4), size=(2, 30))
    if seed % 2:
        second = 0.9 * first + 0.1 * second  # near the bound
    together, alone, other = (
        (a * b).sum(axis=1).mean() for a, b in ((first, second), (first, first), (second, second))
    )
    assert together <= agreement_ceiling(alone, other) + 1e-12
    shares = first.mean(axis=0), second.mean(axis=0)
    chance = [(a * b).sum() for a, b in (shares, (shares[0],) * 2, (shares[1],) * 2)]
    kappa, retest, other_retest = (
        (observed - by_chance) / (1 - by_chance)
        for observed, by_chance in zip((together, alone, other), chance, strict=True)
    )
    assert kappa <= agreement_ceiling(retest, other_retest) + 1e-12


# Standard errors


def clustered(seed, tasks=60, per_task=5, k=3, raters=4):
    random = np.random.default_rng(seed)
    hard = np.repeat(random.beta(1, 3, tasks), per_task)
    truth = random.choice(k, tasks * per_task, p=[0.5, 0.3, 0.2])
    wrong = random.random((raters, tasks * per_task)) < hard
    labels = np.where(wrong, random.integers(0, k, wrong.shape), truth)
    labels[random.random(labels.shape) < 0.15] = -1
    return labels, np.repeat(np.arange(tasks), per_task)


@pytest.mark.parametrize("seed", range(3))
def test_both_intervals_are_of_the_same_width(seed):
    labels, tasks = clustered(seed)
    for by in (tasks, None):
        estimates = agreement_estimates(count_rows(labels, 3), None, by, scale="ordinal", resamples=2000)
        (pair, *_) = pairwise(labels, 3, None, by, scale="ordinal", resamples=2000)
        for name, one in [*estimates.items(), *pair.estimates.items()]:
            delta, bootstrap = (i.high - i.low for i in (one.delta, one.bootstrap))
            assert bootstrap == pytest.approx(delta, rel=0.13), name
            assert one.delta.low < one.value < one.delta.high


@pytest.mark.parametrize("name", ["percent", "alpha", "fleiss", "ac1", "alpha_ordinal"])
def test_the_delta_method_is_the_spread_over_samples(name):
    """Over fresh samples of tasks, the standard error is the standard deviation of the coefficient."""
    values, errors = [], []
    for seed in range(300):
        labels, tasks = clustered(1000 + seed, tasks=40)
        one = agreement_estimates(count_rows(labels, 3), None, tasks, scale="ordinal", resamples=1)[name]
        values.append(one.value)
        errors.append(one.error)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(values), rel=0.13)


def test_copies_under_one_task_are_no_news():
    labels, tasks = clustered(5, per_task=1)
    once, copied, naive = (
        agreement_estimates(count_rows(np.tile(labels, times), 3), None, by, resamples=1)["fleiss"].error
        for times, by in ((1, tasks), (6, np.tile(tasks, 6)), (6, None))
    )
    assert copied == pytest.approx(once, rel=1e-9)
    assert naive < 0.5 * once


def test_equal_tasks_are_counted_together_and_nothing_changes():
    random = np.random.default_rng(3)
    labels = random.integers(-1, 2, (3, 6000))
    tasks = np.arange(6000) // 2
    many = agreement_estimates(count_rows(labels, 2), None, tasks, resamples=400)
    for name, one in agreement_estimates(
        count_rows(labels, 2), None, tasks.astype(np.int32), resamples=400
    ).items():
        assert one == many[name]
    few = 3 * 300
    by_hand = agreement_estimates(count_rows(labels[:, :few], 2), None, tasks[:few], resamples=1)
    assert by_hand["alpha"].clusters == len(np.unique(tasks[:few][(labels[:, :few] >= 0).sum(axis=0) > 1]))


def test_intervals_stay_where_coefficients_can_be():
    low = agreement_estimates(np.array([[1, 1]] * 9 + [[2, 0]]), resamples=50)
    assert (low["percent"].delta.low, low["fleiss"].delta.low) == (0, -1)
    high = agreement_estimates(np.array([[2, 0], [0, 2]] * 6 + [[1, 1]]), resamples=50)
    assert all(one.delta.high == 1 for one in high.values())
