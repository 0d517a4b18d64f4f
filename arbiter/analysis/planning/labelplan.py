"""What more human labels would buy in a study: how many, in which strata of its draw, and when it is enough.

A draw serves its items in the order of their random numbers, whatever their arm: so labels are planned by
stratum, and each stratum's labels fall on all arms alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median
from typing import Any

import numpy as np

from annotation.models import Rater, Rating, Study
from arbiter.analysis.planning.anytimerates import ENOUGH, MonitoredRates, monitored_rates
from arbiter.analysis.planning.filechange import study_file_change
from arbiter.analysis.planning.planspec import PlanSpec
from arbiter.analysis.planning.samplingframe import Floats, FrameArm, SamplingFrame, sampling_frame
from arbiter.core.errors import UserError
from arbiter.statistics import (
    Allocation,
    Undefined,
    allocate,
    effective_tasks,
    expected_width,
    looking_cost,
    task_floor,
    task_scores,
    unit_variances,
    variance_for_difference,
    variance_for_width,
)
from arbiter.statistics.clusters import student
from arbiter.statistics.intervals import normal_quantile
from arbiter.statistics.post_stratification import PRIOR, merged_strata
from benchmark.importunderway import refuse_while_importing
from judging.votes.counting import Ints
from judging.votes.kept_figures import kept

FEW = 5  # labels a stratum gets at least, where it bears on what is asked
SECONDS_FROM = 1000  # of the latest ratings
MOST = 100.0  # Student's t for two tasks or fewer, with which nothing can be reached
ROUNDS = 3  # strata merge where gold is thin, and how thin it is follows from the plan


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
    arms: tuple[str, ...] = ()  # names, two of a difference

    @property
    def apart(self) -> bool:
        return len(self.arms) > 1

    def variance(self, labels: Ints) -> float:
        with np.errstate(divide="ignore", invalid="ignore"):
            return max(0.0, self.floor + float(np.where(self.unit > 0, self.unit / labels, 0.0).sum()))

    def width(self, variance: float, level: float) -> float | None:
        """Return the width of the goal's interval; None where a stratum that bears on it has no label."""
        if not np.isfinite(variance):
            return None
        if variance <= 0:
            return 0.0
        if self.apart:
            return min(2.0, 2 * normal_quantile(level) * float(np.sqrt(variance)))
        return expected_width(self.rate, variance, level)


class Planner:
    """The plan of labels for one study's sampling frame and one specification."""

    def __init__(self, frame: SamplingFrame, spec: PlanSpec) -> None:
        self.frame, self.spec = frame, spec
        self.arms = [_arm(frame, name) for name in spec.arms] or list(frame.arms)
        self.pair = (_arm(frame, spec.apart[0]), _arm(frame, spec.apart[1])) if spec.apart else None
        if self.pair and self.pair[0] is self.pair[1]:
            raise UserError("To tell arms apart takes two different ones.")

    @cached_property
    def planned(self) -> tuple[list[Goal], Allocation]:
        """Return the goals and the labels that meet them all. Strata are merged as they would be with so much
        gold."""
        labels = self.frame.sizes
        for _ in range(ROUNDS):
            goals = self.goals(labels)
            allocation = self.allocate([goal for goal in goals if goal.wanted is not None])
            labels = np.maximum(allocation.labels, 1)
        return goals, allocation

    def goals(self, labels: Ints) -> list[Goal]:
        if self.pair:
            return [self._apart(*self.pair, labels)]
        return [self._narrow(arm, labels) for arm in self.arms]

    def allocate(self, goals: Sequence[Goal]) -> Allocation:
        frame = self.frame
        unit = np.array([goal.unit for goal in goals]).reshape(len(goals), frame.sizes.size)
        bears = (unit > 0).any(axis=0)
        least = np.where(bears, np.maximum(frame.labelled, np.minimum(FEW, frame.sizes)), frame.labelled)
        allocation = allocate(
            frame.sizes, least, unit, [goal.floor for goal in goals], [goal.wanted or 0.0 for goal in goals]
        )
        if not allocation.met.any():  # nothing can be had, so nothing is asked for
            return Allocation(frame.labelled, frame.labelled * 0, allocation.variance, allocation.met)
        return Allocation(
            allocation.labels, allocation.labels - frame.labelled, allocation.variance, allocation.met
        )

    def _narrow(self, arm: FrameArm, labels: Ints) -> Goal:
        rate, unit, scores = self._measure(arm, labels)
        wanted = variance_for_width(rate, self.spec.width, self.spec.level)
        floor, why = self._floor(unit, scores, self._alike(arm), self._wider(arm))
        return Goal(
            arm.name, rate, int(arm.gold.sum()), unit, floor, None if why else wanted, why, (arm.name,)
        )

    def _apart(self, first: FrameArm, second: FrameArm, labels: Ints) -> Goal:
        (one, unit, mine), (other, units, theirs) = (self._measure(arm, labels) for arm in (first, second))
        tasks = np.union1d(first.tasks, second.tasks)
        pull = np.zeros(tasks.size)
        pull[np.searchsorted(tasks, first.tasks)] += mine
        pull[np.searchsorted(tasks, second.tasks)] -= theirs
        wider = max(self._wider(first), self._wider(second))
        floor, why = self._floor(unit + units, pull, self._alike(first) + self._alike(second), wider)
        difference = one - other
        if not why and abs(difference) < 1e-3:
            why = "as far as known they do not differ, and no number of labels tells equals apart"
        wanted = None if why else variance_for_difference(difference, self.spec.power, self.spec.level)
        gold = int(first.gold.sum() + second.gold.sum())
        return Goal(
            f"{first.name} − {second.name}",
            difference,
            gold,
            unit + units,
            floor,
            wanted,
            why,
            (first.name, second.name),
        )

    def _measure(self, arm: FrameArm, labels: Ints) -> tuple[float, Floats, Floats]:
        """Return an arm's rate, what a label of each stratum adds to its variance, and each task's pull on
        it."""
        reached = np.maximum(labels, self.frame.labelled) / self.frame.sizes
        group = merged_strata(reached @ arm.items)
        merge = (group[:, None] == np.arange(group.size)).astype(np.int64)
        items, by_task = arm.items @ merge, arm.by_task @ merge
        size = items.sum(axis=0)
        rates = (arm.items.sum(axis=0) * arm.rates) @ merge / np.maximum(size, 1)
        expected = reached @ items  # gold of each merged kind
        # The interval is made with the estimator's prior.
        spread = (expected * rates + PRIOR) / (expected + 2 * PRIOR)
        unit = unit_variances(items, spread, self.frame.sizes)
        unit = unit * self._wider(arm)
        return float(size @ rates / size.sum()), unit, task_scores(by_task @ rates, by_task.sum(axis=1))

    def _floor(self, unit: Floats, scores: Floats, alike: float, wider: float) -> tuple[float, str]:
        if self.spec.finite:
            return -float((unit / self.frame.sizes).sum()), ""
        try:
            return wider * task_floor(scores, alike), ""
        except Undefined as why:
            return 0.0, f"{why}; ask for these very items instead"

    def _wider(self, arm: FrameArm) -> float:
        """Return how many times the variance counts, as the interval goes by Student's t over the arm's
        tasks."""
        responses = arm.by_task.sum(axis=1)
        if self.spec.finite or responses.max(initial=0) <= 1:
            return 1.0
        freedom = float(effective_tasks(responses)) - 1
        t = float(student(freedom, self.spec.level))
        return (min(t, MOST) / normal_quantile(self.spec.level)) ** 2

    def _alike(self, arm: FrameArm) -> float:
        spread = arm.rates * (1 - arm.rates)
        sums, squares = arm.by_task @ np.sqrt(spread), arm.by_task @ spread
        return self.frame.alike * max(0.0, float((sums**2 - squares).sum())) / arm.total**2


def _arm(frame: SamplingFrame, name: str) -> FrameArm:
    arms = {_plain(arm.name): arm for arm in frame.arms}
    if _plain(name) not in arms:
        known = "; ".join(arm.name for arm in frame.arms) or "none"
        raise UserError(f"There is no arm {name!r}; there are: {known}.")
    return arms[_plain(name)]


def _plain(name: str) -> str:
    return ",".join(part.strip() for part in name.split(","))


def sampling_frame_kept(study: Study, by: Sequence[str]) -> SamplingFrame:
    return kept(study, "planboard", tuple(by), lambda: sampling_frame(study, by))


def label_plan(study: Study, spec: PlanSpec | None = None) -> dict[str, Any]:
    """Return how many more labels, in which strata, a study takes for what is asked; as a change of the study
    file; and whether it is enough now."""
    spec = spec or PlanSpec()
    spec.check()
    refuse_while_importing(study.pk)
    return kept(study, "plan", spec, lambda: _plan(study, spec))


def _plan(study: Study, spec: PlanSpec) -> dict[str, Any]:
    frame = sampling_frame_kept(study, spec.by)
    if not frame.arms:
        raise UserError("There is nothing to plan for: the study has no item of a task that counts.")
    planner = Planner(frame, spec)
    goals, allocation = planner.planned
    change = study_file_change(study, frame, allocation.labels.tolist())
    more = int(allocation.more.sum())
    per_item = _per_item(study, frame.draw)
    looks = monitored_rates(study, spec) if frame.gold >= ENOUGH else MonitoredRates({}, {})
    return {
        "study": study.slug,
        "width": spec.width,
        "level": spec.level,
        "finite": spec.finite,
        "apart": list(spec.apart or ()),
        "power": spec.power if spec.apart else None,
        "draw": frame.draw or None,
        "gold": frame.gold,
        "more": more,
        "raters_per_item": per_item,
        "labels": more * per_item,
        "hours": _hours(study, more * per_item),
        "out_of_reach": sum(goal.wanted is not None for goal in goals) - int(allocation.met.sum()),
        "rows": [
            _row(planner, goal, now, allocation.labels, looks)
            for goal, now in zip(goals, planner.goals(frame.labelled), strict=True)
        ],
        "strata": _strata(frame, allocation),
        "change": [{"key": key, "from": before, "to": after} for key, before, after in change.keys],
        "file": change.text,
        "how": change.sentence if more else "",
        "looking_cost": looking_cost(spec.level),
        "looking_labels": looking_cost(spec.level) ** 2,
        "basis": list(frame.basis),
    }


WIDTHS = (0.4, 0.3, 0.25, 0.2, 0.15, 0.12, 0.1, 0.08, 0.06, 0.05)


def width_curve(study: Study, spec: PlanSpec) -> list[dict[str, Any]]:
    """Return what each of some widths takes: items to label in all, and how many of the arms can get
    there."""
    spec.check()
    widths = sorted({*WIDTHS, spec.width}, reverse=True)
    return kept(study, "plan-curve", spec, lambda: [_point(study, spec, width) for width in widths])


def _point(study: Study, spec: PlanSpec, width: float) -> dict[str, Any]:
    goals, allocation = Planner(
        sampling_frame_kept(study, spec.by), replace(spec, width=width, apart=None)
    ).planned
    met = int(allocation.met.sum())
    return {
        "width": width,
        "more": int(allocation.more.sum()) if met else None,
        "arms": met,
        "of": len(goals),
    }


def _row(planner: Planner, goal: Goal, present: Goal, labels: Ints, looks: MonitoredRates) -> dict[str, Any]:
    """Return one goal's row: where it is now, what it takes by itself, what the whole plan brings, whether
    labelling may stop."""
    frame, spec = planner.frame, planner.spec
    now = present.variance(frame.labelled)
    alone = planner.allocate([goal]) if goal.wanted is not None else None
    met = bool(alone is not None and alone.met[0])
    least = goal.width(goal.variance(frame.sizes), spec.level)
    return {
        "arm": goal.name,
        "gold": goal.gold,
        "rate": goal.rate,
        "width": goal.width(now, spec.level) if goal.gold else None,
        "more": int(alone.more.sum()) if alone is not None and met else None,
        "planned_width": goal.width(goal.variance(np.maximum(labels, frame.labelled)), spec.level),
        "least_width": least,
        "reachable": met,
        "undefined": goal.why,
        "why": goal.why or ("" if met else _out_of_reach(least)),
        **looks.of(goal.arms, spec),
    }


def _out_of_reach(least: float | None) -> str:
    wide = "" if least is None else f" With a label on every item it is {100 * least:.1f} points wide, as"
    return (
        f"No number of labels brings it there.{wide} tasks differ: it takes more tasks, or is asked of these "
        "very items."
    )


def _strata(frame: SamplingFrame, allocation: Allocation) -> list[dict[str, Any]]:
    return [
        {
            "stratum": one.name,
            "items": one.items,
            "probability": one.probability,
            "drawn": one.drawn,
            "labelled": one.labelled,
            "waiting": max(0, one.drawn - one.labelled),
            "more": int(more),
            "to_draw": max(0, int(labels) - max(one.drawn, one.labelled)),
        }
        for one, labels, more in zip(frame.strata, allocation.labels, allocation.more, strict=True)
    ]


def _per_item(study: Study, draw: str) -> int:
    raters = study.draws.filter(name=draw).values_list("raters_per_item", flat=True).first()
    return int(raters or 1)


def _hours(study: Study, labels: int) -> float | None:
    """Return the hours that labels take at the median of the latest labels' active time; None where nobody's
    time is known."""
    if not labels:
        return None
    people = Rating.objects.filter(item__study=study, rater__kind=Rater.Kind.HUMAN)
    times = (
        people.filter(active_seconds__isnull=False).order_by("-pk").values_list("active_seconds", flat=True)
    )
    seconds = [float(one) for one in times[:SECONDS_FROM] if one is not None]
    return labels * median(seconds) / 3600 if seconds else None
