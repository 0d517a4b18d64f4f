"""The cast (owner, adjudicator, two raters, viewer, stranger) and a small study to play on."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.cache import cache

from tests import builders

SHARED = Path(os.environ.get("ARBITER_SHARED", Path(__file__).parent.parent.parent / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The real data beside the checkout; tests that need it say so where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"the real data is not at {SHARED}; set ARBITER_SHARED to run this test")
    return SHARED / "data"


@pytest.fixture
def study(db: None) -> "builders.Study":
    """Six items on two tasks in two categories, with the four-class scheme and everybody a member."""
    return builders.study()


@pytest.fixture
def cast(study: "builders.Study") -> dict[str, "builders.User"]:
    return builders.cast(study)


@pytest.fixture(scope="session")
def simulator() -> Iterator["builders.RunningSimulator"]:
    from benchmark.simulator.running import running_simulator

    with running_simulator() as running:
        yield running


@pytest.fixture
def on_sqlite() -> bool:
    return settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    """Keys are used again from test to test, so what a process remembers by them would be another test's."""
    cache.clear()
