"""Tuning a judge: its newest version asked on the tuning gold alone."""

from annotation.models import Gold, Study
from arbiter.core.batching import batches
from arbiter.core.errors import UserError
from benchmark.importunderway import refuse_while_importing
from judging.models import StudyJudge, Verdict
from judging.panel.wanted_verdicts import uncancel
from judging.votes.goldsplit import is_sealed, split_of


def tuning_items(study: Study) -> list[int]:
    """Return the items with gold that prompts may be tuned on:
    outside the sealed part, and of no control task."""
    split = split_of(study)
    rows = Gold.objects.current_in(study).filter(item__response__task__control=False)
    pairs = rows.order_by("item").values_list("item", "item__response__task")
    return [item for item, task in pairs if not is_sealed(split, task)]


def want_tuning(study: Study, study_judge: StudyJudge) -> int:
    """Make the verdict rows that are missing on the tuning gold; how many.
    Nothing else is wanted of the judge by it."""
    if not study_judge.active:
        raise UserError(
            f"{study_judge.judge} was replaced, and is asked no more; give its template back to ask it again."
        )
    if study_judge.status == StudyJudge.Status.PAUSED:
        raise UserError(f"{study_judge.judge} is paused; resume it, then ask again.")
    refuse_while_importing(study.pk)
    items = tuning_items(study)
    if not items:
        raise UserError(f"Study {study.slug!r} has no gold to tune on yet.")
    count = uncancel([study_judge])
    for repeat in range(study_judge.judge.repeats):
        count += sum(_want(study_judge, repeat, batch) for batch in batches(items, 500))
    return count


def _want(study_judge: StudyJudge, repeat: int, items: list[int]) -> int:
    there = Verdict.objects.filter(study_judge=study_judge, repeat=repeat, item__in=items)
    asked = set(there.values_list("item", flat=True))
    rows = [Verdict(item_id=pk, study_judge=study_judge, repeat=repeat) for pk in items if pk not in asked]
    Verdict.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)
