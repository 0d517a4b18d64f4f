"""Finding Chromium, Redis and PostgreSQL, installing them where that is allowed, and saying how where it is not."""

import os
from pathlib import Path

import _machine
import pytest
from _console import Problem
from _machine import find_browser, find_tools

APT = """#!/bin/sh
echo "$@" >> "{calls}"
case "$*" in *install*) cp /bin/true "{programs}/redis-server"; chmod 755 "{programs}/redis-server";; esac
exit {code}
"""
REDIS = [tool for tool in _machine.TOOLS if tool.name == "Redis"]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing on it but what a test puts there (and the shell's own tools)."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "env", "cp", "chmod"):
        (folder / name).symlink_to(f"/bin/{name}" if os.path.exists(f"/bin/{name}") else f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("ARBITER_CHROMIUM", raising=False)
    monkeypatch.setattr(_machine, "DEBIAN_SERVERS", tmp_path / "servers")
    monkeypatch.setattr(_machine, "MAC_BROWSERS", ())
    return folder


def add_program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def be(user: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)


def test_where_nothing_may_be_installed_it_says_what_to_install(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be(1000, monkeypatch)
    add_program(programs / "apt-get")
    with pytest.raises(Problem) as caught:
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
        Problem, match=r"(?s)apt-get update failed \(exit code 100\).*apt-get install redis-server"
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
    add_program(programs / "chromium")
    assert find_browser() == str(programs / "chromium")
    monkeypatch.setenv("ARBITER_CHROMIUM", str(add_program(tmp_path / "mine")))
    assert find_browser() == str(tmp_path / "mine")
    monkeypatch.setenv("ARBITER_CHROMIUM", "/nowhere/chrome")
    with pytest.raises(Problem, match="ARBITER_CHROMIUM is /nowhere/chrome"):
        find_browser()
