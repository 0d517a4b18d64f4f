"""The alternative annotator test: the paper's construction, its t-test, and who passes in simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, ttest_1samp

from arbiter.statistics import Undefined, alternative_annotator_test, benjamini_yekutieli


def _raters(seed, items, accuracies, labels=4):
    """Draw labels of raters of these accuracies, who err evenly, on the same items."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, labels, items)
    wrong = (truth + random.integers(1, labels, (len(accuracies), items))) % labels
    right = random.random((len(accuracies), items)) < np.asarray(accuracies)[:, None]
    return np.where(right, truth, wrong)


def _plain(humans, judge, epsilon):
    """Follow the procedure item by item, as the paper words it: p-values and rho."""
    ps, rhos = [], []
    for excluded in range(len(humans)):
        difference, as_good = [], []
        for item in range(humans.shape[1]):
            others = [humans[h][item] for h in range(len(humans)) if h != excluded and humans[h][item] >= 0]
            if humans[excluded][item] < 0 or judge[item] < 0 or not others:
                continue
            human = np.mean([label == humans[excluded][item] for label in others])
            alike = np.mean([label == judge[item] for label in others])
            difference.append(int(human >= alike) - int(alike >= human))
            as_good.append(alike >= human)
        ps.append(ttest_1samp(difference, epsilon, alternative="less").pvalue)
        rhos.append(np.mean(as_good))
    return ps, float(np.mean(rhos))


@pytest.mark.parametrize("seed", range(4))
def test_as_the_paper_words_it(seed):
    labels = _raters(seed, 80, [0.8, 0.7, 0.75, 0.6])
    random = np.random.default_rng(seed)
    labels[random.random(labels.shape) < 0.1] = -1
    humans, judge = labels[1:], labels[0]
    test = alternative_annotator_test(humans, judge, 0.15)
    ps, rho = _plain(humans, judge, 0.15)
    assert [one.p for one in test.humans] == pytest.approx(ps)
    assert test.rho == pytest.approx(rho)
    assert test.omega == pytest.approx(np.mean(false_discovery_control(ps, method="by") <= 0.05))


def test_a_judge_as_good_as_humans_passes_and_one_that_guesses_does_not():
    passed = {"good": 0, "as good": 0, "worse": 0, "random": 0}
    for seed in range(30):
        for name, accuracy in [("good", 0.9), ("as good", 0.8), ("worse", 0.65), ("random", 0.25)]:
            labels = _raters(seed, 100, [accuracy, 0.8, 0.8, 0.8])
            passed[name] += alternative_annotator_test(labels[1:], labels[0], 0.2).passed
    assert passed["good"] >= 29 and passed["as good"] >= 25
    assert passed["worse"] <= 5 and passed["random"] == 0


def test_a_judge_worse_by_epsilon_seldom_passes():
    """At the border of the null hypothesis each human is won against in few repetitions."""
    won = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        d = random.choice([1, 0, -1], p=[0.3, 0.6, 0.1], size=100)  # mean 0.2
        others = np.zeros((2, 100), dtype=np.int64)
        human, judge = np.where(d >= 0, 0, 1), np.where(d <= 0, 0, 1)
        humans = np.vstack([human, others])
        test = alternative_annotator_test(humans, judge, 0.2)
        won += test.humans[0].won
    assert won / 200 <= 0.05


def test_patterns_are_items_counted():
    labels = _raters(3, 90, [0.8, 0.7, 0.75, 0.6], labels=2)
    patterns, items = np.unique(labels, axis=1, return_counts=True)
    one = alternative_annotator_test(labels[1:], labels[0])
    other = alternative_annotator_test(patterns[1:], patterns[0], items=items)
    assert [h.p for h in one.humans] == pytest.approx([h.p for h in other.humans])
    assert (one.omega, one.rho) == pytest.approx((other.omega, other.rho))


def test_items_of_one_task_are_not_independent():
    """Each item ten times over: told of the tasks, p is what it was for the items once."""
    labels = _raters(6, 60, [0.75, 0.8, 0.8, 0.8])
    often = np.repeat(labels, 10, axis=1)
    once = alternative_annotator_test(labels[1:], labels[0])
    told = alternative_annotator_test(often[1:], often[0], tasks=np.repeat(np.arange(60), 10))
    fooled = alternative_annotator_test(often[1:], often[0])
    assert [h.p for h in told.humans] == pytest.approx([h.p for h in once.humans])
    assert any(abs(a.p - b.p) > 1e-3 for a, b in zip(fooled.humans, once.humans, strict=True))
    one_task = alternative_annotator_test(often[1:], often[0], tasks=np.zeros(600, dtype=int))
    assert [h.p for h in one_task.humans] == [1.0] * 3


def test_no_verdict_is_passed_over():
    labels = _raters(7, 80, [0.8, 0.8, 0.8, 0.8])
    judge = labels[0].copy()
    judge[:20] = -1
    test = alternative_annotator_test(labels[1:], judge)
    cut = alternative_annotator_test(labels[1:, 20:], labels[0, 20:])
    assert test == cut


def test_a_judge_that_says_what_all_say():
    labels = np.zeros((4, 40), dtype=np.int64)
    test = alternative_annotator_test(labels[1:], labels[0])
    assert (test.omega, test.rho, test.passed) == (1.0, 1.0, True)
    assert [one.p for one in test.humans] == [0.0] * 3


def test_too_little_is_said():
    labels = _raters(1, 60, [0.8, 0.8, 0.8, 0.8])
    labels[3, 29:] = -1
    with pytest.raises(Undefined, match=r"2 of 3 humans have 30 items or more"):
        alternative_annotator_test(labels[1:], labels[0])
    with pytest.raises(Undefined, match="3 are needed"):
        alternative_annotator_test(labels[1:3], labels[0])
    five = np.vstack([labels, _raters(2, 60, [0.5])])
    test = alternative_annotator_test(five[[1, 2, 3, 4]], five[0])
    assert test.left_out == (2,) and len(test.humans) == 3


@pytest.mark.parametrize(
    "call",
    [
        lambda: alternative_annotator_test(np.zeros((3, 4)), np.zeros(4, dtype=int)),
        lambda: alternative_annotator_test(np.zeros((3, 4), dtype=int), np.zeros(3, dtype=int)),
        lambda: alternative_annotator_test(np.full((3, 40), -2), np.zeros(40, dtype=int)),
        lambda: alternative_annotator_test(np.zeros((3, 40), dtype=int), np.zeros(40, dtype=int), 1.5),
        lambda: alternative_annotator_test(
            np.zeros((3, 40), dtype=int), np.zeros(40, dtype=int), tasks=[1, 2]
        ),
        lambda: benjamini_yekutieli([0.5, 1.5]),
        lambda: benjamini_yekutieli([0.5], 0),
    ],
)
def test_malformed(call):
    with pytest.raises(ValueError):
        call()


@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0.01, 0.3))
def test_benjamini_yekutieli_is_scipys(ps, rate):
    adjusted = false_discovery_control(ps, method="by") if ps else np.array([])
    clear = np.abs(adjusted - rate) > 1e-9
    assert (benjamini_yekutieli(ps, rate) == (adjusted <= rate))[clear].all()
