"""Differences between rates whose intervals are known, and gaps between differences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Contrast:
    """A weighted sum of rates with its interval, in the unit of the rates (a difference lies in -1..1)."""

    estimate: float
    low: float
    high: float


def contrast(
    coefficients: npt.ArrayLike,
    estimates: npt.ArrayLike,
    lows: npt.ArrayLike,
    highs: npt.ArrayLike,
    correlation: npt.ArrayLike | None = None,
) -> Contrast:
    """Return a weighted sum of rates with its interval, from the intervals of each (MOVER).

    coefficients, estimates, lows, highs: shape (k,). A difference has coefficients (1, -1), a gap between two
    differences (1, -1, -1, 1). correlation: of the estimates, shape (k, k); independent unless given. With
    d_i the distance from c_i x_i to its lower bound (upper, where c_i is negative), the lower bound lies the
    root of sum_ij r_ij s_i s_j d_i d_j below the estimate, s the signs of c; the upper one alike. Unlike a
    normal interval it is as lopsided as those of the rates.

    Raises ValueError where shapes differ, or an interval does not hold its estimate.
    Source: G. Y. Zou & A. Donner (2008), Stat. Med. 27:1693-1702; G. Y. Zou, W. Huang & X. Zhang (2009),
    Comput. Stat. Data Anal. 53:1080-1085; for two independent rates method 10 of R. G. Newcombe (1998), Stat.
    Med. 17:873-890.
    """
    c, x, low, high = (
        np.asarray(values, dtype=np.float64) for values in (coefficients, estimates, lows, highs)
    )
    if c.ndim != 1 or not c.shape == x.shape == low.shape == high.shape:
        raise ValueError("coefficients, estimates, lows and highs must have one shape (k,)")
    if not ((low <= x + 1e-12) & (x <= high + 1e-12)).all():
        raise ValueError("each interval must hold its estimate")
    r = np.eye(len(c)) if correlation is None else np.asarray(correlation, dtype=np.float64)
    if r.shape != (len(c), len(c)):
        raise ValueError(f"correlation must have shape {(len(c), len(c))}, not {r.shape}")
    down = c * np.where(c > 0, x - low, high - x)
    up = c * np.where(c > 0, high - x, x - low)
    estimate = float(c @ x)
    return Contrast(estimate, estimate - _root(float(down @ r @ down)), estimate + _root(float(up @ r @ up)))


def _root(value: float) -> float:
    return math.sqrt(max(0.0, value))


def task_correlation(influences: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Return how far estimates over the same tasks go together: shape (k, k).

    influences: of each of k estimates what every task adds to its deviation, shape (tasks,) in one order
    (`influence` of `post_stratified`, `gold_rate` and `task_influence`); 0 where a task is not in it. Arms
    that were given the same tasks share what is peculiar to those. Where an estimate has no influence at all,
    its correlations are 0.

    Raises ValueError where shapes differ.
    Source: Cochran (1977), Sampling Techniques, 3rd ed., section 6.19, the covariance of two ratios over the
    same clusters.
    """
    table = np.asarray(influences, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError("influences must be arrays of one shape (tasks,)")
    products = table @ table.T
    size = np.sqrt(np.diag(products))
    scale = np.outer(size, size)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.where(scale > 0, products / scale, 0.0)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def task_influence(successes: npt.ArrayLike, totals: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return what each task adds to the deviation of a plain rate, (s - p m) / n: shape (tasks,).

    successes, totals: by task, shape (tasks,). All 0 where there are no responses. ValueError where shapes
    differ.
    Source: Cochran (1977), section 3.12.
    """
    s, m = np.asarray(successes, dtype=np.float64), np.asarray(totals, dtype=np.float64)
    if s.shape != m.shape or s.ndim != 1:
        raise ValueError("successes and totals must have one shape (tasks,)")
    n = m.sum()
    return np.asarray((s - s.sum() / n * m) / n) if n else np.zeros_like(s)
