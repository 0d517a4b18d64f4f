"""How far raters agree on nominal labels, some of them missing.

Labels come as an integer array of shape (raters, items): 0..categories-1, or -1 where a rater gave none.
`categories` is the number of labels in the scheme, whether or not each occurs. An item is pairable with
two labels or more; the others tell nothing about agreement and are left out throughout. All results are
fractions, not percentages.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from .outcomes import Interval, Undefined, check_level

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Bounds the weights held at once to some 64 MB, whatever the number of tasks.
WEIGHTS_PER_CHUNK = 4_000_000


@dataclass(frozen=True, slots=True)
class BootstrapInterval(Interval):
    """Of the `resamples`, `undefined` had no value and are not behind the bounds; many make these weak."""

    resamples: int
    undefined: int


@dataclass(frozen=True, slots=True, eq=False)
class PairAgreement:
    """Two raters on the items both labelled.

    first, second: rows of the labels array. items: how many they have in common.
    percent: fraction of those with equal labels, None without any.
    kappa: Cohen's, alpha: Krippendorff's of these two; None where undefined.
    table: shape (k, k), items by the first rater's label (row) and the second's (column).
    """

    first: int
    second: int
    items: int
    percent: float | None
    kappa: float | None
    alpha: float | None
    table: Ints


def count_rows(labels: Ints, categories: int) -> Ints:
    """How many raters gave an item each label: shape (items, categories), for every item, pairable or not.

    Raises ValueError where `labels` is not a two-dimensional integer array (a NaN is not a missing label
    here: -1 is), where a label lies outside -1..categories-1, or where categories is below 1.
    """
    labels = _checked(labels, categories)
    items = labels.shape[1]
    _, columns = given = np.nonzero(labels >= 0)
    cells = columns * categories + labels[given]
    return _tally(cells, items, categories)


def coincidences(labels: Ints, categories: int) -> Floats:
    """Krippendorff's coincidence matrix: shape (categories, categories), symmetric.

    Cell (c, k) is the sum over pairable items of the ordered pairs of labels c and k by different
    raters, divided by the item's number of labels less one. The margins count the pairable labels. All
    zero where nothing is pairable.

    Raises ValueError as `count_rows` does.
    Source: K. Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, section C (o_ck).
    """
    counts = _pairable(count_rows(labels, categories))
    weighted = counts / (counts.sum(axis=1, keepdims=True) - 1)
    pairs: Floats = counts.T.astype(np.float64) @ weighted
    return pairs - np.diag(weighted.sum(axis=0))


def krippendorff_alpha(labels: Ints, categories: int) -> float:
    """Krippendorff's alpha for nominal labels: 1 is full agreement, 0 that of chance; it can be negative.

    alpha = 1 - (n - 1) sum_u [(m_u^2 - sum_c n_uc^2) / (m_u - 1)] / (n^2 - sum_c n_c^2), with n_uc
    raters who gave item u the label c, m_u labels on the item, n_c and n the sums over pairable items.

    Raises Undefined where no item is pairable, and where the pairable labels are all the same (nothing
    could have disagreed, so chance-corrected agreement is 0/0, not 1); ValueError as `count_rows` does.
    Source: Krippendorff (2011), section C, written in the counts of labels by item.
    """
    counts = _require_pairable(count_rows(labels, categories))
    statistics = _item_statistics(counts).sum(axis=0, keepdims=True)
    alpha = float(_alphas(statistics)[0])
    if np.isnan(alpha):
        raise Undefined("only one label occurs among the pairable items, so disagreement was not possible")
    return alpha


def percent_agreement(labels: Ints, categories: int) -> float:
    """Mean over the pairable items of the share of an item's pairs of raters that gave equal labels; 0..1.

    Every pairable item weighs the same, however many raters it has (so this is not the trace of the
    coincidence matrix over its sum, which weighs items by their labels, nor the mean over pairs of
    raters).

    Raises Undefined where no item is pairable; ValueError as `count_rows` does.
    Source: K. L. Gwet (2014), Handbook of Inter-Rater Reliability, 4th ed., chapter 2 (p_a with missing
    ratings); `pa` in his R package irrCAC.
    """
    counts = _require_pairable(count_rows(labels, categories))
    raters = counts.sum(axis=1)
    agreeing = (counts * (counts - 1)).sum(axis=1)
    return float(np.mean(agreeing / (raters * (raters - 1))))


def pairwise(labels: Ints, categories: int) -> list[PairAgreement]:
    """Each two raters compared on the items that both labelled, in order of their rows.

    labels: shape (raters, items). Pairs without a common item are listed too. Kappa and alpha are None where
    both raters gave one and the same label throughout.

    Raises ValueError as `count_rows` does.
    Source: J. Cohen (1960), Educ. Psychol. Meas. 20:37-46, kappa = (p_o - p_e) / (1 - p_e); alpha as in
    `krippendorff_alpha`, for two raters.
    """
    labels = _checked(labels, categories)
    pairs = combinations(range(labels.shape[0]), 2)
    return [_compare(first, second, labels, categories) for first, second in pairs]


def bootstrap_alpha(
    labels: Ints,
    categories: int,
    tasks: Ints,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> BootstrapInterval:
    """Percentile interval of Krippendorff's alpha from resampling whole tasks with their items.

    labels: shape (raters, items). tasks: integer key of the task of each item, shape (items,); any
    values. As many tasks are drawn, with replacement, as have a pairable item; a task drawn twice brings
    its items twice, as items of their own. Tasks without a pairable item are not drawn: what is yet to
    be labelled does not widen the interval. The same seed gives the same interval.

    A resample in which only one label occurs has no alpha: it is dropped from the percentiles and
    counted in the result's `undefined`. Raters who never disagree get an interval of no width, as no
    resample can show otherwise.

    Raises Undefined where alpha itself is, where fewer than two tasks have a pairable item (one task
    says nothing about how tasks vary), or where no resample is defined; ValueError as `count_rows` does,
    and on tasks of another shape or type, resamples below 1 or a bad level.
    Source: the percentile bootstrap for alpha of A. Zapf et al. (2016), BMC Med. Res. Methodol. 16:93,
    on clusters as C. A. Field & A. H. Welsh (2007), J. R. Stat. Soc. B 69:369-390, resample them.
    """
    check_level(level)
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, not {resamples}")
    krippendorff_alpha(labels, categories)
    statistics = _task_statistics(count_rows(labels, categories), tasks)
    if len(statistics) < 2:
        raise Undefined("only one task has pairable items, so how alpha varies between tasks is unknown")
    chunks = [_alphas(weights @ statistics) for weights in _task_weights(len(statistics), resamples, seed)]
    alphas = np.concatenate(chunks)
    defined = alphas[~np.isnan(alphas)]
    if not defined.size:
        raise Undefined(f"only one label occurs in each of the {resamples} resamples")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return BootstrapInterval(float(low), float(high), resamples, resamples - defined.size)


def _checked(labels: Ints, categories: int) -> Ints:
    if categories < 1:
        raise ValueError(f"categories must be at least 1, not {categories}")
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"labels must be integers of shape (raters, items), not {labels.dtype} {labels.shape}"
        )
    # Before the cast: afterwards the largest unsigned number would pass for -1.
    if labels.size and not (labels.min() >= -1 and labels.max() < categories):
        raise ValueError(f"labels must lie in -1..{categories - 1}, not {labels.min()}..{labels.max()}")
    checked: Ints = labels.astype(np.int64, copy=False)
    return checked


def _tally(cells: Ints, rows: int, columns: int) -> Ints:
    """How often each cell number (row * columns + column) occurs: shape (rows, columns)."""
    return np.bincount(cells, minlength=rows * columns).reshape(rows, columns).astype(np.int64, copy=False)


def _pairable(counts: Ints) -> Ints:
    pairable: Ints = counts[counts.sum(axis=1) >= 2]
    return pairable


def _require_pairable(counts: Ints) -> Ints:
    counts = _pairable(counts)
    if not len(counts):
        raise Undefined("no item has labels from two raters or more")
    return counts


def _item_statistics(counts: Ints) -> Floats:
    """What alpha needs of pairable items, in sums: disagreement, then labels; shape (items, 1 + k)."""
    raters = counts.sum(axis=1)
    disagreement = (raters**2 - (counts**2).sum(axis=1)) / (raters - 1)
    return np.column_stack([disagreement, counts])


def _alphas(statistics: Floats) -> Floats:
    """alpha of each row of summed item statistics, shape (rows, 1 + k); NaN where only one label occurs."""
    disagreement, totals = statistics[:, 0], statistics[:, 1:]
    n = totals.sum(axis=1)
    expected = n**2 - (totals**2).sum(axis=1)
    ratio = np.divide((n - 1) * disagreement, expected, out=np.full(len(n), np.nan), where=expected > 0)
    alphas: Floats = 1 - ratio
    return alphas


def _task_statistics(counts: Ints, tasks: Ints) -> Floats:
    """Item statistics summed by task, for the tasks with a pairable item: shape (tasks, 1 + k)."""
    if tasks.shape != counts.shape[:1] or not np.issubdtype(tasks.dtype, np.integer):
        raise ValueError(f"tasks must be integers of shape ({len(counts)},), not {tasks.dtype} {tasks.shape}")
    _, index = np.unique(tasks[counts.sum(axis=1) >= 2], return_inverse=True)
    columns = _item_statistics(_pairable(counts)).T
    return np.column_stack([np.bincount(index, weights=column) for column in columns])


def _task_weights(tasks: int, resamples: int, seed: int) -> Iterator[Floats]:
    """In chunks of resamples, how often each task is drawn: shape (chunk, tasks), rows summing to `tasks`."""
    random = np.random.default_rng(seed)
    rows = max(1, WEIGHTS_PER_CHUNK // tasks)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        # Counting drawn indices is several times faster than the generator's multinomial.
        drawn = random.integers(0, tasks, size=(size, tasks))
        drawn += np.arange(size)[:, np.newaxis] * tasks
        yield np.bincount(drawn.ravel(), minlength=size * tasks).reshape(size, tasks).astype(np.float64)


def _compare(first: int, second: int, labels: Ints, categories: int) -> PairAgreement:
    both = (labels[first] >= 0) & (labels[second] >= 0)
    cells = labels[first, both] * categories + labels[second, both]
    table = _tally(cells, categories, categories)
    items, equal = int(table.sum()), int(table.trace())
    percent = equal / items if items else None
    return PairAgreement(first, second, items, percent, _cohen_kappa(table), _pair_alpha(table), table)


def _cohen_kappa(table: Ints) -> float | None:
    """kappa = (N trace - sum r c) / (N^2 - sum r c), in whole numbers so that 0/0 is seen exactly."""
    items = int(table.sum())
    chance = int(table.sum(axis=1) @ table.sum(axis=0))
    if chance == items**2:
        return None
    return (items * int(table.trace()) - chance) / (items**2 - chance)


def _pair_alpha(table: Ints) -> float | None:
    """`krippendorff_alpha` of two raters, where each disagreement adds 2 and each item 2 labels."""
    items = int(table.sum())
    totals = table.sum(axis=0) + table.sum(axis=1)
    expected = (2 * items) ** 2 - int(totals @ totals)
    if expected == 0:
        return None
    return 1 - (2 * items - 1) * 2 * (items - int(table.trace())) / expected
