"""The arms that rates are reported for: their items and gold, counted by task and by the judges' votes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from django.db.models import Count

from annotation.models import Label, Rater, Study
from arbiter.statistics import ArmGold
from judging.votes.counting import PATHS, Ints, Votes, votes_of
from judging.votes.goldsample import GoldSample, gold_sample

Floats = npt.NDArray[np.float64]
Cell = tuple[int, ...]
ROLE_PLACES = {Label.Role.TARGET: 0, Label.Role.OTHER: 1, Label.Role.EXCLUDED: 2}


@dataclass(frozen=True, eq=False)
class Arm:
    """One cell's items and gold. `tasks` are pks, ascending; items and gold by those tasks and the strata of
    `Cells`.

    gold_roles, gold_strata, gold_weights, gold_single: one element for each gold item.
    """

    tasks: Ints
    items: Ints  # (tasks, strata)
    gold: ArmGold
    gold_roles: Ints
    gold_strata: Ints
    gold_weights: Floats
    gold_single: npt.NDArray[np.bool_]
    gold_tasks: Ints  # rows of `tasks`
    waiting: int  # drawn, and without gold so far

    @property
    def size(self) -> int:
        return int(self.items.sum())


@dataclass(frozen=True, eq=False)
class Cells:
    """All arms of a study by some words. Stratum s is s - 1 target votes of `judges`; 0 are items without any
    vote."""

    judges: tuple[Rater, ...]
    sample: GoldSample
    arms: dict[Cell, Arm]
    tasks: Ints  # of all arms, ascending

    def everywhere(self, arm: Arm, influence: Floats) -> Floats:
        """Return what the arm's tasks add, in the order of all tasks, so that arms can be compared."""
        by_task = np.zeros(len(self.tasks))
        by_task[np.searchsorted(self.tasks, arm.tasks)] = influence
        return by_task


def cells_of(study: Study, by: Sequence[str], judges: Sequence[Rater]) -> Cells:
    chosen = tuple(judges)
    votes = votes_of(study, (*by, "task"), raters=chosen, control=False)
    sample = gold_sample(study, raters=chosen)
    sample = sample.part(~sample.control)
    waiting = _waiting(study, sample, by)
    strata, gold_strata = strata_of(votes.patterns, votes.labels), strata_of(sample.votes, sample.labels)
    arms = {
        cell: _arm(votes, rows, strata, sample, mine, gold_strata, len(chosen) + 2, waiting.get(cell, 0))
        for cell, rows, mine in _split(votes, sample, by)
    }
    return Cells(chosen, sample, arms, np.unique(votes.groups["task"]))


def strata_of(votes: Ints, labels: Sequence[Label]) -> Ints:
    """Return the stratum of each row of votes: 0 without any, else 1 + the number of target votes. Missing
    votes count as those given do."""
    target = np.array([label.role == Label.Role.TARGET for label in labels] + [False])
    voters = (votes >= 0).sum(axis=1)
    hits = target[votes].sum(axis=1)  # -1 is the place after the last label
    width = votes.shape[1]
    whole = np.floor(np.divide(hits * width, np.maximum(voters, 1)) + 0.5).astype(np.int64)
    return np.where(voters > 0, 1 + whole, 0)


def roles_of(labels: Sequence[Label]) -> Ints:
    return np.array([ROLE_PLACES[Label.Role(label.role)] for label in labels], dtype=np.int64)


def _split(votes: Votes, sample: GoldSample, by: Sequence[str]) -> Iterator[tuple[Cell, Ints, Ints]]:
    """Yield every cell with its rows of the votes, and of the gold."""
    table = np.column_stack([votes.groups[word] for word in by])
    keys, which = np.unique(table, axis=0, return_inverse=True)
    order = np.argsort(which, kind="stable")
    ends = np.cumsum(np.bincount(which, minlength=len(keys)))
    gold = np.column_stack([sample.groups[word] for word in by]) if len(sample) else np.empty((0, len(by)))
    for number, key in enumerate(keys):
        rows = order[(ends[number - 1] if number else 0) : ends[number]]
        yield tuple(key.tolist()), rows, np.flatnonzero((gold == key).all(axis=1))


def _arm(
    votes: Votes,
    rows: Ints,
    strata: Ints,
    sample: GoldSample,
    mine: Ints,
    gold_strata: Ints,
    width: int,
    waiting: int,
) -> Arm:
    tasks, place = np.unique(votes.groups["task"][rows], return_inverse=True)
    shape = (len(tasks), width)
    items = _summed(place * width + strata[rows], votes.counts[rows], shape).astype(np.int64)
    roles = roles_of(sample.labels)[sample.gold[mine]]
    in_task = np.searchsorted(tasks, sample.groups["task"][mine])
    cells = (in_task * width + gold_strata[mine]) * 3 + roles
    weights = sample.weight[mine]
    parts = (_summed(cells, worth, (*shape, 3)) for worth in (np.ones(len(mine)), weights, weights**2))
    return Arm(
        tasks,
        items,
        ArmGold(*parts),
        roles,
        gold_strata[mine],
        weights,
        sample.single[mine],
        in_task,
        waiting,
    )


def _summed(cells: Ints, worth: npt.NDArray[np.generic], shape: tuple[int, ...]) -> Floats:
    sums = np.bincount(cells, weights=worth.astype(np.float64), minlength=int(np.prod(shape)))
    return sums.reshape(shape).astype(np.float64, copy=False)


def _waiting(study: Study, sample: GoldSample, by: Sequence[str]) -> dict[Cell, int]:
    """Count the items of the gold's draw that have none yet, by cell."""
    if sample.design.kind != "draw":
        return {}
    drawn = study.draws.get(name=sample.design.draw).framed.drawn()
    drawn = drawn.filter(item__response__task__control=False).order_by()
    counted = drawn.values_list(*(f"item__{PATHS[word]}" for word in by)).annotate(Count("pk"))
    table = zip(*(sample.groups[word].tolist() for word in by), strict=True)
    there: dict[Cell, int] = {}
    for cell in table:
        there[cell] = there.get(cell, 0) + 1
    return {tuple(cell): count - there.get(tuple(cell), 0) for *cell, count in counted}
