"""Dawid-Skene on 100,000 items and 5 raters, from distinct patterns; beside it the same EM item by item, in
the same run.

crowd-kit 1.4.2 was measured at 1.0 s for this. It brings pandas and scikit-learn with it, so it is no
dependency here: `direct` is the same algorithm with a row an item, in numpy alone, for as many steps.
"""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import numpy.typing as npt

from arbiter.statistics import calibrate, dawid_skene
from tests.benchmarks.figures import Measurement

ITEMS, RATERS, LABELS, TIMES = 100_000, 5, 4, 7
MOST = 0.05  # seconds
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def measure(folder: Path) -> Iterator[Measurement]:
    truth, votes = made()
    patterns, row, counts = np.unique(votes, axis=0, return_inverse=True, return_counts=True)
    row = row.reshape(-1)
    times = []
    for _ in range(TIMES):
        started = perf_counter()
        fit = dawid_skene(patterns, counts, LABELS)
        times.append(perf_counter() - started)
    started = perf_counter()
    slow = direct(votes, fit.steps)
    taken = perf_counter() - started
    apart = float(np.abs(slow - fit.posteriors[row]).max())
    yield Measurement("dawid-skene: patterns", len(patterns), "patterns")
    yield Measurement("dawid-skene: 100,000 x 5 from patterns, median", median(times), "s", at_most=MOST)
    yield Measurement("dawid-skene: 100,000 x 5 from patterns, slowest", max(times), "s")
    yield Measurement("dawid-skene: the same item by item", taken, "s")
    yield Measurement("dawid-skene: times faster", taken / median(times), "x", at_least=20)
    yield Measurement("dawid-skene: largest difference of a posterior", apart, "", at_most=1e-10)
    gold = np.arange(0, ITEMS, 200)
    started = perf_counter()
    calibrate(patterns, counts, row[gold], truth[gold], gold % 97, np.ones(len(gold)), LABELS)
    yield Measurement(
        "dawid-skene: calibrated on 500 gold items, cross-fitted", perf_counter() - started, "s"
    )


def made() -> tuple[Ints, Ints]:
    """Draw votes of raters from poor to good, who leave out a tenth of the items."""
    random = np.random.default_rng(1)
    truth = random.choice(LABELS, ITEMS, p=[0.3, 0.4, 0.2, 0.1])
    right = random.random((ITEMS, RATERS)) < np.linspace(0.6, 0.85, RATERS)
    votes = np.where(right, truth[:, None], random.integers(0, LABELS, (ITEMS, RATERS)))
    return truth, np.where(random.random((ITEMS, RATERS)) < 0.1, -1, votes)


def direct(votes: Ints, steps: int) -> Floats:
    """Return posteriors after so many steps, with a row an item."""
    # By item, rater and label.
    given = np.stack([votes == label for label in range(LABELS)], axis=2).astype(np.float64)
    total = given.sum(axis=(1, 2))
    posteriors = np.where(total[:, None] > 0, given.sum(axis=1) / np.maximum(total, 1)[:, None], 1 / LABELS)
    for _ in range(steps + 1):
        prior = posteriors.mean(axis=0)
        errors = np.einsum("ij,irl->rjl", posteriors, given, optimize=True)
        errors /= errors.sum(axis=2, keepdims=True)
        joint = np.einsum("irl,rjl->ij", given, np.log(errors), optimize=True) + np.log(prior)
        posteriors = np.exp(joint - joint.max(axis=1, keepdims=True))
        posteriors /= posteriors.sum(axis=1, keepdims=True)
    return posteriors
