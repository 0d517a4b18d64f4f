"""Tuning a judge: its template edited, and the new version asked on the tuning gold alone."""

from typing import Any

from django.db import connection, transaction

from annotation.golding import current
from annotation.models import Rater, Study
from benchmark.batching import batches
from benchmark.errors import UserError
from judging.calibration.goldsplit import is_sealed, split_of
from judging.models import StudyJudge, Verdict
from judging.panel.asking import uncancel
from judging.prompts import is_file
from judging.studies.applying import apply
from judging.studies.editing import LONGEST, Changed, spec_of, template_files
from judging.studies.file import study_of


def tuning_items(study: Study) -> list[int]:
    """Items with gold that prompts may be tuned on: outside the sealed part, and of no control task."""
    split = split_of(study)
    rows = current(study).filter(item__response__task__control=False)
    pairs = rows.order_by("item").values_list("item", "item__response__task")
    return [item for item, task in pairs if not is_sealed(split, task)]


def want_tuning(study: Study, study_judge: StudyJudge) -> int:
    """Make the verdict rows that are missing on the tuning gold; how many. Nothing else is wanted of the judge by it."""
    if not study_judge.active:
        raise UserError(
            f"{study_judge.judge} was replaced, and is asked no more; give its template back to ask it again."
        )
    if study_judge.status == StudyJudge.Status.PAUSED:
        raise UserError(f"{study_judge.judge} is paused; resume it, then ask again.")
    items = tuning_items(study)
    if not items:
        raise UserError(f"Study {study.slug!r} has no gold to tune on yet.")
    made = uncancel([study_judge])
    for repeat in range(study_judge.judge.repeats):
        made += sum(_want(study_judge, repeat, batch) for batch in batches(items, 500))
    return made


def _want(study_judge: StudyJudge, repeat: int, items: list[int]) -> int:
    there = Verdict.objects.filter(study_judge=study_judge, repeat=repeat, item__in=items)
    asked = set(there.values_list("item", flat=True))
    rows = [Verdict(item_id=pk, study_judge=study_judge, repeat=repeat) for pk in items if pk not in asked]
    Verdict.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def edit_template(study: Study, rater: Rater, text: str, before: str) -> StudyJudge:
    """Give the judge another template: its next version, beside the one before. `before` is the text that was edited.

    The study's document names a file of the judge's own then, whose text its newest version holds.
    """
    text, before = (one.replace("\r\n", "\n") for one in (text, before))
    if len(text) > LONGEST:
        raise UserError(f"The template has {len(text)} characters, more than the {LONGEST} a page takes.")
    with transaction.atomic():
        study = _locked(study)
        now = study.judges.filter(active=True, judge__rater=rater).select_related("judge").first()
        if now is None:
            raise UserError(f"{rater} is not asked in this study any more; edit the version that is.")
        if now.judge.template_text.replace("\r\n", "\n").strip() != before.strip():
            raise Changed("This template was changed after you opened this page. Nothing was saved.")
        if now.judge.template_text.strip() == text.strip():
            raise UserError("The template is as it was; change something to make a new version.")
        told, texts = _with_template(study, rater.name, now.judge.template_name, text)
        apply(study_of(told, texts), texts)
        return study.judges.select_related("judge__rater").get(active=True, judge__rater__name=rater.name)


def _locked(study: Study) -> Study:
    rows = Study.objects.select_related("scheme")
    if connection.features.has_select_for_update:
        rows = rows.select_for_update(no_key=True, of=("self",))
    return rows.get(pk=study.pk)


def _with_template(
    study: Study, name: str, template: str, text: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """The study's document with the judge's template replaced, and the texts of all files it names."""
    told = spec_of(study).model_dump(mode="json", exclude_defaults=True)
    judges = told.get("judges", [])
    mine = next((one for one in judges if one["name"] == name), None)
    if mine is None:
        raise UserError(f"The study's document has no judge {name!r}; apply its file by command.")
    shared = sum(one.get("template") == template for one in judges) > 1
    file = template if is_file(template) and not shared else f"{name}-prompt.txt"[-80:]
    mine["template"] = file
    return told, template_files(study) | {file: text}
