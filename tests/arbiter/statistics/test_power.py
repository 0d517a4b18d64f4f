"""Power before a study, against statsmodels and against simulated studies."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower, normal_power_het

from arbiter.statistics import (
    PlannedStudy,
    Undefined,
    difference_power,
    expected_width,
    rate_power,
    rate_width,
    smallest_difference,
)
from tests.sizes import size

RATES = st.floats(0.05, 0.95)


@given(RATES, RATES, st.integers(10, 500), st.integers(1, 10), st.floats(0, 1))
@settings(deadline=None)
def test_the_power_for_a_rate_is_statsmodels(rate, null, tasks, epochs, icc):
    if abs(rate - null) < 1e-3:
        return
    n = tasks * epochs / (1 + (epochs - 1) * icc)
    theirs = normal_power_het(
        rate - null,
        n,
        0.05,
        std_null=math.sqrt(null * (1 - null)),
        std_alternative=math.sqrt(rate * (1 - rate)),
    )
    assert rate_power(rate, null, PlannedStudy(tasks, epochs, icc)) == pytest.approx(float(theirs), abs=1e-9)


@given(RATES, RATES, st.integers(5, 300), st.integers(1, 8))
@settings(deadline=None, max_examples=size(20, 50))
def test_the_power_for_a_difference_is_statsmodels_paired_t(first, second, tasks, epochs):
    spread = math.sqrt((first * (1 - first) + second * (1 - second)) / epochs)
    if not 0.01 < abs(first - second) / spread < 3:
        return
    theirs = TTestPower().power(abs(first - second) / spread, tasks, 0.05, alternative="two-sided")
    ours = difference_power(first, second, PlannedStudy(tasks, epochs))
    assert ours > 0.999 if math.isnan(theirs) else ours == pytest.approx(float(theirs), abs=1e-7)


def studies(chance, repetitions, study, rates, pairing):
    """Simulate studies' mean labels by task, (arms, repetitions, tasks).

    Tasks' own rates are Beta; those of two arms are tied by a normal copula.
    """
    shape = (repetitions, study.tasks)
    common = chance.standard_normal(shape)
    means = []
    for rate in rates:
        own = math.sqrt(pairing) * common + math.sqrt(1 - pairing) * chance.standard_normal(shape)
        scale = 1 / study.icc - 1
        task = stats.beta.ppf(stats.norm.cdf(own), rate * scale, (1 - rate) * scale)
        truth = chance.random((study.epochs, *shape)) < task
        called = np.where(truth, study.sensitivity, 1 - study.specificity)
        means.append((chance.random(called.shape) < called).mean(axis=0))
    return np.array(means)


@pytest.mark.parametrize("pairing", [0.0, 1.0])
def test_the_power_for_a_difference_is_what_simulated_studies_find(pairing):
    study = PlannedStudy(76, epochs=3, icc=0.4, sensitivity=0.85, specificity=0.95)
    first, second = studies(np.random.default_rng(3), 1200, study, (0.35, 0.2), pairing)
    rejected = float(np.mean(stats.ttest_rel(first, second, axis=1).pvalue < 0.05))
    assert difference_power(0.35, 0.2, study, pairing) == pytest.approx(rejected, abs=0.045)


def test_the_power_and_the_width_for_a_rate_are_what_simulated_studies_find():
    study = PlannedStudy(76, epochs=5, icc=0.3, sensitivity=0.9, specificity=0.9)
    (labels,) = studies(np.random.default_rng(4), 3000, study, (0.3,), 0.0)
    seen = labels.mean(axis=1)
    spread = math.sqrt(study.response_variance(0.3) / 76)
    assert seen.std() == pytest.approx(spread, rel=0.05)
    null = study.seen(0.2)
    critical = 1.959964 * math.sqrt(study.response_variance(0.2) / 76)
    rejected = float(np.mean(np.abs(seen - null) > critical))
    assert rate_power(0.3, 0.2, study) == pytest.approx(rejected, abs=0.03)
    assert rate_width(0.3, study) == pytest.approx(2 * 1.96 * spread / 0.8, rel=0.05)


def test_the_smallest_difference_has_just_that_power():
    study = PlannedStudy(76, 5, 0.3)
    least = smallest_difference(0.2, study, power=0.8)
    assert difference_power(0.2, 0.2 + least, study) == pytest.approx(0.8, abs=1e-6)
    assert (
        smallest_difference(0.2, PlannedStudy(76, 20, 0.3))
        < least
        < smallest_difference(0.2, PlannedStudy(30, 5, 0.3))
    )


def test_a_perfect_judge_and_one_epoch_are_the_plain_width():
    assert rate_width(0.2, PlannedStudy(100)) == pytest.approx(expected_width(0.2, 0.16 / 100))


def test_what_cannot_be_told_apart_is_undefined_and_bad_input_refused():
    for call in (
        lambda: rate_power(0.2, 0.2, PlannedStudy(76)),
        lambda: difference_power(0.2, 0.2, PlannedStudy(76)),
        lambda: smallest_difference(0.99, PlannedStudy(3)),
    ):
        with pytest.raises(Undefined):
            call()
    for call in (
        lambda: PlannedStudy(1),
        lambda: PlannedStudy(10, icc=2),
        lambda: PlannedStudy(10, sensitivity=0.4, specificity=0.6),
        lambda: rate_power(0.0, 0.2, PlannedStudy(76)),
        lambda: difference_power(0.1, 0.2, PlannedStudy(76), pairing=2),
    ):
        with pytest.raises(ValueError):
            call()
