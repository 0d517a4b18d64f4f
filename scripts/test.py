"""`make test`: the whole suite on SQLite, then its `engine` part on PostgreSQL with Redis, both private to this run."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from _checks import clean_environment, run
from _console import complain, in_ci, run_script, say
from _machine import find_tools
from _processes import adopt_orphans, end_orphans
from _services import postgresql, redis, temporary_folder
from _setup import EVERY_EXTRA, Environment

NO_TESTS = 5  # pytest's exit code
# Time for a browser test to close its browser and servers after a Ctrl-C.
GRACE = 20.0


class Outcome(NamedTuple):
    name: str
    code: int
    counts: str


def main(arguments: list[str]) -> int:
    environment = Environment()
    environment.ensure(EVERY_EXTRA)
    tools = find_tools(environment.log)
    adopt_orphans()  # after any installation: a service that Debian's packages start is not ours to end
    try:
        with temporary_folder() as folder:
            outcomes = run_both(str(environment.python), tools, folder, arguments)
    finally:
        end_orphans()
    return report(outcomes, chosen=bool(arguments))


def run_both(python: str, tools: dict[str, str], folder: Path, arguments: Sequence[str]) -> list[Outcome]:
    browser = {"ARBITER_CHROMIUM": tools["Chromium"]}
    say("\nThe suite on SQLite:")
    first = run_suite("SQLite", python, arguments, folder, browser)
    with (
        postgresql(Path(tools["PostgreSQL"]), folder) as database,
        redis(Path(tools["Redis"]), folder) as broker,
    ):
        say("\nWhat depends on the database or the queue, on PostgreSQL with Redis:")
        servers = {"DATABASE_URL": database, "CELERY_BROKER_URL": broker}
        second = run_suite("PostgreSQL", python, [*arguments, "-m", "engine"], folder, {**browser, **servers})
    return [first, second]


def run_suite(
    name: str, python: str, arguments: Sequence[str], folder: Path, settings: dict[str, str]
) -> Outcome:
    results = folder / f"{name}.xml"
    command = [
        python,
        "-m",
        "pytest",
        f"--junitxml={results}",
        *(["--color=no"] if in_ci() else []),
        *arguments,
    ]
    code = run(command, clean_environment(folder / name, **settings), grace=GRACE)
    return Outcome(name, code, read_counts(results))


def read_counts(results: Path) -> str:
    """pytest's counts in the words of its own closing line."""
    try:
        suites = list(ElementTree.parse(results).iter("testsuite"))  # noqa: S314 - written by our own pytest
    except (OSError, ElementTree.ParseError):
        return "did not finish"
    total, failures, errors, skipped = (
        sum(int(suite.get(count, "0")) for suite in suites)
        for count in ("tests", "failures", "errors", "skipped")
    )
    return f"{total - failures - errors - skipped} passed, {failures + errors} failed, {skipped} skipped"


def report(outcomes: Sequence[Outcome], *, chosen: bool) -> int:
    """Print both summaries. `chosen` tests may all lie in one of the two parts; the full suite must have both."""
    say()
    for outcome in outcomes:
        say(f"{outcome.name}: {outcome.counts}")
    ran = [outcome for outcome in outcomes if outcome.code != NO_TESTS]
    failed = [outcome for outcome in ran if outcome.code != 0]
    if not ran or (len(ran) < len(outcomes) and not chosen):
        complain("No test ran in " + " or ".join(o.name for o in outcomes if o.code == NO_TESTS) + ".")
        return 1
    return 1 if failed else 0


if __name__ == "__main__":
    run_script(main)
