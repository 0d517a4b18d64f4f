"""Calibration against a published example, scikit-learn, and the definitions themselves."""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import brier_score_loss, cohen_kappa_score, confusion_matrix

from arbiter.statistics import (
    Undefined,
    clustered_rate,
    confusion_table,
    exact_mcnemar,
    gwet_ac1,
    jackknife_interval,
    label_figures,
    reliability,
    table_ac1,
    table_kappa,
    task_tables,
    weighted_rate,
    wilson,
)

from .support import reference


@st.composite
def judged(draw, verdicts=-1):
    """Draw gold, what a judge gave, the number of labels, weights and tasks."""
    n, labels = draw(st.integers(1, 25)), draw(st.integers(2, 4))
    column = st.lists(st.integers(0, labels - 1), min_size=n, max_size=n)
    given_ = st.lists(st.integers(verdicts, labels - 1), min_size=n, max_size=n)
    weights = st.lists(st.floats(0.5, 50), min_size=n, max_size=n)
    tasks = st.lists(st.integers(0, 6), min_size=n, max_size=n)
    first, second = (np.asarray(draw(one)) for one in (column, given_))
    return first, second, labels, np.asarray(draw(weights)), np.asarray(draw(tasks))


def _hepatic():
    """Return Begg & Greenes's 344 verified patients: truth, test, and how many each stands for."""
    told = reference("rogan_gladen_verification_bias.json")["begg_greenes_hepatic"]
    cells = [(1, 1, "T1_D1"), (0, 1, "T1_D0"), (1, 0, "T0_D1"), (0, 0, "T0_D0")]
    truth, test = (np.repeat([cell[i] for cell in cells], [told[cell[2]] for cell in cells]) for i in (0, 1))
    worth = {}
    for result in (0, 1):
        verified = told[f"T{result}_D1"] + told[f"T{result}_D0"]
        worth[result] = (verified + told[f"T{result}_unverified"]) / verified
    return truth, test, np.asarray([worth[result] for result in test.tolist()]), told["expected"]


def test_verification_bias_is_undone_by_the_weights():
    truth, test, weights, expected = _hepatic()
    tasks = np.arange(truth.size)
    naive = label_figures(truth, test, 2, None, tasks)[1]
    undone = label_figures(truth, test, 2, weights, tasks)[1]
    assert naive.sensitivity.estimate == pytest.approx(expected["naive_sens"], abs=5e-4)
    assert naive.specificity.estimate == pytest.approx(expected["naive_spec"], abs=5e-4)
    assert undone.sensitivity.estimate == pytest.approx(expected["BG_sens"], abs=5e-4)
    assert undone.specificity.estimate == pytest.approx(expected["BG_spec"], abs=5e-4)
    plain = wilson(231, 258)
    assert (naive.sensitivity.low, naive.sensitivity.high) == pytest.approx((plain.low, plain.high))
    assert undone.sensitivity.effective_n < 258


@given(judged())
def test_confusion_is_scikit_learns(data):
    gold, given_, labels, weights, _ = data
    judged_ = given_ >= 0
    table = confusion_table(gold, given_, labels, weights)
    if judged_.any():
        oracle = confusion_matrix(
            gold[judged_], given_[judged_], labels=range(labels), sample_weight=weights[judged_]
        )
        assert table[:, :labels] == pytest.approx(oracle)
    missing = [weights[~judged_ & (gold == label)].sum() for label in range(labels)]
    assert table[:, labels] == pytest.approx(missing)


@given(judged(verdicts=0))
def test_kappa_is_scikit_learns(data):
    gold, given_, labels, weights, _ = data
    assume(len({*gold.tolist(), *given_.tolist()}) > 1)
    table = confusion_table(gold, given_, labels, weights)[:, :labels]
    oracle = cohen_kappa_score(gold, given_, labels=range(labels), sample_weight=weights)
    assert table_kappa(table) == pytest.approx(oracle, abs=1e-9)


@given(judged(verdicts=0))
def test_ac1_of_a_table_is_that_of_its_items(data):
    gold, given_, labels, _, _ = data
    counts = np.stack([np.bincount(pair, minlength=labels) for pair in zip(gold, given_, strict=True)])
    table = confusion_table(gold, given_, labels)[:, :labels]
    assert table_ac1(table) == pytest.approx(gwet_ac1(counts), abs=1e-9)


def test_kappa_of_one_label_is_undefined():
    with pytest.raises(Undefined, match="one and the same label"):
        table_kappa([[7, 0], [0, 0]])
    assert table_ac1([[7, 0], [0, 0]]) == 1
    for measure in (table_kappa, table_ac1):
        with pytest.raises(Undefined, match="no item"):
            measure([[0, 0], [0, 0]])
        with pytest.raises(ValueError):
            measure([[1, 2, 3], [1, 2, 3]])


@given(judged())
def test_no_verdict_is_no_wrong_answer(data):
    """Items without a verdict change no sensitivity, only what it rests on."""
    gold, given_, labels, weights, tasks = data
    there = given_ >= 0
    every = label_figures(gold, given_, labels, weights, tasks)
    answered = label_figures(gold[there], given_[there], labels, weights[there], tasks[there])
    assert every == answered


@given(judged(), st.randoms(use_true_random=False))
def test_order_of_items_does_not_matter(data, random):
    gold, given_, labels, weights, tasks = data
    order = list(range(gold.size))
    random.shuffle(order)
    first = label_figures(gold, given_, labels, weights, tasks)
    second = label_figures(gold[order], given_[order], labels, weights[order], tasks[order])
    for one, other in zip(first, second, strict=True):
        for a, b in [(one.sensitivity, other.sensitivity), (one.specificity, other.specificity)]:
            assert (a.n, a.estimate is None) == (b.n, b.estimate is None)
            if a.estimate is not None:
                assert (a.low, a.estimate, a.high) == pytest.approx((b.low, b.estimate, b.high))
                assert 0 <= a.low <= a.estimate <= a.high <= 1


@given(judged(), st.floats(0.1, 100))
def test_scale_of_weights_does_not_matter(data, scale):
    gold, given_, _, weights, tasks = data
    hit = gold == given_
    one, other = weighted_rate(hit, weights, tasks), weighted_rate(hit, weights * scale, tasks)
    assert (one.low, one.estimate, one.high) == pytest.approx((other.low, other.estimate, other.high))


@given(judged())
def test_without_weights_it_is_the_clustered_rate(data):
    gold, given_, _, _, tasks = data
    hit = gold == given_
    by_task = [tasks == task for task in np.unique(tasks)]
    plain = clustered_rate([hit[mask].sum() for mask in by_task], [mask.sum() for mask in by_task])
    for weights in (None, np.full(hit.size, 7.0)):
        assert astuple(weighted_rate(hit, weights, tasks)) == pytest.approx(astuple(plain))


def test_weights_and_clusters_widen():
    hit = np.arange(100) % 4 == 0
    weights = np.where(np.arange(100) % 2 == 0, 9.0, 1.0)
    alone, tasks = np.arange(100), np.arange(100) // 20
    even = weighted_rate(hit, None, alone)
    uneven = weighted_rate(hit, weights, alone)
    assert uneven.effective_n <= 100 * 25 / 41 + 1e-9 < even.effective_n  # Kish's number
    sorted_hit = np.sort(hit)
    assert weighted_rate(sorted_hit, weights, tasks).effective_n < uneven.effective_n


def test_all_right_counts_each_task_once():
    assert weighted_rate([True] * 10, [1.0, 3.0] * 5, [0] * 10).effective_n == pytest.approx(1)
    nothing = weighted_rate([], None, [])
    assert (nothing.estimate, nothing.low, nothing.high, nothing.n) == (None, None, None, 0)


def test_a_weighted_interval_covers():
    """Stratified gold, several items a task whose judge errs together: 95 % intervals hold the truth."""
    random = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        tasks = np.repeat(np.arange(60), 8)
        skill = random.beta(8, 2, 60)[tasks]
        hit = random.random(480) < skill
        split = random.random(480) < np.where(hit, 0.3, 0.7)
        drawn = random.random(480) < np.where(split, 0.6, 0.2)
        weights = np.where(split, 1 / 0.6, 1 / 0.2)
        rate = weighted_rate(hit[drawn], weights[drawn], tasks[drawn])
        covered += rate.low <= 0.8 <= rate.high
    assert 0.93 <= covered / 400 <= 0.995


@given(judged())
def test_tables_by_task_add_up(data):
    gold, given_, labels, weights, tasks = data
    tables = task_tables(gold, given_, labels, weights, tasks)
    assert tables.sum(axis=0) == pytest.approx(confusion_table(gold, given_, labels, weights)[:, :labels])
    assert len(tables) == len(np.unique(tasks[given_ >= 0]))


def test_jackknife_of_a_mean_is_its_standard_error():
    """Left out one at a time, tasks of one item give s / sqrt(n)."""
    hits = np.array([1] * 30 + [0] * 10)
    tables = np.stack([np.diag([hit, 1 - hit]) for hit in hits]).astype(float)
    interval = jackknife_interval(tables, lambda table: float(table[0, 0] / table.sum()))
    error = hits.std(ddof=1) / np.sqrt(40)
    assert interval.high - 0.75 == pytest.approx(1.959964 * error, rel=1e-6)
    with pytest.raises(Undefined, match="two tasks"):
        jackknife_interval(tables[:1], lambda table: 0.5)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_binomial_test(better, worse):
    oracle = binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert exact_mcnemar(better, worse) == pytest.approx(oracle)


def test_mcnemar_refuses_negative_counts():
    with pytest.raises(ValueError):
        exact_mcnemar(-1, 2)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.floats(0.5, 9)), min_size=1, max_size=40),
    st.integers(1, 12),
)
def test_brier_is_scikit_learns_and_its_parts_add_up(answers, bins):
    stated, right, weights = (np.asarray(column) for column in zip(*answers, strict=True))
    scores = reliability(stated, right, weights, np.arange(stated.size), bins)
    oracle = brier_score_loss(right, stated, sample_weight=weights, labels=[False, True])
    assert scores.brier == pytest.approx(oracle, abs=1e-9)
    parts = scores.reliability - scores.resolution + scores.uncertainty + scores.within
    assert parts == pytest.approx(scores.brier, abs=1e-9)
    assert sum(one.n for one in scores.bins) == scores.n == stated.size
    assert all(one.low <= one.confidence <= one.high + 1e-12 for one in scores.bins)


def test_equal_confidence_in_a_bin_leaves_nothing_within():
    parts = reliability([0.95] * 8 + [0.65] * 4, [1] * 6 + [0] * 2 + [1, 0, 0, 0], None, np.arange(12))
    assert parts.within == pytest.approx(0)
    assert parts.expected_error == pytest.approx((8 * 0.2 + 4 * 0.4) / 12)
    assert [(one.n, one.right.estimate) for one in parts.bins] == [(4, 0.25), (8, 0.75)]


def test_no_stated_confidence_is_undefined():
    with pytest.raises(Undefined, match="stated probability"):
        reliability([], [], None, [])
    with pytest.raises(ValueError):
        reliability([1.2], [True], None, [0])


@pytest.mark.parametrize(
    ("gold", "given_", "weights"),
    [
        ([0, 2], [0, 1], None),
        ([0, -1], [0, 1], None),
        ([0, 1], [0, -2], None),
        ([0, 1], [0], None),
        ([0, 1], [0, 1], [1, -1]),
        ([0, 1], [0, 1], [1, np.nan]),
    ],
)
def test_malformed_items(gold, given_, weights):
    with pytest.raises(ValueError):
        confusion_table(gold, given_, 2, weights)
