"""Two raters compared on the items that both labelled."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from .agreement import (
    ONE_LABEL,
    Array,
    Floats,
    Ints,
    Measure,
    alpha_of,
    checked_counts,
    checked_labels,
    ratio,
    why_undefined,
)
from .outcomes import Undefined
from .resampling import Estimate, alike, checked_tasks, estimate, standard_error

NOTHING_IN_COMMON = "the two have no item in common"


@dataclass(frozen=True, slots=True, eq=False)
class PairAgreement:
    """Two raters on the items both labelled.

    first, second: rows of the labels array. items: how many they have in common; `alone`: how many only
    one of the two labelled, which no figure of the pair rests on.
    estimates: by name, `percent`, `kappa` (Cohen's), `ac1`, `alpha`, and `alpha_ordinal` where asked for.
    prevalence, bias: the indices by label, shape (k,); NaN without a common item.
    table: shape (k, k), items by the first rater's label (row) and the second's (column).
    """

    first: int
    second: int
    items: int
    alone: int
    estimates: dict[str, Estimate]
    prevalence: Floats
    bias: Floats
    table: Ints

    @property
    def percent(self) -> float | None:
        return self.estimates["percent"].value

    @property
    def kappa(self) -> float | None:
        return self.estimates["kappa"].value

    @property
    def alpha(self) -> float | None:
        return self.estimates["alpha"].value


def cohen_error(table: Ints) -> float:
    """The large-sample standard error of Cohen's kappa, items being independent, as irrCAC prints it.

    The one of `pairwise` without tasks is sqrt(n / (n - 1)) times as large.

    Raises Undefined and ValueError as `cohen_kappa` does.
    Source: J. L. Fleiss, J. Cohen & B. S. Everitt (1969), Psychol. Bull. 72:323-327, equation 13.
    """
    cohen_kappa(table)
    items = _checked_table(table).ravel()
    if items.sum() < 2:
        raise Undefined("one item has no spread")
    kinds = np.eye(len(items))[items > 0]
    error = standard_error(_measures(len(table), "nominal")["kappa"], kinds, items[items > 0])
    return error * float(np.sqrt(1 - 1 / items.sum()))


def cohen_kappa(table: Ints) -> float:
    """Cohen's kappa of a cross table, shape (k, k): the first rater's labels in rows, the second's in columns.

    kappa = (p_o - p_e) / (1 - p_e), p_e = sum_c p_c. p_.c from the two raters' own shares of each label.

    Raises Undefined where the table is empty, and where both gave one and the same label throughout;
    ValueError where it is not a square table of whole numbers of at least 0.
    Source: J. Cohen (1960), Educ. Psychol. Meas. 20:37-46.
    """
    table = _checked_table(table)
    items = int(table.sum())
    if not items:
        raise Undefined(NOTHING_IN_COMMON)
    # In whole numbers, so that 0/0 is seen exactly.
    chance = sum(int(row) * int(column) for row, column in zip(table.sum(1), table.sum(0), strict=True))
    if chance == items**2:
        raise Undefined(ONE_LABEL)
    return (items * int(table.trace()) - chance) / (items**2 - chance)


def prevalence_index(table: Ints) -> Floats:
    """How far a label is from being given to half of the items, by label: shape (k,), each in -1..1.

    Of the two-by-two table of a label against the rest, (a - d) / n: both gave it, less neither did; the
    two raters' shares of it, added, less 1. Far from 0, chance agreement is high and kappa low.

    Raises Undefined where the table is empty; ValueError as `cohen_kappa` does.
    Source: T. Byrt, J. Bishop & J. B. Carlin (1993), J. Clin. Epidemiol. 46:423-429.
    """
    first, second = _margins(table)
    return first + second - 1


def bias_index(table: Ints) -> Floats:
    """How much more often the first rater gives a label than the second, by label: shape (k,), each in -1..1.

    Of the two-by-two table of a label against the rest, (b - c) / n: the difference of the two raters'
    shares of it. The k values sum to 0.

    Raises Undefined where the table is empty; ValueError as `cohen_kappa` does.
    Source: Byrt, Bishop & Carlin (1993), as `prevalence_index`.
    """
    first, second = _margins(table)
    return first - second


def pairwise(
    labels: Ints,
    categories: int,
    items: Ints | None = None,
    tasks: Ints | None = None,
    *,
    scale: str = "nominal",
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> list[PairAgreement]:
    """Each two raters compared on the items that both labelled, in order of their rows.

    labels: shape (raters, patterns), -1 for none. items, tasks: shape (patterns,), how many items have
    the pattern and whose task they are, as in `agreement_estimates`, which also says what the intervals
    are. Pairs without a common item are listed too, with the reason.

    Raises ValueError as `count_rows` and `agreement_estimates` do.
    """
    labels = checked_labels(labels, categories)
    _, items = checked_counts(np.zeros((labels.shape[1], 1), dtype=np.int64), items)
    clusters = None if tasks is None else np.unique(checked_tasks(tasks, items), return_inverse=True)[1]
    options: dict[str, Any] = {"resamples": resamples, "seed": seed, "level": level}
    found = []
    for first, second in combinations(range(len(labels)), 2):
        given = labels[[first, second]] >= 0
        both = given.all(axis=0)
        cells = labels[first, both] * categories + labels[second, both]
        table = np.bincount(cells, weights=items[both], minlength=categories**2).astype(np.int64)
        kinds = _kinds(cells, table, items[both], None if clusters is None else clusters[both])
        estimates = _estimates(categories, scale, *kinds, "item" if tasks is None else "task", **options)
        alone = int(items[given.any(axis=0) & ~both].sum())
        found.append(_pair(first, second, alone, estimates, table.reshape(categories, categories)))
    return found


def _kinds(cells: Ints, table: Ints, items: Ints, clusters: Ints | None) -> tuple[Floats, Ints]:
    """The cross tables of clusters, laid flat, and how many clusters have each."""
    if clusters is None:  # an item is its cell
        return np.eye(len(table))[table > 0], table[table > 0]
    size = int(clusters.max(initial=-1)) + 1
    if size > len(cells):  # most have nothing of this pair
        _, clusters = np.unique(clusters, return_inverse=True)
        size = int(clusters.max(initial=-1)) + 1
    flat = np.bincount(clusters * len(table) + cells, weights=items, minlength=size * len(table))
    rows = flat.reshape(size, len(table)).astype(np.float64, copy=False)
    return alike(rows[rows.any(axis=1)])


def _estimates(
    k: int, scale: str, rows: Floats, clusters: Ints, unit: str, **options: Any
) -> dict[str, Estimate]:
    chosen = _measures(k, scale)
    if not len(rows):
        return {name: Estimate(None, None, None, None, 0, NOTHING_IN_COMMON) for name in chosen}
    why = {name: why_undefined(name, k) for name in chosen}
    return estimate(chosen, rows, clusters, why, pairable=int(clusters.sum()), unit=unit, **options)


def _measures(k: int, scale: str) -> dict[str, Measure]:
    """From summed cross tables, laid flat, shape (..., k * k)."""

    def square(sums: Array) -> Array:
        return sums.reshape(*sums.shape[:-1], k, k)

    def differing(sums: Array) -> Array:
        return np.asarray(sums.sum(axis=-1) - np.trace(square(sums), axis1=-2, axis2=-1))

    def percent(sums: Array) -> Array:
        return 1 - ratio(differing(sums), sums.sum(axis=-1))

    def kappa(sums: Array) -> Array:
        table = square(sums)
        unlike = table.sum(axis=-1)[..., :, np.newaxis] * table.sum(axis=-2)[..., np.newaxis, :]
        return 1 - ratio(sums.sum(axis=-1) * differing(sums), (unlike * (1 - np.eye(k))).sum(axis=(-2, -1)))

    def ac1(sums: Array) -> Array:
        table = square(sums)
        shares = ratio((table.sum(axis=-1) + table.sum(axis=-2)) / 2, sums.sum(axis=-1)[..., np.newaxis])
        chance = (shares * (1 - shares)).sum(axis=-1) / (k - 1)
        return 1 - ratio(1 - percent(sums), 1 - chance)

    def alpha(sums: Array, scale: str = "nominal") -> Array:
        table = square(sums)
        return alpha_of(table + np.swapaxes(table, -1, -2), scale)

    found: dict[str, Measure] = {"percent": percent, "kappa": kappa, "alpha": alpha}
    if k > 1:
        found["ac1"] = ac1
    if scale != "nominal":
        found["alpha_" + scale] = lambda sums: alpha(sums, scale)
    return found


def _pair(first: int, second: int, alone: int, estimates: dict[str, Estimate], table: Ints) -> PairAgreement:
    items = int(table.sum())
    nothing = np.full(len(table), np.nan)
    prevalence, bias = (prevalence_index(table), bias_index(table)) if items else (nothing, nothing)
    return PairAgreement(first, second, items, alone, estimates, prevalence, bias, table)


def _margins(table: Ints) -> tuple[Floats, Floats]:
    """The two raters' shares of each label."""
    table = _checked_table(table)
    if not table.sum():
        raise Undefined(NOTHING_IN_COMMON)
    return table.sum(axis=1) / table.sum(), table.sum(axis=0) / table.sum()


def _checked_table(table: Ints) -> Ints:
    table = np.asarray(table)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not np.issubdtype(table.dtype, np.integer):
        raise ValueError(f"table must be integers of shape (k, k), not {table.dtype} {table.shape}")
    if table.size and table.min() < 0:
        raise ValueError("a table's numbers can't be negative")
    return table.astype(np.int64, copy=False)
