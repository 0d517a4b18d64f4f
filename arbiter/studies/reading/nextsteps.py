"""What to do next in a study, in order: one plain sentence each, with the name of the place."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.db.models import Exists, OuterRef

from annotation.models import Assignment, Gold, Membership, PlacePurpose, Study
from arbiter.analysis.planning.labelplan import label_plan
from arbiter.analysis.planning.planspec import PlanSpec
from arbiter.analysis.steps import Step, StepPlace
from arbiter.core.countcache import remembered
from arbiter.core.errors import UserError
from judging.models import GoldSplit
from judging.panel.verdict_progress import PanelProgress
from judging.votes.kept_figures import kept

KEPT_FOR = 30  # seconds
WIDTHS = (0.3, 0.25, 0.2, 0.15, 0.1, 0.07, 0.05)  # that a plan may aim at
NARROWER = 0.85  # of its present width is what an interval is brought to at least


def next_steps(study: Study, overview: Mapping[str, Any], progress: PanelProgress) -> list[Step]:
    """Return the next steps, from what the overview has counted.

    The plan's own step takes longer and is asked for by itself (`plan_step`).
    """
    steps = [*_judging(study, progress), *_labelling(study, overview), *_settling(study, overview)]
    return steps or [Step("Nothing waits: every label that was asked for is in.", StepPlace.REPORT)]


def _judging(study: Study, progress: PanelProgress) -> Iterator[Step]:
    if not progress.judges and not progress.replaced:
        if not study.items.filter(judge_votes__gt=0)[:1]:
            yield Step("No judge labels here yet: name some in the study file.", StepPlace.EDITING)
        return
    if progress.missing:
        yield Step(
            f"{_count(progress.missing, 'verdict is', 'verdicts are')} still to be asked for.",
            StepPlace.JUDGING,
        )
    if progress.reached:
        yield Step("The judges stopped at the study's cap; raise it to go on.", StepPlace.COSTS)
    if progress.total.failed:
        yield Step(
            f"{_count(progress.total.failed, 'verdict', 'verdicts')} failed and can be asked for again.",
            StepPlace.JUDGING,
        )


def _labelling(study: Study, overview: Mapping[str, Any]) -> Iterator[Step]:
    people, gold = overview["humans"], overview["gold"]
    draws = remembered(f"drawn:{study.pk}", lambda: _draws(study), seconds=KEPT_FOR)
    if not draws:
        yield Step(
            "Nothing is drawn for people, so no rate can be corrected: "
            "plan how many labels you need, and draw them.",
            StepPlace.PLAN,
        )
    labellers = (Membership.Role.RATER, Membership.Role.EXPERT)
    if draws and not study.memberships.filter(role__in=labellers).exists():
        yield Step(
            "Items are drawn for people, but nobody is invited to label them.",
            StepPlace.PEOPLE,
        )
    open_places = people["slots"] - people["filled"]
    if open_places:
        yield Step(
            f"{_count(open_places, 'place waits', 'places wait')} for a rater's label.",
            StepPlace.LABELLING,
        )
    waiting = kept(study, "gold-waiting", None, lambda: _gold_waiting(study))
    if waiting:
        yield Step(
            f"{_count(waiting, 'item drawn for experts waits', 'items drawn for experts wait')} for gold.",
            StepPlace.GOLD,
        )
    if gold and not GoldSplit.objects.filter(study=study).exists() and study.judges.exists():
        yield Step(
            "Split the gold before tuning a judge on it, so that a part stays unseen.", StepPlace.JUDGES
        )


def _draws(study: Study) -> tuple[str, ...]:
    return tuple(study.draws.values_list("name", flat=True))


def _gold_waiting(study: Study) -> int:
    places = Assignment.objects.filter(study=study, purpose=PlacePurpose.GOLD).unfinished()
    return (
        places.filter(~Exists(Gold.objects.filter(item=OuterRef("item")))).values("item").distinct().count()
    )


def _settling(study: Study, overview: Mapping[str, Any]) -> Iterator[Step]:
    if overview["disputes"]:
        waiting = f"{_count(overview['disputes'], 'dispute waits', 'disputes wait')} for a decision."
        yield Step(waiting, StepPlace.ADJUDICATION)
    voted = overview["humans"]["filled"] or study.items.voted_on()[:1]
    if voted and not overview["rules"]:
        yield Step("Nothing has a final label yet: settle the study.", StepPlace.SETTLEMENT)
    unsettled = overview["items"] - sum(overview["rules"].values())
    if overview["rules"] and unsettled:
        came = _count(unsettled, "item has", "items have")
        yield Step(f"{came} come since the study was settled: settle it again.", StepPlace.SETTLEMENT)


def _count(number: int, singular: str, plural: str) -> str:
    return f"{number:,} {singular if number == 1 else plural}"


# What the plan would say


def plan_step(study: Study) -> Step | None:
    """Return the labels that make the widest interval a good deal narrower; None where nothing would."""
    for finite in (False, True):
        try:
            rows = label_plan(study, PlanSpec(finite=finite))["rows"]
        except UserError:
            return None
        known = [row for row in rows if row["width"] is not None]
        for row in sorted(known, key=lambda row: -float(row["width"])):
            goals = [goal for goal in WIDTHS if (row["least_width"] or 0.0) < goal < NARROWER * row["width"]]
            if goals:
                return _narrower(study, row["arm"], goals[0], finite)
    return None


def _narrower(study: Study, arm: str, goal: float, finite: bool) -> Step | None:
    narrower = label_plan(study, PlanSpec(width=goal, arms=(arm,), finite=finite))
    if not narrower["more"]:
        return None
    strata = [row for row in narrower["strata"] if row["more"]]
    most = max(strata, key=lambda row: int(row["more"]))
    which = (
        f", {most['more']:,} of them in stratum {most['stratum']},"
        if len(strata) > 1
        else f" in stratum {most['stratum']}"
    )
    labels = _count(narrower["more"], "more gold label", "more gold labels") + (
        which if len(narrower["strata"]) > 1 else ""
    )
    of = " among these very items" if finite else ""
    query = {"width": f"{100 * goal:g}"} | ({"estimand": "items"} if finite else {})
    brings = "brings" if narrower["more"] == 1 else "bring"
    text = f"{labels} {brings} the interval of {arm}{of} to {100 * goal:g} points."
    return Step(text, StepPlace.PLAN, query)
