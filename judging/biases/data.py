"""What the bias battery looks at and what it says: arrays of a study's labels, findings, and the words of both.

Without the database: judging.biases.gather reads a study, judging.biases.battery looks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from judging.statistics import OddsRatio, PairedShift, Undefined

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
ALPHA = 0.05
# Below these nothing is computed. Cochran's Q: Tate & Brown (1970). Per covariate of a logit: Vittinghoff & McCulloch (2007).
LEAST_ITEMS, LEAST_TASKS = 20, 5
LEAST_VOTES = 24
LEAST_EVENTS = 5
LEAST_ERRORS = 5
POINTS, ODDS, CORRELATION = "points", "odds", "correlation"
NOTHING = {POINTS: 0.0, ODDS: 1.0, CORRELATION: 0.0}  # the effect of no bias


@dataclass(frozen=True)
class Finding:
    """One line of the battery. Without data enough, `too_little` says what is missing and there are no figures."""

    bias: str
    judge: str
    test: str
    sentence: str = ""
    about: str = ""  # the category, condition, ... it is about
    unit: str = POINTS
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    p: float | None = None
    adjusted: float | None = None
    too_little: str = ""
    if_found: str = ""  # the sentence where the adjusted p is below 5 %

    @property
    def found(self) -> bool:
        return self.adjusted is not None and self.adjusted < ALPHA

    @property
    def effect_words(self) -> str:
        return "–" if self.effect is None else _write(self.effect, self.unit)

    @property
    def interval_words(self) -> str:
        if self.low is None or self.high is None:
            return "–"
        return f"{_write(self.low, self.unit, bare=True)} to {_write(self.high, self.unit, bare=True)}"

    def concerns(self, judge: str) -> bool:
        """Whether it is about this judge, alone or beside another."""
        return judge in (self.judge, *self.judge.split(" and "))


ALL_JUDGES = "all judges"


@dataclass(frozen=True, eq=False)
class Patterns:
    """Distinct patterns of labels by task: labels (rows, raters), -1 for none; counts and tasks (rows,)."""

    labels: Ints
    counts: Ints
    tasks: Ints
    groups: Ints | None = None

    def complete(self, columns: Sequence[int] = ()) -> "Patterns":
        """The rows on which all of these raters voted, in this order; all raters unless named."""
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

    def __len__(self) -> int:
        return len(self.gold)


@dataclass(frozen=True, eq=False)
class Twins:
    """Two judges that differ in one thing only, and their labels on the same items (the second label column is the second's).

    A third column, where there is one, is the first judge's answer when it was asked the same again.
    """

    first: str
    second: str
    patterns: Patterns


@dataclass(frozen=True, eq=False)
class Attacked:
    """A judge's labels of responses (first column) and of their copies with an injected passage (second)."""

    judge: str
    attack: str
    patterns: Patterns


@dataclass(frozen=True, eq=False)
class Evidence:
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
    unplaced: Mapping[str, str] = field(
        default_factory=dict
    )  # judge: why its places can't be told from labels
    attacked: Sequence[Attacked] = ()
    twins: frozenset[str] = (
        frozenset()
    )  # judges that are another one but for one thing, so no further opinion

    @property
    def panel(self) -> list[int]:
        """The judges that are compared with each other."""
        return [place for place, judge in enumerate(self.judges) if judge not in self.twins]

    def is_target(self, labels: Ints) -> Bools:
        chosen: Bools = self.target[labels] & (labels >= 0)
        return chosen


def attempt(blank: Finding, rows: Patterns, look: Callable[[Finding], Finding]) -> Finding:
    """What is found, or what is missing to find anything."""
    blank = replace(blank, n=rows.items)
    if rows.items < LEAST_ITEMS:
        return replace(blank, too_little=f"{rows.items} items, and {LEAST_ITEMS} are needed.")
    try:
        require_tasks(rows.tasks)
        return look(blank)
    except Undefined as why:
        return replace(blank, too_little=f"{why}.")


def require_tasks(tasks: Ints) -> None:
    """A variance between fewer is none to build on."""
    number = len(np.unique(tasks))
    if number < LEAST_TASKS:
        raise Undefined(f"the items come from {number} tasks, and {LEAST_TASKS} are needed")


def shift_of(found: PairedShift) -> dict[str, Any]:
    return {"effect": found.shift, "low": found.low, "high": found.high, "p": found.p, "n": found.items}


def odds_of(found: OddsRatio) -> dict[str, Any]:
    return {"effect": found.ratio, "low": found.low, "high": found.high, "p": found.p}


def points(found: PairedShift) -> str:
    return f"{signed(found.shift)} points ({signed(found.low)} to {signed(found.high)})"


def points_between(found: PairedShift) -> str:
    low, high = sorted((abs(found.low), abs(found.high))) if found.low * found.high > 0 else (0.0, max(abs(found.low), abs(found.high)))  # fmt: skip
    return f"{100 * abs(found.shift):.1f} points ({100 * low:.1f} to {100 * high:.1f})"


def ratio(found: OddsRatio) -> str:
    return f"{found.ratio:.2f} ({found.low:.2f} to {found.high:.2f})"


def signed(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _write(value: float, unit: str, *, bare: bool = False) -> str:
    if unit == POINTS:
        return signed(value) + ("" if bare else " points")
    if unit == ODDS:
        return ("" if bare else "× ") + (f"{value:.2f}" if value < 1000 else f"{value:.1e}")
    return f"{value:.2f}"


def family(name: object) -> str:
    return str(name).strip().casefold()
