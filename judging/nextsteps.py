"""What to do next in a study, in order: one plain sentence each, with where to do it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef
from django.urls import NoReverseMatch, reverse

from annotation.models import Assignment, Gold, Membership, Purpose, Study
from benchmark.errors import UserError
from benchmark.remembering import remembered
from judging.keeping import kept
from judging.models import GoldSplit
from judging.panel.progress import Progress
from judging.planning.budget import Asked, plan

KEPT_FOR = 30  # seconds
WIDTHS = (0.3, 0.25, 0.2, 0.15, 0.1, 0.07, 0.05)  # that a plan may aim at
NARROWER = 0.85  # of its present width is what an interval is brought to at least


@dataclass(frozen=True)
class Step:
    text: str
    address: str = ""
    where: str = ""  # the words of the link


def next_steps(study: Study, found: Mapping[str, Any], progress: Progress) -> list[Step]:
    """From what the overview has counted. The plan's own step takes longer and is asked for by itself (`plan_step`)."""
    steps = [*_judging(study, progress), *_labelling(study, found), *_settling(study, found)]
    return steps or [
        Step("Nothing waits: every label that was asked for is in.", *_to(study, "study-report", "Report"))
    ]


def _to(study: Study, name: str, words: str, tail: str = "") -> tuple[str, str]:
    try:
        return reverse(name, args=[study.slug]) + tail, words
    except NoReverseMatch:
        return "", ""


def _judging(study: Study, progress: Progress) -> Iterator[Step]:
    if not progress.judges and not progress.replaced:
        if not study.items.filter(judge_votes__gt=0)[:1]:
            yield Step(
                "No judge labels here yet: name some in the study file.", *_to(study, "study-edit", "Edit")
            )
        return
    if progress.missing:
        yield Step(
            f"{_count(progress.missing, 'verdict is', 'verdicts are')} still to be asked for.",
            *_to(study, "study", "Judges", "#judges"),
        )
    if progress.reached:
        yield Step(
            "The judges stopped at the study's cap; raise it to go on.", *_to(study, "study-costs", "Costs")
        )
    if progress.total.failed:
        yield Step(
            f"{_count(progress.total.failed, 'verdict', 'verdicts')} failed and can be asked for again.",
            *_to(study, "study", "Judges", "#judges"),
        )


def _labelling(study: Study, found: Mapping[str, Any]) -> Iterator[Step]:
    people, gold = found["humans"], found["gold"]
    draws = remembered(f"drawn:{study.pk}", lambda: _draws(study), seconds=KEPT_FOR)
    if not draws:
        yield Step(
            "Nothing is drawn for people, so no rate can be corrected: plan how many labels you need, and draw them.",
            *_to(study, "study-plan", "Plan"),
        )
    labellers = (Membership.Role.RATER, Membership.Role.EXPERT)
    if draws and not study.memberships.filter(role__in=labellers).exists():
        yield Step(
            "Items are drawn for people, but nobody is invited to label them.",
            *_to(study, "study-people", "People"),
        )
    open_places = people["slots"] - people["filled"]
    if open_places:
        yield Step(
            f"{_count(open_places, 'place waits', 'places wait')} for a rater's label.",
            *_to(study, "study-labelling", "Labelling"),
        )
    waiting = kept(study, "gold-waiting", None, lambda: _gold_waiting(study))
    if waiting:
        yield Step(
            f"{_count(waiting, 'item drawn for experts waits', 'items drawn for experts wait')} for gold.",
            *_to(study, "study-gold", "Gold"),
        )
    if gold and not GoldSplit.objects.filter(study=study).exists() and study.judges.exists():
        yield Step("Split the gold before tuning a judge on it, so that a part stays unseen.", *_split(study))


def _split(study: Study) -> tuple[str, str]:
    to = _to(study, "study-judges", "Judges")
    return to if to[0] else _to(study, "study-gold", "Gold")


def _draws(study: Study) -> tuple[str, ...]:
    return tuple(study.draws.values_list("name", flat=True))


def _gold_waiting(study: Study) -> int:
    places = Assignment.objects.filter(study=study, purpose=Purpose.GOLD).exclude(state=Assignment.State.DONE)
    return (
        places.filter(~Exists(Gold.objects.filter(item=OuterRef("item")))).values("item").distinct().count()
    )


def _settling(study: Study, found: Mapping[str, Any]) -> Iterator[Step]:
    if found["disputes"]:
        waiting = f"{_count(found['disputes'], 'dispute waits', 'disputes wait')} for a decision."
        viewer = getattr(study, "role", "") == Membership.Role.VIEWER
        yield Step(waiting, *(("", "") if viewer else _to(study, "adjudicate", "Adjudicate")))
    voted = found["humans"]["filled"] or study.items.exclude(votes="")[:1]
    if voted and not found["rules"]:
        yield Step(
            "Nothing has a final label yet: settle the study.", *_to(study, "study-settlement", "Settlement")
        )
    unsettled = found["items"] - sum(found["rules"].values())
    if found["rules"] and unsettled:
        yield Step(
            f"{_count(unsettled, 'item has', 'items have')} come since the study was settled: settle it again.",
            *_to(study, "study-settlement", "Settlement"),
        )


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


# What the plan would say


def plan_step(study: Study) -> Step | None:
    """The labels that make the widest interval a good deal narrower; none where nothing would."""
    for finite in (False, True):
        try:
            rows = plan(study, Asked(finite=finite))["rows"]
        except UserError:
            return None
        known = [row for row in rows if row["width"] is not None]
        for row in sorted(known, key=lambda one: -float(one["width"])):
            goals = [goal for goal in WIDTHS if (row["least_width"] or 0.0) < goal < NARROWER * row["width"]]
            if goals:
                return _narrower(study, row["arm"], goals[0], finite)
    return None


def _narrower(study: Study, arm: str, goal: float, finite: bool) -> Step | None:
    found = plan(study, Asked(width=goal, arms=(arm,), finite=finite))
    if not found["more"]:
        return None
    strata = [row for row in found["strata"] if row["more"]]
    most = max(strata, key=lambda row: int(row["more"]))
    which = (
        f", {most['more']:,} of them in stratum {most['stratum']},"
        if len(strata) > 1
        else f" in stratum {most['stratum']}"
    )
    labels = _count(found["more"], "more gold label", "more gold labels") + (
        which if len(found["strata"]) > 1 else ""
    )
    of = " among these very items" if finite else ""
    query = f"?width={100 * goal:g}" + ("&estimand=items" if finite else "")
    brings = "brings" if found["more"] == 1 else "bring"
    text = f"{labels} {brings} the interval of {arm}{of} to {100 * goal:g} points."
    return Step(text, *_to(study, "study-plan", "Plan", query))
