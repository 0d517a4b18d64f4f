"""What a test of the bias battery says: a finding with its effect and interval, or what is missing, and the
words of both."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from arbiter.analysis.biases.evidence import ALPHA, Ints, Patterns
from arbiter.core.text import how_many
from arbiter.statistics import OddsRatio, PairedShift, Undefined

# Below these nothing is computed. Cochran's Q: Tate & Brown (1970). Per covariate of a logit: Vittinghoff &
# McCulloch (2007).
LEAST_ITEMS, LEAST_TASKS = 20, 5
LEAST_VOTES = 24
LEAST_EVENTS = 5
LEAST_ERRORS = 5
POINTS, ODDS, CORRELATION = "points", "odds", "correlation"
NOTHING = {POINTS: 0.0, ODDS: 1.0, CORRELATION: 0.0}  # the effect of no bias


@dataclass(frozen=True)
class Finding:
    """One line of the battery. Without data enough, `too_little` says what is missing and there are no
    figures."""

    bias: str
    judge: str
    test: str
    sentence: str = ""
    about: str = ""  # the category, condition, ... it is about
    unit: str = POINTS
    effect: float | None = None
    low: float | None = None  # the interval at the level that the number of tests asks for
    high: float | None = None
    n: int = 0
    p: float | None = None
    adjusted: float | None = None  # times the number of tests
    too_little: str = ""
    # The sentence where the adjusted p is below 5 %, and so the interval leaves out no effect.
    if_found: str = ""

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
        """Tell whether the finding is about this judge, alone or beside another."""
        return judge in (self.judge, *self.judge.split(" and "))


ALL_JUDGES = "all judges"


def finding_or_why(blank: Finding, rows: Patterns, look: Callable[[Finding], Finding]) -> Finding:
    """Return what a test finds, or the blank finding with what is missing to find anything."""
    blank = replace(blank, n=rows.items)
    if rows.items < LEAST_ITEMS:
        return replace(blank, too_little=f"{how_many(rows.items, 'item')}, and {LEAST_ITEMS} are needed.")
    try:
        require_tasks(rows.tasks)
        return look(blank)
    except Undefined as why:
        return replace(blank, too_little=f"{why}.")


def require_tasks(tasks: Ints) -> None:
    """Raise Undefined where items come from too few tasks: a variance between fewer is none to build on."""
    number = len(np.unique(tasks))
    if number < LEAST_TASKS:
        raise Undefined(f"the items come from {how_many(number, 'task')}, and {LEAST_TASKS} are needed")


@dataclass(frozen=True)
class Effect:
    """An effect with its interval and p, which leaves out no effect just where p is below what the level asks
    for."""

    effect: float
    low: float
    high: float
    p: float

    @classmethod
    def shift(cls, difference: PairedShift) -> "Effect":
        return cls(difference.shift, difference.low, difference.high, difference.p)

    @classmethod
    def odds(cls, odds: OddsRatio) -> "Effect":
        return cls(odds.ratio, odds.low, odds.high, odds.p)

    @property
    def fields(self) -> dict[str, Any]:
        return asdict(self)


def effect_points(effect: Effect) -> str:
    return (
        f"{signed_points(effect.effect)} points ({signed_points(effect.low)} to {signed_points(effect.high)})"
    )


def difference_points(effect: Effect) -> str:
    low, high = (
        sorted((abs(effect.low), abs(effect.high)))
        if effect.low * effect.high > 0
        else (0.0, max(abs(effect.low), abs(effect.high)))
    )
    return f"{100 * abs(effect.effect):.1f} points ({100 * low:.1f} to {100 * high:.1f})"


def effect_ratio(effect: Effect) -> str:
    return f"{effect.effect:.2f} ({effect.low:.2f} to {effect.high:.2f})"


def signed_points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")


def whole_percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _write(value: float, unit: str, *, bare: bool = False) -> str:
    if unit == POINTS:
        return signed_points(value) + ("" if bare else " points")
    if unit == ODDS:
        return ("" if bare else "× ") + (f"{value:.2f}" if value < 1000 else f"{value:.1e}")
    return f"{value:.2f}"
