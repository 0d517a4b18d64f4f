"""Made-up arms whose truth is known: responses to tasks, the votes of three judges, and gold drawn from
them."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from arbiter.statistics import ArmGold

ITEMS, TASKS = 1000, 200  # responses of an arm; tasks they are to, five each, where tasks are clusters
FEW, UNEVEN = 12, 76  # tasks of about 83 responses each; tasks of which a few have most of the responses
# From lenient to strict, as judges of one set of responses were found to be.
SENSITIVITY, SPECIFICITY = (0.9, 0.75, 0.6), (0.7, 0.85, 0.95)
SHARP = ((0.95, 0.93, 0.9), (0.93, 0.95, 0.97))
SEVEN = ((0.93, 0.9, 0.8, 0.7, 0.65, 0.6, 0.6), (0.93, 0.8, 0.75, 0.8, 0.7, 0.65, 0.6))
SHARED = 0.6  # of the items, on which correlated judges share their luck
WITHIN = 0.2  # correlation of truths within a task
DIFFICULTY = 0.6  # how far tasks move the judges towards "convergent" or away from it, in logits
SPLIT_SHARE = 0.4  # of a disagreement-weighted budget, for the items on which judges split
PART_SHARE = 0.9  # of a budget that goes by part, for one half of the items


@dataclass(frozen=True)
class World:
    """What responses are drawn from. `prevalence` is the rate over tasks of this kind: what is to be covered.

    tasks: "" for five responses to each where tasks are clusters, "few" for twelve tasks, "uneven" for 76
    worth 23.
    """

    prevalence: float
    correlated: bool
    clustered: bool
    sharp: bool = False
    seven: bool = False
    tasks: str = ""

    @property
    def panel(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return sensitivities and specificities."""
        return SEVEN if self.seven else SHARP if self.sharp else (SENSITIVITY, SPECIFICITY)

    @property
    def sizes(self) -> np.ndarray:
        """Return the responses to each task."""
        if not self.clustered:
            return np.ones(ITEMS, dtype=np.int64)
        if self.tasks == "uneven":
            return uneven(UNEVEN, ITEMS)
        tasks = FEW if self.tasks else TASKS
        return np.bincount(np.arange(ITEMS) % tasks)


def uneven(tasks: int, items: int) -> np.ndarray:
    """Return sizes with log-normal shares (standard deviation 1.3 at its quantiles), each at least one.

    76 are worth about 23.
    """
    normal = NormalDist()
    share = np.exp(1.3 * np.array([normal.inv_cdf((place + 0.5) / tasks) for place in range(tasks)]))
    ends = np.floor(np.cumsum(share / share.sum()) * (items - tasks) + 0.5).astype(np.int64)
    return 1 + np.diff(ends, prepend=0)


@dataclass(frozen=True)
class Arms:
    """One arm a repetition: truth 0 or 1 and number of target votes, both (repetitions, items), items in the
    order of tasks."""

    truth: np.ndarray
    votes: np.ndarray
    sizes: np.ndarray
    judges: int

    @property
    def tasks(self) -> int:
        return len(self.sizes)

    @property
    def task(self) -> np.ndarray:
        return np.repeat(np.arange(self.tasks), self.sizes)

    @property
    def strata(self) -> int:
        return self.judges + 1

    def table(self) -> np.ndarray:
        """Count items by task and number of target votes."""
        cells = self.task * self.strata + self.votes
        return tally(cells, self.tasks * self.strata).reshape(-1, self.tasks, self.strata)


def arms(world: World, repetitions: int, rng: np.random.Generator) -> Arms:
    sizes = world.sizes
    shape = (repetitions, len(sizes))
    rate, shift = np.full(shape, world.prevalence), np.zeros(shape)
    if world.clustered:
        size = 1 / WITHIN - 1
        rate = rng.beta(world.prevalence * size, (1 - world.prevalence) * size, shape)
        shift = rng.normal(0, DIFFICULTY, shape)
    truth = rng.random((repetitions, ITEMS), dtype=np.float32) < np.repeat(rate, sizes, axis=1)
    votes = _votes(world, truth, np.repeat(shift, sizes, axis=1), rng)
    return Arms(truth, votes, sizes, len(world.panel[0]))


def _votes(world: World, truth: np.ndarray, shift: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    luck = rng.random((len(world.panel[0]), *truth.shape), dtype=np.float32)
    if world.correlated:
        shared = rng.random(truth.shape, dtype=np.float32) < SHARED
        luck[1:] = np.where(shared, luck[0], luck[1:])
    votes = np.zeros(truth.shape, dtype=np.int64)
    for one, sensitivity, specificity in zip(luck, *world.panel, strict=True):
        says = np.where(truth, _moved(sensitivity, shift), _moved(1 - specificity, shift))
        votes += one < says
    return votes


def _moved(chance: float, shift: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-(np.log(chance / (1 - chance)) + shift)))


def drawn(made: Arms, weighted: bool, rng: np.random.Generator) -> "Drawing":
    """Return items in the order in which they would be labelled: by random number, within the draw's
    strata."""
    numbers = rng.random(made.votes.shape, dtype=np.float32)
    divided = (made.votes > 0) & (made.votes < made.judges)
    split = divided if weighted else np.zeros(made.votes.shape, dtype=bool)
    return Drawing(made, np.argsort(numbers + split, axis=1), split.sum(axis=1), SPLIT_SHARE)


def drawn_by_part(made: Arms, rng: np.random.Generator) -> "Drawing":
    """Draw as two parts of a study labelled at different rates: nine tenths of the gold on half of the
    items."""
    part = rng.permuted(np.tile(np.arange(ITEMS) < ITEMS // 2, (len(made.votes), 1)), axis=1)
    numbers = rng.random(made.votes.shape, dtype=np.float32)
    return Drawing(made, np.argsort(numbers + part, axis=1), part.sum(axis=1), PART_SHARE)


@dataclass(frozen=True)
class Drawing:
    """`order`: items that are not split first, each part in random order; `split`: how many are, of each
    repetition."""

    made: Arms
    order: np.ndarray
    split: np.ndarray
    share: float  # of the budget, for the split ones

    def gold(self, budget: int) -> ArmGold:
        """Take the first of each stratum, as the budget goes, with the weights of the design."""
        rest = ITEMS - self.split
        for_split = np.minimum(self.split, np.round(budget * self.share).astype(int))
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
        tasks, strata = self.made.tasks, self.made.strata
        cells = (self.made.task[items] * strata + votes) * 3 + role
        parts = (
            tally(cells, tasks * strata * 3, worth).reshape(-1, tasks, strata, 3)
            for worth in (None, weight, weight**2)
        )
        return ArmGold(*parts)


def tally(cells: np.ndarray, size: int, worth: np.ndarray | None = None) -> np.ndarray:
    """Return of each repetition the sum of worth (of ones) by cell: (repetitions, size)."""
    repetitions = len(cells)
    flat = (np.arange(repetitions)[:, None] * size + cells).ravel()
    summed = np.bincount(flat, weights=None if worth is None else worth.ravel(), minlength=repetitions * size)
    return summed.reshape(repetitions, size).astype(float)


def batches(repetitions: int, most: int = 200) -> Iterator[int]:
    for start in range(0, repetitions, most):
        yield min(most, repetitions - start)
