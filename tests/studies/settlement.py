"""Judges who share their errors: how far do posteriors say how often labels are right, plainly and calibrated on gold?

1,368 items, 18 to each of 76 tasks, two labels. Three judges are right with a probability of their own; on a share of the items
they are right or wrong together. Gold is free of error, on a fifth of the items, drawn at random, or 40 % of it where judges are
split and 60 % elsewhere. Posteriors of the leading label are scored on the other items in ten bins of equal width.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from judging.statistics import calibrate, calibration_error, dawid_skene

ITEMS, TASKS, THRESHOLD = 1368, 76, 0.85
SPLIT_SHARE = 0.4  # of gold weighted by disagreement
ASKED = 0.04  # calibration error at most, in the first world
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class World:
    name: str
    shared: float = 0.6
    accuracies: tuple[float, ...] = (0.85, 0.85, 0.85)
    prevalence: float = 0.3
    gold: float = 0.2
    weighted: bool = False


WORLDS = (
    World("errors shared on 60 %"),
    World("gold on 10 %", gold=0.1),
    World("gold weighted by disagreement", weighted=True),
    World("errors shared on 30 %", shared=0.3),
    World("independent errors", shared=0.0),
    World("one good judge, two poor", accuracies=(0.92, 0.75, 0.75)),
    World("one label rare", prevalence=0.08),
)


def main(repetitions: int = 500, seed: int = 1) -> list[dict[str, Any]]:
    """A row a world: means over the repetitions, and the Monte Carlo error of the calibrated one."""
    return [row(world, number, repetitions, seed) for number, world in enumerate(WORLDS)]


def row(world: World, number: int, repetitions: int, seed: int) -> dict[str, Any]:
    found = np.array([once(world, np.random.default_rng([seed, number, n])) for n in range(repetitions)])
    means = np.nanmean(found, axis=0)
    names = ("sure", "right", "plain", "calibrated", "told", "accepted", "claimed", "accepted_right")
    return {
        "world": world.name, "repetitions": repetitions,
        **{name: float(mean) for name, mean in zip(names, means, strict=True)},
        "error": float(found[:, 3].std(ddof=1) / sqrt(repetitions)),
    }  # fmt: skip


def once(world: World, random: np.random.Generator) -> tuple[float, ...]:
    truth, votes = items(world, random)
    patterns, pattern, counts = np.unique(votes, axis=0, return_inverse=True, return_counts=True)
    pattern = pattern.reshape(-1)
    chosen, weights = drawn(world, votes, random)
    plain = dawid_skene(patterns, counts, 2).posteriors[pattern]
    tasks = np.arange(ITEMS) % TASKS
    fit = calibrate(patterns, counts, pattern[chosen], truth[chosen], tasks[chosen], weights, 2)
    rest = np.setdiff1d(np.arange(ITEMS), chosen)
    final = fit.posteriors[pattern[rest]]
    sure, hit = final.max(axis=1), final.argmax(axis=1) == truth[rest]
    accepted = sure >= THRESHOLD
    some = accepted.any()
    return (
        float(plain.max(axis=1).mean()), float((plain.argmax(axis=1) == truth).mean()),
        error_of(plain[rest], truth[rest]), error_of(final, truth[rest]), error_of(fit.out, truth[chosen], weights),
        float(accepted.mean()), float(sure[accepted].mean()) if some else np.nan,
        float(hit[accepted].mean()) if some else np.nan,
    )  # fmt: skip


def items(world: World, random: np.random.Generator) -> tuple[Ints, Ints]:
    truth = (random.random(ITEMS) < world.prevalence).astype(np.int64)
    together = random.random(ITEMS) < world.shared
    luck = np.where(together[:, None], random.random(ITEMS)[:, None], random.random((ITEMS, 3)))
    right = luck < np.array(world.accuracies)
    return truth, np.where(right, truth[:, None], 1 - truth[:, None])


def drawn(world: World, votes: Ints, random: np.random.Generator) -> tuple[Ints, Floats]:
    """Gold items, and how many items each stands for."""
    budget = round(world.gold * ITEMS)
    if not world.weighted:
        return random.permutation(ITEMS)[:budget], np.full(budget, 1 / world.gold)
    split = votes.min(axis=1) != votes.max(axis=1)
    parts, weights = [], []
    for stratum, share in ((split, SPLIT_SHARE), (~split, 1 - SPLIT_SHARE)):
        members = random.permutation(np.flatnonzero(stratum))
        taken = members[: round(budget * share)]
        parts.append(taken)
        weights.append(np.full(len(taken), len(members) / len(taken)))
    return np.concatenate(parts), np.concatenate(weights)


def error_of(posteriors: Floats, truth: Ints, weights: Floats | None = None) -> float:
    right = posteriors.argmax(axis=1) == truth
    return calibration_error(np.minimum(posteriors.max(axis=1), 1), right, weights)


HEADINGS = (
    "judges", "plain: sure", "plain: right", "plain", "calibrated", "Monte Carlo error", "told on gold",
    f"accepted from {THRESHOLD}", "claimed", "right",
)  # fmt: skip


def table(rows: Sequence[dict[str, Any]]) -> str:
    """As docs/statistics.md has it."""
    lines = [f"| {' | '.join(HEADINGS)} |", "|---" + "|---:" * (len(HEADINGS) - 1) + "|"]
    for one in rows:
        cells = [
            one["world"], f"{one['sure']:.1%}", f"{one['right']:.1%}", f"{one['plain']:.3f}", f"{one['calibrated']:.3f}",
            f"{one['error']:.4f}", f"{one['told']:.3f}", f"{one['accepted']:.0%}", f"{one['claimed']:.1%}",
            f"{one['accepted_right']:.1%}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(re.sub(r'(?<=[0-9])%', ' %', cell) for cell in cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(main()))
