"""Wilson against scipy and Newcombe's table; what tasks leave of a rate, by its definition and by the
jackknife; coverage."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm, t

from arbiter.statistics import Interval, Rate, Undefined, clustered_rate, clustering, effective_tasks, wilson
from tests.sizes import size

# Newcombe (1998), table I, method 3.
NEWCOMBE = [
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0, 0.1611),
    (1, 29, 0.0061, 0.1718),
]

counts_by_task = st.lists(
    st.integers(0, 6).flatmap(lambda m: st.tuples(st.integers(0, m), st.just(m))), max_size=12
)


def _split(tasks):
    return [hits for hits, _ in tasks], [total for _, total in tasks]


@pytest.mark.parametrize(("successes", "n", "low", "high"), NEWCOMBE)
def test_wilson_as_published(successes, n, low, high):
    interval = wilson(successes, n)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


@given(
    st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.01, 0.999)
)
def test_wilson_as_scipy(case, level):
    successes, n = case
    expected = binomtest(successes, n).proportion_ci(level, method="wilson")
    interval = wilson(successes, n, level)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= interval.low <= successes / n <= interval.high <= 1


@given(st.floats(0.01, 500), st.floats(0, 1))
def test_wilson_bounds_solve_their_equation_at_any_size(n, share):
    rate = n * share / n
    interval = wilson(n * share, n)
    for bound in (interval.low, interval.high):
        reach = norm.ppf(0.975) * math.sqrt(bound * (1 - bound) / n)
        assert abs(rate - bound) == pytest.approx(reach, abs=1e-6)


def test_wilson_ends_are_exact():
    for n in (0.3, 2.5, *range(1, 300)):
        for level in (0.5, 0.68, 0.8, 0.9, 0.95, 0.99):
            assert wilson(0, n, level).low == 0
            assert wilson(n, n, level).high == 1
    assert wilson(0, 7).high == pytest.approx(1 - wilson(7, 7).low)


def test_wilson_over_nothing_is_undefined():
    with pytest.raises(Undefined, match="no responses"):
        wilson(0, 0)


@pytest.mark.parametrize(
    ("successes", "n", "level"),
    [
        (3, 2, 0.95),
        (-1, 2, 0.95),
        (math.nan, 2, 0.95),
        (1, math.nan, 0.95),
        (1, math.inf, 0.95),
        (0, -1, 0.95),
    ]
    + [(1, 2, level) for level in (0, 1, 95, math.nan)],
)
def test_wilson_refuses(successes, n, level):
    with pytest.raises(ValueError, match="must") as caught:
        wilson(successes, n, level)
    assert not isinstance(caught.value, Undefined)


def _plain_size(tasks, level):
    """Work the size out line by line as `clustering` and `effective_size` describe it, task by task."""
    tasks = [(hits, total) for hits, total in tasks if total]
    n = sum(total for _, total in tasks)
    rate, worth = sum(hits for hits, _ in tasks) / n, n**2 / sum(total**2 for _, total in tasks)
    if n / worth <= 1 + 1e-9:
        return n
    freedom = max(worth - 1, 1e-9)
    pseudo = min(t.ppf((1 + level) / 2, freedom), 1e6) ** 2 / 2 * 0.2 * (n / worth - 1)
    spread = sum(((s - rate * m) / (1 - m / n)) ** 2 for s, m in tasks if m < n)
    effect = max(1, (spread + pseudo * (1 + 0.2 * (n / worth - 1))) / (n * rate * (1 - rate) + pseudo))
    wider = norm.ppf((1 + level) / 2) / t.ppf((1 + level) / 2, freedom)
    return min(n, max(worth, n / effect * wider**2))


@given(counts_by_task)
def test_clustered_rate_is_wilson_at_the_effective_size(tasks):
    hits, totals = _split(tasks)
    rate = clustered_rate(hits, totals, 0.9)
    if not sum(totals):
        assert rate == Rate(None, None, None, 0, 0.0)
        return
    assert rate.n == sum(totals)
    assert rate.estimate == pytest.approx(sum(hits) / rate.n)
    assert rate.effective_n == pytest.approx(_plain_size(tasks, 0.9), rel=1e-6)
    assert 0 < rate.effective_n <= rate.n and rate.effective_tasks <= rate.n + 1e-9
    at_effective = wilson(rate.effective_n * rate.estimate, rate.effective_n, 0.9)
    assert (rate.low, rate.high) == pytest.approx((at_effective.low, at_effective.high), abs=1e-9)
    # No clustering makes an interval narrower than the plain one.
    plain = wilson(sum(hits), rate.n, 0.9)
    assert rate.low <= plain.low + 1e-9
    assert rate.high >= plain.high - 1e-9


def test_the_leverage_is_that_of_leaving_a_task_out():
    hits, totals = np.array([3.0, 0, 5, 1]), np.array([4.0, 6, 9, 2])
    rate, n = hits.sum() / 21, 21.0
    without = [(hits.sum() - s) / (n - m) - rate for s, m in zip(hits, totals, strict=True)]
    plain, measured = n * rate * (1 - rate), n**2 * np.sum(np.square(without))
    design = clustering(rate * (1 - rate) / n, n, (hits - rate * totals) / n, totals, 0.95)
    worth = n**2 / np.sum(totals**2)
    held = t.ppf(0.975, worth - 1) ** 2 / 2 * 0.2 * (n / worth - 1)
    assert design.freedom == pytest.approx(worth - 1)
    assert design.effect == pytest.approx((measured + held * (1 + 0.2 * (n / worth - 1))) / (plain + held))


def test_uneven_tasks_are_worth_fewer():
    assert effective_tasks([5, 5, 5]) == pytest.approx(3)
    assert effective_tasks([10, 1, 1]) == pytest.approx(144 / 102)
    assert effective_tasks([[4, 0], [0, 0]]).tolist() == [1, 0]


@given(st.lists(st.integers(0, 1), min_size=1, max_size=40))
def test_single_responses_give_plain_wilson(hits):
    rate = clustered_rate([*hits, 0], [1] * len(hits) + [0])
    assert Interval(rate.low, rate.high) == wilson(sum(hits), len(hits))
    assert rate.effective_n == rate.n == len(hits)


def test_none_and_one_of_many_have_intervals_of_one_kind():
    """0 of 168 over 7 tasks was given [0, .354], 1 of 168 beside it [.001, .033]."""
    none, one, two = (clustered_rate([hits, 0, 0, 0, 0, 0, 0], [24] * 7) for hits in (0, 1, 2))
    assert (none.low, none.high) == pytest.approx((0, 0.1664), abs=5e-5)
    assert (one.low, one.high) == pytest.approx((0.0002, 0.1688), abs=5e-5)
    assert (two.low, two.high) == pytest.approx((0.0007, 0.1756), abs=5e-5)
    all_of_them = clustered_rate([24] * 7, [24] * 7)
    assert (1 - all_of_them.high, 1 - all_of_them.low) == pytest.approx((none.low, none.high))


def _dealt(tasks, size, hits):
    """Deal so many hits to the tasks in turn."""
    return np.bincount(np.arange(hits) % tasks, minlength=tasks)


def _filled(tasks, size, hits):
    """Fill one task after the other with so many hits."""
    return np.bincount(np.arange(hits) // size, minlength=tasks)


@settings(max_examples=size(20, 40), deadline=None)
@given(st.integers(4, 12), st.integers(1, 20), st.floats(0.5, 0.99), st.sampled_from([_dealt, _filled]))
@example(7, 24, 0.95, _dealt)
@example(7, 24, 0.95, _filled)
@example(2, 11, 0.5, _filled)
def test_the_bounds_rise_with_the_count_without_a_jump(tasks, size, level, hits_of):
    n = tasks * size
    rates = [clustered_rate(hits_of(tasks, size, hits), [size] * tasks, level) for hits in range(n + 1)]
    low, high = np.array([one.low for one in rates]), np.array([one.high for one in rates])
    assert (np.diff(low) >= -1e-9).all() and (np.diff(high) >= -1e-9).all()
    assert max(np.diff(low).max(), np.diff(high).max()) <= 5 / n  # as a rate moves by 1 / n


def test_with_two_tasks_one_more_in_one_of_them_can_widen_the_interval():
    """20 of 22 over two tasks, as 10 and 10, and 21, as 11 and 10: now the tasks differ."""
    even, uneven = (clustered_rate(hits, [11, 11], 0.6) for hits in ([10, 10], [11, 10]))
    assert even.low is not None and uneven.low is not None
    assert -0.03 < uneven.low - even.low < 0


@given(counts_by_task, st.floats(0.5, 0.99))
def test_an_interval_holds_its_rate_and_is_mirrored_with_the_outcomes(tasks, level):
    hits, totals = _split(tasks)
    rate = clustered_rate(hits, totals, level)
    other = clustered_rate([total - hit for hit, total in tasks], totals, level)
    if rate.estimate is None:
        return
    assert 0 <= rate.low <= rate.estimate <= rate.high <= 1
    assert (1 - other.high, 1 - other.low) == pytest.approx((rate.low, rate.high), abs=1e-9)


def test_one_task_is_one_observation():
    rate = clustered_rate([4], [10])
    assert (rate.effective_n, rate.effective_tasks) == pytest.approx((1, 1))
    assert clustered_rate([1], [1]).effective_n == 1


def test_copies_of_a_task_add_nothing():
    # Ten tasks, half of them convergent, each answered five times alike: ten observations, not fifty.
    rate = clustered_rate([5] * 5 + [0] * 5, [5] * 10)
    assert rate.effective_n == pytest.approx(10)


def test_tasks_that_balance_out_are_not_better_than_independent():
    rate = clustered_rate([1] * 20, [2] * 20)
    assert rate.effective_n == pytest.approx(40 * (norm.ppf(0.975) / t.ppf(0.975, 19)) ** 2)


@pytest.mark.parametrize(
    ("successes", "totals"),
    [
        ([1, 2], [3]),
        ([2], [1]),
        ([-1], [1]),
        ([0.5], [1]),
        ([0], [math.nan]),
        ([0], [math.inf]),
        ([[1]], [[1]]),
        (1, 1),
    ],
)
def test_malformed_counts_are_refused(successes, totals):
    with pytest.raises(ValueError) as caught:
        clustered_rate(successes, totals)
    assert not isinstance(caught.value, Undefined)


def test_bad_level_is_refused_even_over_nothing():
    with pytest.raises(ValueError, match="level"):
        clustered_rate([], [], level=2)


def test_a_large_count_stays_exact():
    rate = clustered_rate(np.full(76, 10_000_000), np.full(76, 20_000_000))
    assert rate.n == 76 * 20_000_000
    assert rate.estimate == 0.5


@pytest.mark.parametrize("truth", [0.5, 0.2])
def test_clustered_intervals_cover_where_plain_ones_do_not(truth):
    """71 tasks answered 12 times, task rates drawn from a Beta whose intraclass correlation is 0.5."""
    random = np.random.default_rng(2)
    covered = {"clustered": 0, "plain": 0}
    for _ in range(600):
        hits = random.binomial(12, random.beta(truth, 1 - truth, size=71))
        clustered = clustered_rate(hits, np.full(71, 12))
        plain = wilson(int(hits.sum()), 71 * 12)
        covered["clustered"] += clustered.low <= truth <= clustered.high
        covered["plain"] += plain.low <= truth <= plain.high
    assert 0.925 < covered["clustered"] / 600 < 0.98
    assert covered["plain"] / 600 < 0.65
