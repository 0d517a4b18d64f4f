"""The loop: a template is edited, the new version is asked on the tuning gold alone, then the two are compared."""

import pytest

from benchmark.errors import UserError
from benchmark.models import Endpoint
from judging.calibration.comparing import compare
from judging.calibration.goldsplit import is_sealed, split_gold, split_of
from judging.models import Verdict
from judging.panel.asking import pause
from judging.panel.run import judge_study
from judging.panel.tuning import edit_template, tuning_items, want_tuning
from judging.prompts import template_text
from judging.studies.applying import apply
from judging.studies.editing import (
    Changed,
    as_yaml,
    document,
    save,
    spec_from_text,
    template_files,
    version_of,
)
from judging.studies.file import study_of
from tests import builders
from tests.commands import as_json, refusal
from tests.judging.calibrated import golden
from tests.judging.helpers import CLOSED, endpoint, judge

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


@pytest.fixture
def study(db):
    """Described by a document, as studies from files are."""
    of = builders.suite("tiny", 6)
    for task in of.tasks.all():
        for epoch in (1, 2):
            builders.response(builders.run(of), task, epoch)
    judges = [
        {"name": name, "endpoint": "local", "model": f"sim-judge-{name}"} for name in ("careful", "noisy")
    ]
    told = {
        "study": "tiny", "suite": "tiny", "endpoints": [{"name": "local", "base_url": CLOSED}], "judges": judges,
    }  # fmt: skip
    return apply(study_of(told, {})).study


def of(study, name):
    return study.judges.select_related("judge__rater").get(active=True, judge__rater__name=name)


def text_of(study, name="careful"):
    return of(study, name).judge.template_text


def edited(study, text=None, name="careful", before=None):
    mine = of(study, name)
    before = mine.judge.template_text if before is None else before
    return edit_template(study, mine.judge.rater, text or before + "\nThink twice.\n", before)


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
    save(spec_from_text(text, study), cast["owner"], study, version_of(study))
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
    with pytest.raises(Changed, match="changed after you opened"):
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


def test_only_the_tuning_gold_is_asked(study):
    items = list(study.items.order_by("pk"))
    golden(study, items[:8])
    control = items[0].response.task
    type(control).objects.filter(pk=control.pk).update(control=True)
    split = split_gold(study, seed=2)
    expected = [
        item.pk
        for item in items[:8]
        if item.response.task_id != control.pk and not is_sealed(split, item.response.task_id)
    ]
    assert tuning_items(study) == expected and 0 < len(expected) < 8
    mine = of(study, "careful")
    assert want_tuning(study, mine) == len(expected)
    assert sorted(Verdict.objects.values_list("item", flat=True)) == expected
    assert want_tuning(study, mine) == 0
    assert set(Verdict.objects.values_list("study_judge", flat=True)) == {mine.pk}


def test_without_a_split_all_gold_is_asked_every_repeat(study):
    golden(study, list(study.items.all()[:5]))
    twice = judge(study, endpoint(name="other"), "twice", repeats=2)
    assert split_of(study) is None and want_tuning(study, twice) == 10


def test_who_is_not_asked(study):
    mine = of(study, "careful")
    with pytest.raises(UserError, match="no gold to tune on"):
        want_tuning(study, mine)
    golden(study)
    pause([mine])
    mine.refresh_from_db()
    with pytest.raises(UserError, match="is paused"):
        want_tuning(study, mine)
    edited(study)
    mine.refresh_from_db()
    with pytest.raises(UserError, match="was replaced"):
        want_tuning(study, mine)


@pytest.mark.django_db(transaction=True)
def test_the_whole_loop(study, simulator):
    """Both versions are asked by a service, the second on the tuning gold alone, and compared there."""
    Endpoint.objects.update(base_url=simulator.base_url)
    golden(study)
    split_gold(study, seed=2)
    judge_study(study, "careful")
    first = of(study, "careful").judge.rater
    made = edited(study)
    told = as_json("judge", "tiny", "--judge", "careful", "--tuning")
    assert told["verdicts"] == 6 and told["open"] == 0
    assert Verdict.objects.filter(study_judge=made).count() == 6
    found = compare(study, first, made.judge.rater)
    assert found.part == "tuning" and found.items == 6
    assert found.both + found.counts["lost"] + found.counts["gained"] <= 6


@pytest.mark.parametrize("beside", [("--limit", "3"), ("--dry-run",), ("--pause",), ("--cancel",)])
def test_tuning_is_asked_by_itself(study, beside):
    said = refusal("judge", "tiny", "--tuning", *beside)
    assert f"takes no {beside[0]}" in said and not Verdict.objects.exists()
