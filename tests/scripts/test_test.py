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
PLAIN = "def test_plain(): pass"
CONFTEST = """
def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("engine"):
            item.user_properties.append(("engine", item.location[0]))
"""
# Without pytest's other plugins, which take most of its time to start.
INI = "[pytest]\nmarkers = engine\naddopts = -p xdist.plugin\n"


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
    (checkout / "tests" / "conftest.py").write_text(CONFTEST)
    (checkout / "tests" / "test_suite.py").write_text(SUITE)
    (checkout / "tests" / "test_plain.py").write_text(PLAIN)
    (checkout / "pytest.ini").write_text(INI)
    return checkout


@pytest.fixture
def settings() -> dict[str, str]:
    chromium = os.environ.get("ARBITER_CHROMIUM") or "/bin/true"
    mine = {"SECRET_KEY": "mine", "DATABASE_URL": "mysql://mine"}
    return {"CI": "true", "ARBITER_CHROMIUM": chromium, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **mine}


@needs_servers
def test_both_parts_run_and_are_counted(
    start_script: StartScript, suite: Path, settings: dict[str, str]
) -> None:
    script = start_script("test.py", **settings)
    assert script.process.wait(600) == 0, script.said
    assert [line.rpartition(" in ")[0] for line in script.said.splitlines()[-2:]] == [
        "SQLite: 3 passed, 0 failed, 0 skipped",
        "PostgreSQL: 1 passed, 0 failed, 0 skipped",
    ]
    assert_nothing_left(suite)


def test_a_file_that_needs_no_server_gets_none(
    start_script: StartScript, suite: Path, settings: dict[str, str]
) -> None:
    script = start_script("test.py", "tests/test_plain.py", **settings)
    assert script.process.wait(600) == 0, script.said
    assert script.said.splitlines()[-1].startswith("SQLite: 1 passed, 0 failed, 0 skipped")


@needs_servers
def test_a_failure_on_either_fails_it(
    start_script: StartScript, suite: Path, settings: dict[str, str]
) -> None:
    (suite / "tests" / "test_suite.py").write_text(SUITE + "    assert not on_servers\n")
    script = start_script("test.py", **settings)
    assert script.process.wait(600) == 1
    assert "PostgreSQL: 0 passed, 1 failed, 0 skipped" in script.said


@needs_servers
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle_it_leaves_nothing(
    start_script: StartScript, suite: Path, settings: dict[str, str], number: int
) -> None:
    script = start_script("test.py", SUITE_SECONDS="60", **settings)
    script.until("Tests on PostgreSQL:")
    assert list((suite.parent / "tmp").iterdir())
    assert script.end(number) == 128 + number
    assert_nothing_left(suite)


@needs_servers
def test_killed_in_the_middle_it_leaves_no_process(
    start_script: StartScript, suite: Path, settings: dict[str, str]
) -> None:
    script = start_script("test.py", SUITE_SECONDS="60", **settings)
    script.until("Tests on PostgreSQL:")
    script.end(signal.SIGKILL)
    eventually(lambda: not processes_naming(str(suite.parent)))


def assert_nothing_left(suite: Path) -> None:
    assert not processes_naming(str(suite.parent))
    assert not list((suite.parent / "tmp").iterdir())


@pytest.mark.parametrize(
    ("codes", "parts", "expected"),
    [
        ((0, 0), 2, 0),
        ((1, 0), 2, 1),
        ((0, 2), 2, 1),
        ((0, 5), 2, 1),
        ((0,), 2, 1),
        ((0,), 1, 0),
        ((0, 5), 1, 0),
        ((5, 0), 1, 0),
        ((5,), 1, 1),
    ],
)
def test_either_part_can_fail_it(
    script: ModuleType, codes: tuple[int, ...], parts: int, expected: int
) -> None:
    outcomes = [
        script.TestsOutcome(name, code, "")
        for name, code in zip(("SQLite", "PostgreSQL"), codes, strict=False)
    ]
    assert script.report(outcomes, parts=parts) == expected


@pytest.mark.parametrize(
    ("arguments", "processes"), [([], 1), (["tests/judging", "-x"], 1), (["tests/a.py::test[b]"], 0)]
)
def test_a_file_is_run_in_one_process(script: ModuleType, arguments: list[str], processes: int) -> None:
    assert script.parallel(arguments).count("-n") == processes


def test_a_part_that_did_not_finish_is_said_to(script: ModuleType, tmp_path: Path) -> None:
    assert script.read_counts(tmp_path / "none.xml") == "did not finish"
    results = tmp_path / "some.xml"
    results.write_text('<testsuites><testsuite tests="9" failures="1" errors="2" skipped="3"/></testsuites>')
    assert script.read_counts(results) == "3 passed, 3 failed, 3 skipped"
