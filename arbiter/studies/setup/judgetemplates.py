"""Editing a judge's template: the study's document applied with it, which makes the judge's next version."""

from typing import Any

from django.db import connection, transaction

from annotation.models import Rater, Study
from arbiter.core.errors import UserError
from arbiter.core.yamlfile import LONGEST_FROM_A_PAGE
from arbiter.studies.setup.applying import apply
from arbiter.studies.setup.studydocument import spec_of, template_files
from arbiter.studies.setup.studyedits import EditConflict
from arbiter.studies.setup.studyfile import study_of
from judging.models import StudyJudge
from judging.prompts import is_file


def edit_template(study: Study, rater: Rater, text: str, before: str) -> StudyJudge:
    """Give the judge another template: its next version, beside the one before. `before` is what was edited.

    The study's document names a file of the judge's own then, whose text its newest version holds.
    """
    text, before = text.replace("\r\n", "\n"), before.replace("\r\n", "\n")
    if len(text) > LONGEST_FROM_A_PAGE:
        raise UserError(
            f"The template has {len(text)} characters, more than the {LONGEST_FROM_A_PAGE} a page takes."
        )
    with transaction.atomic():
        study = _locked(study)
        now = study.judges.filter(active=True, judge__rater=rater).select_related("judge").first()
        if now is None:
            raise UserError(f"{rater} is not asked in this study any more; edit the version that is.")
        if now.judge.template_text.replace("\r\n", "\n").strip() != before.strip():
            raise EditConflict("This template was changed after you opened this page. Nothing was saved.")
        if now.judge.template_text.strip() == text.strip():
            raise UserError("The template is as it was; change something to make a new version.")
        contents, texts = _with_template(study, rater.name, now.judge.template_name, text)
        apply(study_of(contents, texts), texts)
        return study.judges.select_related("judge__rater").get(active=True, judge__rater__name=rater.name)


def _locked(study: Study) -> Study:
    rows = Study.objects.select_related("scheme")
    if connection.features.has_select_for_update:
        rows = rows.select_for_update(no_key=True, of=("self",))
    return rows.get(pk=study.pk)


def _with_template(
    study: Study, name: str, template: str, text: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the study's document with the judge's template replaced, and the texts of all files it names."""
    contents = spec_of(study).model_dump(mode="json", exclude_defaults=True)
    judges = contents.get("judges", [])
    judge_contents = next((judge for judge in judges if judge["name"] == name), None)
    if judge_contents is None:
        raise UserError(f"The study's document has no judge {name!r}; apply its file by command.")
    shared = sum(judge.get("template") == template for judge in judges) > 1
    file = template if is_file(template) and not shared else f"{name}-prompt.txt"[-80:]
    judge_contents["template"] = file
    return contents, template_files(study) | {file: text}
