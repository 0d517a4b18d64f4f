"""What a plan of labels is for, and how a page's address says it."""

from collections.abc import Mapping
from dataclasses import dataclass

from arbiter.core.errors import UserError
from judging.votes.counting import PATHS

BY = ("subject", "condition")


@dataclass(frozen=True)
class PlanSpec:
    """What a plan is for."""

    width: float = 0.1
    arms: tuple[str, ...] = ()  # empty: each
    apart: tuple[str, str] | None = None
    power: float = 0.8
    level: float = 0.95
    finite: bool = False
    by: tuple[str, ...] = BY

    def check(self) -> None:
        if not 0 < self.width < 1:
            raise UserError(
                f"The width of an interval lies between 0 and 1 (0.1 is 10 points); it is {self.width:g}."
            )
        if not 0.5 <= self.power < 1 or not 0.5 <= self.level < 1:
            raise UserError("Power and level are shares, of at least 0.5 and below 1.")
        if not self.by or any(word not in PATHS or word == "task" for word in self.by):
            raise UserError("Arms are by any of subject, condition, category, with commas between.")
        if len(set(self.by)) < len(self.by):
            raise UserError("Arms are by each word once; one is named twice.")


def plan_spec_from(query: Mapping[str, str]) -> PlanSpec:
    """Return what a plan is for, as a page's address says it. UserError where it says nothing that can be."""
    arm, pair = query.get("arm", ""), (query.get("first", ""), query.get("second", ""))
    return PlanSpec(
        width=number_from(query.get("width", "10"), "The width") / 100,
        arms=(arm,) if arm else (),
        apart=pair if all(pair) else None,
        finite=query.get("estimand") == "items",
    )


def number_from(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < 1e9:
        raise UserError(f"{what} should be a number; it is {text[:40]!r}.")
    return value
