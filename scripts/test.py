"""`make test` and `make test-slow`: the tests on SQLite, then some again on PostgreSQL with Redis.

Those that depend on the database or the queue run again. Both servers are private to this run, and started
only where such tests were among the chosen ones.
"""

from __future__ import annotations

import os
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import _path  # noqa: F401
from _checks import clean_environment, run
from _machine import find_tools
from _services import postgresql, redis, temporary_folder
from _setup import EVERY_EXTRA, Environment

from arbiter.cli.launch.console import complain, in_ci, run_script, say
from arbiter.cli.launch.processes import adopt_orphans, end_orphans
from arbiter.core.folders import ROOT

NO_TESTS = 5  # pytest's exit code
# Time for a browser test to close its browser and servers after a Ctrl-C.
GRACE = 20.0


class TestsOutcome(NamedTuple):
    name: str
    code: int
    counts: str


class ChosenTests(NamedTuple):
    """The chosen tests, and what they are run with."""

    python: str
    browser: str
    folder: Path
    arguments: list[str]

    def run(self, name: str, *more: str, **servers: str) -> TestsOutcome:
        say(f"\nTests on {name}:")
        started, results = time.monotonic(), self.results(name)
        color = ["--color=no"] if in_ci() else []
        kept = [f"--junitxml={results}", f"--basetemp={self.folder / name}-files"]
        command = [self.python, "-m", "pytest", *parallel(self.arguments), *kept, *color]
        environment = clean_environment(self.folder / name, ARBITER_CHROMIUM=self.browser, **servers)
        code = run([*command, *self.arguments, *more], environment, grace=GRACE)
        return TestsOutcome(name, code, f"{read_counts(results)} in {time.monotonic() - started:.0f} s")

    @property
    def named(self) -> bool:
        """Tell whether the arguments name some of the tests."""
        return any((ROOT / argument.partition("::")[0]).exists() for argument in self.arguments)

    def results(self, name: str) -> Path:
        return self.folder / f"{name}.xml"


def main(arguments: list[str]) -> int:
    environment = Environment()
    environment.ensure(EVERY_EXTRA)
    tools = find_tools(environment.log)
    adopt_orphans()  # after any installation: a service that Debian's packages start is not ours to end
    try:
        with temporary_folder() as folder:
            chosen = ChosenTests(str(environment.python), tools["Chromium"], folder, arguments)
            return report(run_both(chosen, tools), parts=1 if arguments else 2)
    finally:
        end_orphans()


def run_both(chosen: ChosenTests, tools: dict[str, str]) -> list[TestsOutcome]:
    outcomes = [chosen.run("SQLite")]
    again = files_of_the_engine(chosen.results("SQLite"))
    if again:
        with (
            postgresql(Path(tools["PostgreSQL"]), chosen.folder) as database,
            redis(Path(tools["Redis"]), chosen.folder) as broker,
        ):
            files = [] if chosen.named else again
            servers = {"DATABASE_URL": database, "CELERY_BROKER_URL": broker}
            outcomes.append(chosen.run("PostgreSQL", "-m", "engine", *files, **servers))
    return outcomes


def parallel(arguments: Sequence[str]) -> list[str]:
    """Return pytest's options for running in parallel.

    There are two processes more than there are processors, since many tests wait. A file's tests run in one,
    which starts sooner.
    """
    if any(".py" in argument.partition("::")[0] for argument in arguments):
        return []
    return ["-n", str((os.cpu_count() or 1) + 2), "--dist", "worksteal"]


def files_of_the_engine(results: Path) -> list[str]:
    """Return the files whose tests run again, as tests/conftest.py noted them beside each test's result."""
    properties = read(results).iter("property")
    return sorted({value.get("value", "") for value in properties if value.get("name") == "engine"})


def read(results: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(results).getroot()  # noqa: S314 - written by our own pytest
    except (OSError, ElementTree.ParseError):
        return ElementTree.Element("none")


def read_counts(results: Path) -> str:
    """Return pytest's counts in the words of its own closing line."""
    suites = list(read(results).iter("testsuite"))
    if not suites:
        return "did not finish"
    total, failures, errors, skipped = (
        sum(int(suite.get(count, "0")) for suite in suites)
        for count in ("tests", "failures", "errors", "skipped")
    )
    return f"{total - failures - errors - skipped} passed, {failures + errors} failed, {skipped} skipped"


def report(outcomes: Sequence[TestsOutcome], *, parts: int) -> int:
    """Print what ran where. It fails if a test failed, and if tests ran in fewer than so many parts."""
    say()
    for outcome in outcomes:
        say(f"{outcome.name}: {outcome.counts}")
    ran = [outcome for outcome in outcomes if outcome.code != NO_TESTS]
    if len(ran) < parts:
        complain("No test ran." if not ran else "No test depended on the database or the queue.")
        return 1
    return 1 if any(outcome.code for outcome in ran) else 0


if __name__ == "__main__":
    run_script(main)
