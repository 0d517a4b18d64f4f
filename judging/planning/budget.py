"""What more human labels would buy in a study: how many, in which strata of its draw, and when it is enough.

A draw serves its items in the order of their random numbers, whatever their arm: so labels are planned by stratum, and each
stratum's labels fall on all arms alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median
from typing import Any

import numpy as np

from annotation.models import Rater, Rating, Study
from benchmark.errors import UserError
from judging.counting import PATHS, Ints
from judging.keeping import kept
from judging.planning.board import Arm, Board, Floats, board_of
from judging.planning.file import change_of
from judging.statistics import (
    Allocation,
    Undefined,
    allocate,
    anytime_halfwidth,
    anytime_interval,
    expected_width,
    looking_cost,
    task_floor,
    task_scores,
    unit_variances,
    variance_for_difference,
    variance_for_width,
)
from judging.statistics.corrected import PRIOR, merged_strata

FEW = 5  # labels a stratum gets at least, where it bears on what is asked
ENOUGH = 30  # gold items of an arm before its figures are watched
SECONDS_FROM = 1000  # of the latest ratings
BY = ("subject", "condition")
ROUNDS = 3  # strata merge where gold is thin, and how thin it is follows from the plan


@dataclass(frozen=True)
class Asked:
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


@dataclass(frozen=True, eq=False)
class Goal:
    """A variance that is wanted of one rate or difference, at some number of labels in each stratum."""

    name: str
    rate: float  # or the difference, as far as known
    gold: int
    unit: Floats  # (strata,)
    floor: float
    wanted: float | None  # None: nothing to ask for, and `why` says so
    why: str = ""
    apart: bool = False

    def variance(self, labels: Ints) -> float:
        with np.errstate(divide="ignore", invalid="ignore"):
            return max(0.0, self.floor + float(np.where(self.unit > 0, self.unit / labels, 0.0).sum()))

    def width(self, variance: float, level: float) -> float | None:
        """Of its interval; none where a stratum that bears on it has no label."""
        if not np.isfinite(variance):
            return None
        if variance <= 0:
            return 0.0
        if self.apart:
            from judging.statistics.outcomes import normal_quantile

            return min(2.0, 2 * normal_quantile(level) * float(np.sqrt(variance)))
        return expected_width(self.rate, variance, level)


class Planner:
    """Of one study's board and one question."""

    def __init__(self, board: Board, asked: Asked) -> None:
        self.board, self.asked = board, asked
        self.arms = [_arm(board, name) for name in asked.arms] or list(board.arms)
        self.pair = (_arm(board, asked.apart[0]), _arm(board, asked.apart[1])) if asked.apart else None
        if self.pair and self.pair[0] is self.pair[1]:
            raise UserError("To tell arms apart takes two different ones.")

    @cached_property
    def planned(self) -> tuple[list[Goal], Allocation]:
        """Goals and the labels that meet them all. Strata are merged as they would be with so much gold."""
        labels = self.board.sizes
        for _ in range(ROUNDS):
            goals = self.goals(labels)
            found = self.allocate([goal for goal in goals if goal.wanted is not None])
            labels = np.maximum(found.labels, 1)
        return goals, found

    def goals(self, labels: Ints) -> list[Goal]:
        if self.pair:
            return [self._apart(*self.pair, labels)]
        return [self._narrow(arm, labels) for arm in self.arms]

    def allocate(self, goals: Sequence[Goal]) -> Allocation:
        board = self.board
        unit = np.array([goal.unit for goal in goals]).reshape(len(goals), board.sizes.size)
        bears = (unit > 0).any(axis=0)
        least = np.where(bears, np.maximum(board.labelled, np.minimum(FEW, board.sizes)), board.labelled)
        found = allocate(
            board.sizes, least, unit, [goal.floor for goal in goals], [goal.wanted or 0.0 for goal in goals]
        )
        if not found.met.any():  # nothing can be had, so nothing is asked for
            return Allocation(board.labelled, board.labelled * 0, found.variance, found.met)
        return Allocation(found.labels, found.labels - board.labelled, found.variance, found.met)

    def _narrow(self, arm: Arm, labels: Ints) -> Goal:
        rate, unit, scores = self._measure(arm, labels)
        wanted = variance_for_width(rate, self.asked.width, self.asked.level)
        floor, why = self._floor(unit, scores, self._alike(arm))
        return Goal(arm.name, rate, int(arm.gold.sum()), unit, floor, None if why else wanted, why)

    def _apart(self, first: Arm, second: Arm, labels: Ints) -> Goal:
        (one, unit, mine), (other, units, theirs) = (self._measure(arm, labels) for arm in (first, second))
        tasks = np.union1d(first.tasks, second.tasks)
        pull = np.zeros(tasks.size)
        pull[np.searchsorted(tasks, first.tasks)] += mine
        pull[np.searchsorted(tasks, second.tasks)] -= theirs
        floor, why = self._floor(unit + units, pull, self._alike(first) + self._alike(second))
        difference = one - other
        if not why and abs(difference) < 1e-3:
            why = "as far as known they do not differ, and no number of labels tells equals apart"
        wanted = None if why else variance_for_difference(difference, self.asked.power, self.asked.level)
        gold = int(first.gold.sum() + second.gold.sum())
        return Goal(
            f"{first.name} − {second.name}", difference, gold, unit + units, floor, wanted, why, apart=True
        )

    def _measure(self, arm: Arm, labels: Ints) -> tuple[float, Floats, Floats]:
        """The rate, what a label of each stratum adds to its variance, and each task's pull on it."""
        reached = np.maximum(labels, self.board.labelled) / self.board.sizes
        group = merged_strata(reached @ arm.items)
        merge = (group[:, None] == np.arange(group.size)).astype(np.int64)
        items, by_task = arm.items @ merge, arm.by_task @ merge
        size = items.sum(axis=0)
        rates = (arm.items.sum(axis=0) * arm.rates) @ merge / np.maximum(size, 1)
        expected = (
            reached @ items
        )  # gold of each merged kind; its interval is made with the estimator's prior
        spread = (expected * rates + PRIOR) / (expected + 2 * PRIOR)
        unit = unit_variances(items, spread, self.board.sizes)
        if (
            self.asked.finite
        ):  # what gold of one task has in common is no floor then, but widens what labels leave
            each = float(expected.sum()) / max(1, int(np.count_nonzero(by_task.sum(axis=1))))
            unit = unit * (1 + self.board.alike * max(0.0, each - 1))
        return float(size @ rates / size.sum()), unit, task_scores(by_task @ rates, by_task.sum(axis=1))

    def _floor(self, unit: Floats, scores: Floats, alike: float) -> tuple[float, str]:
        if self.asked.finite:
            return -float((unit / self.board.sizes).sum()), ""
        try:
            return task_floor(scores, alike), ""
        except Undefined as why:
            return 0.0, f"{why}; ask for these very items instead"

    def _alike(self, arm: Arm) -> float:
        spread = arm.rates * (1 - arm.rates)
        sums, squares = arm.by_task @ np.sqrt(spread), arm.by_task @ spread
        return self.board.alike * max(0.0, float((sums**2 - squares).sum())) / arm.total**2


def _arm(board: Board, name: str) -> Arm:
    found = {_plain(arm.name): arm for arm in board.arms}
    if _plain(name) not in found:
        known = "; ".join(arm.name for arm in board.arms) or "none"
        raise UserError(f"There is no arm {name!r}; there are: {known}.")
    return found[_plain(name)]


def _plain(name: str) -> str:
    return ",".join(part.strip() for part in name.split(","))


def board_kept(study: Study, by: Sequence[str]) -> Board:
    return kept(study, "planboard", tuple(by), lambda: board_of(study, by))


def plan(study: Study, asked: Asked | None = None) -> dict[str, Any]:
    """How many more labels, in which strata, for what is asked; as a change of the study file; and whether it is enough now."""
    asked = asked or Asked()
    asked.check()
    return kept(study, "plan", asked, lambda: _plan(study, asked))


def _plan(study: Study, asked: Asked) -> dict[str, Any]:
    board = board_kept(study, asked.by)
    if not board.arms:
        raise UserError("There is nothing to plan for: the study has no item of a task that counts.")
    planner = Planner(board, asked)
    goals, found = planner.planned
    change = change_of(study, board, found.labels.tolist())
    more = int(found.more.sum())
    per_item = _per_item(study, board.draw)
    return {
        "study": study.slug, "width": asked.width, "level": asked.level, "finite": asked.finite,
        "apart": list(asked.apart or ()), "power": asked.power if asked.apart else None,
        "draw": board.draw or None, "gold": board.gold, "more": more, "raters_per_item": per_item, "labels": more * per_item,
        "hours": _hours(study, more * per_item),
        "out_of_reach": sum(goal.wanted is not None for goal in goals) - int(found.met.sum()),
        "rows": [
            _row(planner, goal, now, found.labels)
            for goal, now in zip(goals, planner.goals(board.labelled), strict=True)
        ],
        "strata": _strata(board, found),
        "change": [{"key": key, "from": before, "to": after} for key, before, after in change.keys],
        "file": change.text, "how": change.sentence if more else "",
        "looking_cost": looking_cost(asked.level), "looking_labels": looking_cost(asked.level) ** 2, "basis": list(board.basis),
    }  # fmt: skip


WIDTHS = (0.4, 0.3, 0.25, 0.2, 0.15, 0.12, 0.1, 0.08, 0.06, 0.05)


def curve(study: Study, asked: Asked) -> list[dict[str, Any]]:
    """What each of some widths takes: items to label in all, and how many of the arms can get there."""
    asked.check()
    widths = sorted({*WIDTHS, asked.width}, reverse=True)
    return kept(study, "plan-curve", asked, lambda: [_point(study, asked, width) for width in widths])


def _point(study: Study, asked: Asked, width: float) -> dict[str, Any]:
    goals, found = Planner(board_kept(study, asked.by), replace(asked, width=width, apart=None)).planned
    met = int(found.met.sum())
    return {"width": width, "more": int(found.more.sum()) if met else None, "arms": met, "of": len(goals)}


def _row(planner: Planner, goal: Goal, present: Goal, labels: Ints) -> dict[str, Any]:
    """One goal: where it is now, what it takes by itself, what the whole plan brings, whether labelling may stop."""
    board, asked = planner.board, planner.asked
    now = present.variance(board.labelled)
    alone = planner.allocate([goal]) if goal.wanted is not None else None
    met = bool(alone is not None and alone.met[0])
    least = goal.width(goal.variance(board.sizes), asked.level)
    return {
        "arm": goal.name, "gold": goal.gold, "rate": goal.rate,
        "width": goal.width(now, asked.level) if goal.gold else None,
        "more": int(alone.more.sum()) if alone is not None and met else None,
        "planned_width": goal.width(goal.variance(np.maximum(labels, board.labelled)), asked.level),
        "least_width": least, "reachable": met, "undefined": goal.why, "why": goal.why or ("" if met else _out_of_reach(least)),
        **_stop(present, now, asked),
    }  # fmt: skip


def _out_of_reach(least: float | None) -> str:
    wide = "" if least is None else f" With a label on every item it is {100 * least:.1f} points wide, as"
    return f"No number of labels brings it there.{wide} tasks differ: it takes more tasks, or is asked of these very items."


def _stop(goal: Goal, now: float, asked: Asked) -> dict[str, Any]:
    """Whether labelling may stop, by an interval that holds at every look. Nothing is said before there is enough gold."""
    silent = {"anytime_low": None, "anytime_high": None, "anytime_width": None, "stop": False}
    if goal.wanted is None or goal.gold < ENOUGH * (2 if goal.apart else 1) or not 0 < now < np.inf:
        return silent
    # It is at its narrowest where the plan wants to be, a choice that does not look at the data's width.
    half = anytime_halfwidth(now, goal.wanted, asked.level)
    bounds = (-1.0, 1.0) if goal.apart else (0.0, 1.0)
    interval = anytime_interval(goal.rate, now, goal.wanted, asked.level, bounds)
    apart = interval.low > 0 or interval.high < 0
    return {
        "anytime_low": interval.low, "anytime_high": interval.high, "anytime_width": interval.high - interval.low,
        "stop": apart if goal.apart else 2 * half <= asked.width,
    }  # fmt: skip


def _strata(board: Board, found: Allocation) -> list[dict[str, Any]]:
    return [
        {
            "stratum": one.name, "items": one.items, "probability": one.probability, "drawn": one.drawn,
            "labelled": one.labelled, "waiting": max(0, one.drawn - one.labelled), "more": int(more),
            "to_draw": max(0, int(labels) - max(one.drawn, one.labelled)),
        }
        for one, labels, more in zip(board.strata, found.labels, found.more, strict=True)
    ]  # fmt: skip


def _per_item(study: Study, draw: str) -> int:
    found = study.draws.filter(name=draw).values_list("raters_per_item", flat=True).first()
    return int(found or 1)


def _hours(study: Study, labels: int) -> float | None:
    """At the median of the latest labels' active time; none where nobody's time is known."""
    if not labels:
        return None
    people = Rating.objects.filter(item__study=study, rater__kind=Rater.Kind.HUMAN)
    times = (
        people.filter(active_seconds__isnull=False).order_by("-pk").values_list("active_seconds", flat=True)
    )
    seconds = [float(one) for one in times[:SECONDS_FROM] if one is not None]
    return labels * median(seconds) / 3600 if seconds else None
