"""Tests of margins, with tasks as clusters: do raters use the labels equally often on the same items?

All three tests compare scores summed over items with their variance under equal margins, as their authors do.
Where several items come from one task, or items have unequal weights, the statistic is divided by the design
effect, the factor by which that widens the variance; it is 1 where every task occurs once, and the tests are
then the published ones.

Rows are distinct patterns of labels within a task, with how many items have each, so the cost follows the
number of patterns.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .intervals import Undefined, check_level, normal_quantile

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
TOLERANCE = 1e-9  # an eigenvalue below this share of the largest is none


@dataclass(frozen=True, slots=True)
class PairedShift:
    """How a yes-or-no label shifts from the first rater to the second, on the items both labelled.

    items, tasks: how many. gained: items where only the second says yes; lost: where only the first does
    (weighted, sums of weights scaled to `items`). shift: the rate of the second less that of the first, in
    -1..1, with its interval low to high. statistic: McNemar's chi-square without correction, over
    `design_effect`. p: two-sided; `exact` says that nothing but the counts' binomial chance is in it.
    """

    items: int
    tasks: int
    gained: float
    lost: float
    shift: float
    low: float
    high: float
    statistic: float
    design_effect: float
    p: float
    exact: bool


@dataclass(frozen=True, slots=True, eq=False)
class Homogeneity:
    """Whether margins are equal: chi-square `statistic` over the design effect, on `df` degrees of freedom,
    with its p.

    items, tasks: how many. informative: items on which the raters differ. differences: of Stuart-Maxwell, the
    second rater's share of each label less the first's, shape (categories,); of Cochran's Q, each rater's
    rate less the mean, shape (raters,).
    """

    items: int
    tasks: int
    informative: int
    statistic: float
    df: int
    design_effect: float
    p: float
    differences: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Moments:
    items: int
    tasks: int
    mean: Floats  # (p,), weighted
    spread: Floats  # (p, p), weighted mean of squares about zero
    rank: int  # of spread
    design_effect: float
    plain: bool  # no weights


def paired_shift(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    tasks: npt.ArrayLike,
    counts: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
    level: float = 0.95,
    effect: float | None = None,
) -> PairedShift:
    """Test by McNemar whether two raters say yes equally often, with the difference of their rates.

    first, second: booleans, shape (rows,); first may be floats instead, the chance of yes where the label
    itself is not known (weights of `truth_weights`, which may lie outside 0..1). tasks: integer key of each
    row's task. counts: how many items a row stands for, 1 each unless given. weights: of each of a row's
    items, above 0, any scale; equal unless given. effect: the design effect to use, where it is better known
    from more data than these (`margin_design_effect`).

    With b items gained, c lost and the design effect D, the statistic is (b - c)^2 / (b + c) / D. p is that
    of chi-square with one degree of freedom, and where items weigh the same never below the exact binomial
    one of the counts. The interval holds the shifts that the same test does not reject: Tango's score
    interval on counts over D, which has a width where nobody differs. It leaves out 0 where and only where p
    < 1 - level; where the binomial p alone is too large for that, 0 is taken in. Of chances the variance is
    that about the shift in question, m +- z sqrt(v / (n / D - z^2)). Nothing gained or lost gives p = 1.

    Raises Undefined without items; ValueError on malformed input or a bad level.
    Source: Q. McNemar (1947), Psychometrika 12:153-157; division by a design effect M. Eliasziw & A. Donner
    (1991), Statist. Med. 10:1981-1991; interval T. Tango (1998), Statist. Med. 17:891-908, section 3.
    """
    check_level(level)
    one, two = _booleans_or_chances(first), _booleans(second)
    score = two.astype(np.float64) - one
    moments = _moments(score[:, np.newaxis], tasks, counts, weights, effect)
    # Sums of weights can round a shift of all items to more than all of them.
    n, shift, apart = moments.items, min(1.0, max(-1.0, float(moments.mean[0]))), float(moments.spread[0, 0])
    gained, lost = n * (apart + shift) / 2, n * (apart - shift) / 2
    effective = n / moments.design_effect
    statistic = effective * shift**2 / apart if apart > 0 else 0.0
    known = one.dtype == np.bool_
    p, exact = _chi_square(statistic, 1), moments.plain and known
    if exact:
        p = max(p, _binomial(*_whole_sides(score, counts)))
    quantile = normal_quantile(level)
    if known:
        bounds = _tango(gained / n * effective, lost / n * effective, effective, quantile)
    else:
        bounds = _about(shift, apart, effective, quantile)
    low, high = _with_nothing(bounds, shift, p, level)
    return PairedShift(
        n,
        moments.tasks,
        gained,
        lost,
        shift,
        low,
        high,
        statistic,
        moments.design_effect,
        p,
        exact and moments.design_effect == 1,
    )


def stuart_maxwell(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    tasks: npt.ArrayLike,
    categories: int,
    counts: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
    effect: float | None = None,
) -> Homogeneity:
    """Test by Stuart and Maxwell whether two raters use every label equally often on the same items.

    first, second: labels 0..categories-1, shape (rows,), or weights of each label, shape (rows, categories),
    where it is not known (`truth_weights`). tasks, counts, weights, effect as in `paired_shift`.

    With d the differences of the margins and S their covariance under equal margins (n_i. + n_.i - 2 n_ii on
    the diagonal, -(n_ij + n_ji) off it), the statistic is d' S^- d over the design effect. Labels that
    neither rater uses, or that they never differ on, say nothing: they are dropped, and the degrees of
    freedom are the rank of S.

    Raises Undefined without items, and where the raters never differ; ValueError on malformed input.
    Source: A. Stuart (1955), Biometrika 42:412-416; A. E. Maxwell (1970), Brit. J. Psychiatry 116:651-655;
    the design effect is the mean of the generalised ones, J. N. K. Rao & A. J. Scott (1981), JASA 76:221-230.
    """
    one, two = _shares(first, categories), _shares(second, categories)
    score = two - one
    moments = _moments(score, tasks, counts, weights, effect)
    informative = int(_counts(counts, len(one))[np.abs(score).max(axis=1, initial=0.0) > 0.5].sum())
    if not informative:
        raise Undefined("the two never differ, so there is nothing to test")
    statistic = (
        moments.items / moments.design_effect * float(moments.mean @ _inverse(moments.spread) @ moments.mean)
    )
    return Homogeneity(
        moments.items,
        moments.tasks,
        informative,
        statistic,
        moments.rank,
        moments.design_effect,
        _chi_square(statistic, moments.rank),
        moments.mean,
    )


def cochran_q(votes: npt.ArrayLike, tasks: npt.ArrayLike, counts: npt.ArrayLike | None = None) -> Homogeneity:
    """Test by Cochran's Q whether several raters say yes equally often on the same items.

    votes: booleans, shape (rows, raters), at least two raters. tasks, counts as in `paired_shift`.

    With C_j a rater's and R_i an item's number of yes and T all of them, Q = (k - 1) (k sum C_j^2 - T^2) /
    (k T - sum R_i^2), over the design effect; chi-square with k - 1 degrees of freedom. Two raters give
    McNemar's chi-square.

    Raises Undefined without items, and where the raters never differ; ValueError on malformed input.
    Source: W. G. Cochran (1950), Biometrika 37:256-266. M. W. Tate & S. M. Brown (1970), JASA 65:155-160, ask
    for 24 votes on the items where raters differ before chi-square is trusted: `informative` times the
    raters.
    """
    given = _booleans(votes, dimensions=2).astype(np.float64)
    raters = given.shape[1]
    if raters < 2:
        raise ValueError("Cochran's Q compares two raters or more")
    times = _counts(counts, len(given))
    rows = given.sum(axis=1)
    moments = _moments(given - rows[:, np.newaxis] / raters, tasks, counts, None, None)
    columns, total = times @ given, float(times @ rows)
    below = raters * total - float(times @ rows**2)
    if below == 0:
        raise Undefined("the raters never differ, so there is nothing to test")
    q = (raters - 1) * (raters * float(columns @ columns) - total**2) / below / moments.design_effect
    informative = int(times[(rows > 0) & (rows < raters)].sum())
    return Homogeneity(
        moments.items,
        moments.tasks,
        informative,
        q,
        raters - 1,
        moments.design_effect,
        _chi_square(q, raters - 1),
        moments.mean,
    )


def margin_design_effect(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    tasks: npt.ArrayLike,
    groups: npt.ArrayLike,
    categories: int,
    counts: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
) -> float:
    """Return the design effect of differences of margins, from all groups of items together; at least 1.

    first, second, tasks, categories, counts, weights as in `stuart_maxwell`. groups: integer key of each
    row's group, such as its category. From the dozen tasks of one group the effect is hardly known, and what
    is taken for one is often noise. This one is pooled: scores less their group's mean, summed by task, over
    all groups. It assumes that tasks cluster alike in all groups.

    Raises Undefined without items; ValueError on malformed input.
    Source: the mean generalised design effect of Rao & Scott (1981), within groups.
    """
    one, two = _shares(first, categories), _shares(second, categories)
    sample = _sample(two - one, tasks, counts, weights)
    keys = np.asarray(groups)
    if keys.shape != (len(one),) or not np.issubdtype(keys.dtype, np.integer):
        raise ValueError(f"groups must be integers of shape ({len(one)},), not {keys.dtype} {keys.shape}")
    return _design_effect(sample, keys[_counts(counts, len(one)) > 0])


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    score: Floats  # (rows, p)
    times: Floats  # (rows,)
    share: Floats  # of the whole weight, (rows,)
    place: Ints  # of each row's task
    worth: Floats

    @property
    def kish(self) -> float:
        """Return the sum of the squares of items' shares of the weight."""
        return float(self.times @ self.worth**2) / float(self.times @ self.worth) ** 2


def _sample(
    score: Floats, tasks: npt.ArrayLike, counts: npt.ArrayLike | None, weights: npt.ArrayLike | None
) -> _Sample:
    times = _counts(counts, len(score))
    worth = _weights(weights, len(score))
    keys = np.asarray(tasks)
    if keys.shape != times.shape or not np.issubdtype(keys.dtype, np.integer):
        raise ValueError(f"tasks must be integers of shape ({len(score)},), not {keys.dtype} {keys.shape}")
    kept = times > 0
    if not kept.any():
        raise Undefined("there are no items to compare on")
    score, times, worth = score[kept], times[kept], worth[kept]
    _, place = np.unique(keys[kept], return_inverse=True)
    return _Sample(score, times, times * worth / float(times @ worth), place.astype(np.int64), worth)


def _moments(
    score: Floats,
    tasks: npt.ArrayLike,
    counts: npt.ArrayLike | None,
    weights: npt.ArrayLike | None,
    effect: float | None,
) -> _Moments:
    sample = _sample(score, tasks, counts, weights)
    mean = sample.share @ sample.score
    spread = (sample.score * sample.share[:, np.newaxis]).T @ sample.score
    plain = bool(np.all(sample.worth == sample.worth[0]))
    if effect is None:
        effect = _design_effect(sample, np.zeros_like(sample.place))
    elif not effect >= 1:
        raise ValueError(f"a design effect is at least 1, not {effect!r}")
    return _Moments(
        int(sample.times.sum()),
        int(sample.place.max()) + 1,
        mean,
        spread,
        _rank(spread),
        float(effect),
        plain,
    )


def _design_effect(sample: _Sample, groups: Ints) -> float:
    """Return how many times wider the variance is than of independent items of equal weight; at least 1."""
    n, tasks = float(sample.times.sum()), int(sample.place.max()) + 1
    of_tasks = np.bincount(sample.place, weights=sample.times)
    if of_tasks.max() <= 1 and np.all(sample.worth == sample.worth[0]):
        return 1.0
    _, group = np.unique(groups, return_inverse=True)
    number = int(group.max()) + 1
    total = np.bincount(group, weights=sample.share)
    means = np.column_stack(
        [np.bincount(group, weights=sample.share * column) / total for column in sample.score.T]
    )
    apart = sample.score - means[group]
    about = (apart * sample.share[:, np.newaxis]).T @ apart
    rank = _rank(about)
    if tasks <= number or not rank:  # how tasks differ can't be seen: each counts once
        return max(n / tasks, n * sample.kish)
    by_task = [np.bincount(sample.place, weights=sample.share * column) for column in apart.T]
    sums = np.column_stack(by_task)
    clustered = tasks / (tasks - number) * sums.T @ sums
    return max(1.0, n * sample.kish, n * float(np.trace(_inverse(about) @ clustered)) / rank)


def _tango(gained: float, lost: float, n: float, quantile: float) -> tuple[float, float]:
    """Return the differences at which the score statistic, with its constrained estimate of the share lost,
    is below the quantile."""

    def statistic(shift: float) -> float:
        linear = -gained - lost + (2 * n - gained + lost) * shift
        constant = lost * shift * (1 - shift)
        share = (math.sqrt(max(linear**2 + 8 * n * constant, 0.0)) - linear) / (4 * n)
        variance = n * (2 * share + shift * (1 - shift))
        apart = gained - lost - n * shift
        return (
            apart / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, apart) if apart else 0.0
        )

    middle = (gained - lost) / n
    return _edge(statistic, middle, -1.0, quantile), _edge(statistic, middle, 1.0, -quantile)


def _edge(statistic: Callable[[float], float], inside: float, outside: float, wanted: float) -> float:
    """Return where the statistic, which falls as the difference rises, is what is wanted; the end where it
    never is."""
    if abs(statistic(outside)) <= abs(wanted):
        return outside
    for _ in range(60):
        between = (inside + outside) / 2
        if abs(statistic(between)) <= abs(wanted):
            inside = between
        else:
            outside = between
    return inside


def _about(shift: float, apart: float, n: float, quantile: float) -> tuple[float, float]:
    if n <= quantile**2:
        return -1.0, 1.0
    half = quantile * math.sqrt(max(apart - shift**2, 0.0) / (n - quantile**2))
    return max(-1.0, shift - half), min(1.0, shift + half)


def _with_nothing(bounds: tuple[float, float], shift: float, p: float, level: float) -> tuple[float, float]:
    """Return bounds that hold the estimate, and no shift where p does not rule it out."""
    nothing = [0.0] if p >= 1 - level else []
    return min(*bounds, shift, *nothing), max(*bounds, shift, *nothing)


def _whole_sides(score: Floats, counts: npt.ArrayLike | None) -> tuple[int, int]:
    times = _counts(counts, len(score))
    return int(times[score > 0].sum()), int(times[score < 0].sum())


def _binomial(gained: int, lost: int) -> float:
    from scipy.special import bdtr

    apart = gained + lost
    if not apart:
        return 1.0
    return min(1.0, 2 * float(bdtr(min(gained, lost), apart, 0.5)))


def _chi_square(statistic: float, df: int) -> float:
    from scipy.special import chdtrc

    return float(chdtrc(df, statistic))


def _rank(matrix: Floats) -> int:
    values = np.linalg.eigvalsh(matrix)
    return int((values > TOLERANCE * max(1.0, values[-1])).sum()) if values[-1] > TOLERANCE else 0


def _inverse(matrix: Floats) -> Floats:
    return np.asarray(np.linalg.pinv(matrix, rcond=TOLERANCE, hermitian=True), dtype=np.float64)


def _booleans(values: npt.ArrayLike, dimensions: int = 1) -> npt.NDArray[np.bool_]:
    given = np.asarray(values)
    if given.ndim != dimensions or given.dtype != np.bool_:
        raise ValueError(
            f"labels must be booleans in {dimensions} dimensions, not {given.dtype} {given.shape}"
        )
    return given


def _booleans_or_chances(values: npt.ArrayLike) -> npt.NDArray[np.bool_] | Floats:
    given = np.asarray(values)
    if given.ndim == 1 and given.dtype == np.float64 and np.isfinite(given).all():
        return given
    return _booleans(values)


def _shares(values: npt.ArrayLike, categories: int) -> Floats:
    given = np.asarray(values)
    if given.ndim == 2 and given.shape[1] == categories and np.isfinite(given).all():
        return given.astype(np.float64, copy=False)
    return np.eye(categories)[_labels(values, categories)]


def _labels(values: npt.ArrayLike, categories: int) -> Ints:
    given = np.asarray(values)
    if given.ndim != 1 or not np.issubdtype(given.dtype, np.integer):
        raise ValueError(f"labels must be integers of shape (rows,), not {given.dtype} {given.shape}")
    if given.size and not (given.min() >= 0 and given.max() < categories):
        raise ValueError(f"labels must lie in 0..{categories - 1}, not {given.min()}..{given.max()}")
    return given.astype(np.int64, copy=False)


def _counts(values: npt.ArrayLike | None, rows: int) -> Floats:
    counts = np.ones(rows) if values is None else np.asarray(values, dtype=np.float64)
    if counts.shape != (rows,) or not ((counts >= 0).all() and (counts == np.floor(counts)).all()):
        raise ValueError(f"counts must be whole numbers of at least 0, of shape ({rows},)")
    return counts


def _weights(values: npt.ArrayLike | None, rows: int) -> Floats:
    weights = np.ones(rows) if values is None else np.asarray(values, dtype=np.float64)
    if weights.shape != (rows,) or not (np.isfinite(weights).all() and (weights > 0).all()):
        raise ValueError(f"weights must be finite numbers above 0, of shape ({rows},)")
    return weights
