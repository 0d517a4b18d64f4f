"""How far a study is, in figures: for its page."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, QuerySet

from annotation.draws import slot_counts
from annotation.models import Gold, Rater, Rating, Skip, Study
from annotation.raters import raters_of
from arbiter.analysis.responseoutcomes import ending_counts, failed_responses
from arbiter.analysis.settlements import settlement_counts
from arbiter.core.countcache import remembered
from judging.models import ScorerFailure
from judging.settlement.disputes import disputes
from judging.settlement.rules import OPEN
from judging.votes.kept_figures import kept

KEPT_FOR = 30  # seconds


@dataclass(frozen=True)
class ScorerLabels:
    """What a program has labelled in a study."""

    rater: Rater
    source: str  # of its labels
    question: str
    labels: int
    failures: int


def scorer_labels(study: Study) -> list[ScorerLabels]:
    scorers = list(study.scorers.select_related("rater"))
    ours = {scorer.rater_id for scorer in scorers}
    others = list(raters_of(study).filter(kind=Rater.Kind.SCORER).exclude(pk__in=ours))
    raters = [scorer.rater for scorer in scorers] + others
    labels = _per(Rating.objects.filter(rater__in=raters), study, "rater")
    failures = _per(ScorerFailure.objects.filter(scorer__in=scorers), study, "scorer")
    scored = [
        ScorerLabels(
            one.rater, one.entry_point, one.question, labels.get(one.rater_id, 0), failures.get(one.pk, 0)
        )
        for one in scorers
    ]
    for rater in others:
        source = "a version that was replaced" if rater.definition else "imported with the responses"
        scored.append(ScorerLabels(rater, source, "", labels.get(rater.pk, 0), 0))
    return scored


def _per(rows: QuerySet[Any], study: Study, name: str) -> dict[int, int]:
    """Count the study's items by the key that `name` gives of a row."""
    counted = rows.filter(item__study=study).order_by().values_list(name)
    return dict(counted.annotate(Count("item", distinct=True)))


def imported_judges(study: Study) -> list[str]:
    return [str(rater) for rater in raters_of(study).filter(definition="", kind=Rater.Kind.JUDGE)]


def overview(study: Study) -> dict[str, Any]:
    """Return all of the study page's figures but the judges', which are asked for every few seconds."""
    gone = failed_responses(study).count()  # of a collection, which the ledgers don't tell of
    counts = kept(study, "overview", gone, lambda: _counts(study))
    opened = sum(counts["rules"].get(rule, 0) for rule in OPEN)
    items = study.items.count()
    return {
        "items": items,
        "asked": items + counts["ended"]["failed"],
        # Whether somebody with many ratings elsewhere has none here takes long to find out.
        "imported": remembered(f"imported:{study.pk}", lambda: imported_judges(study), seconds=KEPT_FOR),
        "scorers": remembered(f"scorers:{study.pk}", lambda: scorer_labels(study), seconds=KEPT_FOR),
        "skips": Skip.objects.filter(item__study=study).count(),
        "settled": sum(counts["rules"].values()) - opened,
        "settled_open": opened,
        **counts,
    }


def _counts(study: Study) -> dict[str, Any]:
    """Count what takes long to count in a large study."""
    return {
        "humans": slot_counts(study),
        "disputes": disputes(study).count(),
        "gold": Gold.objects.current_in(study).count(),
        "rules": settlement_counts(study),
        "ended": ending_counts(study),
    }
