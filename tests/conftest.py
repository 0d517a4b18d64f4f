"""The cast (owner, adjudicator, two raters, viewer, stranger) and a small study to play on."""

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.test import TransactionTestCase

from arbiter.core import countcache
from arbiter.studies.reading import browsing
from judging.panel import scoring
from judging.votes import kept_figures
from tests import builders, databases, sizes
from tests.ports import ReservePort, reserved_port

TransactionTestCase._fixture_teardown = lambda _: databases.empty()
# What an answer of ours may depend on: how long it took. Tests of that say so themselves.
LASTING = {
    countcache: ["SLOW"],
    kept_figures: ["SLOW"],
    browsing: ["SEARCH_SECONDS", "COUNT_SECONDS", "QUICK"],
    scoring: ["WRITE_AFTER"],
}
SHARED = Path(os.environ.get("ARBITER_SHARED", Path(__file__).parent.parent.parent / "shared"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", action="store_true", help="run what `make test` leaves out, see tests/sizes.py"
    )
    parser.addoption(
        "--new-draws", action="store_true", help="let Hypothesis draw examples it has not drawn before"
    )


def pytest_configure(config: pytest.Config) -> None:
    sizes.choose(full=config.getoption("--full"), new_draws=config.getoption("--new-draws"))
    gc.disable()  # until all tests are collected: they stay


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if not sizes.belongs(item)]
    items[:] = [item for item in items if sizes.belongs(item)]
    config.hook.pytest_deselected(items=left_out)
    for item in items:
        if item.get_closest_marker("engine"):
            item.user_properties.append(("engine", item.location[0]))  # scripts/test.py reads it


def pytest_collection_finish() -> None:
    """Spare the garbage collector what lives as long as the tests do: to walk through 8,000 of them again and
    again took a fourteenth of all their time."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_modify_db_settings: None, django_db_blocker: Any
) -> Iterator[None]:
    """pytest-django's own would migrate in every process."""
    with django_db_blocker.unblock():
        databases.make()
    yield
    with django_db_blocker.unblock():
        databases.drop()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The real data beside the checkout; tests that need it say so where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"the real data is not at {SHARED}; set ARBITER_SHARED to run this test")
    return SHARED / "data"


@pytest.fixture(scope="module")
def rows_of_module(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Keep the rows that a fixture of a module makes upon this one until its tests are over, each of which
    takes back its own. Not for a module with tests that commit."""
    with django_db_blocker.unblock(), transaction.atomic():
        cache.clear()
        yield
        transaction.set_rollback(True)


@pytest.fixture
def study(db: None) -> "builders.Study":
    """Six items on two tasks in two categories, with the four-class scheme and everybody a member."""
    return builders.study()


@pytest.fixture
def cast(study: "builders.Study") -> dict[str, "builders.User"]:
    return builders.cast(study)


@pytest.fixture(scope="session")
def simulator() -> Iterator["builders.RunningSimulator"]:
    from arbiter.simulator.running import running_simulator

    with running_simulator() as running:
        yield running


@pytest.fixture
def on_sqlite() -> bool:
    return settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are used again from test to test, so what a process remembers by them would be another test's. Nor
    is a count or a figure kept, or a search cut short, because a busy machine took long for it."""
    cache.clear()
    for module, seconds in LASTING.items():
        for name in seconds:
            monkeypatch.setattr(module, name, float("inf"))


@pytest.fixture
def figures_kept(nothing_remembered: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every figure until what it depends on has changed, and no longer, for tests that ask for the same
    pages again and again."""
    monkeypatch.setattr(kept_figures, "SLOW", 0)
    monkeypatch.setattr(kept_figures, "AGE_FACTOR", 0)


@pytest.fixture
def reserve_port() -> Iterator[ReservePort]:
    """Return a function that gives a port nobody else gets before the test is over, each time another."""
    with ExitStack() as kept:
        yield lambda: kept.enter_context(reserved_port())


@pytest.fixture
def signals_given_back() -> Iterator[None]:
    """`collect` and `judge` take over SIGINT and SIGTERM."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arbiter.calls.engine.BACKOFF_SECONDS", 0.001)
