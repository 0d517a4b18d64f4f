"""How right a judge is, held against gold of which each item stands for as many as its weight says.

Arrays are of one element an item. `gold` and `given` are labels 0..k-1, `given` -1 where the judge gave no
verdict: a third outcome, which is counted by itself and never taken for a wrong answer. `tasks` holds each
item's task, any integers: the answers to one task are not independent, so every interval is clustered by
task.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .clusters import effective_size, effective_tasks
from .intervals import Interval, Undefined, check_level, normal_quantile
from .rates import Rate, wilson

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """A judge's sensitivity and specificity for one label, both with interval and counts.

    sensitivity: of the items with this gold label and a verdict, the share the judge gave it. specificity: of
    those with another, the share it gave another.
    """

    sensitivity: Rate
    specificity: Rate


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers whose stated confidence lies in low..high: how many, their mean confidence, the share that is
    right."""

    low: float
    high: float
    n: int
    confidence: float
    right: Rate


@dataclass(frozen=True, slots=True)
class Reliability:
    """How far stated probabilities of being right come true, and the parts of their Brier score.

    brier = reliability - resolution + uncertainty + within. expected_error: mean over bins of
    |confidence - right|.
    """

    bins: tuple[Bin, ...]
    n: int
    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float
    expected_error: float


def confusion_table(
    gold: npt.ArrayLike, given: npt.ArrayLike, labels: int, weights: npt.ArrayLike | None = None
) -> Floats:
    """Count gold (rows) by what the judge gave (columns, the last for no verdict): (labels, labels + 1).

    weights: shape (n,), what each item stands for; 1 if not given, so that cells are counts. ValueError on
    labels out of range or weights that are negative or not finite.
    """
    rows, columns, worth = _items(gold, given, labels, weights)
    columns = np.where(columns < 0, labels, columns)
    cells = np.bincount(rows * (labels + 1) + columns, weights=worth, minlength=labels * (labels + 1))
    return cells.reshape(labels, labels + 1).astype(np.float64)


def weighted_rate(
    hits: npt.ArrayLike, weights: npt.ArrayLike | None, tasks: npt.ArrayLike, level: float = 0.95
) -> Rate:
    """Return the rate sum(w h) / sum(w), with Wilson's interval at the effective number of items.

    hits: boolean, weights: at least 0 (None: 1 each), tasks: integers; all of shape (n,). The effective
    number is Kish's (sum w)^2 / sum w^2 as the tasks leave it (`effective_size`), of the linearised ratio: a
    task adds sum_{i in it} w_i (h_i - p) / W. Where all weights are equal this is `clustered_rate`.

    Where nothing has weight, the rate's three numbers are None. ValueError on shapes that differ, bad weights
    or a bad level.
    Source: as `clustered_rate`; L. Kish (1965), Survey Sampling, section 11.7.
    """
    check_level(level)
    hit, worth, clusters = _weighted(hits, weights, tasks)
    hit, worth, clusters = hit[worth > 0], worth[worth > 0], clusters[worth > 0]
    if not worth.size:
        return Rate(None, None, None, 0, 0.0)
    total = float(worth.sum())
    _, index = np.unique(clusters, return_inverse=True)
    rate = float(np.clip(worth @ hit / total, 0, 1))
    influence = np.bincount(index, weights=worth * (hit - rate)) / total
    sizes = np.bincount(index, weights=worth)
    effective = float(effective_size(rate, total**2 / float(worth @ worth), influence, sizes, level))
    interval = wilson(rate * effective, effective, level)
    low, high = min(interval.low, rate), max(interval.high, rate)
    return Rate(rate, low, high, worth.size, effective, float(effective_tasks(sizes)))


def label_figures(
    gold: npt.ArrayLike,
    given: npt.ArrayLike,
    labels: int,
    weights: npt.ArrayLike | None,
    tasks: npt.ArrayLike,
    level: float = 0.95,
) -> tuple[LabelFigures, ...]:
    """Return a judge's sensitivity and specificity for every label, over the items it gave a verdict on.

    Intervals as in `weighted_rate`. Where gold is drawn by strata, weights undo the selection: without them
    the figures suffer from verification bias. Raises ValueError as `confusion_table` and `weighted_rate` do.
    Source: C. B. Begg & R. A. Greenes (1983), Biometrics 39:207-215: their estimate is this one, with weights
    that are the inverse of the share verified among each test result.
    """
    rows, columns, worth = _items(gold, given, labels, weights)
    clusters, judged = np.asarray(tasks), columns >= 0
    figures = []
    for label in range(labels):
        inside, outside = judged & (rows == label), judged & (rows != label)
        figures.append(
            LabelFigures(
                weighted_rate(columns[inside] == label, worth[inside], clusters[inside], level),
                weighted_rate(columns[outside] != label, worth[outside], clusters[outside], level),
            )
        )
    return tuple(figures)


def table_kappa(table: npt.ArrayLike) -> float:
    """Return Cohen's kappa of a square table of weighted counts.

    It is (p_o - p_e) / (1 - p_e), p_e from the margins.

    Raises Undefined where the table is empty or all of it lies in one cell of the diagonal (0/0); ValueError
    on a malformed table. Source: J. Cohen (1960), Educ. Psychol. Meas. 20:37-46.
    """
    shares = _shares(table)
    observed, chance = float(np.trace(shares)), float(shares.sum(axis=1) @ shares.sum(axis=0))
    if 1 - chance < 1e-12:
        raise Undefined("both gave one and the same label throughout, so chance alone explains it")
    return (observed - chance) / (1 - chance)


def table_ac1(table: npt.ArrayLike) -> float:
    """Return Gwet's AC1 of a square table of weighted counts.

    It is (p_o - p_e) / (1 - p_e), p_e = sum_c m_c (1 - m_c) / (k - 1), m the mean margins.

    k is the number of the scheme's labels, whether or not each occurs. Raises Undefined where the table is
    empty; ValueError on a malformed table or fewer than two labels.
    Source: K. L. Gwet (2008), Br. J. Math. Stat. Psychol. 61:29-48, eq. 8.
    """
    shares = _shares(table)
    if len(shares) < 2:
        raise ValueError("AC1 needs a scheme of at least two labels")
    margins = (shares.sum(axis=1) + shares.sum(axis=0)) / 2
    chance = float(margins @ (1 - margins)) / (len(shares) - 1)
    return (float(np.trace(shares)) - chance) / (1 - chance)


def task_tables(
    gold: npt.ArrayLike,
    given: npt.ArrayLike,
    labels: int,
    weights: npt.ArrayLike | None,
    tasks: npt.ArrayLike,
) -> Floats:
    """Return each task's (weighted) table of gold by judge: shape (tasks, k, k).

    Items without a verdict are left out. gold, given, labels, weights as in `confusion_table`. ValueError as
    it raises one.
    """
    rows, columns, worth = _items(gold, given, labels, weights)
    judged = columns >= 0
    distinct, index = np.unique(np.asarray(tasks)[judged], return_inverse=True)
    cells = (index * labels + rows[judged]) * labels + columns[judged]
    counted = np.bincount(cells, weights=worth[judged], minlength=len(distinct) * labels**2)
    return counted.reshape(len(distinct), labels, labels).astype(np.float64)


def jackknife_interval(tables: Floats, statistic: Callable[[Floats], float], level: float = 0.95) -> Interval:
    """Return the interval of a figure of summed tables: z standard errors, leaving out one task at a time.

    tables: shape (tasks, ...), as from `task_tables`. Variance (G - 1) / G sum (f_g - mean f)^2. A task
    without which the figure is undefined is passed over. Raises Undefined where the figure is, or fewer than
    two tasks have a value; whatever `statistic` raises on the whole.
    Source: B. Efron & C. Stein (1981), Ann. Statist. 9:586-596; J. N. K. Rao & J. Shao (1999), Biometrika
    86:403-415, for clusters.
    """
    z, whole = normal_quantile(level), tables.sum(axis=0)
    value, without = statistic(whole), []
    for table in tables:
        try:
            without.append(statistic(whole - table))
        except Undefined:
            continue
    if len(without) < 2:
        raise Undefined("fewer than two tasks, so how the figure varies between tasks is unknown")
    left = np.asarray(without)
    error = float(np.sqrt((len(left) - 1) / len(left) * ((left - left.mean()) ** 2).sum()))
    return Interval(max(-1.0, value - z * error), min(1.0, value + z * error))


def exact_mcnemar(better: int, worse: int) -> float:
    """Return the two-sided exact p that as many items got better as got worse; 1 where none changed.

    ValueError on negative counts. Source: Q. McNemar (1947), Psychometrika 12:153-157, with the binomial's
    own tail.
    """
    if better < 0 or worse < 0:
        raise ValueError(f"counts can't be negative: {better}, {worse}")
    from scipy.special import bdtr

    if better + worse == 0:
        return 1.0
    return min(1.0, 2 * float(bdtr(min(better, worse), better + worse, 0.5)))


def reliability(
    confidence: npt.ArrayLike,
    right: npt.ArrayLike,
    weights: npt.ArrayLike | None,
    tasks: npt.ArrayLike,
    bins: int = 10,
) -> Reliability:
    """Hold stated probabilities of being right against how often the answers are right.

    confidence: fractions in 0..1, right: boolean, weights, tasks: all of shape (n,). The bins are equally
    wide; empty ones are left out. The Brier score is the weighted mean of (confidence - right)^2. With bins b
    of share s_b, mean confidence c_b and share right r_b, and r the share right of all: reliability = sum s_b
    (c_b - r_b)^2, resolution = sum s_b (r_b - r)^2, uncertainty = r (1 - r); `within` is what different
    confidences in one bin leave over (within-bin variance less twice the covariance).

    Raises Undefined without an item; ValueError on shapes that differ or a confidence outside 0..1.
    Source: A. H. Murphy (1973), J. Appl. Meteorol. 12:595-600; D. B. Stephenson et al. (2008), Weather
    Forecast. 23:752-757, for `within`.
    """
    stated = np.asarray(confidence, dtype=np.float64)
    hit, worth, clusters = _weighted(right, weights, tasks)
    if stated.shape != hit.shape or not ((stated >= 0) & (stated <= 1)).all() or bins < 1:
        raise ValueError("confidence must lie in 0..1, one for each item, in at least one bin")
    if not worth.sum() > 0:
        raise Undefined("no answer with a stated probability was held against gold")
    place = np.minimum((stated * bins).astype(np.int64), bins - 1)
    filled, total, parts = [], float(worth.sum()), []
    for b in np.unique(place[worth > 0]):
        mask = place == b
        share = float(worth[mask].sum()) / total
        mean = float(np.average(stated[mask], weights=worth[mask]))
        rate = weighted_rate(hit[mask], worth[mask], clusters[mask])
        filled.append(Bin(b / bins, (b + 1) / bins, rate.n, mean, rate))
        parts.append((share, mean, rate.estimate or 0.0))
    shares, means, rates = np.asarray(parts).T
    overall = float(np.average(hit, weights=worth))
    brier = float(np.average((stated - hit) ** 2, weights=worth))
    reliable = float(shares @ (means - rates) ** 2)
    resolved, unsure = float(shares @ (rates - overall) ** 2), overall * (1 - overall)
    return Reliability(
        tuple(filled),
        int((worth > 0).sum()),
        brier,
        reliable,
        resolved,
        unsure,
        brier - reliable + resolved - unsure,
        float(shares @ np.abs(means - rates)),
    )


def _items(
    gold: npt.ArrayLike, given: npt.ArrayLike, labels: int, weights: npt.ArrayLike | None
) -> tuple[Ints, Ints, Floats]:
    rows, columns = np.asarray(gold), np.asarray(given)
    if rows.ndim != 1 or columns.shape != rows.shape:
        raise ValueError(f"gold and given must have one shape (n,), not {rows.shape}, {columns.shape}")
    if rows.size and not (
        rows.min() >= 0 and columns.min() >= -1 and max(rows.max(), columns.max()) < labels
    ):
        raise ValueError(f"labels must lie in 0..{labels - 1}, given also -1")
    return rows.astype(np.int64), columns.astype(np.int64), _worth(weights, rows.size)


def _worth(weights: npt.ArrayLike | None, n: int) -> Floats:
    worth = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    if worth.shape != (n,) or not (np.isfinite(worth).all() and (worth >= 0).all()):
        raise ValueError(f"weights must be {n} finite numbers of at least 0")
    return worth


def _weighted(
    hits: npt.ArrayLike, weights: npt.ArrayLike | None, tasks: npt.ArrayLike
) -> tuple[Floats, Floats, Ints]:
    hit, clusters = np.asarray(hits, dtype=np.float64), np.asarray(tasks)
    if hit.ndim != 1 or clusters.shape != hit.shape:
        raise ValueError(f"hits and tasks must have one shape (n,), not {hit.shape}, {clusters.shape}")
    return hit, _worth(weights, hit.size), clusters.astype(np.int64)


def _shares(table: npt.ArrayLike) -> Floats:
    cells = np.asarray(table, dtype=np.float64)
    if cells.ndim != 2 or cells.shape[0] != cells.shape[1]:
        raise ValueError(f"the table must be square, not {cells.shape}")
    cells = np.where(np.abs(cells) < 1e-9, 0.0, cells)  # what is left where a task's table was taken away
    if not np.isfinite(cells).all() or (cells < 0).any():
        raise ValueError("the table's cells must be finite and not negative")
    total = cells.sum()
    if total <= 0:
        raise Undefined("there is no item with gold and a verdict")
    shares: Floats = cells / total
    return shares
