"""Dawid and Skene's EM item by item, in plain sums and products, as their equations say; and votes to try it
on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass
class Plain:
    prior: list[float]
    errors: list[list[list[float]]]  # rater, true label, given label
    posteriors: list[list[float]]
    likelihood: float = 0.0  # its logarithm


def plain_em(
    votes: Sequence[Sequence[int]], k: int, steps: int, *, gold=None, observers=None, smoothing: float = 0.0
) -> Plain:
    """Take `steps` times equations 2.3 and 2.4, then 2.5 once more, from the shares of the votes."""
    gold = [-1] * len(votes) if gold is None else list(gold)
    observers = list(range(len(votes[0]))) if observers is None else list(observers)
    given = [[(o, v) for o, v in zip(observers, row, strict=True) if v >= 0] for row in votes]
    posteriors = [_start(row, k) for row in given]
    posteriors = [_known(p, g) for p, g in zip(posteriors, gold, strict=True)]
    for _ in range(steps + 1):
        prior, errors = _m_step(given, posteriors, k, max(observers) + 1, smoothing)
        posteriors, likelihood = _e_step(given, gold, prior, errors, k)
    return Plain(prior, errors, posteriors, likelihood)


def _start(row, k):
    return [sum(v == j for _, v in row) / len(row) if row else 1 / k for j in range(k)]


def _known(posterior, gold):
    return posterior if gold < 0 else [float(j == gold) for j in range(len(posterior))]


def _m_step(given, posteriors, k, raters, smoothing):
    prior = [sum(p[j] for p in posteriors) + smoothing for j in range(k)]
    prior = [one / sum(prior) for one in prior]
    cells = [[[smoothing] * k for _ in range(k)] for _ in range(raters)]
    for row, posterior in zip(given, posteriors, strict=True):
        for rater, label in row:
            for true in range(k):
                cells[rater][true][label] += posterior[true]
    errors = [
        [[c / sum(row) for c in row] if sum(row) > 0 else [1 / k] * k for row in matrix] for matrix in cells
    ]
    return prior, errors


def _e_step(given, gold, prior, errors, k):
    posteriors, likelihood = [], 0.0
    for row, known in zip(given, gold, strict=True):
        joint = list(prior)
        for rater, label in row:
            joint = [joint[true] * errors[rater][true][label] for true in range(k)]
        total = sum(joint)
        likelihood += float(np.log(joint[known] if known >= 0 else total))
        posteriors.append(_known([one / total for one in joint], known))
    return posteriors, likelihood


def voted(
    seed: int, items: int = 60, raters: int = 3, k: int = 3, accuracy: float = 0.7, missing: float = 0.2
):
    """Draw true labels and votes of raters who err independently, some votes missing."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, k, items)
    right = random.random((items, raters)) < accuracy
    votes = np.where(right, truth[:, None], random.integers(0, k, (items, raters)))
    return truth, np.where(random.random((items, raters)) < missing, -1, votes)


def correlated(
    seed: int, items: int = 1368, shared: float = 0.6, accuracy: float = 0.85, prevalence: float = 0.3
):
    """Draw three judges who on a share of the items err together: true labels and votes."""
    random = np.random.default_rng(seed)
    truth = (random.random(items) < prevalence).astype(np.int64)
    together = random.random(items) < shared
    right = np.where(
        together[:, None], (random.random(items) < accuracy)[:, None], random.random((items, 3)) < accuracy
    )
    return truth, np.where(right, truth[:, None], 1 - truth[:, None])


def distinct(votes: np.ndarray):
    """Return patterns, each item's pattern, and counts."""
    patterns, row, counts = np.unique(votes, axis=0, return_inverse=True, return_counts=True)
    return patterns, row.reshape(-1), counts
