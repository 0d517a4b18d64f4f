"""`make test`: the whole suite on SQLite and, at the same time, its `engine` part on PostgreSQL with Redis, both private to
this run. Many tests wait more than they compute, so the two together take little longer than the first alone."""

from __future__ import annotations

import signal
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from _checks import clean_environment, run
from _console import ROOT, complain, in_ci, run_script, say
from _machine import find_tools
from _processes import adopt_orphans, end_orphans, running, start, wait
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
    with (
        postgresql(Path(tools["PostgreSQL"]), folder) as database,
        redis(Path(tools["Redis"]), folder) as broker,
        (folder / "PostgreSQL.log").open("w+b") as said,
    ):
        servers = {"DATABASE_URL": database, "CELERY_BROKER_URL": broker, **browser}
        beside = suite("PostgreSQL", python, [*arguments, "-m", "engine"], folder)
        process = start(
            beside,
            output=said,
            environment=clean_environment(folder / "PostgreSQL", **servers),
            folder=ROOT,
            death_signal=signal.SIGINT,
        )
        with running(process, number=signal.SIGINT, grace=GRACE):
            say("\nThe suite on SQLite:")
            first = suite("SQLite", python, arguments, folder)
            code = run(first, clean_environment(folder / "SQLite", **browser), grace=GRACE)
            say("\nWhat depends on the database or the queue, on PostgreSQL with Redis:")
            code_beside = wait(process)
        said.seek(0)
        say(said.read().decode(errors="replace").rstrip())
    return [outcome("SQLite", code, folder), outcome("PostgreSQL", code_beside, folder)]


def suite(name: str, python: str, arguments: Sequence[str], folder: Path) -> list[str]:
    """What runs it, with its results in a file."""
    color = ["--color=no"] if in_ci() else []
    return [python, "-m", "pytest", f"--junitxml={results_of(name, folder)}", *color, *arguments]


def results_of(name: str, folder: Path) -> Path:
    return folder / f"{name}.xml"


def outcome(name: str, code: int, folder: Path) -> Outcome:
    return Outcome(name, code, read_counts(results_of(name, folder)))


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
