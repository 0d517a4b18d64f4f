"""Edits of a study in the browser: all or nothing; of two at once one is told; previews leave nothing."""

import pytest
from django.contrib.auth.models import User

from annotation.models import Membership, Study
from arbiter.core.errors import UserError
from arbiter.studies.setup.applying import apply
from arbiter.studies.setup.studydocument import (
    version_of,
)
from arbiter.studies.setup.studyedits import EditConflict, differences, preview_edit, save_edit
from arbiter.studies.setup.studyfile import StudyMistake, StudySpec
from tests import builders
from tests.arbiter.studies.setup.editing import edited, everything
from tests.judging.studyfiles import HUMANS, file
from tests.together import together

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("there_are_responses")]


def test_an_edit_is_applied_as_its_file_is(pump, owner):
    applied = save_edit(
        edited(pump, title="New", humans={"share": 0.75, "seed": 7}), owner, pump, version_of(pump)
    )
    assert (applied.created, applied.study.title) == (False, "New")
    assert applied.study.draws.get().strata.get().probability == 0.75


def test_a_new_study_belongs_to_its_maker(owner):
    applied = save_edit(StudySpec(study="fresh", suite="tiny"), owner)
    assert applied.created and applied.study.items.count() == 24
    assert list(applied.study.memberships.values_list("user__username", "role")) == [("owner", "owner")]


def test_a_new_study_never_takes_over_one_there_is(pump, owner):
    root = User.objects.create_superuser("root")
    before = everything()
    with pytest.raises(StudyMistake, match="there is a study 'pump' already"):
        save_edit(StudySpec(study="pump", suite="tiny", title="Mine now"), root)
    assert everything() == before and not Membership.objects.filter(user=root).exists()


def test_an_edit_never_reaches_another_study(pump, owner):
    other = save_edit(StudySpec(study="other", suite="tiny"), owner).study
    before = everything()
    with pytest.raises(StudyMistake, match=r"this is the study 'other_\d+', and its name can't change"):
        save_edit(edited(pump), owner, other, version_of(other))
    assert everything() == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"humans": {"share": 0.1, "seed": 7}}, "humans.share can only grow"),
        ({"responses": {"subjects": ["model-z"]}}, "no responses of 'model-z'"),
        ({"settlement": {"voters": ["nobody"]}}, "nobody is called 'nobody'"),
        ({"suite": "none"}, "there is no suite 'none' that you may use"),
    ],
)
def test_what_apply_refuses_leaves_nothing(pump, owner, changes, said):
    before = everything()
    with pytest.raises(UserError, match=said):
        save_edit(edited(pump, title="New", **changes), owner, pump, version_of(pump))
    assert everything() == before


def test_an_edit_of_what_was_changed_meanwhile_is_told_and_not_saved(pump, owner):
    seen = version_of(pump)
    apply(file(humans=HUMANS, title="By command"))
    before = everything()
    with pytest.raises(EditConflict, match="changed after you opened this page"):
        save_edit(edited(pump, title="Mine"), owner, pump, seen)
    assert everything() == before


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_of_two_edits_at_once_one_is_told():
    responses_there = Study.objects.exists()
    assert not responses_there
    owner = User.objects.create_superuser("root")
    pump = apply(file()).study
    seen = version_of(pump)
    specs = [edited(pump, title=title) for title in ("One", "Two", "Three")]
    results = together(*[lambda spec=spec: save_edit(spec, owner, pump, seen) for spec in specs])
    assert sorted(type(result).__name__ for result in results) == ["Applied", "EditConflict", "EditConflict"]


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_of_two_who_make_one_name_at_once_one_is_told():
    people = [User.objects.create_superuser(name) for name in ("one", "two")]
    results = together(*[lambda by=by: save_edit(StudySpec(study="same", suite="tiny"), by) for by in people])
    assert sorted(type(result).__name__ for result in results) == ["Applied", "StudyMistake"]
    assert Membership.objects.count() == 1


def test_trying_tells_what_saving_would_do_and_leaves_nothing(pump, owner):
    builders.response(builders.run(builders.Suite.objects.get()), pump.items.first().response.task, epoch=3)
    before = everything()
    preview = preview_edit(edited(pump, humans={"share": 1.0, "seed": 7}), owner, pump)
    assert everything() == before
    assert preview.added == 1 and preview.draws[0]["strata"] == [
        {"stratum": "all", "probability": 1.0, "items": 25, "drawn": 25}
    ]
    fresh = preview_edit(StudySpec(study="fresh", suite="tiny", humans={"budget": 5}), owner)
    assert fresh.added == 25 and fresh.draws == [] and "25 items have fewer than two" in fresh.waiting[0]
    assert everything() == before and not Study.objects.filter(slug="fresh").exists()


def test_what_would_add_very_much_is_counted_alone(pump, owner, monkeypatch):
    monkeypatch.setattr("arbiter.studies.setup.studyedits.TRIED", 10)
    preview = preview_edit(StudySpec(study="fresh", suite="tiny"), owner)
    assert (preview.added, preview.draws) == (24, None)


def test_differences_are_lines_with_what_became_of_them():
    assert differences("a\nb\nc\n", "a\nx\nc\n") == [
        ("gap", ""),
        ("kept", "a"),
        ("removed", "b"),
        ("added", "x"),
        ("kept", "c"),
    ]
