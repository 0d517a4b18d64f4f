"""Human error: closed forms, planted matrices found again, and what can't be told is not told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.statistics import (
    HumanError,
    Undefined,
    as_binary,
    confusion_under_human_error,
    even_errors,
    gold_error,
    human_error,
    rate_under_human_error,
    shares_under_human_error,
    truth_weights,
    wrong_labels,
)
from arbiter.statistics.human_error import lopsided
from tests.studies.humanerror import CASES, RATE, one, table

FOUR = np.array(
    [[0.80, 0.10, 0.05, 0.05], [0.10, 0.85, 0.03, 0.02], [0.05, 0.03, 0.90, 0.02], [0.05, 0.02, 0.02, 0.91]]
)
LOPSIDED = np.array([[0.7, 0.3], [0.05, 0.95]])


def _labelled(seed, items, humans, prevalence, error):
    """Draw patterns and how many items have each, from raters who err by a planted matrix."""
    random = np.random.default_rng(seed)
    truth = random.choice(len(prevalence), p=prevalence, size=items)
    cumulative = np.cumsum(error, axis=1)[truth]
    counts = np.zeros((items, len(prevalence)), dtype=np.int64)
    for _ in range(humans):
        given_ = (random.random(items)[:, None] > cumulative).sum(axis=1)
        counts[np.arange(items), given_] += 1
    return np.unique(counts, axis=0, return_counts=True)


def _known(error, prevalence):
    error, prevalence = np.asarray(error, dtype=float), np.asarray(prevalence, dtype=float)
    return HumanError(error, prevalence, True, 100, 100, float(prevalence @ np.diag(error)))


@given(same=st.tuples(st.integers(20, 400), st.integers(20, 400)), differ=st.integers(0, 15))
def test_two_labels_in_pairs_have_a_closed_form(same, differ):
    """2 e (1 - e) is the share of pairs that differ."""
    errors = human_error([[2, 0], [0, 2], [1, 1]], [*same, differ], draws=0)
    share = differ / (sum(same) + differ)
    assert errors.error[0, 1] == pytest.approx((1 - np.sqrt(1 - 2 * share)) / 2, abs=1e-4)
    assert errors.error[0, 1] == pytest.approx(errors.error[1, 0])
    assert not errors.full


def test_a_symmetric_matrix_is_found_in_pairs():
    errors = human_error(*_labelled(1, 20_000, 2, [0.3, 0.4, 0.1, 0.2], FOUR))
    assert np.abs(errors.error - FOUR).max() < 0.02
    assert np.allclose(errors.error, errors.error.T)
    assert np.allclose(errors.error.sum(axis=1), 1)
    assert errors.prevalence == pytest.approx([0.3, 0.4, 0.1, 0.2], abs=0.02)


def test_pairs_are_fitted_exactly_by_the_symmetric_matrix():
    """It has as many parameters as the table of pairs has free cells."""
    counts, items = _labelled(2, 500, 2, [0.3, 0.4, 0.1, 0.2], FOUR)
    errors = human_error(counts, items)
    model = errors.error.T @ np.diag(errors.prevalence) @ errors.error
    table = np.zeros((4, 4))
    for row, n in zip(counts, items, strict=True):
        first, second = np.repeat(np.arange(4), row)
        table[first, second] += n / 2
        table[second, first] += n / 2
    assert np.abs(model - table / items.sum()).max() < 0.002


def test_three_humans_an_item_tell_a_lopsided_matrix():
    errors = human_error(*_labelled(3, 20_000, 3, [0.3, 0.7], LOPSIDED))
    assert errors.full
    assert np.abs(errors.error - LOPSIDED).max() < 0.02
    pairs = human_error(*_labelled(3, 20_000, 2, [0.3, 0.7], LOPSIDED))
    assert not pairs.full
    assert np.abs(pairs.error - LOPSIDED).max() > 0.05  # which is what the assumption costs


def test_a_label_that_nobody_gave_has_no_errors():
    errors = human_error([[2, 0, 0], [0, 2, 0], [1, 1, 0]], [20, 90, 10])
    assert errors.error[2].tolist() == [0, 0, 1]
    assert errors.error[:2, 2].tolist() == [0, 0]


def test_order_of_labels_does_not_matter():
    counts, items = _labelled(4, 400, 3, [0.3, 0.4, 0.1, 0.2], FOUR)
    order = [2, 0, 3, 1]
    errors, turned = human_error(counts, items), human_error(counts[:, order], items)
    assert np.allclose(turned.error, errors.error[np.ix_(order, order)], atol=1e-3)


def test_too_little_is_said():
    with pytest.raises(Undefined, match="29 items have labels from two humans or more; 30 are needed"):
        human_error([[2, 0], [0, 2], [1, 0]], [14, 15, 500])


def test_humans_who_guess_tell_nothing():
    with pytest.raises(Undefined, match="can't be told"):
        human_error([[2, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]], [2, 30, 30, 30])


@pytest.mark.parametrize(
    ("counts", "items"),
    [
        ([[2, 0]], [1, 2]),
        ([[2]], [40]),
        ([[2.5, 0]], [40]),
        ([[-1, 3]], [40]),
        ([[2, 0]], [0.5]),
        ([2, 0], [4]),
    ],
)
def test_malformed_counts(counts, items):
    with pytest.raises(ValueError):
        human_error(counts, items)


def test_a_rate_is_carried_over():
    """Rogan & Gladen: 0.7 and 0.95 at a true rate of 0.3 show 0.245."""
    errors = _known(LOPSIDED, [0.3, 0.7])
    corrected = rate_under_human_error(0.245, 0.05, 0.9, errors, [True, False])
    assert corrected.estimate == pytest.approx(0.3)
    assert (corrected.low, corrected.high) == (pytest.approx(0.0), 1.0)
    half = rate_under_human_error(0.2725, 0.2, 0.3, errors, [True, False], single=0.5)
    assert half.estimate == pytest.approx(0.3)
    assert rate_under_human_error(0.2, 0.1, 0.3, errors, [True, False], single=0).low == pytest.approx(0.1)


def test_a_rate_is_not_carried_over_by_coin_tossers():
    errors = _known([[0.55, 0.45], [0.4, 0.6]], [0.5, 0.5])
    with pytest.raises(Undefined, match="too little"):
        rate_under_human_error(0.4, 0.3, 0.5, errors, [True, False])


@pytest.mark.parametrize("bounds", [(0.5, 0.6, 0.7), (0.5, 0.4, 1.2), (0.5, float("nan"), 0.7)])
def test_bounds_that_are_none(bounds):
    with pytest.raises(ValueError):
        rate_under_human_error(*bounds, _known(LOPSIDED, [0.3, 0.7]), [True, False])


def test_several_labels_as_target_and_other():
    error, prevalence = FOUR, np.array([0.3, 0.4, 0.1, 0.2])
    sensitivity, specificity = as_binary(error, prevalence, [True, True, False, False])
    assert sensitivity == pytest.approx((0.3 * 0.9 + 0.4 * 0.95) / 0.7)
    assert specificity == pytest.approx((0.1 * 0.92 + 0.2 * 0.93) / 0.3)
    for target in ([True] * 4, [False] * 4, [True]):
        with pytest.raises(ValueError):
            as_binary(error, prevalence, target)


def test_shares_are_carried_over_and_stay_shares():
    errors = _known(FOUR, [0.25] * 4)
    truth = np.array([0.1, 0.2, 0.3, 0.4])
    assert shares_under_human_error(truth @ FOUR, errors) == pytest.approx(truth, abs=1e-6)
    assert shares_under_human_error(truth, errors, single=0) == pytest.approx(truth)
    odd = shares_under_human_error([0, 0, 0, 5], errors)
    assert (odd >= 0).all() and odd.sum() == pytest.approx(1)


def test_a_judges_table_is_carried_over():
    """Human and judge err independently given the truth; no verdict is a column like any other."""
    truth, judge = np.diag([30.0, 70.0]), np.array([[0.8, 0.15, 0.05], [0.1, 0.85, 0.05]])
    observed = LOPSIDED.T @ truth @ judge
    errors = _known(LOPSIDED, [0.3, 0.7])
    assert confusion_under_human_error(observed, errors) == pytest.approx(truth @ judge, abs=1e-4)
    assert confusion_under_human_error(observed, errors, single=0) == pytest.approx(observed)


@pytest.mark.parametrize("table", [[[1, 2]], [[0, 0], [0, 0]], [[-1, 2], [1, 1]], [[np.nan, 1], [1, 1]]])
def test_malformed_tables(table):
    with pytest.raises(ValueError):
        confusion_under_human_error(table, _known(LOPSIDED, [0.3, 0.7]))


def test_a_share_of_single_gold_is_a_share():
    with pytest.raises(ValueError, match=r"0\.\.1"):
        gold_error(LOPSIDED, 1.5)


def test_what_few_items_leave_open_of_the_errors_widens_the_bounds():
    target = [True, False]
    few, many = (human_error(*_labelled(5, items, 3, [0.3, 0.7], LOPSIDED)) for items in (60, 2000))
    assert few.full and many.full and len(many.draws) == 200
    wide, narrow, known = (
        rate_under_human_error(0.3, 0.28, 0.32, errors, target)
        for errors in (few, many, _known(LOPSIDED, [0.3, 0.7]))
    )
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
    assert narrow.high - narrow.low > known.high - known.low
    assert not wide.band


def test_the_bounds_cover_the_true_rate_though_the_errors_are_estimated():
    """Gold of one person each on 400 items, errors from 150 others that three labelled: 95 % of the bounds
    hold .3."""
    error = np.array([[0.85, 0.15], [0.05, 0.95]])
    covered = 0
    for seed in range(60):
        errors = human_error(*_labelled(seed, 150, 3, [0.3, 0.7], error), draws=60)
        shown = np.random.default_rng([seed, 1]).binomial(400, 0.3 * 0.85 + 0.7 * 0.05) / 400
        half = 1.96 * np.sqrt(shown * (1 - shown) / 400)
        moved = rate_under_human_error(shown, shown - half, shown + half, errors, [True, False])
        covered += moved.low <= 0.3 <= moved.high
    assert covered >= 53  # below that once in a hundred, were it 95 %


def test_the_study_of_the_bounds_makes_both_of_one_sample():
    """Those that take the errors as known lie within those that don't, also where pairs leave a band."""
    for case in (CASES[0], CASES[2]):
        known, told = one(case, np.random.default_rng(4))
        assert told.low <= known.low < known.high <= told.high and told.low < RATE < told.high
    row = {
        "humans": 3,
        "missed": 0.15,
        "invented": 0.05,
        "known": 0.9,
        "known_width": 0.111,
        "covers": 0.967,
        "width": 0.157,
    }
    assert table([row]).endswith("\n| 3 | 15% missed, 5% invented | 90%, 0.11 wide | 97%, 0.16 wide |")


def test_pairs_leave_a_band_that_holds_lopsided_errors():
    """Of 20,000 pairs everything is known but who misses and who invents."""
    target = [True, False]
    errors = human_error(*_labelled(6, 20_000, 2, [0.3, 0.7], LOPSIDED), draws=20)
    (missed, none), (nothing, invented) = lopsided(errors, target)
    assert none == nothing == 0 and 0 < invented < missed
    moved = rate_under_human_error(0.245, 0.245, 0.245, errors, target)
    assert moved.band and moved.low < 0.3 < moved.high
    assert abs(moved.estimate - 0.3) > 0.01  # which symmetry gets wrong
    misses_alone = np.array([[0.8, 0.2], [0.0, 1.0]])
    (missed, _), _ = lopsided(
        human_error(*_labelled(7, 20_000, 2, [0.3, 0.7], misses_alone), draws=0), target
    )
    assert missed == pytest.approx(0.2, abs=0.02)


def test_weights_of_the_truth_give_back_what_gold_hides():
    rng = np.random.default_rng(8)
    truth = rng.choice(4, p=[0.3, 0.4, 0.1, 0.2], size=40_000)
    gold = (rng.random(40_000)[:, None] > np.cumsum(FOUR, axis=1)[truth]).sum(axis=1)
    weights = truth_weights(gold, FOUR)
    assert weights.sum(axis=1) == pytest.approx(np.ones(40_000))
    assert weights.mean(axis=0) == pytest.approx(np.bincount(truth) / 40_000, abs=0.01)
    assert np.eye(4)[gold].mean(axis=0) != pytest.approx(np.bincount(truth) / 40_000, abs=0.01)
    with pytest.raises(Undefined, match="too little"):
        truth_weights(gold[:3] % 2, np.array([[0.55, 0.45], [0.45, 0.55]]))
    with pytest.raises(ValueError, match=r"0\.\.3"):
        truth_weights([4], FOUR)


def test_errors_that_are_supposed():
    assert wrong_labels([0.3, 0.6, 0.1], [True, False, False], 0.05, 0.02) == pytest.approx(
        np.array([[0.95, 0.05 * 6 / 7, 0.05 / 7], [0.02, 0.98, 0], [0.02, 0, 0.98]])
    )
    assert even_errors([0.5, 0.5, 0], 0.1) == pytest.approx(
        np.array([[0.9, 0.1, 0], [0.1, 0.9, 0], [0.05, 0.05, 0.9]])
    )
    assert even_errors([1, 0], 0.1)[0].tolist() == [1, 0]  # there is nothing to take it for
