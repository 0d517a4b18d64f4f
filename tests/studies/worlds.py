"""Made-up arms whose truth is known: responses to tasks, the votes of three judges, and gold drawn from them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from judging.statistics import ArmGold

ITEMS, TASKS = 1000, 200  # responses of an arm; tasks they are to, five each, where tasks are clusters
# From lenient to strict, as judges of one set of responses were found to be.
SENSITIVITY, SPECIFICITY = (0.9, 0.75, 0.6), (0.7, 0.85, 0.95)
SHARP = ((0.95, 0.93, 0.9), (0.93, 0.95, 0.97))
SHARED = 0.6  # of the items, on which correlated judges share their luck
WITHIN = 0.2  # correlation of truths within a task
DIFFICULTY = 0.6  # how far tasks move the judges towards "convergent" or away from it, in logits
SPLIT_SHARE = 0.4  # of a disagreement-weighted budget, for the items on which judges split


@dataclass(frozen=True)
class World:
    """What responses are drawn from. `prevalence` is the rate over tasks of this kind: what is to be covered."""

    prevalence: float
    correlated: bool
    clustered: bool
    sharp: bool = False


@dataclass(frozen=True)
class Arms:
    """One arm a repetition: truth 0 or 1 and number of target votes, both (repetitions, items), items in the order of tasks."""

    truth: np.ndarray
    votes: np.ndarray
    tasks: int

    @property
    def task(self) -> np.ndarray:
        return np.arange(ITEMS) // (ITEMS // self.tasks)

    def table(self) -> np.ndarray:
        """Items by task and number of target votes."""
        return tally(self.task * 4 + self.votes, self.tasks * 4).reshape(-1, self.tasks, 4)


def arms(world: World, repetitions: int, rng: np.random.Generator) -> Arms:
    tasks = TASKS if world.clustered else ITEMS
    shape = (repetitions, tasks)
    rate, shift = np.full(shape, world.prevalence), np.zeros(shape)
    if world.clustered:
        size = 1 / WITHIN - 1
        rate = rng.beta(world.prevalence * size, (1 - world.prevalence) * size, shape)
        shift = rng.normal(0, DIFFICULTY, shape)
    each = ITEMS // tasks
    truth = rng.random((repetitions, ITEMS), dtype=np.float32) < np.repeat(rate, each, axis=1)
    return Arms(truth, _votes(world, truth, np.repeat(shift, each, axis=1), rng), tasks)


def _votes(world: World, truth: np.ndarray, shift: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    luck = rng.random((3, *truth.shape), dtype=np.float32)
    if world.correlated:
        shared = rng.random(truth.shape, dtype=np.float32) < SHARED
        luck[1:] = np.where(shared, luck[0], luck[1:])
    votes = np.zeros(truth.shape, dtype=np.int64)
    for one, sensitivity, specificity in zip(
        luck, *(SHARP if world.sharp else (SENSITIVITY, SPECIFICITY)), strict=True
    ):
        says = np.where(truth, _moved(sensitivity, shift), _moved(1 - specificity, shift))
        votes += one < says
    return votes


def _moved(chance: float, shift: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-(np.log(chance / (1 - chance)) + shift)))


def drawn(made: Arms, weighted: bool, rng: np.random.Generator) -> "Drawing":
    """Items in the order in which they would be labelled: by random number, within the strata of the draw."""
    numbers = rng.random(made.votes.shape, dtype=np.float32)
    split = (made.votes > 0) & (made.votes < 3) if weighted else np.zeros(made.votes.shape, dtype=bool)
    return Drawing(made, np.argsort(numbers + split, axis=1), split.sum(axis=1))


@dataclass(frozen=True)
class Drawing:
    """`order`: items that are not split first, each part in random order; `split`: how many are, of each repetition."""

    made: Arms
    order: np.ndarray
    split: np.ndarray

    def gold(self, budget: int) -> ArmGold:
        """The first of each stratum, as the budget goes, with the weights of the design."""
        rest = ITEMS - self.split
        for_split = np.minimum(self.split, np.round(budget * SPLIT_SHARE).astype(int))
        for_rest = np.minimum(rest, budget - for_split)
        for_split = np.minimum(self.split, budget - for_rest)
        place = np.arange(budget)
        late = place >= for_rest[:, None]  # of the split ones
        position = np.where(late, rest[:, None] + place - for_rest[:, None], place)
        items = np.take_along_axis(self.order, position, axis=1)
        weight = np.where(
            late,
            (self.split / np.maximum(for_split, 1))[:, None],
            (rest / np.maximum(for_rest, 1))[:, None],
        )
        return self._counted(items, weight)

    def _counted(self, items: np.ndarray, weight: np.ndarray) -> ArmGold:
        votes = np.take_along_axis(self.made.votes, items, axis=1)
        role = 1 - np.take_along_axis(self.made.truth, items, axis=1).astype(int)
        cells = (self.made.task[items] * 4 + votes) * 3 + role
        shape = (-1, self.made.tasks, 4, 3)
        parts = (
            tally(cells, self.made.tasks * 12, worth).reshape(shape) for worth in (None, weight, weight**2)
        )
        return ArmGold(*parts)


def tally(cells: np.ndarray, size: int, worth: np.ndarray | None = None) -> np.ndarray:
    """Of each repetition, the sum of worth (of ones) by cell: (repetitions, size)."""
    repetitions = len(cells)
    flat = (np.arange(repetitions)[:, None] * size + cells).ravel()
    summed = np.bincount(flat, weights=None if worth is None else worth.ravel(), minlength=repetitions * size)
    return summed.reshape(repetitions, size).astype(float)


def batches(repetitions: int, most: int = 200) -> Iterator[int]:
    for start in range(0, repetitions, most):
        yield min(most, repetitions - start)
