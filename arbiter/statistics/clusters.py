"""What several responses to one task are worth: the size of an independent sample that says as much."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .intervals import normal_quantile

Floats = npt.NDArray[np.float64]

ALIKE = 0.2  # how alike responses to one task are taken to be, as far as a rate's own count can't tell
FEW_TASKS = 30  # effective tasks below which an interval over tasks of this kind rests on assumptions


class Clustering(NamedTuple):
    """How far a rate's tasks make it less certain; each of shape (...).

    effect: the design effect, at least 1. freedom: its degrees of freedom, infinite where no task occurs
    twice.
    """

    effect: Floats
    freedom: Floats


def effective_tasks(sizes: npt.ArrayLike) -> Floats:
    """Return how many tasks of equal size uneven ones are worth, (sum m)^2 / sum m^2: (...), 0 for none.

    sizes: responses (or weight) by task, at least 0, shape (..., tasks).
    Source: L. Kish (1965), Survey Sampling, section 11.7.
    """
    m = np.asarray(sizes, dtype=np.float64)
    squares = np.sum(m**2, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        worth: Floats = np.where(squares > 0, np.sum(m, axis=-1) ** 2 / squares, 0.0)
    return worth


def clustering(
    single: npt.ArrayLike, size: npt.ArrayLike, influence: npt.ArrayLike, sizes: npt.ArrayLike, level: float
) -> Clustering:
    """Return the design effect of tasks on a rate, held towards an assumed one where the count is small.

    single: the rate's variance were responses independent, shape (...). size: n, independent responses it
    would be worth then (Kish's number where weights differ), (...). influence: what each task adds to the
    rate's deviation, (..., tasks). sizes: m, the responses or the weight of each task, (..., tasks). With
    h = m / sum(m), G = (sum m)^2 / sum m^2 effective tasks, and t the quantile of Student's t at `level` with
    G - 1 degrees of freedom,

        measured = n^2 sum (influence / (1 - h))^2
        plain    = n^2 single              (n p (1 - p) of a rate as labelled: about its hits, or its misses)
        assumed  = 1 + 0.2 (n / G - 1)     (the design effect of a correlation of .2 within tasks)
        effect   = (measured + k assumed) / (plain + k),   k = t^2 / 2 (assumed - 1),

    and at least 1. As Wilson's interval adds t^2 / 2 responses of each kind, so this adds k that are
    clustered as assumed: of a count of 0 the effect is the one assumed, and it moves without a jump, and
    slowly enough for the bounds to rise with the count, to what is measured. Where no task occurs twice
    nothing is assumed, and t is z.

    ValueError on a bad level.
    Source: leverage: R. M. Bell & D. F. McCaffrey (2002), Surv. Methodol. 28:169-181, as the jackknife
    deletes a task; G - 1: C. A. Carter, K. T. Schnepel & D. G. Steigerwald (2017), Rev. Econ. Stat.
    99:698-709; what is assumed is ours, measured in docs/coverage.md.
    """
    n, m = np.asarray(size, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    tasks = effective_tasks(m)
    copies = np.maximum(n / np.maximum(tasks, 1e-300), 1.0)
    alone = copies <= 1 + 1e-9
    freedom = np.where(alone, np.inf, tasks - 1)
    share = m / np.maximum(m.sum(axis=-1), 1e-300)[..., None]
    lever = np.where(alone[..., None] | (share >= 1), 1.0, 1 / np.maximum(1 - share, 1e-300))
    measured = n**2 * np.sum((np.asarray(influence, dtype=np.float64) * lever) ** 2, axis=-1)
    assumed = 1 + ALIKE * (copies - 1)
    added = np.where(alone, 0.0, np.minimum(student(freedom, level), 1e6) ** 2 / 2 * (assumed - 1))
    plain = n**2 * np.asarray(single, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        effect = np.where(plain + added > 0, (measured + added * assumed) / (plain + added), 1.0)
    return Clustering(np.maximum(effect, 1.0), freedom)


def effective_size(
    rate: npt.ArrayLike, size: npt.ArrayLike, influence: npt.ArrayLike, sizes: npt.ArrayLike, level: float
) -> Floats:
    """Return how many independent responses a rate over clustered ones is worth, for Wilson's interval.

    rate: p, in 0..1, shape (...); the rest as of `clustering`, with p (1 - p) / n for the variance were they
    independent. It is n / effect * (z / t)^2, as Wilson's bounds with t at n are those with z at n (z / t)^2;
    and never less than the effective tasks, since responses to one task tell at least as much as one of them.

    ValueError on a bad level.
    Source: as `clustered_rate` in `rates.py`.
    """
    p, n = np.asarray(rate, dtype=np.float64), np.asarray(size, dtype=np.float64)
    clustered = clustering(p * (1 - p) / n, n, influence, sizes, level)
    wider = (normal_quantile(level) / student(clustered.freedom, level)) ** 2
    worth: Floats = np.minimum(np.maximum(n / clustered.effect * wider, effective_tasks(sizes)), n)
    return worth


def student(freedom: npt.ArrayLike, level: float) -> Floats:
    """Return the t with P(|T| <= t) = `level` for Student's T, shape as `freedom`; z where that is infinite.

    Below 1e-9 degrees that many are taken, which is next to infinity. ValueError on a bad level.
    """
    degrees, z = np.maximum(np.asarray(freedom, dtype=np.float64), 1e-9), normal_quantile(level)
    if np.isinf(degrees).all():
        return np.full(degrees.shape, z)
    from scipy.special import stdtrit

    quantiles: Floats = np.asarray(stdtrit(degrees, (1 + level) / 2), dtype=np.float64)
    return quantiles


def wilson_bounds(rate: npt.ArrayLike, size: npt.ArrayLike, level: float) -> tuple[Floats, Floats]:
    """Return Wilson's bounds of many rates at once, each of shape (...), as `wilson` gives them.

    ValueError on a bad level. Source: as `wilson` in `rates.py`.
    """
    z = normal_quantile(level)
    p, n = np.asarray(rate, dtype=np.float64), np.asarray(size, dtype=np.float64)
    middle = (p * n + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * np.sqrt(p * (1 - p) * n + z * z / 4)
    # Rounding can put a bound 1e-17 on the wrong side of its rate, so that 0 of n would not start at 0.
    low, high = np.minimum(middle - half, p), np.maximum(middle + half, p)
    return np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)
