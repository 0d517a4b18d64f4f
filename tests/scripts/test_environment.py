"""When .venv is kept, completed and made anew."""

from collections.abc import Callable
from pathlib import Path

import _setup
import pytest
from _setup import Environment

from arbiter.cli.launch.console import LaunchProblem
from arbiter.cli.launch.processes import Stopped


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text("[project]")
    (tmp_path / "constraints.txt").write_text("django==5.2")
    return tmp_path


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what would have been run: 'venv' and 'pip', carried out as far as the environment can tell."""
    ran: list[str] = []
    record(monkeypatch, ran)
    return ran


def record(monkeypatch: pytest.MonkeyPatch, ran: list[str], pip: Callable[[], None] = lambda: None) -> None:
    def run(command: list[str], *_: object, **__: object) -> None:
        ran.append(command[2])
        if command[2] == "pip":
            ran.append(command[command.index("-e") + 1])
            pip()
        else:
            make_python(Path(command[-1]))

    monkeypatch.setattr(_setup, "run_logged", run)


def make_python(venv: Path) -> None:
    (venv / "bin").mkdir(parents=True, exist_ok=True)
    (venv / "bin" / "python").write_text(f"#!/bin/sh\necho {venv}\n")
    (venv / "bin" / "python").chmod(0o755)


def test_a_fresh_checkout_is_set_up_once(root: Path, commands: list[str]) -> None:
    Environment(root).ensure()
    Environment(root).ensure()
    assert commands == ["venv", "pip", "."]


def test_extras_are_added_to_an_environment_without_them(root: Path, commands: list[str]) -> None:
    Environment(root).ensure()
    Environment(root).ensure(["test", "lint"])
    Environment(root).ensure(["test"])
    Environment(root).ensure()
    assert commands == ["venv", "pip", ".", "pip", ".[lint,test]"]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_changed_requirements_are_installed_into_what_there_is(
    root: Path, commands: list[str], name: str
) -> None:
    Environment(root).ensure()
    (root / name).write_text("changed")
    Environment(root).ensure()
    assert commands == ["venv", "pip", ".", "pip", "."]


def test_one_whose_python_is_gone_is_made_again(root: Path, commands: list[str]) -> None:
    Environment(root).ensure()
    (root / ".venv" / "bin" / "python").unlink()
    Environment(root).ensure()
    assert commands == ["venv", "pip", "."] * 2


def test_one_copied_from_another_place_is_made_again(root: Path, commands: list[str]) -> None:
    Environment(root).ensure()
    moved = root.parent / f"{root.name}-moved"
    root.rename(moved)
    Environment(moved).ensure()
    assert commands == ["venv", "pip", "."] * 2


def test_one_made_by_hand_is_completed(root: Path, commands: list[str]) -> None:
    make_python(root / ".venv")
    Environment(root).ensure()
    assert commands == ["pip", "."]


def test_a_damaged_stamp_is_no_stamp(root: Path, commands: list[str]) -> None:
    Environment(root).ensure()
    (root / ".venv" / "arbiter-stamp.json").write_text("{")
    Environment(root).ensure()
    assert commands == ["venv", "pip", ".", "pip", "."]


def test_one_left_half_made_is_made_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise Stopped(2)

    ran: list[str] = []
    record(monkeypatch, ran, pip=interrupted)
    with pytest.raises(Stopped):
        Environment(root).ensure()
    record(monkeypatch, ran)
    Environment(root).ensure()
    assert ran == ["venv", "pip", "."] * 2


def test_when_pip_fails_what_there_is_is_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_network() -> None:
        raise LaunchProblem("no network")

    ran: list[str] = []
    record(monkeypatch, ran, pip=without_network)
    with pytest.raises(LaunchProblem, match="no network"):
        Environment(root).ensure()
    record(monkeypatch, ran)
    Environment(root).ensure()
    assert ran == ["venv", "pip", ".", "pip", "."]
