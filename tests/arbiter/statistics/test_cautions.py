"""What is said beside figures of agreement, and that it is so."""

import numpy as np

from arbiter.statistics import agreement_cautions, agreement_estimates


def cautions(counts, tasks=None):
    counts = np.asarray(counts)
    return agreement_cautions(counts, None, agreement_estimates(counts, None, tasks, resamples=200))


def test_short_intervals_are_warned_of():
    skewed = [[2, 0]] * 95 + [[1, 1]] * 5
    said = cautions(skewed)
    assert "Intervals are too short here: 97.5 % of the labels are the same, and on 100 items" in said[0]
    assert cautions([[2, 0]] * 50) == []  # one label alone: there is no kappa to mislead
    assert not [line for line in cautions(skewed * 2) if "too short here" in line]
    assert not [
        line for line in cautions([[2, 0]] * 45 + [[0, 2]] * 45 + [[1, 1]] * 10) if "too short here" in line
    ]


def test_few_tasks_are_warned_of():
    counts = [[2, 0], [0, 2], [1, 1]] * 20
    assert "Only 6 tasks are behind these intervals" in cautions(counts, np.arange(60) % 6)[0]
    assert cautions(counts, np.arange(60) % 12) == []


def test_kappa_and_ac1_part_for_skew():
    said = cautions([[2, 0]] * 290 + [[1, 1]] * 10)
    assert "part because labels are used so unevenly: the commonest is 98.3 % of all" in said[0]
    # As much disagreement with labels used evenly: both are alike.
    assert cautions([[2, 0]] * 145 + [[0, 2]] * 145 + [[1, 1]] * 10) == []


def test_resamples_without_a_value_are_said():
    # The second label occurs on one item: four resamples of ten are without it.
    said = cautions([[2, 0]] * 299 + [[1, 1]])
    assert any("of 200 resamples only one label occurred" in line for line in said)


def test_nothing_is_said_of_nothing():
    assert cautions(np.zeros((0, 2), dtype=np.int64)) == []
    assert cautions([[1, 0], [0, 1]]) == []


def test_the_short_intervals_are_short():
    """What is warned of is so: on 60 items with 96 % of one label, 95 % intervals of kappa hold it far less
    often."""
    random_ = np.random.default_rng(12)
    both, one, other = 0.94, 0.02, 0.02
    rare = 1 - both - one - other
    share = both + one
    kappa = 1 - (one + other) / (2 * share * (1 - share))
    covered = {"delta": 0, "bootstrap": 0}
    for _ in range(300):
        drawn_ = random_.multinomial(60, [both, one + other, rare])
        counts = np.array([[2, 0], [1, 1], [0, 2]])
        estimate = agreement_estimates(counts, drawn_, resamples=200)["fleiss"]
        for kind in covered:
            interval = getattr(estimate, kind)
            covered[kind] += bool(interval and interval.low <= kappa <= interval.high)
    assert max(covered.values()) / 300 < 0.85
