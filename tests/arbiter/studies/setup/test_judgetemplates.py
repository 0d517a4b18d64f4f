"""Editing a judge's template: the next version beside the one before, and the study's document follows."""

import pytest

from arbiter.core.errors import UserError
from arbiter.studies.setup.judgetemplates import edit_template
from arbiter.studies.setup.studydocument import as_yaml, document, spec_from_text, template_files, version_of
from arbiter.studies.setup.studyedits import EditConflict, save_edit
from judging.models import Verdict
from judging.prompts import template_text
from tests.judging.described import described_study, edited, of, text_of

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


@pytest.fixture
def study(db):
    return described_study()


def test_a_new_version_beside_the_old(study):
    old = of(study, "careful")
    made = edited(study)
    assert (made.judge.rater.name, made.judge.rater.version) == ("careful", 2)
    assert (
        made.judge.template_text.endswith("Think twice.\n")
        and made.judge.template_name == "careful-prompt.txt"
    )
    old.refresh_from_db()
    assert not old.active and old.judge.template_text == template_text("scheme-json")
    assert of(study, "noisy").judge.rater.version == 1
    assert not Verdict.objects.exists()


def test_the_document_still_describes_the_study(study, cast):
    """What the editor then saves changes nothing."""
    edited(study)
    study.refresh_from_db()
    assert template_files(study) == {"careful-prompt.txt": text_of(study)}
    text = as_yaml(document(study))
    assert "careful-prompt.txt" in text
    save_edit(spec_from_text(text, study), cast["owner"], study, version_of(study))
    assert of(study, "careful").judge.rater.version == 2
    edited(study)
    assert of(study, "careful").judge.rater.version == 3
    assert of(study, "careful").judge.template_name == "careful-prompt.txt"


def test_going_back_is_the_version_there_was(study):
    first = text_of(study)
    edited(study)
    edited(study, first)
    assert of(study, "careful").judge.template_text == first


def test_line_ends_of_a_browser_change_nothing(study):
    before = text_of(study).replace("\n", "\r\n")
    made = edited(study, before + "\r\nThink twice.", before=before)
    assert "\r" not in made.judge.template_text
    with pytest.raises(UserError, match="as it was"):
        edited(study, text_of(study).replace("\n", "\r\n"))


def test_of_two_who_edit_the_second_is_told(study):
    before = text_of(study)
    edited(study)
    with pytest.raises(EditConflict, match="changed after you opened"):
        edited(study, before + "\nOther.\n", before=before)
    old = study.judges.get(active=False).judge.rater
    current = of(study, "careful")
    assert old.pk != current.judge.rater_id
    with pytest.raises(UserError, match="not asked in this study any more"):
        edit_template(study, old, "new", before)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Say something.", "is missing"),
        ("{{ task }} {{ response }} {{ label_keys }} {{ secret }}", "unknown placeholder"),
        ("---\nanswer: maybe\n---\n{{ task }} {{ response }} {{ label_keys }}", "header"),
        ("x" * 300_001, "more than the 300000"),
    ],
)
def test_a_template_that_can_not_be_asked_is_refused(study, text, said):
    with pytest.raises(UserError, match=said):
        edited(study, text)
    assert of(study, "careful").judge.rater.version == 1
