"""Wilson against scipy and Newcombe's table; design effects against Rao & Scott's; coverage by simulation."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from judging.statistics import Interval, Rate, Undefined, clustered_rate, design_effect, wilson

# Newcombe (1998), table I, method 3.
NEWCOMBE = [
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0, 0.1611),
    (1, 29, 0.0061, 0.1718),
]
# Weil's litters (pups that survived) of Rao & Scott (1992), table 1; the R package PF prints both design
# effects in its manual (rsb).
CONTROL = "13/13 12/12 9/9 9/9 8/8 8/8 12/13 11/12 9/10 9/10 8/9 11/13 4/5 5/7 7/10 7/10"
TREATED = "12/12 11/11 10/10 9/9 10/11 9/10 9/10 8/9 8/9 4/5 7/9 4/7 5/10 3/6 3/10 0/7"

counts_by_task = st.lists(
    st.integers(0, 6).flatmap(lambda m: st.tuples(st.integers(0, m), st.just(m))), max_size=12
)


def _litters(text):
    return tuple(zip(*(map(int, litter.split("/")) for litter in text.split()), strict=True))


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


@pytest.mark.parametrize(("litters", "published"), [(CONTROL, 1.232495), (TREATED, 3.952861)])
def test_design_effect_as_published(litters, published):
    assert design_effect(*_litters(litters)) == pytest.approx(published, abs=5e-7)


def _plain_design_effect(tasks) -> Fraction:
    tasks = [(hits, total) for hits, total in tasks if total]
    groups, n = len(tasks), sum(total for _, total in tasks)
    rate = Fraction(sum(hits for hits, _ in tasks), n)
    if max(total for _, total in tasks) == 1:
        return Fraction(1)
    if groups == 1 or rate in (0, 1):
        return Fraction(n, groups)
    spread = sum((hits - rate * total) ** 2 for hits, total in tasks)
    return max(Fraction(1), Fraction(groups, groups - 1) * spread / n / (rate * (1 - rate)))


@given(counts_by_task)
def test_design_effect_is_its_definition(tasks):
    if not any(total for _, total in tasks):
        with pytest.raises(Undefined, match="no responses"):
            design_effect(*_split(tasks))
        return
    assert design_effect(*_split(tasks)) == pytest.approx(float(_plain_design_effect(tasks)), abs=1e-9)


@given(counts_by_task)
def test_clustered_rate_is_wilson_at_the_effective_size(tasks):
    hits, totals = _split(tasks)
    found = clustered_rate(hits, totals, 0.9)
    if not sum(totals):
        assert found == Rate(None, None, None, 0, 0.0)
        return
    assert found.n == sum(totals)
    assert found.estimate == pytest.approx(sum(hits) / found.n)
    assert found.effective_n == pytest.approx(found.n / design_effect(hits, totals))
    assert found.effective_n <= found.n
    at_effective = wilson(found.effective_n * found.estimate, found.effective_n, 0.9)
    assert (found.low, found.high) == pytest.approx((at_effective.low, at_effective.high), abs=1e-9)
    # No clustering makes an interval narrower than the plain one.
    plain = wilson(sum(hits), found.n, 0.9)
    assert found.low <= plain.low + 1e-12
    assert found.high >= plain.high - 1e-12


@given(st.lists(st.integers(0, 1), min_size=1, max_size=40))
def test_single_responses_give_plain_wilson(hits):
    found = clustered_rate([*hits, 0], [1] * len(hits) + [0])
    assert Interval(found.low, found.high) == wilson(sum(hits), len(hits))
    assert found.effective_n == found.n == len(hits)


def test_one_shared_outcome_counts_each_task_once():
    for hits in ([0, 0, 0], [12, 12, 12]):
        found = clustered_rate(hits, [12, 12, 12])
        assert (found.n, found.effective_n) == (36, 3)
        assert Interval(found.low, found.high) == wilson(hits[0] / 4, 3)
    # Unequal tasks too, and those without responses count for nothing.
    assert design_effect([1, 9, 0], [1, 9, 0]) == 5


def test_one_task_is_one_observation():
    assert design_effect([4], [10]) == 10
    assert clustered_rate([4], [10]).effective_n == 1
    assert clustered_rate([1], [1]).effective_n == 1


def test_copies_of_a_task_add_nothing():
    # Ten tasks, half of them convergent, each answered five times alike: nine degrees of freedom, not fifty.
    found = clustered_rate([5] * 5 + [0] * 5, [5] * 10)
    assert found.effective_n == pytest.approx(9)


def test_tasks_that_balance_out_are_not_better_than_independent():
    assert design_effect([1] * 20, [2] * 20) == 1


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
@pytest.mark.parametrize("function", [design_effect, clustered_rate])
def test_malformed_counts_are_refused(function, successes, totals):
    with pytest.raises(ValueError) as caught:
        function(successes, totals)
    assert not isinstance(caught.value, Undefined)


def test_bad_level_is_refused_even_over_nothing():
    with pytest.raises(ValueError, match="level"):
        clustered_rate([], [], level=2)


def test_a_large_count_stays_exact():
    found = clustered_rate(np.full(76, 10_000_000), np.full(76, 20_000_000))
    assert found.n == 76 * 20_000_000
    assert found.estimate == 0.5


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
