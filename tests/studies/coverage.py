"""How often 95 % intervals of corrected rates hold the true rate, and how wide they are beside those from
gold alone."""

from dataclasses import asdict, dataclass
from itertools import product
from typing import Any
from zlib import crc32

import numpy as np

from arbiter.statistics import gold_rate_all, post_stratified_all
from tests.studies.worlds import ITEMS, World, arms, batches, drawn

PREVALENCES, GOLD = (0.05, 0.2, 0.8), (50, 100, 200)
LOWEST, HIGHEST = 0.93, 0.985  # what 95 % intervals may cover


@dataclass(frozen=True)
class Cell:
    """Coverage of the corrected and of the gold-only interval, with their mean widths. `finite`: for these
    very items."""

    prevalence: float
    gold: int
    weighted: bool
    correlated: bool
    clustered: bool
    sharp: bool
    seven: bool
    tasks: str
    repetitions: int
    corrected: float
    corrected_width: float
    gold_only: float
    gold_only_width: float
    finite: float

    @property
    def error(self) -> float:
        """Return the Monte Carlo standard error of the corrected interval's coverage."""
        return float(np.sqrt(max(self.corrected * (1 - self.corrected), 1e-4) / self.repetitions))


def worlds() -> list[World]:
    required = [
        World(prevalence, correlated, clustered)
        for prevalence, correlated, clustered in product(PREVALENCES, (False, True), (False, True))
    ]
    sharp = [World(prevalence, False, False, sharp=True) for prevalence in PREVALENCES]
    tasks = [
        World(prevalence, True, True, tasks=one) for one in ("few", "uneven") for prevalence in PREVALENCES
    ]
    return (
        required + sharp + tasks + [World(prevalence, False, False, seven=True) for prevalence in (0.05, 0.2)]
    )


def cells(world: World, repetitions: int, seed: int, gold: tuple[int, ...] = GOLD) -> list[Cell]:
    """Return the cells of all draws from the arms of one world; more gold continues the same draw."""
    rng = np.random.default_rng([seed, crc32(repr(world).encode())])
    measures: dict[tuple[bool, int], list[np.ndarray]] = {}
    for size in batches(repetitions):
        made = arms(world, size, rng)
        table, actual = made.table(), made.truth.mean(axis=1)
        for weighted in (False, True):
            drawing = drawn(made, weighted, rng)
            for number in gold:
                measured = _measure(table, drawing.gold(number), world.prevalence, actual)
                measures.setdefault((weighted, number), []).append(measured)
    return [_cell(world, repetitions, *key, np.concatenate(parts, axis=1)) for key, parts in measures.items()]


def _measure(table: np.ndarray, gold: Any, prevalence: float, actual: np.ndarray) -> np.ndarray:
    corrected, alone = post_stratified_all(table, gold), gold_rate_all(float(ITEMS), gold)
    these = post_stratified_all(table, gold, finite=True)
    return np.array(
        [
            (corrected.low <= prevalence) & (prevalence <= corrected.high),
            corrected.high - corrected.low,
            (alone.low <= prevalence) & (prevalence <= alone.high),
            alone.high - alone.low,
            (these.low <= actual + 1e-12) & (actual - 1e-12 <= these.high),
        ]
    )


def _cell(world: World, repetitions: int, weighted: bool, gold: int, measured: np.ndarray) -> Cell:
    return Cell(
        world.prevalence,
        gold,
        weighted,
        world.correlated,
        world.clustered,
        world.sharp,
        world.seven,
        world.tasks,
        repetitions,
        *(round(float(value), 5) for value in measured.mean(axis=1)),
    )


def rows_of(world: World, repetitions: int, seed: int) -> list[dict[str, Any]]:
    return [asdict(cell) for cell in cells(world, repetitions, seed)]


def main(repetitions: int, seed: int) -> list[dict[str, Any]]:
    return [row for world in worlds() for row in rows_of(world, repetitions, seed)]
