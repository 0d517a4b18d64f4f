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
    near,
    ratio,
    why_undefined,
)
from .intervals import Undefined
from .resampling import (
    ONE_CLUSTER,
    STEP,
    Estimate,
    alike,
    checked_tasks,
    delta_interval,
    estimate,
    standard_error,
)

AT_ONCE = 4_000_000  # labels that are held as numbers at once
NOTHING_IN_COMMON = "the two have no item in common"


@dataclass(frozen=True, slots=True, eq=False)
class PairAgreement:
    """Two raters on the items both labelled.

    first, second: rows of the labels array. items: how many they have in common; `alone`: how many only
    one of the two labelled, which no figure of the pair rests on.
    estimates: by name, `percent`, `kappa` (Cohen's), `ac1`, `alpha`, and for ordered labels
    `alpha_ordinal`, `kappa_linear` and `kappa_quadratic`.
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
    """Return the large-sample standard error of Cohen's kappa, items being independent, as irrCAC prints it.

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
    """Return Cohen's kappa of a cross table, shape (k, k): first rater in rows, second in columns.

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


def weighted_kappa(table: Ints, power: int = 1) -> float:
    """Return weighted kappa of two raters' ordered labels: labels that lie near each other agree in part.

    table: shape (k, k), as for `cohen_kappa`, the labels in their order. power: 1 for linear, 2 for quadratic
    weights, as `gwet_ac2` has them; kappa_w = 1 - sum v o / sum v e with v = |c - d|^power, o the shares of
    the table and e those that the margins alone would give.

    Raises Undefined and ValueError as `cohen_kappa` does, ValueError on another power.
    Source: J. Cohen (1968), Psychol. Bull. 70:213-220; linear and quadratic weights J. L. Fleiss & J. Cohen
    (1973), Educ. Psychol. Meas. 33:613-619.
    """
    cohen_kappa(table)
    flat = _checked_table(table).ravel().astype(np.float64)
    return float(_weighted(len(table), power)(flat))


def prevalence_index(table: Ints) -> Floats:
    """Return how far a label is from being given to half of the items, by label: shape (k,), each in -1..1.

    Of the two-by-two table of a label against the rest, (a - d) / n: both gave it, less neither did; the two
    raters' shares of it, added, less 1. Far from 0, chance agreement is high and kappa low.

    Raises Undefined where the table is empty; ValueError as `cohen_kappa` does.
    Source: T. Byrt, J. Bishop & J. B. Carlin (1993), J. Clin. Epidemiol. 46:423-429.
    """
    first, second = _margins(table)
    return first + second - 1


def bias_index(table: Ints) -> Floats:
    """Return how much more often the first rater gives each label than the second: shape (k,), in -1..1.

    Of the two-by-two table of a label against the rest, (b - c) / n: the difference of the two raters' shares
    of it. The k values sum to 0.

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
    """Compare each two raters on the items that both labelled, in order of their rows.

    labels: shape (raters, patterns), -1 for none. items, tasks: shape (patterns,), how many items have the
    pattern and whose task they are, as in `agreement_estimates`, which also says what the intervals are.
    resamples: 0 for none, so without the bootstrap, of many raters at once. Pairs without a common item are
    listed too, with the reason.

    Raises ValueError as `count_rows` and `agreement_estimates` do.
    """
    labels = checked_labels(labels, categories)
    _, items = checked_counts(np.zeros((labels.shape[1], 1), dtype=np.int64), items)
    clusters = None if tasks is None else np.unique(checked_tasks(tasks, items), return_inverse=True)[1]
    if not resamples:
        return [
            pair
            for first in range(len(labels) - 1)
            for pair in _against(first, labels, categories, items, clusters, scale, level)
        ]
    options: dict[str, Any] = {"resamples": resamples, "seed": seed, "level": level}
    compared = []
    for first, second in combinations(range(len(labels)), 2):
        given = labels[[first, second]] >= 0
        both = given.all(axis=0)
        cells = labels[first, both] * categories + labels[second, both]
        table = np.bincount(cells, weights=items[both], minlength=categories**2).astype(np.int64)
        kinds = _kinds(cells, table, items[both], None if clusters is None else clusters[both])
        estimates = _estimates(categories, scale, *kinds, "item" if tasks is None else "task", **options)
        alone = int(items[given.any(axis=0) & ~both].sum())
        compared.append(_pair(first, second, alone, estimates, table.reshape(categories, categories)))
    return compared


def _against(
    first: int, labels: Ints, k: int, items: Ints, clusters: Ints | None, scale: str, level: float
) -> list[PairAgreement]:
    """Compare one rater with all later ones at once, without a bootstrap."""
    mine, theirs = labels[first], labels[first + 1 :]
    pair, pattern = np.nonzero((theirs >= 0) & (mine >= 0))
    cells = mine[pattern] * k + theirs[pair, pattern]
    tables = _tallied(pair * k**2 + cells, items[pattern], (len(theirs), k**2))
    given = (theirs >= 0) != (mine >= 0)
    alone = given.astype(np.int64) @ items
    if clusters is None:  # an item is its cell
        sums, many = np.broadcast_to(np.eye(k**2), (len(theirs), k**2, k**2)), tables
    else:
        size = int(clusters.max(initial=-1)) + 1
        place = (pair * size + clusters[pattern]) * k**2 + cells
        sums = _tallied(place, items[pattern], (len(theirs), size, k**2))
        many = np.asarray(sums.any(axis=2), dtype=np.float64)
    estimates = _many_estimates(tables, sums, many, k, scale, "item" if clusters is None else "task", level)
    squares = tables.astype(np.int64).reshape(-1, k, k)
    return [
        _pair(first, first + 1 + place, int(alone[place]), estimates[place], square)
        for place, square in enumerate(squares)
    ]


def _many_estimates(
    tables: Floats, sums: Floats, many: Floats, k: int, scale: str, unit: str, level: float
) -> list[dict[str, Estimate]]:
    """Estimate the coefficients of many pairs by the delta method of `standard_error`: tables (pairs, k * k),
    sums by kind of cluster (pairs, kinds, k * k), and how many clusters are of each kind, (pairs, kinds)."""
    count = many.sum(axis=1)
    estimates: list[dict[str, Estimate]] = [{} for _ in tables]
    steps = tables[:, np.newaxis] + 1j * STEP * np.eye(tables.shape[1])
    for name, measure in _measures(k, scale).items():
        values = measure(tables)
        with np.errstate(invalid="ignore"):
            influence = np.einsum("pcj,pj->pc", sums, measure(steps).imag / STEP)
        mean = (many * influence).sum(axis=1) / np.maximum(count, 1)
        squares = (many * (influence - mean[:, np.newaxis]) ** 2).sum(axis=1)
        variance = count / np.maximum(count - 1, 1) * squares
        errors = np.sqrt(np.where(variance > 1e-24, variance, 0.0))
        why = why_undefined(name, k)
        for place, one in enumerate(estimates):
            one[name] = _one_estimate(
                name, float(values[place]), float(errors[place]), int(count[place]), why, unit, level
            )
    return estimates


def _one_estimate(
    name: str, value: float, error: float, clusters: int, why: str, unit: str, level: float
) -> Estimate:
    if not clusters:
        return Estimate(None, None, None, None, 0, NOTHING_IN_COMMON)
    if np.isnan(value):
        return Estimate(None, None, None, None, clusters, why)
    if clusters < 2:
        return Estimate(value, None, None, None, clusters, ONE_CLUSTER.format(unit=unit))
    try:
        delta = delta_interval(value, error, clusters, level, floor=0.0 if name == "percent" else -1.0)
    except Undefined as refusal:
        return Estimate(value, error, None, None, clusters, str(refusal))
    return Estimate(value, error, delta, None, clusters, "")


def _tallied(cells: Ints, weights: Ints, shape: tuple[int, ...]) -> Floats:
    return np.asarray(
        np.bincount(cells, weights=weights, minlength=int(np.prod(shape))), dtype=np.float64
    ).reshape(shape)


def _kinds(cells: Ints, table: Ints, items: Ints, clusters: Ints | None) -> tuple[Floats, Ints]:
    """Return the cross tables of clusters, laid flat, and how many clusters have each."""
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
    """Return the coefficients of a pair by name, as functions of summed cross tables, laid flat, shape
    (..., k * k)."""

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

    coefficients: dict[str, Measure] = {"percent": percent, "kappa": kappa, "alpha": alpha}
    if k > 1:
        coefficients["ac1"] = ac1
    if scale != "nominal":
        coefficients["alpha_" + scale] = lambda sums: alpha(sums, scale)
    if scale == "ordinal":
        coefficients |= {"kappa_linear": _weighted(k, 1), "kappa_quadratic": _weighted(k, 2)}
    return coefficients


def _weighted(k: int, power: int) -> Measure:
    apart = 1 - near(k, power)

    def measure(sums: Array) -> Array:
        table = sums.reshape(*sums.shape[:-1], k, k)
        expected = table.sum(axis=-1)[..., :, np.newaxis] * table.sum(axis=-2)[..., np.newaxis, :]
        differing = (table * apart).sum(axis=(-2, -1))
        return 1 - ratio(sums.sum(axis=-1) * differing, (expected * apart).sum(axis=(-2, -1)))

    return measure


def _pair(first: int, second: int, alone: int, estimates: dict[str, Estimate], table: Ints) -> PairAgreement:
    items = int(table.sum())
    nothing = np.full(len(table), np.nan)
    prevalence, bias = (prevalence_index(table), bias_index(table)) if items else (nothing, nothing)
    return PairAgreement(first, second, items, alone, estimates, prevalence, bias, table)


def widest_bias(labels: Ints, categories: int, items: Ints | None = None) -> Floats:
    """Return the widest bias index between two raters, by label: shape (k,); NaN without a common item.

    labels, items as in `pairwise`. The absolute `bias_index`, over all pairs in one pass.

    Raises ValueError as `count_rows` does.
    """
    labels = checked_labels(labels, categories)
    _, items = checked_counts(np.zeros((labels.shape[1], 1), dtype=np.int64), items)
    both, given = np.zeros((len(labels), len(labels))), np.zeros((categories, len(labels), len(labels)))
    step = max(1, AT_ONCE // max(1, len(labels)))
    for start in range(0, labels.shape[1], step):
        part, worth = labels[:, start : start + step], items[start : start + step]
        there = (part >= 0).astype(np.float64)
        both += (there * worth) @ there.T
        for label in range(categories):
            given[label] += ((part == label) * worth) @ there.T
    common = both[~np.eye(len(labels), dtype=bool)] > 0
    apart = np.abs(given - given.transpose(0, 2, 1))[:, ~np.eye(len(labels), dtype=bool)]
    shares = apart[:, common] / both[~np.eye(len(labels), dtype=bool)][common]
    return np.asarray(shares.max(axis=1)) if common.any() else np.full(categories, np.nan)


def _margins(table: Ints) -> tuple[Floats, Floats]:
    """Return the two raters' shares of each label."""
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
