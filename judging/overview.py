"""How far a study is, in figures: for its page."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from annotation.models import Adjudication, Gold, Item, Rater, Rating, Skip, Study, newest
from annotation.raters import raters_of
from annotation.routing import slot_counts
from judging.models import Settlement, StudyJudge
from judging.asking import tally


@dataclass(frozen=True)
class JudgeProgress:
    study_judge: StudyJudge
    wanted: int
    states: dict[str, int]
    simulated: bool

    @property
    def finished(self) -> int:
        return sum(self.states.get(state, 0) for state in ("done", "unparsed", "refused", "failed"))

    @property
    def open(self) -> int:
        return self.states.get("todo", 0) + self.states.get("leased", 0)

    @property
    def missing(self) -> int:
        return max(0, self.wanted - self.finished - self.open)


def judges_progress(study: Study) -> list[JudgeProgress]:
    items = study.items.count()
    states = tally(study)
    judges = study.judges.filter(active=True).select_related("judge__rater", "judge__endpoint")
    return [
        JudgeProgress(
            sj, items * sj.judge.repeats, states.get(sj.pk, {}), rater_is_simulated(study, sj.judge.rater)
        )
        for sj in judges
    ]


def rater_is_simulated(study: Study, rater: Rater) -> bool:
    return Rating.objects.filter(item__study=study, rater=rater, simulated=True).exists()


def disputes(study: Study) -> QuerySet[Item]:
    """Items without a decision whose humans disagree, or whose voters tied when the study was last settled."""
    humans = Rating.objects.votes().filter(item=OuterRef("pk"), rater__kind=Rater.Kind.HUMAN)
    split = (
        humans.order_by().values("item").annotate(labels=Count("label", distinct=True)).filter(labels__gt=1)
    )
    tied = newest(Settlement.objects.filter(item=OuterRef("pk"))).filter(rule=Settlement.Rule.TIE)
    decided = Adjudication.objects.filter(item=OuterRef("pk"))
    return study.items.filter(~Exists(decided)).filter(Q(Exists(split)) | Q(Exists(tied))).order_by("pk")


def settlement_counts(study: Study) -> dict[str, int]:
    rows = (
        newest(Settlement.objects.filter(item__study=study))
        .order_by()
        .values_list("rule")
        .annotate(Count("pk"))
    )
    return dict(rows)


def overview(study: Study) -> dict[str, Any]:
    judges = judges_progress(study)
    rules = settlement_counts(study)
    opened = rules.get("tie", 0) + rules.get("unlabelled", 0)
    return {
        "items": study.items.count(),
        "judges": judges,
        "imported": [
            str(rater) for rater in raters_of(study).filter(definition="").exclude(kind=Rater.Kind.HUMAN)
        ],
        "judging": any(judge.open for judge in judges),
        "working": any(judge.states.get("leased") for judge in judges),
        "skips": Skip.objects.filter(item__study=study).count(),
        "judge_missing": sum(judge.missing for judge in judges),
        "failed": sum(judge.states.get("failed", 0) for judge in judges),
        "humans": slot_counts(study),
        "disputes": disputes(study).count(),
        "gold": newest(Gold.objects.filter(item__study=study)).count(),
        "settled": sum(rules.values()) - opened,
        "settled_open": opened,
        "rules": rules,
    }
