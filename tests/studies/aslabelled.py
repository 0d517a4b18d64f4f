"""How often intervals of rates as labelled hold the rate over tasks of this kind, and of these items where
parts were labelled unequally."""

from dataclasses import asdict, dataclass
from itertools import product
from typing import Any
from zlib import crc32

import numpy as np

from arbiter.statistics import effective_size, gold_rate_all, post_stratified_all, ppi_rate
from arbiter.statistics.clusters import wilson_bounds
from tests.studies.worlds import ITEMS, World, arms, batches, drawn, drawn_by_part, uneven

SIZES = {
    "7 of 24 responses": np.full(7, 24),
    "12 of 83": np.full(12, 83),
    "76 uneven, worth 22": uneven(76, 1368),
    "71 of 12": np.full(71, 12),
}
PREVALENCES, ALIKE = (0.03, 0.1, 0.5), (0.0, 0.2, 0.4)
UNEQUAL, PPI_GOLD = 500, (50, 100, 200)
SHIFT = 0.1  # of a difference of two arms


@dataclass(frozen=True)
class RateCoverage:
    """Coverage and mean width of one rate, and of the difference of two arms over the same tasks."""

    tasks: str
    prevalence: float
    alike: float
    repetitions: int
    covers: float
    width: float
    difference: float
    difference_width: float


@dataclass(frozen=True)
class Other:
    """Coverage and mean width of one interval in one setting."""

    what: str
    prevalence: float
    repetitions: int
    covers: float
    width: float


def hits(
    rate: float, alike: float, sizes: np.ndarray, rng: np.random.Generator, repetitions: int
) -> np.ndarray:
    """Draw hits of two arms with rates `rate` and `rate` + SHIFT over the same tasks, whose luck they share.

    Their shape is (repetitions, 2, tasks).
    """
    shape = (repetitions, len(sizes))
    if not alike:
        return np.stack([rng.binomial(sizes, p, shape) for p in (rate, rate + SHIFT)], axis=1)
    from scipy.special import betaincinv

    luck, size = rng.random(shape), 1 / alike - 1
    each = [betaincinv(p * size, (1 - p) * size, luck) for p in (rate, rate + SHIFT)]
    return np.stack([rng.binomial(sizes, p) for p in each], axis=1)


def labelled(tasks: str, prevalence: float, alike: float, repetitions: int, seed: int) -> RateCoverage:
    rng = np.random.default_rng([seed, crc32(f"{tasks} {prevalence} {alike}".encode())])
    sizes = SIZES[tasks]
    pairs = hits(prevalence, alike, sizes, rng, repetitions)
    n = float(sizes.sum())
    rate = pairs.sum(axis=-1) / n
    influence = (pairs - rate[..., None] * sizes) / n
    low, high = wilson_bounds(rate, effective_size(rate, n, influence, sizes, 0.95), 0.95)
    gap, down, up = _gap(rate, low, high, influence)
    measures = (
        (low[:, 0] <= prevalence) & (prevalence <= high[:, 0]),
        high[:, 0] - low[:, 0],
        (gap - down <= SHIFT) & (gap + up >= SHIFT),
        down + up,
    )
    return RateCoverage(
        tasks, prevalence, alike, repetitions, *(round(float(one.mean()), 5) for one in measures)
    )


def _gap(
    rate: np.ndarray, low: np.ndarray, high: np.ndarray, influence: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Return the second arm less the first, with how far its interval reaches: `contrast` of many at once."""
    one, other = influence[:, 0], influence[:, 1]
    size = np.sqrt(np.sum(one**2, axis=-1) * np.sum(other**2, axis=-1))
    together = np.divide(np.sum(one * other, axis=-1), size, out=np.zeros_like(size), where=size > 0)
    below, above = rate - low, high - rate
    down, up = (
        np.sqrt(np.maximum(mine[:, 1] ** 2 + its[:, 0] ** 2 - 2 * together * mine[:, 1] * its[:, 0], 0))
        for mine, its in ((below, above), (above, below))
    )
    return rate[:, 1] - rate[:, 0], down, up


def labelled_rows(repetitions: int, seed: int) -> list[dict[str, Any]]:
    cells = product(SIZES, PREVALENCES, ALIKE)
    return [asdict(labelled(*cell, repetitions, seed)) for cell in cells]


def unequal_rows(repetitions: int, seed: int) -> list[dict[str, Any]]:
    """Measure these very items, half of which are labelled at nine times the rate of the others."""
    return [asdict(row) for prevalence in (0.05, 0.2, 0.8) for row in _unequal(prevalence, repetitions, seed)]


def _unequal(prevalence: float, repetitions: int, seed: int) -> list[Other]:
    rng = np.random.default_rng([seed, int(1000 * prevalence)])
    parts = []
    for size in batches(repetitions):
        made = arms(World(prevalence, True, False), size, rng)
        gold, actual = drawn_by_part(made, rng).gold(UNEQUAL), made.truth.mean(axis=1)
        both = (
            post_stratified_all(made.table(), gold, finite=True),
            gold_rate_all(float(ITEMS), gold, finite=True),
        )
        parts.append([_held(one, actual) for one in both])
    means = np.concatenate(parts, axis=2).mean(axis=2)
    names = ("corrected, these items", "gold alone, these items")
    return [
        Other(name, prevalence, repetitions, *(round(float(value), 5) for value in mean))
        for name, mean in zip(names, means, strict=True)
    ]


def _held(rates: Any, truth: Any) -> np.ndarray:
    return np.array([(rates.low <= truth + 1e-12) & (truth - 1e-12 <= rates.high), rates.high - rates.low])


def ppi_rows(repetitions: int, seed: int) -> list[dict[str, Any]]:
    """Measure PPI++ from the gold items on with which it is given."""
    return [asdict(row) for prevalence in (0.05, 0.2, 0.8) for row in _ppi(prevalence, repetitions, seed)]


def _ppi(prevalence: float, repetitions: int, seed: int) -> list[Other]:
    rng = np.random.default_rng([seed, int(1000 * prevalence), 2])
    covered: dict[int, list[tuple[bool, float]]] = {number: [] for number in PPI_GOLD}
    for size in batches(repetitions):
        made = arms(World(prevalence, True, False), size, rng)
        order = drawn(made, False, rng).order
        for truth, votes, items in zip(made.truth, made.votes / made.judges, order, strict=True):
            for number in PPI_GOLD:
                gold, rest = items[:number], items[number:]
                one = ppi_rate(truth[gold], votes[gold], votes[rest])
                assert one.low is not None and one.high is not None
                covered[number].append((one.low <= prevalence <= one.high, one.high - one.low))
    return [
        Other(
            f"PPI++, {number} gold items",
            prevalence,
            repetitions,
            *(round(float(v), 5) for v in np.mean(rows, axis=0)),
        )
        for number, rows in covered.items()
    ]
