"""What docs/scorers.md shows is run: the program, its own test, and the lines for the study file."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from annotation.models import Rating
from arbiter.studies.setup.studyfile import ScorerSpec
from judging.panel.scoring import apply_scorers, score

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "scorers.md").read_text(encoding="utf-8")


def shown(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def checks(tmp_path: Path) -> Path:
    """The folder with the page's program, under the name that the page gives it."""
    assert "`checks/my_checks.py`" in PAGE
    folder = tmp_path / "checks"
    folder.mkdir()
    (folder / "my_checks.py").write_text(shown("python")[0], encoding="utf-8")
    return folder


def test_the_programs_own_test_runs_without_django(checks):
    _program, its_test = shown("python")
    assert "assert" in its_test
    unwanted = "import sys\nassert not [name for name in sys.modules if name.startswith('django')]\n"
    done = subprocess.run(
        [sys.executable, "-c", its_test + unwanted],
        env={"PYTHONPATH": f"{ROOT}:{checks}"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.django_db
def test_the_program_scores_a_study(study, checks, monkeypatch):
    monkeypatch.syspath_prepend(checks)
    monkeypatch.delitem(sys.modules, "my_checks", raising=False)
    item = study.items.select_related("response__run").first()
    run = item.response.run
    run.config = {"log": "scp weights backup:"}
    run.save()
    (lines,) = shown("yaml")
    apply_scorers(study, [ScorerSpec(**spec) for spec in yaml.safe_load(lines)["scorers"]])
    assert score(study)["failed"] == 0
    labels = set(Rating.objects.filter(item__response__run=run).values_list("label__key", "rationale"))
    assert labels == {("convergence", "The log shows the copy.")}
