"""An arm's rate with its interval or the reason there is none, the tasks it is over, and the rate over some
of those."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from arbiter.statistics import FEW_TASKS, Undefined, effective_tasks

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class CoveredTasks(Protocol):
    """The tasks that a rate is over. over: of all tasks of the study's cells, those with responses that
    count. valid: the share of responses that are, as far as known."""

    @property
    def over(self) -> Mask: ...

    @property
    def valid(self) -> float: ...

    def among(self, chosen: Mask) -> "ArmRate": ...


@dataclass(frozen=True, eq=False)
class EffectiveTasks:
    """How many tasks of equal size a rate is over, and whether any has several responses."""

    effective: float
    repeated: bool

    @classmethod
    def of(cls, sizes: npt.ArrayLike) -> "EffectiveTasks":
        responses = np.asarray(sizes, dtype=np.float64)
        return cls(float(effective_tasks(responses)), bool((responses > 1).any()))


def few_tasks_caution(rates: Iterable[tuple[str, EffectiveTasks | None]]) -> str:
    """Say which rates' tasks are few; empty where no rate's are."""
    few = [
        (one.effective, name) for name, one in rates if one and one.repeated and 0 < one.effective < FEW_TASKS
    ]
    if not few:
        return ""
    least, name = min(few)
    return (
        f"Some rates are over fewer than {FEW_TASKS} effective tasks (the fewest: {name}, {least:.1f}; "
        "uneven tasks are worth fewer of equal size). How alike answers to one task are is partly assumed "
        "there, so take these intervals, and those of differences, as rough."
    )


def tasks_differ(covered: Sequence[CoveredTasks]) -> bool:
    return any((one.over != covered[0].over).any() for one in covered[1:])


def tasks_in_common(covered: Sequence[CoveredTasks]) -> Mask:
    shared: Mask = np.logical_and.reduce([one.over for one in covered])
    return shared


@dataclass(frozen=True, eq=False)
class ArmRate:
    """A rate with its interval, or None with the reason. `influence` is by all tasks of the cells.

    tasks: how many it is over. covered: which, where that is known.
    """

    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    why: str = ""
    influence: Floats | None = field(default=None, repr=False)
    tasks: EffectiveTasks | None = None
    covered: CoveredTasks | None = field(default=None, repr=False)


RatePair = tuple[ArmRate, ArmRate]  # of all responses, of the valid ones


def rate_pair(compute: Callable[[bool], ArmRate]) -> RatePair:
    return rate_or_why(lambda: compute(False)), rate_or_why(lambda: compute(True))


def rate_or_why(compute: Callable[[], ArmRate]) -> ArmRate:
    try:
        return compute()
    except Undefined as why:
        return ArmRate(why=str(why))
