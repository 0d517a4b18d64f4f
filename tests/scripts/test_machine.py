"""Finding Chromium, Redis and PostgreSQL, installing them where that is allowed, and saying how where it is
not.
"""

from pathlib import Path

import _machine
import pytest
from _machine import find_browser, find_tools

from arbiter.cli.launch.console import LaunchProblem
from tests.scripts.conftest import add_program, be

APT = """#!/bin/sh
echo "$@" >> "{calls}"
case "$*" in *install*) cp /bin/true "{programs}/redis-server"; chmod 755 "{programs}/redis-server";; esac
exit {code}
"""
REDIS = [tool for tool in _machine.TOOLS if tool.name == "Redis"]


def test_where_nothing_may_be_installed_it_says_what_to_install(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be(1000, monkeypatch)
    add_program(programs / "apt-get")
    with pytest.raises(LaunchProblem) as caught:
        find_tools(programs / "log")
    said = str(caught.value)
    assert "apt-get install chromium redis-server postgresql" in said
    assert "brew install redis" in said
    assert "ARBITER_CHROMIUM" in said


def test_root_installs_what_is_missing(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be(0, monkeypatch)
    calls = tmp_path / "calls"
    add_program(programs / "apt-get", APT.format(calls=calls, programs=programs, code=0))
    assert find_tools(tmp_path / "log", REDIS) == {"Redis": str(programs / "redis-server")}
    update, install = calls.read_text().splitlines()
    assert update.endswith(" update")
    assert install.endswith(" install -y --no-install-recommends redis-server")


@pytest.mark.parametrize(
    ("known", "taken"), [("chromium-headless-shell", "chromium-headless-shell"), ("none", "chromium")]
)
def test_of_two_browsers_the_one_without_windows_is_installed_where_there_is_one(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: str, taken: str
) -> None:
    be(0, monkeypatch)
    calls = tmp_path / "calls"
    add_program(programs / "apt-cache", f'#!/bin/sh\n[ "$2" = {known} ] && echo "Package: $2"\n')
    add_program(
        programs / "apt-get",
        f'#!/bin/sh\necho "$@" >> "{calls}"\n'
        f'cp /bin/true "{programs}/{taken}"; chmod 755 "{programs}/{taken}"\n',
    )
    browser = [tool for tool in _machine.TOOLS if tool.name == "Chromium"]
    assert find_tools(tmp_path / "log", browser) == {"Chromium": str(programs / taken)}
    assert calls.read_text().splitlines()[1].endswith(f" install -y --no-install-recommends {taken}")


def test_sudo_without_a_password_serves_as_root(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be(1000, monkeypatch)
    add_program(programs / "sudo", '#!/bin/sh\nshift\n[ "$1" = echo ] && echo yes || "$@"\n')
    add_program(programs / "apt-get", APT.format(calls=tmp_path / "calls", programs=programs, code=0))
    assert find_tools(tmp_path / "log", REDIS)


def test_a_failed_installation_says_what_to_install(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be(0, monkeypatch)
    add_program(programs / "apt-get", APT.format(calls=tmp_path / "calls", programs=programs, code=100))
    with pytest.raises(
        LaunchProblem, match=r"(?s)apt-get update failed \(exit code 100\).*apt-get install redis-server"
    ):
        find_tools(tmp_path / "log", REDIS)


def test_the_newest_server_is_taken(programs: Path, tmp_path: Path) -> None:
    for version in ("9.6", "16", "15"):
        for name in ("initdb", "postgres", "createdb"):
            add_program(tmp_path / "servers" / version / "bin" / name)
    add_program(tmp_path / "servers" / "17" / "bin" / "psql")  # a client alone
    assert _machine.find_postgres() == str(tmp_path / "servers" / "16" / "bin")


def test_the_browser_that_is_named_is_taken_or_refused(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("chromium", "chromium-headless-shell"):
        add_program(programs / name)
        assert find_browser() == str(programs / name)
    monkeypatch.setenv("ARBITER_CHROMIUM", str(add_program(tmp_path / "mine")))
    assert find_browser() == str(tmp_path / "mine")
    monkeypatch.setenv("ARBITER_CHROMIUM", "/nowhere/chrome")
    with pytest.raises(LaunchProblem, match="ARBITER_CHROMIUM is /nowhere/chrome"):
        find_browser()
