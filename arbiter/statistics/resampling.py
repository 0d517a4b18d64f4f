"""Standard errors and intervals of coefficients that are functions of sums over items, clustered.

The items of a cluster, by default a task, are not independent: whole clusters vary. A coefficient is a
function of the sums of some columns over the clusters, so a resample is one weighted sum, and the derivative
by the sums gives the delta method.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .agreement import (
    NOTHING_PAIRABLE,
    Array,
    Floats,
    Ints,
    Measure,
    ac2_measure,
    beyond_chance,
    checked_counts,
    item_sums,
    measures,
    near,
    why_undefined,
)
from .intervals import Interval, Undefined, check_level

# Bounds what is held at once to some 64 MB, whatever the number of clusters.
WEIGHTS_PER_CHUNK = 4_000_000
WEIGHTS_HELD = 100_000  # of some 32 numbers of clusters, so at most 26 MB
# With fewer kinds of clusters than this share of the clusters, a number for each kind is drawn, not each
# cluster.
MANY_ALIKE = 0.3
SINGLE_LABELS_COUNT = ("fleiss", "ac1")  # in the shares of labels behind chance agreement
ONE_CLUSTER = "only one {unit} has pairable items, so how much it varies is unknown"
STEP = 1e-30  # of the complex step, which has no rounding error to be balanced against


@dataclass(frozen=True, slots=True)
class BootstrapInterval(Interval):
    """Of the `resamples`, `undefined` had no value and are not behind the bounds; many make these weak."""

    resamples: int
    undefined: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """A coefficient with its standard error and two intervals.

    value, error, delta, bootstrap: None where they can't be had; `undefined` then says why, and is empty
    where all are there. clusters: how many of them are behind the intervals.
    """

    value: float | None
    error: float | None
    delta: Interval | None
    bootstrap: BootstrapInterval | None
    clusters: int
    undefined: str


def agreement_estimates(
    counts: Ints,
    items: Ints | None = None,
    tasks: Ints | None = None,
    *,
    scale: str = "nominal",
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Estimate]:
    """Return every coefficient of counts with its delta-method and its bootstrap interval, clustered by task.

    counts, items: as in `krippendorff_alpha`. tasks: integer key of the task of each row, shape (rows,), any
    values; without it every item varies by itself. Keys of the result: `percent`, `alpha`, `fleiss`, `ac1`,
    `brennan_prediger`, and `alpha_ordinal` where scale is "ordinal".

    Delta method: with T_t the sums of task t, S their total and g the coefficient, the influence of t is
    u_t = g'(S) T_t and the variance G / (G - 1) sum_t (u_t - mean u)^2 over G tasks; the interval is value +-
    t_(G-1) times its root, cut at 1. For items by themselves it is Gwet's variance. Bootstrap: as many tasks
    as there are, drawn with replacement with all their items, `resamples` times; the percentiles of what
    comes of it. The same seed gives the same interval. A resample in which the coefficient has no value is
    left out and counted.

    Tasks without a pairable item are no clusters of `percent`, `alpha` and `brennan_prediger`: what is yet to
    be labelled does not widen an interval. Fleiss' kappa and AC1 count single labels too.

    An interval needs two tasks, and figures that differ between tasks: raters who never differ show nothing
    of how they would. With fewer than about twenty tasks, and where nearly all labels are the same, both
    intervals are too short.

    Raises ValueError as `coincidences` does, on tasks of another shape or type, resamples below 1, a bad
    level or another scale. What is undefined is said in the results.
    Source: Gwet (2014), chapter 5, on clusters as J. N. K. Rao & A. J. Scott (1992), Biometrics 48:577-585;
    A. Zapf et al. (2016), BMC Med. Res. Methodol. 16:93, and C. A. Field & A. H. Welsh (2007), J. R. Stat.
    Soc. B 69:369-390, for the bootstrap.
    """
    counts, items = checked_counts(counts, items)
    if scale not in ("nominal", "ordinal"):
        raise ValueError(f"scale must be nominal or ordinal, not {scale!r}")
    rows, clusters = cluster_sums(item_sums(counts), items, tasks)
    k = counts.shape[1]
    chosen = measures(k, scale)
    pairable = rows[:, 1] > 0
    estimates: dict[str, Estimate] = {}
    kinds = rows[:, 0] > 0
    families = [(name in SINGLE_LABELS_COUNT, name) for name in chosen]
    if not (kinds & ~pairable).any():  # the same clusters for all: one drawing serves
        families = [(False, name) for _, name in families]
    for singles in sorted({single for single, _ in families}):
        names = [name for single, name in families if single is singles]
        kept = kinds if singles else pairable
        estimates |= estimate(
            {name: chosen[name] for name in names},
            rows[kept],
            clusters[kept],
            {name: why_undefined(name, k) for name in names},
            pairable=int(clusters[pairable].sum()),
            unit="item" if tasks is None else "task",
            resamples=resamples,
            seed=seed,
            level=level,
        )
    return {name: estimates[name] for name in chosen}


def ac2_estimate(
    counts: Ints,
    items: Ints | None = None,
    tasks: Ints | None = None,
    *,
    power: int = 1,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """Return Gwet's AC2 of counts with its intervals, as `agreement_estimates` has them.

    power: 1 for linear weights, 2 for quadratic ones, as in `gwet_ac2`.

    Raises ValueError as `agreement_estimates` does, and on another power.
    """
    counts, items = checked_counts(counts, items)
    k = counts.shape[1]
    rows, clusters = cluster_sums(item_sums(counts, near(k, power)), items, tasks)
    kept, pairable = rows[:, 0] > 0, rows[:, 1] > 0
    return estimate(
        {"ac2": ac2_measure(k, power)},
        rows[kept],
        clusters[kept],
        {"ac2": why_undefined("ac1", k)},
        pairable=int(clusters[pairable].sum()),
        unit="item" if tasks is None else "task",
        resamples=resamples,
        seed=seed,
        level=level,
    )["ac2"]


def gwet_error(name: str, counts: Ints, items: Ints | None = None) -> float:
    """Return the standard error that Gwet publishes and irrCAC prints, each item by itself.

    name: `percent`, `fleiss`, `ac1` or `brennan_prediger`; counts, items: as in `gwet_ac1`. It takes the
    number of pairable items among the items with a label for fixed, where `agreement_estimates` knows that it
    varies too. Where every item is pairable the two are the same; else this one is the larger.

    Raises Undefined where there is no coefficient, or fewer than two items with a label; ValueError as
    `coincidences` does and on another name.
    Source: Gwet (2014), chapter 5; irrCAC 1.0, gwet.ac1.raw.
    """
    counts, items = checked_counts(counts, items)
    k = counts.shape[1]
    if name not in ("percent", "fleiss", "ac1", "brennan_prediger"):
        raise ValueError(f"there is no published standard error of {name!r}")
    rows = item_sums(counts)
    rows, items = rows[rows[:, 0] > 0], items[rows[:, 0] > 0]
    totals = items @ rows
    if items.sum() < 2 or not totals[1] or np.isnan(measures(k)[name](totals[np.newaxis])[0]):
        raise Undefined(NOTHING_PAIRABLE if not totals[1] else why_undefined(name, k))
    fixed = totals[1] / totals[0]

    def measure(sums: Array) -> Array:
        beyond = 1.0 if name == "percent" else beyond_chance(name, sums, k)
        return np.asarray((sums[..., 2] - (1 - beyond) * sums[..., 1]) / (fixed * sums[..., 0] * beyond))

    return standard_error(measure, rows, items)


def estimate(
    chosen: Mapping[str, Measure],
    rows: Floats,
    clusters: Ints,
    why: Mapping[str, str],
    *,
    pairable: int,
    unit: str,
    resamples: int,
    seed: int,
    level: float,
) -> dict[str, Estimate]:
    """Estimate coefficients of summed clusters: rows, shape (kinds, columns), and how many are of each."""
    check_level(level)
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, not {resamples}")
    if not pairable:
        return {name: Estimate(None, None, None, None, 0, NOTHING_PAIRABLE) for name in chosen}
    totals = clusters @ rows
    values = {name: float(measure(totals[np.newaxis])[0]) for name, measure in chosen.items()}
    count = int(clusters.sum())
    drawn: dict[str, list[Array]] = {name: [] for name in chosen}
    if pairable > 1:
        for sums in resampled_sums(rows, clusters, resamples, seed):
            for name, measure in chosen.items():
                drawn[name].append(measure(sums))
    estimates: dict[str, Estimate] = {}
    for name, measure in chosen.items():
        value, reason = values[name], ""
        if np.isnan(value):
            estimates[name] = Estimate(None, None, None, None, count, why[name])
            continue
        error = delta = bootstrap = None
        try:
            if pairable < 2:
                raise Undefined(ONE_CLUSTER.format(unit=unit))
            error = standard_error(measure, rows, clusters)
            delta = delta_interval(value, error, count, level, floor=0.0 if name == "percent" else -1.0)
            bootstrap = percentiles(np.concatenate(drawn[name]), level)
        except Undefined as refusal:
            reason = str(refusal)
        estimates[name] = Estimate(value, error, delta, bootstrap, count, reason)
    return estimates


def cluster_sums(columns: Floats, items: Ints, tasks: Ints | None) -> tuple[Floats, Ints]:
    """Return the sums of clusters, equal ones together, (kinds, columns), and how many are of each kind.

    columns: shape (rows, columns), of an item; items: how many are like that, within the task of the row.
    """
    if tasks is None:
        return alike(columns, items)
    _, place = np.unique(checked_tasks(tasks, items), return_inverse=True)
    sums = [np.bincount(place, weights=column * items) for column in columns.T]
    return alike(np.column_stack(sums))


def checked_tasks(tasks: Ints, items: Ints) -> Ints:
    tasks = np.asarray(tasks)
    if tasks.shape != items.shape or not np.issubdtype(tasks.dtype, np.integer):
        raise ValueError(f"tasks must be integers of shape {items.shape}, not {tasks.dtype} {tasks.shape}")
    return tasks


def alike(rows: Floats, clusters: Ints | None = None) -> tuple[Floats, Ints]:
    """Put equal rows together, told by one number each, and count their clusters (1 each unless given)."""
    clusters = np.ones(len(rows), dtype=np.int64) if clusters is None else clusters
    if len(rows) < 1000:  # nothing to be gained
        return rows, clusters
    numbers = np.zeros(len(rows))
    random = np.random.default_rng(0)
    for column in rows.T:
        numbers += random.random() * column
    _, first, place = np.unique(numbers, return_index=True, return_inverse=True)
    if not np.array_equal(rows[first][place], rows):  # two that differ share a number: rather none than those
        return rows, clusters
    return rows[first], np.bincount(place, weights=clusters).astype(np.int64)


def standard_error(measure: Measure, rows: Floats, clusters: Ints) -> float:
    """Return the standard error of a coefficient by the delta method, as `agreement_estimates` says."""
    totals = clusters @ rows
    steps = totals + 1j * STEP * np.eye(len(totals))
    influence = rows @ (measure(steps).imag / STEP)
    count = clusters.sum()
    deviations = influence - clusters @ influence / count
    variance = float(count / (count - 1) * (clusters @ deviations**2))
    # Rounding leaves some 1e-17 of influences that cancel.
    return float(np.sqrt(variance)) if variance > 1e-24 else 0.0


def delta_interval(value: float, error: float, clusters: int, level: float, floor: float = -1.0) -> Interval:
    """Return value +- t error, on clusters - 1 degrees of freedom, within floor..1. Undefined where the error
    is 0."""
    from scipy.special import stdtrit

    if error == 0:
        raise Undefined("the raters agree alike everywhere, so nothing shows how much it varies")
    half = float(stdtrit(clusters - 1, (1 + check_level(level)) / 2)) * error
    return Interval(max(floor, value - half), min(1.0, value + half))


def percentiles(values: Floats, level: float) -> BootstrapInterval:
    """Return the middle `level` of the resamples that have a value. Undefined where none has."""
    defined = values[~np.isnan(values)]
    if not defined.size:
        raise Undefined("in none of the resamples does the figure have a value")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return BootstrapInterval(float(low), float(high), values.size, values.size - defined.size)


def resampled_sums(rows: Floats, clusters: Ints, resamples: int, seed: int) -> Iterator[Floats]:
    """Yield in chunks of resamples the sums over clusters drawn with replacement: (chunk, columns).

    rows: shape (kinds, columns), of one cluster of a kind; clusters: shape (kinds,), how many there are.
    """
    random = np.random.default_rng(seed)
    total, kinds = int(clusters.sum()), len(clusters)
    if (clusters == 1).all() and total * resamples <= WEIGHTS_HELD:
        yield _drawn_alike(total, resamples, seed) @ rows
        return
    of = np.repeat(np.arange(kinds), clusters)
    size = max(1, WEIGHTS_PER_CHUNK // (total if kinds > MANY_ALIKE * total else kinds))
    streams = random.spawn(3)
    for start in range(0, resamples, size):
        chunk = min(size, resamples - start)
        if kinds > MANY_ALIKE * total:
            drawn = _counted(of[random.integers(0, total, size=(chunk, total))], kinds)
        else:
            drawn = _multinomial(clusters, of, chunk, streams)
        yield drawn.astype(np.float64) @ rows


@lru_cache(maxsize=32)
def _drawn_alike(total: int, resamples: int, seed: int) -> Floats:
    """Return what each figure of a study draws anew from its few tasks: how often each is in each
    resample."""
    drawn = np.random.default_rng(seed).integers(0, total, size=(resamples, total))
    return _counted(drawn, total).astype(np.float64)


def _multinomial(clusters: Ints, of: Ints, chunk: int, streams: Sequence[np.random.Generator]) -> Ints:
    """Draw how many of each kind a resample has, shape (chunk, kinds), at a cost that follows the kinds.

    Poisson numbers are multinomial given their sum, and drawing the few that are missing singly leaves them
    so. A row that has too many already is drawn again, which looks at its sum alone.
    """
    numbers, again, singly = streams
    total, kinds = len(of), len(clusters)
    means = clusters * max(0.0, 1 - 6 / total**0.5)
    drawn = numbers.poisson(means, size=(chunk, kinds))
    while (over := np.flatnonzero(drawn.sum(axis=1) > total)).size:
        drawn[over] = again.poisson(means, size=(over.size, kinds))
    missing = total - drawn.sum(axis=1)
    picked = of[singly.integers(0, total, size=int(missing.sum()))]
    picked += np.repeat(np.arange(chunk) * kinds, missing)
    return drawn + np.bincount(picked, minlength=chunk * kinds).reshape(chunk, kinds)


def _counted(picked: Ints, kinds: int) -> Ints:
    """Count how often each kind is in each row: shape (rows, kinds)."""
    picked += np.arange(len(picked))[:, np.newaxis] * kinds
    counted: Ints = np.bincount(picked.ravel(), minlength=len(picked) * kinds).reshape(len(picked), kinds)
    return counted
