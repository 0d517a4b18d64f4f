"""Judges who share their errors: how far do posteriors say how often labels are right, plainly and calibrated
on gold?

1,368 items, 18 to each of 76 tasks, two labels. Three judges are right with a probability of their own; on a
share of the items they are right or wrong together. Gold is free of error, on a fifth of the items, drawn at
random, or 40 % of it where judges are split and 60 % elsewhere. Weak raters share a view that is right on
62 % of 350 items. Posteriors of the leading label are scored on the other items in ten bins of equal width.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from arbiter.statistics import calibrate, calibration_error, dawid_skene
from judging.settlement.scores import backing, is_backed

ITEMS, TASKS, THRESHOLD = 1368, 76, 0.85
SPLIT_SHARE = 0.4  # of gold weighted by disagreement
ASKED = 0.04  # calibration error at most, in the first scenario
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scenario:
    name: str
    shared: float = 0.6
    accuracies: tuple[float, ...] = (0.85, 0.85, 0.85)
    prevalence: float = 0.3
    gold: float = 0.2
    weighted: bool = False
    items: int = ITEMS
    # How often a view that raters share is right; they follow it on 90 % of the items, else they guess.
    view: float = 0.0


SCENARIOS = (
    Scenario("errors shared on 60 %"),
    Scenario("gold on 10 %", gold=0.1),
    Scenario("gold weighted by disagreement", weighted=True),
    Scenario("errors shared on 30 %", shared=0.3),
    Scenario("independent errors", shared=0.0),
    Scenario("one good judge, two poor", accuracies=(0.92, 0.75, 0.75)),
    Scenario("one label rare", prevalence=0.08),
    Scenario("weak raters, gold on 70 of 350", prevalence=0.5, items=350, view=0.62),
    Scenario("weak raters, gold on 105 of 350", prevalence=0.5, items=350, view=0.62, gold=0.3),
)


def main(repetitions: int = 500, seed: int = 1) -> list[dict[str, Any]]:
    """Return a row for each scenario: means over the repetitions, and the calibrated one's Monte Carlo
    error."""
    return [row(scenario, number, repetitions, seed) for number, scenario in enumerate(SCENARIOS)]


def row(scenario: Scenario, number: int, repetitions: int, seed: int) -> dict[str, Any]:
    results = np.array([once(scenario, np.random.default_rng([seed, number, n])) for n in range(repetitions)])
    with warnings.catch_warnings(action="ignore"):  # where nothing is ever accepted, nothing is right
        means = np.nanmean(results, axis=0)
    names = (
        "sure",
        "right",
        "plain",
        "calibrated",
        "told",
        "accepted",
        "claimed",
        "accepted_right",
        "broken",
        "unbacked_broken",
    )
    return {
        "world": scenario.name,
        "repetitions": repetitions,
        **{name: float(mean) for name, mean in zip(names, means, strict=True)},
        "error": float(results[:, 3].std(ddof=1) / sqrt(repetitions)),
    }


def once(scenario: Scenario, random: np.random.Generator) -> tuple[float, ...]:
    truth, votes = items(scenario, random)
    patterns, pattern, counts = np.unique(votes, axis=0, return_inverse=True, return_counts=True)
    pattern = pattern.reshape(-1)
    chosen, weights = drawn(scenario, votes, random)
    plain = dawid_skene(patterns, counts, 2).posteriors[pattern]
    tasks = np.arange(scenario.items) % TASKS
    fit = calibrate(patterns, counts, pattern[chosen], truth[chosen], tasks[chosen], weights, 2)
    rest = np.setdiff1d(np.arange(scenario.items), chosen)
    final = fit.posteriors[pattern[rest]]
    sure, hit = final.max(axis=1), final.argmax(axis=1) == truth[rest]
    kept = np.minimum(fit.out.max(axis=1), 1.0)
    rows = backing(kept, fit.out.argmax(axis=1) == truth[chosen], weights, tasks[chosen], THRESHOLD)
    reached, accepted = sure >= THRESHOLD, is_backed(rows, sure)
    some = accepted.any()
    return (
        float(plain.max(axis=1).mean()),
        float((plain.argmax(axis=1) == truth).mean()),
        error_of(plain[rest], truth[rest]),
        error_of(final, truth[rest]),
        error_of(fit.out, truth[chosen], weights),
        float(accepted.mean()),
        float(sure[accepted].mean()) if some else np.nan,
        float(hit[accepted].mean()) if some else np.nan,
        float(some and hit[accepted].mean() < THRESHOLD),
        float(reached.any() and hit[reached].mean() < THRESHOLD),
    )


def items(scenario: Scenario, random: np.random.Generator) -> tuple[Ints, Ints]:
    truth = (random.random(scenario.items) < scenario.prevalence).astype(np.int64)
    if scenario.view:
        view = np.where(random.random(scenario.items) < scenario.view, truth, 1 - truth)
        follows = random.random((scenario.items, 3)) < 0.9
        return truth, np.where(follows, view[:, None], random.integers(0, 2, (scenario.items, 3)))
    together = random.random(scenario.items) < scenario.shared
    luck = np.where(
        together[:, None], random.random(scenario.items)[:, None], random.random((scenario.items, 3))
    )
    right = luck < np.array(scenario.accuracies)
    return truth, np.where(right, truth[:, None], 1 - truth[:, None])


def drawn(scenario: Scenario, votes: Ints, random: np.random.Generator) -> tuple[Ints, Floats]:
    """Draw gold items, and how many items each stands for."""
    budget = round(scenario.gold * scenario.items)
    if not scenario.weighted:
        return random.permutation(scenario.items)[:budget], np.full(budget, 1 / scenario.gold)
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
    "judges",
    "plain: sure",
    "plain: right",
    "plain",
    "calibrated",
    "Monte Carlo error",
    "told on gold",
    f"accepted from {THRESHOLD}",
    "claimed",
    "right",
    f"studies below {THRESHOLD}",
    "were no gold asked for in its bin",
)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Write the table as docs/statistics.md has it."""
    lines = [f"| {' | '.join(HEADINGS)} |", "|---" + "|---:" * (len(HEADINGS) - 1) + "|"]
    for one in rows:
        cells = [
            one["world"],
            f"{one['sure']:.1%}",
            f"{one['right']:.1%}",
            f"{one['plain']:.3f}",
            f"{one['calibrated']:.3f}",
            f"{one['error']:.4f}",
            f"{one['told']:.3f}",
            f"{one['accepted']:.0%}",
            f"{one['claimed']:.1%}",
            f"{one['accepted_right']:.1%}",
            f"{one['broken']:.1%}",
            f"{one['unbacked_broken']:.1%}",
        ]
        cells = ["–" if "nan" in cell else cell for cell in cells]
        lines.append(f"| {' | '.join(re.sub(r'(?<=[0-9])%', ' %', cell) for cell in cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(main()))
