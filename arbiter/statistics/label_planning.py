"""What human labels buy: how many more, in which strata of a draw, and when to stop.

The rate is the post-stratified one: items of an arm are told apart by how many target votes they have, and
gold says what share of each kind is convergent. With items drawn at random within the draw's strata h, of
which n_h have gold, its variance is

    V = floor + sum_h unit_h / n_h

so that planning is the choice of whole numbers n_h. The floor is what no label lowers: tasks differ.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from .intervals import Interval, Undefined, check_level, normal_quantile

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
ROUNDS = 60  # of the search for several goals at once; it settles in a few dozen
SETTLED, PRECISE = 1e-4, 1e-7  # of the goals' weights, and of the labels
ENDLESS = 1e30  # a scale at which every item is labelled
SHORT = 1e-9  # by which a goal may be missed and count as met: rounding
SLIGHT = 1e-12  # a side of an interval that ends at its estimate


@dataclass(frozen=True, slots=True)
class Allocation:
    """Labels in every stratum, those there are included, and what they come to.

    labels, more: shape (strata,), whole; `more` is what is added to those there are. variance: shape
    (goals,). met: shape (goals,); a goal that is not met can't be, not with every item labelled.
    """

    labels: Counts
    more: Counts
    variance: Floats
    met: npt.NDArray[np.bool_]


def unit_variances(items: npt.ArrayLike, rates: npt.ArrayLike, sizes: npt.ArrayLike) -> Floats:
    """Return what one label of each draw stratum adds to the variance of an arm's rate: shape (strata,).

    items: whole counts of the arm's items, shape (strata, kinds), where a kind is a post-stratum (a number of
    target votes). rates: the share of each kind that is convergent, shape (kinds,), fractions. sizes: items
    of each draw stratum in the whole study, shape (strata,), of which the arm's are a part. With n_h labels
    drawn at random from stratum h, the part of the variance that labels lower is the sum of
    `unit_variances(...)[h] / n_h`:

        unit_h = N_h / N^2 * sum_k N_hk p_k (1 - p_k)

    Raises ValueError on shapes that don't fit, counts or rates out of range; Undefined where the arm has no
    items.
    Source: W. G. Cochran (1977), Sampling Techniques, 3rd ed., 5.3 and 5A.9 (post-stratification, to first
    order).
    """
    counts, shares, whole = (np.asarray(values, dtype=np.float64) for values in (items, rates, sizes))
    if counts.ndim != 2 or shares.shape != counts.shape[1:] or whole.shape != counts.shape[:1]:
        raise ValueError(
            f"items {counts.shape}, rates {shares.shape} and sizes {whole.shape} don't fit together"
        )
    if (counts < 0).any() or (counts.sum(axis=1) > whole).any():
        raise ValueError("an arm's items must be at least 0 and no more than its stratum's size")
    if not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError("rates must lie in 0..1")
    total = float(counts.sum())
    if not total:
        raise Undefined("an arm without items has no rate")
    return np.asarray(whole * (counts @ (shares * (1 - shares))) / total**2)


def task_scores(expected: npt.ArrayLike, totals: npt.ArrayLike) -> Floats:
    """Return each task's pull on an arm's rate, (x_i - p m_i) / N: shape (tasks,), summing to 0.

    expected: how many of a task's responses are convergent, shape (tasks,), need not be whole: the sum of
    their kinds' rates. totals: the task's responses. For a difference of two arms over the same tasks,
    subtract one arm's scores from the other's.

    Raises ValueError on shapes that differ or negative values, Undefined where there are no responses.
    Source: linearisation of a ratio, Cochran (1977), 6.3.
    """
    hits, counts = np.asarray(expected, dtype=np.float64), np.asarray(totals, dtype=np.float64)
    if hits.shape != counts.shape or hits.ndim != 1:
        raise ValueError(f"expected {hits.shape} and totals {counts.shape} must both have shape (tasks,)")
    if (hits < 0).any() or (counts < 0).any():
        raise ValueError("expected and totals must be at least 0")
    n = float(counts.sum())
    if not n:
        raise Undefined("there are no responses, so tasks have no pull")
    return np.asarray((hits - hits.sum() / n * counts) / n)


def task_floor(scores: npt.ArrayLike, alike: float = 0.0) -> float:
    """Return the part of the variance that no label lowers: how far tasks of this kind differ.

    scores: as `task_scores` gives them, of one arm or of a difference, of tasks with responses only. alike:
    what is added where responses to one task are alike beyond what their votes say, the sum over tasks of
    rho * ((sum s)^2 - sum s^2) / N^2 with s^2 = p (1 - p) of each response's kind; 0 where nothing is known
    of it.

    floor = G / (G - 1) * sum(score^2) + alike. Raises Undefined with fewer than two tasks, ValueError where
    `alike` < 0.
    Source: Cochran (1977), 9.3 and 3.12; with gold on all items, V is the clustered variance of
    `clustered_rate`.
    """
    pull = np.asarray(scores, dtype=np.float64)
    if not alike >= 0:
        raise ValueError(f"alike must be at least 0, not {alike!r}")
    tasks = pull.size
    if tasks < 2:
        raise Undefined("of a single task nobody can tell how far tasks differ")
    return tasks / (tasks - 1) * float(pull @ pull) + alike


def expected_width(rate: float, variance: float, level: float = 0.95) -> float:
    """Return the width of a rate's interval: Wilson's, at n = rate (1 - rate) / variance.

    Raises ValueError where the rate does not lie strictly between 0 and 1 or the variance is not above 0.
    Source: as `clustered_rate`, Franco et al. (2019).
    """
    _check_rate(rate)
    if not (math.isfinite(variance) and variance > 0):
        raise ValueError(f"variance must be above 0, not {variance!r}")
    z = normal_quantile(level)
    n = rate * (1 - rate) / variance
    return 2 * z / (n + z * z) * math.sqrt(rate * (1 - rate) * n + z * z / 4)


def variance_for_width(rate: float, width: float, level: float = 0.95) -> float:
    """Return the variance at which `expected_width` is `width`: the inverse, by bisection.

    Raises ValueError where the rate or the width does not lie strictly between 0 and 1.
    """
    _check_rate(rate)
    if not 0 < width < 1:
        raise ValueError(f"width must lie strictly between 0 and 1, not {width!r}")
    low, high = 1e-14, 1e6 * rate * (1 - rate)  # the width grows with the variance, toward 1
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if expected_width(rate, middle, level) < width else (low, middle)
    return low


def variance_for_difference(difference: float, power: float = 0.8, level: float = 0.95) -> float:
    """Return the variance of an estimate at which a difference of this size is told from 0 with that power.

    It is (difference / (z_level + z_power))^2.

    Raises ValueError where the difference is 0 or not in -1..1, or power or level not strictly between 0 and
    1.
    Source: J. M. Lachin (1981), Controlled Clinical Trials 2:93-113, eq. 2.
    """
    if not (math.isfinite(difference) and 0 < abs(difference) <= 1):
        raise ValueError(f"difference must lie in -1..1 and not be 0, it is {difference!r}")
    z = normal_quantile(level) + NormalDist().inv_cdf(check_level(power))
    if z <= 0:
        raise ValueError(f"power must be above {(1 - level) / 2:g}, not {power!r}")
    return (difference / z) ** 2


def allocate(
    sizes: npt.ArrayLike,
    labelled: npt.ArrayLike,
    units: npt.ArrayLike,
    floors: npt.ArrayLike,
    wanted: npt.ArrayLike,
) -> Allocation:
    """Return the fewest labels that bring every goal's variance, floor + sum(units / n), to what is wanted.

    sizes, labelled: whole, shape (strata,): items, and how many have a label already (the least there may
    be). units: shape (goals, strata), as `unit_variances` gives them; floors, wanted: shape (goals,). Of one
    goal this is Neyman's allocation, n_h in proportion to sqrt(unit_h), within the bounds; of several, the
    convex programme's optimum. Counts are whole, rounded up and then trimmed, so the sum is within one label
    a stratum of the least. A goal that is out of reach is left aside.

    Raises ValueError on shapes that don't fit, more labels than items, or negative units.
    Source: J. Neyman (1934), JRSS 97:558-625; J. R. Chromy (1987), Proc. ASA Survey Research Methods,
    194-199.
    """
    most, least = np.asarray(sizes, dtype=np.int64), np.asarray(labelled, dtype=np.int64)
    unit, floor = np.atleast_2d(np.asarray(units, dtype=np.float64)), np.asarray(floors, dtype=np.float64)
    goal = np.asarray(wanted, dtype=np.float64)
    if most.shape != least.shape or unit.shape != (goal.size, most.size) or floor.shape != goal.shape:
        raise ValueError("sizes, labelled, units, floors and wanted don't fit together")
    if (least < 0).any() or (least > most).any() or (unit < 0).any():
        raise ValueError("labels must be at least 0 and no more than items, units at least 0")
    room = goal - floor
    possible = (_lowered(unit, most) <= room * (1 + SHORT)) & (room > 0)
    labels = _fewest(most, least, unit[possible], room[possible]) if possible.any() else least
    variance = floor + _lowered(unit, labels)
    return Allocation(labels, labels - least, variance, variance <= goal * (1 + SHORT))


def _lowered(unit: Floats, labels: npt.NDArray[np.generic]) -> Floats:
    """Return sum(units / n) of every goal; infinite where a stratum that matters has no label."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(unit > 0, unit / labels.astype(np.float64), 0.0).sum(axis=1))


def _fewest(most: Counts, least: Counts, unit: Floats, room: Floats) -> Counts:
    if (_lowered(unit, least) <= room).all():
        return least
    weights, scale = np.ones(room.size) / room, 1.0
    for _ in range(ROUNDS if room.size > 1 else 1):
        shape = np.sqrt(weights @ unit)
        scale = _scale(most, least, unit, room, shape, scale)
        labels = np.clip(scale * shape, least, most)
        before, weights = weights, weights * np.clip(_lowered(unit, labels) / room, 1e-3, None) ** 2
        weights = np.maximum(weights / weights.max(), 1e-12)
        if np.abs(weights - before).max() < SETTLED:
            break
    return _trimmed(np.ceil(labels - 1e-9).astype(np.int64), least, unit, room)


def _scale(most: Counts, least: Counts, unit: Floats, room: Floats, shape: Floats, near: float) -> float:
    """Return the least scale that, times the shape, gives labels that meet every goal; looked for near where
    it was before."""
    low, high = 0.0, near
    while high < ENDLESS and not _meets(unit, room, np.clip(high * shape, least, most)):
        low, high = high, 2 * high
    while low < (1 - PRECISE) * high:
        middle = (low + high) / 2
        if _meets(unit, room, np.clip(middle * shape, least, most)):
            high = middle
        else:
            low = middle
        if high * shape.max() < 1e-3:  # the labels there are will do
            break
    return high


def _meets(unit: Floats, room: Floats, labels: Floats) -> bool:
    return bool((_lowered(unit, labels) <= room * (1 + SHORT)).all())


def _trimmed(labels: Counts, least: Counts, unit: Floats, room: Floats) -> Counts:
    """Return the labels without what rounding up gave too many of, the cheapest to lose first."""
    trimmed = labels.copy()
    for stratum in np.argsort(unit.max(axis=0)):
        while trimmed[stratum] > least[stratum]:
            trimmed[stratum] -= 1
            if not _meets(unit, room, trimmed.astype(np.float64)):
                trimmed[stratum] += 1
                break
    return trimmed


# Looking at the figures while labels come in


def anytime_halfwidth(variance: float, planned: float, level: float = 0.95) -> float:
    """Return half the width of an interval that holds at every look, however often and whenever one looks.

    variance: of the estimate now. planned: the variance at which it is to be narrowest, as where labelling is
    meant to stop. With information I = 1 / variance and t > 0 fixed beforehand by `planned`,

        sqrt((I + t) log((I + t) / (t a^2))) / I,   a = 1 - level.

    An estimate whose labels come in random order within strata has the independent increments this asks for,
    the part that no label lowers included, once every kind has enough labels to be nearly normal.

    Raises ValueError where a variance is not above 0 or on a bad level.
    Source: H. Robbins (1970), Ann. Math. Statist. 41:1397-1409; S. R. Howard et al. (2021), Ann. Statist.
    49:1055-1080, eq. 14 and prop. 3; asymptotically: I. Waudby-Smith et al. (2024), Ann. Statist.
    52:2613-2640.
    """
    for value in (variance, planned):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"a variance must be above 0, not {value!r}")
    alpha = 1 - check_level(level)
    mixing = 1 / planned / _narrowest(alpha)
    information = 1 / variance
    return (
        math.sqrt((information + mixing) * math.log((information + mixing) / (mixing * alpha**2)))
        / information
    )


def _narrowest(alpha: float) -> float:
    """Return the x with x - log(1 + x) = -2 log(alpha): the information, in units of the mixing variance,
    where it is narrowest."""
    wanted, x = -2 * math.log(alpha), 1.0
    for _ in range(100):
        x += (wanted - x + math.log1p(x)) * (1 + x) / x
    return x


def looking_cost(level: float = 0.95) -> float:
    """Return how many times wider the anytime interval is than one that is looked at once; 1.55 at .95.

    It is taken where the anytime interval is narrowest. As labels go with the square of a width, looking
    whenever one likes costs the square of it in labels. ValueError on a bad level.
    """
    return anytime_halfwidth(1.0, 1.0, level) / normal_quantile(level)


def anytime_planned(width: float, level: float = 0.95) -> float:
    """Return the `planned` variance of an anytime interval that is to have that width.

    There the interval is narrowest. It depends on what is asked alone, so it stays what it was when the plan
    was made, whatever labels come in. For an interval of a rate or a difference.

    ValueError where the width is not above 0 or on a bad level. Source: as `anytime_halfwidth`.
    """
    if not (math.isfinite(width) and width > 0):
        raise ValueError(f"width must be above 0, not {width!r}")
    return (width / (2 * looking_cost(level) * normal_quantile(level))) ** 2


def anytime_interval(
    estimate: float,
    interval: Interval,
    planned: float,
    level: float = 0.95,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    """Widen an interval that is looked at once, side by side, to hold at every look.

    estimate, interval: the corrected rate, or a difference, with its interval at `level`. Each side's
    distance d stands for a variance (d / z)^2, for which `anytime_halfwidth` is taken. So it lies about the
    estimate that is reported, and where an arm had no hit so far it reaches up as far as that one does, and
    not as far as an estimated variance of 0 would. Cut at the bounds: (-1, 1) for a difference of rates.

    Raises ValueError where the estimate lies outside the interval or the bounds, or as `anytime_halfwidth`
    does.
    Source: as `anytime_halfwidth`; sides by themselves as in G. Y. Zou & A. Donner (2008), Stat. Med.
    27:1693-1702.
    """
    if not bounds[0] <= estimate <= bounds[1] or not interval.low <= estimate <= interval.high:
        raise ValueError(
            f"estimate must lie in its interval and in {bounds[0]:g}..{bounds[1]:g}, not {estimate!r}"
        )
    z = normal_quantile(level)
    below, above = (
        anytime_halfwidth((side / z) ** 2, planned, level) if side > SLIGHT else 0.0
        for side in (estimate - interval.low, interval.high - estimate)
    )
    return Interval(max(bounds[0], estimate - below), min(bounds[1], estimate + above))


def alike_in_tasks(residuals: Sequence[npt.ArrayLike], spreads: Sequence[npt.ArrayLike]) -> float:
    """Return how alike gold labels of one task are beyond their votes: a correlation in 0..1, by moments.

    residuals, spreads: for each task, an array over its gold items of label (1 or 0) less its kind's rate p,
    and of sqrt(p (1 - p)). rho = sum over pairs within tasks of r_i r_j, over the same sum of s_i s_j; below
    0 is 0.

    Raises Undefined with fewer than 30 such pairs, ValueError on shapes that differ.
    Source: the moment estimator of M. S. Ridout, C. G. B. Demetrio & D. Firth (1999), Biometrics 55:137-148,
    section 2.4.
    """
    together = apart = pairs = 0.0
    for one, other in zip(residuals, spreads, strict=True):
        r, s = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
        if r.shape != s.shape:
            raise ValueError("a task has as many residuals as spreads")
        together += (float(r.sum()) ** 2 - float(r @ r)) / 2
        apart += (float(s.sum()) ** 2 - float(s @ s)) / 2
        pairs += r.size * (r.size - 1) / 2
    if pairs < 30 or not apart > 0:
        raise Undefined(
            f"{pairs:.0f} pairs of gold labels share a task; it takes 30 to say how alike they are"
        )
    return min(1.0, max(0.0, together / apart))


def _check_rate(rate: float) -> None:
    if not 0 < rate < 1:
        raise ValueError(f"rate must lie strictly between 0 and 1, not {rate!r}")
