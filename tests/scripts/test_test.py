"""`make test` with a small suite of its own: both parts run, both are counted, nothing is left."""

import importlib.util
import os
import signal
from pathlib import Path
from types import ModuleType

import pytest
from _machine import find_postgres, find_redis

from tests.scripts.conftest import ROOT, StartScript, eventually, processes_naming

needs_servers = pytest.mark.skipif(
    not (find_postgres() and find_redis() and Path("/proc").exists()),
    reason="no PostgreSQL or Redis server here",
)
SUITE = """
import os, time
import pytest

def test_anywhere():
    assert os.environ["ARBITER_ENV"] == "test"
    assert "SECRET_KEY" not in os.environ

@pytest.mark.engine
def test_engine():
    on_servers = os.environ.get("DATABASE_URL", "").startswith("postgresql://")
    assert on_servers == os.environ.get("CELERY_BROKER_URL", "").startswith("redis://")
    assert os.environ["ARBITER_CHROMIUM"]
    if on_servers:
        time.sleep(float(os.environ.get("SUITE_SECONDS", "0")))
"""
INI = "[pytest]\nmarkers = engine\n"


@pytest.fixture
def script() -> ModuleType:
    """scripts/test.py under another name: there is a `test` in the standard library."""
    spec = importlib.util.spec_from_file_location("make_test", ROOT / "scripts" / "test.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def suite(checkout: Path) -> Path:
    (checkout / "tests").mkdir()
    (checkout / "tests" / "test_suite.py").write_text(SUITE)
    (checkout / "pytest.ini").write_text(INI)
    return checkout


@pytest.fixture
def settings() -> dict[str, str]:
    chromium = os.environ.get("ARBITER_CHROMIUM") or "/bin/true"
    return {"CI": "true", "ARBITER_CHROMIUM": chromium, "SECRET_KEY": "mine", "DATABASE_URL": "mysql://mine"}


@needs_servers
def test_both_parts_run_and_are_counted(
    start_script: StartScript, suite: Path, settings: dict[str, str]
) -> None:
    script = start_script("test.py", **settings)
    assert script.process.wait(60) == 0, script.said
    assert script.said.splitlines()[-2:] == [
        "SQLite: 2 passed, 0 failed, 0 skipped",
        "PostgreSQL: 1 passed, 0 failed, 0 skipped",
    ]
    assert_nothing_left(suite)


@needs_servers
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle_it_leaves_nothing(
    start_script: StartScript, suite: Path, settings: dict[str, str], number: int
) -> None:
    script = start_script("test.py", SUITE_SECONDS="60", **settings)
    script.until("on PostgreSQL with Redis:")
    assert list((suite.parent / "tmp").iterdir())
    assert script.end(number) == 128 + number
    assert_nothing_left(suite)


@needs_servers
def test_killed_in_the_middle_it_leaves_no_process(
    start_script: StartScript, suite: Path, settings: dict[str, str]
) -> None:
    script = start_script("test.py", SUITE_SECONDS="60", **settings)
    script.until("on PostgreSQL with Redis:")
    script.end(signal.SIGKILL)
    eventually(lambda: not processes_naming(str(suite.parent)))


def assert_nothing_left(suite: Path) -> None:
    assert not processes_naming(str(suite.parent))
    assert not list((suite.parent / "tmp").iterdir())


@pytest.mark.parametrize(
    ("codes", "chosen", "expected"),
    [
        ((0, 0), False, 0),
        ((1, 0), False, 1),
        ((0, 2), False, 1),
        ((0, 5), False, 1),
        ((0, 5), True, 0),
        ((5, 5), True, 1),
    ],
)
def test_either_part_can_fail_it(
    script: ModuleType, codes: tuple[int, int], chosen: bool, expected: int
) -> None:
    outcomes = [
        script.Outcome(name, code, "") for name, code in zip(("SQLite", "PostgreSQL"), codes, strict=True)
    ]
    assert script.report(outcomes, chosen=chosen) == expected


def test_a_part_that_did_not_finish_is_said_to(script: ModuleType, tmp_path: Path) -> None:
    assert script.read_counts(tmp_path / "none.xml") == "did not finish"
    results = tmp_path / "some.xml"
    results.write_text('<testsuites><testsuite tests="9" failures="1" errors="2" skipped="3"/></testsuites>')
    assert script.read_counts(results) == "3 passed, 3 failed, 3 skipped"
