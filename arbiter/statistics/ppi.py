"""Prediction-powered inference, for comparison with the post-stratified rate."""

import numpy as np
import numpy.typing as npt

from .intervals import Undefined, check_level, normal_quantile
from .rates import Rate

LEAST = 50  # gold items below which a normal interval covers too little


def ppi_rate(
    gold: npt.ArrayLike,
    predicted: npt.ArrayLike,
    rest: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    rest_counts: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> Rate:
    """Estimate a rate by PPI++: the judges' mean on all items, moved by what gold shows they are off.

    gold: 0 or 1, shape (n,). predicted: what the judges make of the same items, in 0..1. rest: distinct
    predictions of items without gold, each occurring `rest_counts` times (once, unless given). weights:
    design weights of the gold. With f the predictions, y the gold, N items without it and tuning a (power
    tuning, held within 0..1),
        rate = a mean(f on rest) + mean(y - a f),   a = cov(y, f) / ((1 + n/N) var(f)),
        variance = a^2 var(f on rest) / N + var(y - a f) / n,
    means and variances of the gold weighted, n then Kish's effective number. With weights, f is averaged over
    all items, as those without gold are no random part of them. The interval is normal, held within 0..1: it
    does not know of tasks, and with rare labels it covers too little.

    Raises Undefined with fewer than 50 gold items, where the normal interval covers too little (70 % with 8),
    or no other items; ValueError on shapes, values outside 0..1, weights that are not positive,
    or a bad level.
    Source: A. N. Angelopoulos, J. C. Duchi & T. Zrnic (2023), PPI++, arXiv:2311.01453, example 6.1 and
    section 6 (power tuning); A. N. Angelopoulos et al. (2023), Science 382:669-674.
    """
    z = normal_quantile(check_level(level))
    y, f, other = (np.asarray(values, dtype=np.float64) for values in (gold, predicted, rest))
    w = np.ones_like(y) if weights is None else np.asarray(weights, dtype=np.float64)
    c = np.ones_like(other) if rest_counts is None else np.asarray(rest_counts, dtype=np.float64)
    _check(y, f, other, w, c)
    n = float(w.sum() ** 2 / (w**2).sum())
    if weights is not None:
        # Items without gold are no random part then: predictions are averaged over all items.
        other, c = np.concatenate([other, f]), np.concatenate([c, np.ones_like(f)])
    items = float(c.sum()) + (len(y) if weights is None else 0)
    many = float(c.sum())
    tuning = _tuning(y, f, other, w, c, n)
    rate = tuning * np.average(other, weights=c) + np.average(y - tuning * f, weights=w)
    spread = tuning**2 * _variance(other, c) / many + _variance(y - tuning * f, w) / n
    half = z * float(np.sqrt(spread))
    low, high = np.clip([rate - half, rate + half], 0, 1)
    estimate = float(np.clip(rate, 0, 1))
    return Rate(estimate, float(min(low, estimate)), float(max(high, estimate)), round(items), n)


def _check(*arrays: npt.NDArray[np.float64]) -> None:
    y, f, other, w, c = arrays
    if y.ndim != 1 or f.shape != y.shape or w.shape != y.shape or other.shape != c.shape:
        raise ValueError("gold, predicted and weights must have one shape (n,), rest and rest_counts another")
    if any(((values < 0) | (values > 1) | ~np.isfinite(values)).any() for values in (y, f, other)):
        raise ValueError("gold and predictions must lie in 0..1")
    if not ((w > 0).all() and (c >= 0).all() and np.isfinite(w).all() and np.isfinite(c).all()):
        raise ValueError("weights must be positive and counts at least 0")
    if len(y) < LEAST:
        raise Undefined(
            f"PPI++ takes {LEAST} gold items in the arm, as its interval is a normal one; it has {len(y)}"
        )
    if not c.sum():
        raise Undefined("every item has gold, so there is nothing to predict")


def _tuning(*arrays: object) -> float:
    y, f, other, w, c, n = arrays
    assert isinstance(y, np.ndarray) and isinstance(f, np.ndarray) and isinstance(other, np.ndarray)
    assert isinstance(w, np.ndarray) and isinstance(c, np.ndarray) and isinstance(n, float)
    many = float(c.sum())
    share = w / w.sum() * n
    covariance = np.average((y - np.average(y, weights=w)) * (f - np.average(f, weights=w)), weights=w)
    variance = _variance(np.concatenate([f, other]), np.concatenate([share, c]), sample=True)
    return float(np.clip(covariance / ((1 + n / many) * variance), 0, 1)) if variance > 0 else 0.0


def _variance(
    values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], *, sample: bool = False
) -> float:
    """Return the variance around the weighted mean. As a sample's, it has the sum of weights for its size."""
    variance = float(np.average((values - np.average(values, weights=weights)) ** 2, weights=weights))
    total = float(weights.sum())
    return variance * total / (total - 1) if sample and total > 1 else variance
