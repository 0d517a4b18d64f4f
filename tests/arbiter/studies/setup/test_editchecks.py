"""What an edit in the browser may not bring in: files, endpoints, programs."""

import pytest
import yaml

from arbiter.core.errors import UserError
from arbiter.studies.setup.applying import apply
from arbiter.studies.setup.editchecks import check_edit
from arbiter.studies.setup.studydocument import (
    version_of,
)
from arbiter.studies.setup.studyedits import save_edit
from arbiter.studies.setup.studyfile import StudyMistake, StudySpec
from judging.models import Judge
from tests.arbiter.studies.setup.editing import OWN_SCHEME, edited, everything
from tests.judging.studyfiles import ENDPOINT, JUDGE, OTHER, file

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("there_are_responses")]


FILES = [
    ({"scheme": "mine.yaml"}, r"scheme: 'mine\.yaml' names a file, and from the browser no file is read"),
    ({"scheme": "/etc/passwd.yml"}, "names a file"),
    ({"questions": [{"name": "severity", "scheme": "../x.yaml"}]}, r"questions\.0\.scheme: .*names a file"),
    (
        {"humans": {"share": 0.5, "seed": 7, "guidelines": "/etc/motd.md"}},
        r"humans\.guidelines: .*names a file",
    ),
    (
        {"humans": {"share": 0.5, "seed": 7, "guidelines": " rules.md \n"}},
        r"humans\.guidelines: .*names a file",
    ),
    ({"judges": [JUDGE | {"template": "/etc/passwd"}, OTHER]}, r"judges\.0\.template: .*names a file"),
    ({"judges": [JUDGE | {"template": "own.txt"}, OTHER]}, r"judges\.0\.template: .*names a file"),
    (
        {"judges": [JUDGE | {"template": "../prompts/scheme-json"}, OTHER]},
        r"judges\.0\.template: .*names a file",
    ),
]


@pytest.mark.parametrize(("changes", "said"), FILES, ids=str)
@pytest.mark.parametrize("person", ["owner", "root"])
def test_nobody_reads_a_file_through_an_edit(pump, owner, root, person, changes, said):
    before = everything()
    with pytest.raises(StudyMistake, match=said):
        save_edit(edited(pump, **changes), {"owner": owner, "root": root}[person], pump, version_of(pump))
    assert everything() == before


def test_even_past_the_guard_an_edit_reads_no_file(tmp_path, monkeypatch, pump):
    """What `apply` is given instead of a folder holds all it may look at."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(OWN_SCHEME))
    (tmp_path / "own.txt").write_text("{{ task }} {{ response }} {{ label_keys }}")
    (tmp_path / "rules.md").write_text("secret")
    with pytest.raises(UserError, match="no built-in scheme"):
        apply(edited(pump, scheme="mine.yaml"), {})
    with pytest.raises(UserError, match=r"'own\.txt': there is no such file"):
        apply(edited(pump, judges=[JUDGE | {"template": "own.txt"}]), {})
    apply(edited(pump, humans={"share": 0.5, "seed": 7, "guidelines": "rules.md"}), {})
    assert pump.guidelines.get().text == "rules.md"


CALLS = "tests.judging.scorers_for_tests:keywords"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"endpoints": [ENDPOINT | {"base_url": "http://evil.invalid/v1"}]},
            r"endpoints\.0: 'local' is not as the study has it",
        ),
        (
            {"endpoints": [ENDPOINT | {"key_variable": "ELSEWHERE_KEY"}]},
            "where it would send the server's key",
        ),
        ({"endpoints": [ENDPOINT | {"timeout": 5}]}, "only a superuser"),
        ({"endpoints": [ENDPOINT, ENDPOINT | {"name": "evil"}]}, r"endpoints\.1: 'evil'"),
        (
            {"scorers": [{"name": "x", "entry_point": "os:system"}]},
            r"scorers\.0: 'x' .*which program it would run",
        ),
    ],
    ids=str,
)
def test_only_a_superuser_says_where_calls_go_and_what_runs(pump, owner, root, changes, said):
    before = everything()
    with pytest.raises(StudyMistake, match=said):
        save_edit(edited(pump, **changes), owner, pump, version_of(pump))
    with pytest.raises(StudyMistake):
        save_edit(StudySpec.model_validate({"study": "fresh", "suite": "tiny"} | changes), owner)
    assert everything() == before
    check_edit(edited(pump, **changes), pump, root)


def test_a_program_is_not_even_imported_for_who_may_not_add_it(pump, owner, monkeypatch):
    monkeypatch.setattr("arbiter.studies.setup.studyedits.load_program", lambda *_: pytest.fail("imported"))
    with pytest.raises(StudyMistake):
        save_edit(
            edited(pump, scorers=[{"name": "x", "entry_point": "os:system"}]), owner, pump, version_of(pump)
        )


def test_an_owner_keeps_and_removes_what_is_there(tmp_path, owner):
    (tmp_path / "own.txt").write_text("{{ task }} {{ response }} {{ label_keys }}")
    study = apply(file(judges=[JUDGE | {"template": "own.txt"}, OTHER]), tmp_path).study
    (tmp_path / "own.txt").unlink()
    judges = Judge.objects.count()
    save_edit(edited(study, title="New"), owner, study, version_of(study))
    assert Judge.objects.count() == judges
    study.refresh_from_db()
    save_edit(
        edited(study, judges=[JUDGE | {"template": "own.txt", "repeats": 2}]), owner, study, version_of(study)
    )
    assert study.judges.get(active=True).judge.template_text.startswith("{{ task }}")
    study.refresh_from_db()
    save_edit(edited(study, endpoints=[], judges=[]), owner, study, version_of(study))
    assert not study.judges.filter(active=True).exists()
