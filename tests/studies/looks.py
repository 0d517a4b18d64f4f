"""How often an interval that may be looked at whenever one likes misses the rate at some look."""

from typing import Any
from zlib import crc32

import numpy as np

from arbiter.statistics import Interval, anytime_interval, anytime_planned, post_stratified_all
from tests.studies.worlds import World, arms, batches, drawn

FOUR = (0.05, 0.9, 0.9, 0.9)  # an arm that differs from the others
EVERY, LAST = 20, 400  # labels between two looks and at the last one
FIRST = 30  # gold items an arm has when it is first shown
LEAST = 2000  # runs: a share of misses needs more than a coverage does
WIDTH = 0.1  # asked for when the plan was made


def missed(prevalence: float, repetitions: int, rng: np.random.Generator) -> np.ndarray:
    """Tell of each run whether the arm's rate lay outside the interval at some look: (2, repetitions).

    The second is looked at as if once.
    """
    planned, parts = anytime_planned(WIDTH), []
    for size in batches(repetitions):
        made = arms(World(prevalence, True, False), size, rng)
        drawing, table = drawn(made, False, rng), made.table()
        out = np.zeros((2, size), dtype=bool)
        for labels in range(FIRST, LAST // len(FOUR) + 1, EVERY // len(FOUR)):
            rates = post_stratified_all(table, drawing.gold(labels))
            out[1] |= (prevalence < rates.low) | (prevalence > rates.high)
            for run, (rate, low, high) in enumerate(zip(rates.estimate, rates.low, rates.high, strict=True)):
                one = anytime_interval(float(rate), Interval(float(low), float(high)), planned)
                out[0, run] |= not one.low <= prevalence <= one.high
        parts.append(out)
    return np.concatenate(parts, axis=1)


def rows(repetitions: int, seed: int) -> list[dict[str, Any]]:
    """Return of each arm, and of all four, the share of runs with a miss at any look."""
    repetitions = max(repetitions, LEAST)
    by_arm = [
        missed(prevalence, repetitions, np.random.default_rng([seed, arm, crc32(b"looks")]))
        for arm, prevalence in enumerate(FOUR)
    ]
    named = [*((f"{prevalence:g}", one) for prevalence, one in zip(FOUR, by_arm, strict=True))]
    every = [*named, ("any of the four", np.any(by_arm, axis=0))]
    return [
        {
            "arm": name,
            "repetitions": repetitions,
            "anytime": float(one[0].mean()),
            "single": float(one[1].mean()),
        }
        for name, one in every
    ]
