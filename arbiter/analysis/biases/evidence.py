"""What the bias battery looks at: arrays of a study's labels, of gold, and of judges that differ in one
thing.

Without the database: arbiter.analysis.biases.studyevidence reads a study, arbiter.analysis.biases.battery
looks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from arbiter.statistics import HumanError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
ALPHA = 0.05


@dataclass(frozen=True, eq=False)
class Patterns:
    """Distinct patterns of labels by task: labels (rows, raters), -1 for none; counts and tasks (rows,)."""

    labels: Ints
    counts: Ints
    tasks: Ints
    groups: Ints | None = None

    def complete(self, columns: Sequence[int] = ()) -> "Patterns":
        """Return the rows on which all of these raters voted, their columns in this order; all raters unless
        named."""
        labels = self.labels[:, list(columns)] if columns else self.labels
        kept = (labels >= 0).all(axis=1)
        groups = None if self.groups is None else self.groups[kept]
        return Patterns(labels[kept], self.counts[kept], self.tasks[kept], groups)

    def where(self, chosen: Bools) -> "Patterns":
        groups = None if self.groups is None else self.groups[chosen]
        return Patterns(self.labels[chosen], self.counts[chosen], self.tasks[chosen], groups)

    @property
    def items(self) -> int:
        return int(self.counts.sum())


@dataclass(frozen=True, eq=False)
class GoldItems:
    """One element an item with gold."""

    gold: Ints
    votes: Ints  # (n, judges)
    tasks: Ints
    categories: Ints
    families: npt.NDArray[np.object_]  # of the subject models, "" where not known
    lengths: Ints  # characters of the response
    weights: Floats  # items it stands for; all 1 where that is not known
    # Whether it is one person's word; no item's is where this is empty.
    single: Bools = field(default_factory=lambda: np.zeros(0, dtype=bool))
    people: HumanError | None = None  # how one person errs, where that is known

    def __len__(self) -> int:
        return len(self.gold)


@dataclass(frozen=True, eq=False)
class Twins:
    """Two judges that differ in one thing only, and their labels on the same items (the second label column
    is the second's).

    A third column, where there is one, is the first judge's answer when it was asked the same again.
    """

    first: str
    second: str
    patterns: Patterns


@dataclass(frozen=True, eq=False)
class AttackedCopies:
    """A judge's labels of responses (first column) and of their copies with an injected passage (second)."""

    judge: str
    attack: str
    patterns: Patterns


@dataclass(frozen=True, eq=False)
class BiasEvidence:
    """All that the battery looks at."""

    judges: tuple[str, ...]
    families: tuple[str, ...]  # of the judges, "" where not known
    labels: tuple[str, ...]
    target: Bools  # (labels,)
    excluded: Bools  # (labels,)
    votes: Patterns  # of the judges, all items
    gold: GoldItems
    categories: Mapping[int, str] = field(default_factory=dict)
    conditions: Mapping[int, str] = field(default_factory=dict)
    opened: Sequence[Twins] = ()  # blind first, then the one that sees the condition
    turned: Sequence[Twins] = ()  # the labels' order
    places: Mapping[str, Ints] = field(default_factory=dict)  # judge: labels taken from each place shown
    # Judge: why its places can't be told from labels.
    unplaced: Mapping[str, str] = field(default_factory=dict)
    attacked: Sequence[AttackedCopies] = ()
    # Judges that are another one but for one thing, so no further opinion.
    twins: frozenset[str] = frozenset()
    sure: bool = False  # gold is taken for the truth
    level: float = 1 - ALPHA  # of every interval; `battery` raises it as the number of tests asks for

    @property
    def panel(self) -> list[int]:
        """Return the places of the judges that are compared with each other."""
        return [place for place, judge in enumerate(self.judges) if judge not in self.twins]

    def is_target(self, labels: Ints) -> Bools:
        chosen: Bools = self.target[labels] & (labels >= 0)
        return chosen
