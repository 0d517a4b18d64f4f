"""Deleting a study whole, by the one door for append-only rows.

What it was made of stays: suites, responses, endpoints, judges and scorers, schemes, accounts. Files that
were exported, and backups made before, stay too.
"""

from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Model, QuerySet

from annotation.models import (
    AccessLink,
    Adjudication,
    Assignment,
    Draw,
    DrawnItem,
    Enrolment,
    Gold,
    Guideline,
    Item,
    Membership,
    Question,
    Rater,
    Rating,
    Referral,
    Serving,
    Skip,
    Stratum,
    Study,
    SuiteAccess,
    TrainingAnswer,
)
from arbiter.core.errors import UserError
from arbiter.core.jobfiles import remove_old_jobs
from arbiter.core.models import Job
from arbiter.core.purging import purge
from arbiter.core.statements import rows
from judging.models import (
    Attempt,
    Budget,
    GoldSplit,
    Reveal,
    Scorer,
    ScorerFailure,
    Settlement,
    SettlementVersion,
    StudyJudge,
    Verdict,
)

# Everything that is a study's own, by how it tells whose. Foreign keys are looked at when all of it is gone.
PARTS: Sequence[tuple[type[Model], str]] = [
    (Settlement, "item__study"),
    (SettlementVersion, "study"),
    (Reveal, "split__study"),
    (GoldSplit, "study"),
    (ScorerFailure, "item__study"),
    (Scorer.studies.through, "study"),
    (Attempt, "study_judge__study"),
    (Verdict, "item__study"),
    (Budget, "study"),
    (StudyJudge, "study"),
    (Adjudication, "item__study"),
    (Referral, "item__study"),
    (Gold, "item__study"),
    (Rating, "item__study"),
    (Skip, "item__study"),
    (Serving, "study"),
    (Assignment, "study"),
    (TrainingAnswer, "enrolment__study"),
    (Enrolment, "study"),
    (DrawnItem, "draw__study"),
    (Stratum, "draw__study"),
    (Draw, "study"),
    (Guideline, "study"),
    (Question, "study"),
    (Item, "study"),
    (AccessLink, "study"),
    (SuiteAccess, "study"),
    (Membership, "study"),
    (Rater, "study"),  # whom its files named
    (Job, "study"),
    (Study, "pk"),
]
AT_WORK = "{study}: {what}; wait until they are done, or cancel them, and delete it then."


def study_parts(studies: Sequence[Study]) -> dict[str, int]:
    """Count what a study's deletion takes away, by what it is; what there is none of is left out."""
    counts = {_named(model): _part(model, path, studies).count() for model, path in PARTS}
    return {name: count for name, count in counts.items() if count}


def delete_studies(studies: Sequence[Study], *, who: str, why: str) -> dict[str, int]:
    """Delete studies with all that is theirs, in one transaction, and return how many rows of what went.

    Of two studies whose judges took over each other's answers neither can go without the other.
    """
    named = ", ".join(study.slug for study in studies)
    try:
        with purge(who=who, what=f"study {named}", why=why) as removed:
            _lock(studies)
            _refuse_at_work(studies)
            _refuse_relied_on(studies)
            for model, path in PARTS:
                if count := _part(model, path, studies)._raw_delete(connection.alias):
                    removed[_named(model)] = count
            transaction.on_commit(remove_old_jobs)  # with the files of those that are gone
    except IntegrityError as error:
        raise UserError(f"Somebody wrote in {named} just now, so nothing was deleted; try again.") from error
    return removed


def _part(model: type[Model], path: str, studies: Sequence[Study]) -> QuerySet[Any]:
    keys = [study.pk for study in studies]
    return model._base_manager.filter(**{f"{path}__in": keys}).order_by()


def _named(model: type[Model]) -> str:
    return str(model._meta.verbose_name_plural)


def _lock(studies: Sequence[Study]) -> None:
    """Have whoever writes a label or claims a verdict wait; what they then look for is gone. SQLite has one
    writer anyway."""
    if not connection.features.has_select_for_update:
        return
    for study in studies:
        for table, whose in (
            ("annotation_study", "id = %s"),
            ("annotation_item", "study_id = %s"),
            ("judging_verdict", "item_id IN (SELECT id FROM annotation_item WHERE study_id = %s)"),
        ):
            locked = f"SELECT 1 FROM {table} WHERE {whose} FOR UPDATE"  # noqa: S608 - tables of ours
            rows(f"SELECT count(*) FROM ({locked}) locked", [study.pk])  # noqa: S608


def _refuse_at_work(studies: Sequence[Study]) -> None:
    for study in studies:
        jobs = Job.objects.of_study(study.pk).unfinished().count()
        asked = Verdict.objects.under_lease().filter(item__study=study).count()
        if jobs or asked:
            what = f"jobs at work on it: {jobs}, judges' verdicts being asked for: {asked}"
            raise UserError(AT_WORK.format(study=study.slug, what=what))


def _refuse_relied_on(studies: Sequence[Study]) -> None:
    """Refuse where another study's verdicts were read from answers that were given in one of these."""
    cached = Verdict.objects.filter(answer__study_judge__study__in=studies).exclude(item__study__in=studies)
    if other := cached.order_by("item__study__slug").values_list("item__study__slug", flat=True).first():
        named = " ".join([*(study.slug for study in studies), other])
        raise UserError(
            f"Verdicts of study {other!r} were read from answers that judges gave here; delete both at once: "
            f"study delete {named}."
        )
