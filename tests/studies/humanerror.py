"""How often the bounds of a rate hold the true one once humans' errors, known from few items, are taken
out."""

from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np

from arbiter.statistics import Interval, human_error, rate_under_human_error, wilson

RATE = 0.3  # the true one
GOLD, OTHERS = 400, 150  # gold items of one person's word; items that several others labelled
TARGET = (True, False)


@dataclass(frozen=True)
class Erring:
    """Each label of a person misses a target, or invents one, with these chances."""

    humans: int
    missed: float
    invented: float


CASES = (Erring(3, 0.15, 0.05), Erring(2, 0.08, 0.08), Erring(2, 0.15, 0.01))


def counted(case: Erring, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return patterns of labels of the others' items, and how many items have each."""
    target = rng.random(OTHERS) < RATE
    chance = np.where(target, 1 - case.missed, case.invented)
    hits = rng.binomial(case.humans, chance)
    hit, items = np.unique(hits, return_counts=True)
    return np.column_stack([hit, case.humans - hit]), items


def one(case: Erring, rng: np.random.Generator) -> list[Interval]:
    """Return the bounds that take the errors as known, and those that don't."""
    errors = human_error(*counted(case, rng), seed=int(rng.integers(2**31)))
    shown = int(rng.binomial(GOLD, RATE * (1 - case.missed) + (1 - RATE) * case.invented))
    seen = wilson(shown, GOLD)
    fits = (replace(errors, full=True, draws=()), errors)
    moved = [rate_under_human_error(shown / GOLD, seen.low, seen.high, fit, TARGET) for fit in fits]
    return [Interval(bounds.low, bounds.high) for bounds in moved]


def main(repetitions: int, seed: int) -> list[dict[str, Any]]:
    """Return a row for each case."""
    made = []
    for number, case in enumerate(CASES):
        rng = np.random.default_rng([seed, number, crc32(b"humans")])
        bounds = [one(case, rng) for _ in range(repetitions)]
        known, told = zip(*bounds, strict=True)
        made.append(
            {
                "humans": case.humans,
                "missed": case.missed,
                "invented": case.invented,
                "repetitions": repetitions,
                "known": _covers(known),
                "known_width": _width(known),
                "covers": _covers(told),
                "width": _width(told),
            }
        )
    return made


def _covers(bounds: tuple[Interval, ...]) -> float:
    return float(np.mean([each.low <= RATE <= each.high for each in bounds]))


def _width(bounds: tuple[Interval, ...]) -> float:
    return float(np.mean([each.high - each.low for each in bounds]))


def table(rows: list[dict[str, Any]]) -> str:
    """Write the table as docs/statistics.md has it."""
    lines = [
        f"| {row['humans']} | {row['missed']:.0%} missed, {row['invented']:.0%} invented "
        f"| {row['known']:.0%}, {row['known_width']:.2f} wide "
        f"| {row['covers']:.0%}, {row['width']:.2f} wide |"
        for row in rows
    ]
    return "\n".join(["| others | errors | errors as known | covers |", "|---|---|---|---|", *lines])
