"""McNemar, Stuart-Maxwell and Cochran's Q: as published and as statsmodels has them, and what clusters and
weights do to them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import SquareTable, cochrans_q, mcnemar

from arbiter.statistics import Undefined, cochran_q, margin_design_effect, paired_shift, stuart_maxwell
from arbiter.statistics.margins import _tango
from tests.arbiter.statistics.support import expand
from tests.sizes import size

# Agresti (2002), Categorical Data Analysis, table 10.1: approval of the prime minister, two surveys.
PRIME_MINISTER = [[794, 150], [86, 570]]
# Stuart (1955), Biometrika 42: unaided vision of 7477 women, right eye and left.
VISION = [[1520, 266, 124, 66], [234, 1512, 432, 78], [117, 362, 1772, 205], [36, 82, 179, 492]]
# J. Uebersax's MH program, its example with a category in full agreement.
FULL_AGREEMENT = [[30, 0, 0], [0, 10, 2], [0, 4, 8]]


def singles(n):
    return np.arange(n)


def test_mcnemar_of_the_approval_ratings():
    first, second = expand(PRIME_MINISTER).astype(bool)
    shift = paired_shift(first, second, singles(1600))
    assert shift.statistic == pytest.approx(17.36, abs=0.005)
    assert (shift.gained, shift.lost) == pytest.approx((150, 86))
    assert (shift.exact, shift.design_effect) == (True, 1)
    assert shift.shift == pytest.approx(64 / 1600)
    # Agresti gives (0.06, 0.02) for the Wald interval of the difference.
    assert (shift.low, shift.high) == pytest.approx((0.0212, 0.0587), abs=5e-4)


def test_stuart_maxwell_of_unaided_vision():
    first, second = expand(VISION)
    homogeneity = stuart_maxwell(first, second, singles(7477), 4)
    assert homogeneity.statistic == pytest.approx(11.957, abs=5e-4)
    assert (homogeneity.df, homogeneity.items) == (3, 7477)
    assert homogeneity.p == pytest.approx(0.0075, abs=5e-5)


def test_a_label_in_full_agreement_and_one_nobody_uses_are_dropped():
    first, second = expand(FULL_AGREEMENT)
    for categories in (3, 5):
        homogeneity = stuart_maxwell(first, second, singles(54), categories)
        assert (round(homogeneity.statistic, 3), round(homogeneity.p, 3), homogeneity.df) == (0.667, 0.414, 1)


def test_cochran_of_three_tasks():
    # NCSS, chapter 521, after Sheskin (2011), chapter 26: twelve subjects under three conditions.
    votes = ["010", "110", "001", "000", "100", "011", "000", "110", "010", "111", "010", "110"]
    given = np.array([[one == "1" for one in row] for row in votes])
    homogeneity = cochran_q(given, singles(12))
    expected = cochrans_q(given.astype(int))
    assert (homogeneity.statistic, homogeneity.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert (homogeneity.df, homogeneity.informative) == (2, 9)


tables = st.integers(2, 5).flatmap(
    lambda k: st.lists(st.lists(st.integers(0, 15), min_size=k, max_size=k), min_size=k, max_size=k)
)


@given(st.tuples(*[st.integers(0, 60)] * 4).filter(any))
def test_mcnemar_as_statsmodels_has_it(cells):
    a, b, c, d = cells
    patterns = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=bool)
    counts = np.array(cells)
    first, second = np.repeat(patterns, counts, axis=0).T
    shift = paired_shift(first, second, singles(sum(cells)))
    table = [[d, c], [b, a]]
    both = (mcnemar(table, exact=exact, correction=False).pvalue for exact in (True, False))
    assert shift.p == pytest.approx(max(both) if b + c else 1)
    if b + c:
        assert shift.statistic == pytest.approx(mcnemar(table, exact=False, correction=False).statistic)
    assert shift.low <= shift.shift <= shift.high and shift.low < shift.high


@given(
    st.tuples(*[st.integers(0, 40)] * 4).filter(any),
    st.sampled_from([0.8, 0.95, 0.999]),
    st.sampled_from([1.0, 1.7]),
)
def test_the_interval_leaves_out_nothing_just_where_p_says_so(cells, level, effect):
    patterns = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=bool)
    first, second = np.repeat(patterns, np.array(cells), axis=0).T
    for given_ in (first, first.astype(float) * 0.9 + 0.04):
        shift = paired_shift(given_, second, singles(sum(cells)), level=level, effect=effect)
        assert (shift.low > 0 or shift.high < 0) == (shift.p < 1 - level)
        assert -1 <= shift.low <= shift.shift <= shift.high <= 1


def test_tangos_interval_of_airway_reactivity():
    """Before and after a transplant in 21 children; Fagerland, Lydersen & Laake (2014), Stat. Med.
    33:2850-2875, table V."""
    assert _tango(1, 7, 21, 1.959964) == pytest.approx((-0.517, -0.026), abs=5e-4)
    first, second = expand([[1, 1], [7, 12]]).astype(bool)
    shift = paired_shift(first, second, singles(21))
    # The binomial p of the eight that changed is .07, so no shift is not ruled out.
    assert shift.p == pytest.approx(2 * 9 / 2**8) and shift.high == 0


@given(tables)
@settings(max_examples=size(20, 150))
def test_stuart_maxwell_as_statsmodels_has_it_without_labels_nobody_uses(rows):
    table = np.array(rows)
    used = (table.sum(axis=0) + table.sum(axis=1)) > 0
    first, second = expand(table) if table.sum() else (np.zeros(0, int),) * 2
    if (first == second).all():
        with pytest.raises(Undefined):
            stuart_maxwell(first, second, singles(len(first)), len(table))
        return
    homogeneity = stuart_maxwell(first, second, singles(len(first)), len(table))
    kept = table[np.ix_(used, used)].astype(float)
    assert homogeneity.df <= used.sum() - 1
    if homogeneity.df == used.sum() - 1:
        expected = SquareTable(kept, shift_zeros=False).homogeneity(method="stuart_maxwell")
        assert (homogeneity.statistic, homogeneity.p) == pytest.approx((expected.statistic, expected.pvalue))
    margins = (table.sum(axis=0) - table.sum(axis=1)) / table.sum()
    assert homogeneity.differences == pytest.approx(margins)


@given(
    st.integers(2, 5).flatmap(lambda k: st.lists(st.tuples(*[st.booleans()] * k), min_size=1, max_size=30))
)
def test_cochran_as_statsmodels_has_it(rows):
    votes = np.array(rows)
    if (votes.all(axis=1) | ~votes.any(axis=1)).all():
        with pytest.raises(Undefined, match="never differ"):
            cochran_q(votes, singles(len(votes)))
        return
    homogeneity, expected = cochran_q(votes, singles(len(votes))), cochrans_q(votes.astype(int))
    assert (homogeneity.statistic, homogeneity.p) == pytest.approx((expected.statistic, expected.pvalue))


def test_two_raters_of_cochran_are_mcnemar():
    rng = np.random.default_rng(3)
    votes, tasks = rng.random((200, 2)) < [0.5, 0.6], rng.integers(0, 20, 200)
    assert cochran_q(votes, tasks).statistic == pytest.approx(paired_shift(*votes.T, tasks).statistic)


@given(st.integers(0, 10**6))
@settings(max_examples=30)
def test_patterns_with_counts_are_items(seed):
    rng = np.random.default_rng(seed)
    rows, counts = rng.integers(0, 3, (12, 2)), rng.integers(0, 6, 12)
    counts[0] = 3
    tasks = rng.integers(0, 4, 12)
    many = np.repeat(rows, counts, axis=0), np.repeat(tasks, counts)
    one, other = paired_shift(*(rows > 0).T, tasks, counts), paired_shift(*(many[0] > 0).T, many[1])
    assert [one.statistic, one.p, one.low, one.design_effect] == pytest.approx(
        [other.statistic, other.p, other.low, other.design_effect]
    )
    if (many[0][:, 0] != many[0][:, 1]).any():
        pair = stuart_maxwell(*rows.T, tasks, 3, counts), stuart_maxwell(*many[0].T, many[1], 3)
        assert pair[0].statistic == pytest.approx(pair[1].statistic)


def test_copies_of_a_task_tell_nothing_new():
    rng = np.random.default_rng(1)
    first, second = rng.random((2, 60)) < [[0.4], [0.6]]
    once = paired_shift(first, second, singles(60))
    copied = paired_shift(np.repeat(first, 10), np.repeat(second, 10), np.repeat(singles(60), 10))
    assert copied.design_effect == pytest.approx(10, rel=0.03)
    assert copied.statistic == pytest.approx(once.statistic, rel=0.03)
    assert (copied.high - copied.low) == pytest.approx(once.high - once.low, rel=0.03)
    votes = np.column_stack([first, second, first ^ second])
    assert cochran_q(np.repeat(votes, 10, axis=0), np.repeat(singles(60), 10)).statistic == pytest.approx(
        cochran_q(votes, singles(60)).statistic, rel=0.05
    )


def test_weights_move_the_shift_and_cost_precision():
    first = np.array([True, False] * 50)
    second = np.array([True, True] * 50)
    equal = paired_shift(first, second, singles(100), weights=np.full(100, 7.0))
    assert equal.shift == 0.5 and equal.exact
    heavy = paired_shift(first, second, singles(100), weights=np.array([1.0, 3.0] * 50))
    assert heavy.shift == pytest.approx(0.75)
    assert not heavy.exact and heavy.design_effect >= 1.25 - 1e-9
    assert stuart_maxwell(
        first.astype(int), second.astype(int), singles(100), 2, weights=np.array([1.0, 3.0] * 50)
    ).differences[1] == pytest.approx(0.75)


def test_the_level_of_the_clustered_test_holds():
    """Tasks that sway both raters' differences together: 38 tasks of ten items."""
    rng = np.random.default_rng(11)
    rejected = plain = 0
    for _ in range(400):
        lean = rng.choice([0.15, 0.85], 38).repeat(10)
        apart, up = rng.random(380) < 0.3, rng.random(380) < lean
        first, second = apart & ~up, apart & up
        tasks = np.repeat(np.arange(38), 10)
        rejected += paired_shift(first, second, tasks).p < 0.05
        plain += paired_shift(first, second, singles(380)).p < 0.05
    assert rejected <= 400 * 0.08
    assert plain > 400 * 0.1  # so it is the clusters that are dealt with


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: paired_shift([1, 0], [True, False], singles(2)), "booleans"),
        (lambda: paired_shift([True], [False], [0.5]), "integers"),
        (lambda: paired_shift([True], [False], [0], [-1]), "whole numbers"),
        (lambda: paired_shift([True], [False], [0], weights=[0.0]), "above 0"),
        (lambda: paired_shift([True], [False], [0], level=1), "level"),
        (lambda: stuart_maxwell([0, 3], [0, 1], singles(2), 3), "lie in"),
        (lambda: stuart_maxwell([0.0], [1.0], singles(1), 3), "integers"),
        (lambda: cochran_q(np.ones((3, 1), dtype=bool), singles(3)), "two raters"),
    ],
)
def test_malformed(wrong, says):
    with pytest.raises(ValueError, match=says) as refused:
        wrong()
    assert not isinstance(refused.value, Undefined)


def test_nothing_to_compare():
    none = np.zeros(0, dtype=bool)
    for call in (
        lambda: paired_shift(none, none, np.zeros(0, dtype=int)),
        lambda: stuart_maxwell(np.array([1, 1]), np.array([1, 1]), singles(2), 2),
        lambda: cochran_q(np.ones((4, 3), dtype=bool), singles(4)),
    ):
        with pytest.raises(Undefined):
            call()


def test_a_design_effect_of_all_groups_together():
    rng = np.random.default_rng(2)
    one, two = rng.integers(0, 3, (2, 300))
    tasks = rng.integers(0, 60, 300)
    groups = tasks % 5
    alone = margin_design_effect(one, two, tasks, np.zeros_like(tasks), 3)
    assert alone == pytest.approx(stuart_maxwell(one, two, tasks, 3).design_effect)
    assert margin_design_effect(one, two, np.arange(300), groups, 3) == 1
    copies = [np.repeat(array, 4) for array in (one, two, np.arange(300), groups)]
    assert margin_design_effect(*copies, 3) == pytest.approx(4, rel=0.03)
    # What sets groups apart is no clustering: here a rater leans in one of them, on every item.
    leaning = np.where(groups == 0, 2, one)
    within, ignored = (
        margin_design_effect(one, leaning, tasks, keys, 3) for keys in (groups, np.zeros_like(groups))
    )
    assert within < ignored


def test_a_design_effect_that_is_given_is_used():
    first, second = np.random.default_rng(4).random((2, 80)) < 0.5
    once, given = (
        paired_shift(first, second, singles(80)),
        paired_shift(first, second, singles(80), effect=2.0),
    )
    assert given.statistic == pytest.approx(once.statistic / 2) and not given.exact
    assert given.high - given.low > once.high - once.low
    with pytest.raises(ValueError, match="at least 1"):
        paired_shift(first, second, singles(80), effect=0.5)
    with pytest.raises(ValueError, match="groups"):
        margin_design_effect([0, 1], [0, 1], [0, 1], [0.5, 1], 2)
