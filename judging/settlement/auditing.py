"""A random share of what was settled by votes alone goes to people, to see how often it is wrong.

It is a draw of its own, named `audit`. Its frame is what settlings with an audit accepted, a stratum for
each; an item stays in the stratum it came in by, and is judged by the label that settling gave it.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import Count, F, Q

from annotation.draws import ACCEPTED_FRAME, frame_more, one_at_a_time, raise_share
from annotation.models import (
    Adjudication,
    Draw,
    DrawnItem,
    Item,
    Label,
    Rater,
    Rating,
    Study,
)
from arbiter.core.errors import UserError
from arbiter.core.text import digest
from arbiter.statistics import Undefined
from arbiter.statistics.posteriors import WeightedShare, weighted_share
from judging.models import Settlement, SettlementVersion
from judging.settlement.disputes import leading
from judging.settlement.rules import ACCEPTED

NAME = "audit"
AT_ONCE = 500


def check_audit(study: Study, share: float) -> None:
    """Raise UserError where there can be no such audit, before anything is settled."""
    if not 0 <= share <= 1:
        raise UserError(f"The audit share is a part of what is accepted, from 0 to 1, not {share:g}.")
    draw = audit_of(study)
    if share and draw and draw.plan.get("frame") != ACCEPTED_FRAME["frame"]:
        raise UserError(f"The study has a draw {NAME!r} of another kind, so there can be no audit.")


@transaction.atomic
def draw_audit(study: Study, version: SettlementVersion, share: float) -> dict[str, Any]:
    """Draw a share of what is settled by votes alone and is not in the audit's frame yet; each item drawn
    gets one more place for a rater. A share that grew draws more of the earlier strata too; one that shrank
    undraws nobody."""
    one_at_a_time(study)
    draw = audit_of(study) or Draw.objects.create(
        study=study,
        name=NAME,
        frame="items that a settlement accepted by votes alone",
        plan=ACCEPTED_FRAME,
        seed=int(digest(NAME, study.slug)[:15], 16),
        raters_per_item=1,
    )
    accepted = study.items.filter(final_rule__in=ACCEPTED)
    stratum = f"version {version.number}"
    for name in [*draw.strata.values_list("name", flat=True), stratum]:
        raise_share(draw, name, share)
    frame_more(draw, accepted, stratum)
    counts = DrawnItem.objects.filter(draw=draw).aggregate(
        frame=Count("pk"), drawn=Count("pk", filter=Q(number__lt=F("probability")))
    )
    return {"share": share, **counts}


def audit_of(study: Study) -> Draw | None:
    return study.draws.filter(name=NAME).first()


# What the audit says


@dataclass(frozen=True)
class WrongLabel:
    """An item whose label people do not confirm."""

    key: str
    settled: Label
    people: Label
    adjudicated: bool


@dataclass(frozen=True)
class Audit:
    """Shares are of what the audit's settlings accepted, estimated from what was drawn and labelled since."""

    frame: int
    drawn: int
    labelled: int
    undecided: int  # labelled by people who differ
    claimed: float | None  # share of wrong labels by their posteriors
    wrong: WeightedShare | None
    role: WeightedShare | None  # wrong in what counts: target, other or excluded
    reason: str = ""  # why there is no share yet
    simulated: bool = False
    items: list[WrongLabel] = field(default_factory=list)


@dataclass(frozen=True)
class _CheckedItem:
    item: int
    stratum: str
    task: int
    settled: int
    chance: float | None
    people: int
    adjudicated: bool


def audit(study: Study) -> Audit | None:
    """Return what the study's audit says so far; None where none was drawn.
    An adjudicator's decision counts for more than the raters'."""
    draw = audit_of(study)
    if draw is None:
        return None
    frame = dict(draw.framed.order_by().values_list("stratum").annotate(Count("pk")))
    drawn = list(draw.framed.drawn().values_list("item", "stratum", "item__response__task"))
    said, undecided, simulated = _said(study, drawn)
    checked = _checked(drawn, said)
    labels = Label.objects.in_bulk({one.settled for one in checked} | {one.people for one in checked})
    rows = _weighted(checked, frame)
    wrong = np.asarray([one.settled != one.people for one in checked], dtype=bool)
    role = np.asarray([labels[one.settled].role != labels[one.people].role for one in checked], dtype=bool)
    tasks = np.asarray([one.task for one in checked], dtype=np.int64)
    chances = [one.chance for one in checked]
    claimed = (
        None
        if not checked or None in chances
        else float(1 - np.average(np.asarray(chances, float), weights=rows))
    )
    names = dict(
        Item.objects.filter(pk__in=[one.item for one in checked if one.settled != one.people]).values_list(
            "pk", "key"
        )
    )
    return Audit(
        sum(frame.values()),
        len(drawn),
        len(checked),
        undecided,
        claimed,
        _share(wrong, rows, tasks),
        _share(role, rows, tasks),
        reason="" if checked else "nobody has labelled any of it yet",
        simulated=simulated,
        items=[
            WrongLabel(names[one.item], labels[one.settled], labels[one.people], one.adjudicated)
            for one in checked
            if one.item in names
        ],
    )


def _share(hits: Any, weights: Any, tasks: Any) -> WeightedShare | None:
    try:
        return weighted_share(hits, weights, tasks)
    except Undefined:
        return None


def _weighted(checked: Sequence[_CheckedItem], frame: Mapping[str, int]) -> Any:
    """Return how many items of its stratum each checked item stands for. Items are served in the order of
    their random numbers, so those labelled are a random part of their stratum."""
    labelled = Counter(one.stratum for one in checked)
    return np.asarray([frame[one.stratum] / labelled[one.stratum] for one in checked], dtype=np.float64)


def _said(study: Study, drawn: Sequence[Any]) -> tuple[dict[int, tuple[int, bool]], int, bool]:
    """Return by item what people say who first labelled it after it was accepted, and whether an adjudicator
    decided; how many are undecided; whether any of them is simulated."""
    since = {f"version {one.number}": one.created_at for one in study.settlement_versions.all()}
    accepted = {item: since[stratum] for item, stratum, _ in drawn}
    of_audit = DrawnItem.objects.drawn().filter(draw__study=study, draw__name=NAME).values("item")
    ratings = Rating.objects.given_as_votes().filter(item__in=of_audit, rater__kind=Rater.Kind.HUMAN)
    firsts = ratings.filter(revision=1).values_list("item", "rater", "created_at")
    later = {(item, rater) for item, rater, at in firsts if at > accepted[item]}
    votes: dict[int, Counter[int]] = defaultdict(Counter)
    for item, rater, label in ratings.votes().values_list("item", "rater", "label"):
        if (item, rater) in later:
            votes[item][label] += 1
    decided = dict(Adjudication.objects.filter(item__in=of_audit).newest().values_list("item", "label"))
    opinions = {item: (decided.get(item, leading(said)), item in decided) for item, said in votes.items()}
    simulated = any(place in later for place in ratings.filter(simulated=True).values_list("item", "rater"))
    clear = {item: (label, by) for item, (label, by) in opinions.items() if label is not None}
    return clear, len(opinions) - len(clear), simulated


def _checked(drawn: Sequence[Any], said: Mapping[int, tuple[int, bool]]) -> list[_CheckedItem]:
    """Return the labelled items with the label that each was accepted with:
    the last one by votes alone up to its stratum's version."""
    numbers = {item: int(stratum.rpartition(" ")[2]) for item, stratum, _ in drawn}
    accepted: dict[int, tuple[int, float | None]] = {}
    labelled = sorted(said)
    for start in range(0, len(labelled), AT_ONCE):
        part = labelled[start : start + AT_ONCE]
        rows = Settlement.objects.filter(item__in=part, rule__in=ACCEPTED).history()
        for item, label, posterior, number in rows.values_list(
            "item", "label", "posterior", "version__number"
        ):
            if label and (number is None or number <= numbers[item]):
                accepted[item] = label, max(posterior.values(), default=None)
    return [
        _CheckedItem(item, stratum, task, *accepted[item], *said[item])
        for item, stratum, task in drawn
        if item in said and item in accepted
    ]
