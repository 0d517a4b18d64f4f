"""Loading programs, their versions, and those that can't be had."""

import sys
from pathlib import Path

import pytest

from annotation.models import Question, Rater, Rating, Study
from annotation.schemes import builtin_scheme
from arbiter.core.errors import UserError
from judging.models import Scorer
from judging.panel.scoring import ScorerSpec, apply_scorers, save_scorer, score
from tests import builders
from tests.judging.scorers_for_tests import HERE, scorer, spec

pytestmark = pytest.mark.django_db
PROGRAM = """
def score(response):
    return {label!r}
"""


def counts(study: Study, **options) -> tuple[int, int, int]:
    result = score(study, **options)
    return result["scored"], result["failed"], result["unchanged"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Yield a folder that programs can be imported from; what was imported is forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def program(folder: Path, label: str = "convergence", name: str = "my_checks") -> str:
    """Write a module that gives every response this label, as if it were imported anew."""
    (folder / f"{name}.py").write_text(PROGRAM.format(label=label))
    sys.modules.pop(name, None)
    # Two edits of one length within a second look the same to the cache of compiled modules.
    for compiled in (folder / "__pycache__").glob(f"{name}.*"):
        compiled.unlink()
    return f"{name}:score"


def package(folder: Path, version: str = "1.0", target: str = f"{HERE}:first_epoch") -> None:
    """Install a distribution that registers a scorer."""
    for old in folder.glob("checks-*.dist-info"):
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    info = folder / f"checks-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: checks\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[arbiter.scorers]\nregistered = {target}\n")


# Versions


def test_applying_again_changes_nothing(study):
    first = scorer(study)
    assert scorer(study) == first
    assert (Scorer.objects.count(), str(first)) == (1, "env-check")
    assert first.rater.kind == "scorer" and first.rater.definition


def test_a_changed_program_is_a_new_version(study, folder):
    old = scorer(study, program(folder, "convergence"))
    score(study)
    new = scorer(study, program(folder, "no_convergence"))
    assert (str(old), str(new)) == ("env-check", "env-check@2")
    assert counts(study) == (6, 0, 0)
    assert set(Rating.objects.filter(rater=old.rater).values_list("label__key", flat=True)) == {"convergence"}
    assert set(Rating.objects.filter(rater=new.rater).values_list("label__key", flat=True)) == {
        "no_convergence"
    }


def test_a_program_that_came_back_is_its_old_version(study, folder):
    first = scorer(study, program(folder, "convergence"))
    scorer(study, program(folder, "no_convergence"))
    assert scorer(study, program(folder, "convergence")) == first


def test_a_program_that_changed_since_it_was_applied_is_refused(study, folder):
    scorer(study, program(folder, "convergence"))
    program(folder, "no_convergence")
    with pytest.raises(UserError, match=r"'env-check': its program has changed .* apply the file again"):
        score(study)
    assert not Rating.objects.exists()


@pytest.mark.parametrize("change", [{"function": "counter"}, {"question": "severity"}, {"name": "other"}])
def test_another_definition_is_another_rater(study, change):
    Question.objects.create(study=study, name="severity", scheme=builtin_scheme("graded"))
    before = save_scorer(spec(), study)
    assert save_scorer(spec(**change), study).rater != before.rater


def test_a_registered_program(study, folder):
    package(folder)
    made = save_scorer(ScorerSpec(name="env-check", entry_point="registered"), study)
    package(folder, "1.1")
    newer = save_scorer(ScorerSpec(name="env-check", entry_point="registered"), study)
    assert (str(made), str(newer)) == ("env-check", "env-check@2")


def test_a_study_has_the_scorers_of_its_file_and_no_others(study):
    apply_scorers(study, [spec("counter", "one"), spec("full", "two")])
    score(study)
    apply_scorers(study, [spec("full", "two")])
    assert [str(one) for one in study.scorers.all()] == ["two"]
    assert Rating.objects.filter(rater__name="one").count() == 6


# Refusals


@pytest.mark.parametrize(
    ("entry_point", "said"),
    [
        ("no_such_module:score", "can't be loaded: ModuleNotFoundError: No module named 'no_such_module'"),
        (f"{HERE}:no_such_function", "can't be loaded: AttributeError"),
        (f"{HERE}:NUMBER", "is no function but a int"),
        (
            "unheard-of",
            "neither package.module:function nor registered under arbiter.scorers (registered: none)",
        ),
        ("a b:c", "neither package.module:function nor registered"),
    ],
)
def test_a_program_that_cannot_be_had(study, entry_point, said):
    with pytest.raises(UserError) as error:
        save_scorer(ScorerSpec(name="env-check", entry_point=entry_point), study)
    assert str(error.value).startswith(f"scorer 'env-check': {entry_point!r}")
    assert said in str(error.value)
    assert not Rater.objects.exists()


@pytest.mark.parametrize("text", ["1 / 0", "def score(:", "raise SystemExit(3)"])
def test_a_module_that_fails_when_it_is_imported(study, folder, text):
    (folder / "broken_checks.py").write_text(text)
    with pytest.raises(UserError, match="can't be loaded"):
        save_scorer(ScorerSpec(name="env-check", entry_point="broken_checks:score"), study)


def test_a_name_that_two_packages_register(study, folder, monkeypatch):
    package(folder)
    other = folder / "more"
    other.mkdir()
    (other / "more-1.dist-info").mkdir()
    (other / "more-1.dist-info" / "METADATA").write_text("Name: more\nVersion: 1\n")
    (other / "more-1.dist-info" / "entry_points.txt").write_text(
        f"[arbiter.scorers]\nregistered = {HERE}:counter\n"
    )
    monkeypatch.syspath_prepend(other)
    with pytest.raises(UserError, match="several packages"):
        save_scorer(ScorerSpec(name="env-check", entry_point="registered"), study)


@pytest.mark.parametrize("kind", ["human", "judge"])
def test_a_name_that_somebody_else_has(study, kind):
    builders.rater("env-check", kind)
    with pytest.raises(UserError, match=f"'env-check' is already the name of a {kind}"):
        scorer(study)


def test_a_reserved_name(study):
    with pytest.raises(UserError, match="'majority' can't be a rater's name"):
        scorer(study, name="majority")


def test_a_question_the_study_has_not(study):
    with pytest.raises(UserError, match="study 'tiny' has no question 'severity'"):
        save_scorer(spec(question="severity"), study)
