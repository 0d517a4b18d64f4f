"""How far a study is, in figures: for its page."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, QuerySet

from annotation.draws import slot_counts
from annotation.models import Gold, Rater, Rating, Skip, Study, newest
from annotation.raters import raters_of
from benchmark.remembering import remembered
from judging.keeping import kept
from judging.models import ScorerFailure
from judging.settlement.disputes import disputes
from judging.settlement.rules import OPEN

KEPT_FOR = 30  # seconds


def rater_is_simulated(study: Study, rater: Rater) -> bool:
    return Rating.objects.filter(item__study=study, rater=rater, simulated=True).exists()


def settlement_counts(study: Study) -> dict[str, int]:
    """By rule, as items keep it of their newest settlement."""
    rows = study.items.exclude(final_rule="").order_by().values_list("final_rule")
    return dict(rows.annotate(Count("pk")))


@dataclass(frozen=True)
class Scored:
    """What a program has labelled in a study."""

    rater: Rater
    source: str  # of its labels
    question: str
    labels: int
    failures: int


def scored(study: Study) -> list[Scored]:
    scorers = list(study.scorers.select_related("rater"))
    ours = {scorer.rater_id for scorer in scorers}
    others = list(raters_of(study).filter(kind=Rater.Kind.SCORER).exclude(pk__in=ours))
    raters = [scorer.rater for scorer in scorers] + others
    labels = _per(Rating.objects.filter(rater__in=raters), study, "rater")
    failures = _per(ScorerFailure.objects.filter(scorer__in=scorers), study, "scorer")
    found = [
        Scored(one.rater, one.entry_point, one.question, labels.get(one.rater_id, 0), failures.get(one.pk, 0))
        for one in scorers
    ]
    for rater in others:
        source = "a version that was replaced" if rater.definition else "imported with the responses"
        found.append(Scored(rater, source, "", labels.get(rater.pk, 0), 0))
    return found


def _per(rows: QuerySet[Any], study: Study, name: str) -> dict[int, int]:
    """Items of the study by whose they are."""
    found = rows.filter(item__study=study).order_by().values_list(name)
    return dict(found.annotate(Count("item", distinct=True)))


def imported(study: Study) -> list[str]:
    return [str(rater) for rater in raters_of(study).filter(definition="", kind=Rater.Kind.JUDGE)]


def overview(study: Study) -> dict[str, Any]:
    """All of the page's figures but the judges', which are asked for every few seconds."""
    counts = kept(study, "overview", None, lambda: _counts(study))
    opened = sum(counts["rules"].get(rule, 0) for rule in OPEN)
    return {
        "items": study.items.count(),
        # Whether somebody with many ratings elsewhere has none here takes long to find out.
        "imported": remembered(f"imported:{study.pk}", lambda: imported(study), seconds=KEPT_FOR),
        "scorers": remembered(f"scorers:{study.pk}", lambda: scored(study), seconds=KEPT_FOR),
        "skips": Skip.objects.filter(item__study=study).count(),
        "settled": sum(counts["rules"].values()) - opened,
        "settled_open": opened,
        **counts,
    }


def _counts(study: Study) -> dict[str, Any]:
    """What takes long to count in a large study."""
    return {
        "humans": slot_counts(study),
        "disputes": disputes(study).count(),
        "gold": newest(Gold.objects.filter(item__study=study)).count(),
        "rules": settlement_counts(study),
    }
