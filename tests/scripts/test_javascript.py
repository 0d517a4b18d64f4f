"""When node_modules is kept and when it is made anew."""

import json
import re
from pathlib import Path

import _javascript
import pytest
from _javascript import Packages, find_npm

from arbiter.cli.launch.console import LaunchProblem
from tests.scripts.conftest import ROOT, add_program, be


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "package.json").write_text("{}")
    monkeypatch.setattr(_javascript, "find_tools", lambda _log, _tools: {_javascript.NODE.name: "npm"})
    return tmp_path


@pytest.fixture
def installed(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    ran: list[str] = []

    def run(command: list[str], *_: object, **__: object) -> None:
        ran.append(command[1])
        (root / "node_modules").mkdir(exist_ok=True)

    monkeypatch.setattr(_javascript, "run_logged", run)
    return ran


def test_packages_are_installed_once_and_again_for_other_ones(root: Path, installed: list[str]) -> None:
    Packages(root).ensure()
    Packages(root).ensure()
    assert installed == ["install"]
    (root / "package.json").write_text('{"devDependencies": {"typescript": "7.0.3"}}')
    Packages(root).ensure()
    assert installed == ["install", "install"]


def test_an_installation_that_failed_is_made_again(
    root: Path, installed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LaunchProblem("no network")

    Packages(root).ensure()
    (root / "package.json").write_text('{"name": "other"}')
    with monkeypatch.context() as patched, pytest.raises(LaunchProblem):
        patched.setattr(_javascript, "run_logged", fail)
        Packages(root).ensure()
    Packages(root).ensure()
    assert installed == ["install", "install"]


@pytest.mark.parametrize(("version", "taken"), [("v18.19.0", False), ("v20.1.0", True), ("v106.0.0", True)])
def test_a_node_that_is_too_old_is_none(programs: Path, version: str, taken: bool) -> None:
    npm = add_program(programs / "npm")
    assert find_npm() is None
    add_program(programs / "node", f"#!/bin/sh\necho {version}\n")
    assert find_npm() == (str(npm) if taken else None)


def test_without_node_one_sentence_says_what_to_install(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be(1000, monkeypatch)
    with pytest.raises(LaunchProblem) as caught:
        Packages(ROOT)._npm()
    assert str(caught.value).splitlines()[0].startswith("This needs Node.js 20 or newer with npm.")
    assert "apt-get install npm" in str(caught.value)


def test_every_package_has_one_exact_version_and_no_lock_names_where_it_came_from() -> None:
    wanted = json.loads((ROOT / "package.json").read_text())["devDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    assert "package-lock=false" in (ROOT / ".npmrc").read_text().splitlines()
    assert not (ROOT / "package-lock.json").exists()
