"""`make bench`: the benchmarks of tests/benchmarks on SQLite, then on a private PostgreSQL with Redis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import _path  # noqa: F401
from _checks import clean_environment, run
from _machine import TOOLS, find_tools
from _services import postgresql, redis, temporary_folder
from _setup import EVERY_EXTRA, Environment

from arbiter.cli.launch.console import LaunchProblem, run_script, say
from arbiter.cli.launch.processes import adopt_orphans, end_orphans


def main(arguments: list[str]) -> int:
    environment = Environment()
    environment.ensure(EVERY_EXTRA)
    tools = find_tools(environment.log, [tool for tool in TOOLS if tool.name != "Chromium"])
    adopt_orphans()
    try:
        with temporary_folder() as folder:
            return measure_both(str(environment.python), tools, folder, arguments)
    finally:
        end_orphans()


def measure_both(python: str, tools: dict[str, str], folder: Path, arguments: Sequence[str]) -> int:
    say("\nOn SQLite:")
    first = measure(python, arguments, folder / "sqlite", {})
    programs = Path(tools["PostgreSQL"])
    with (
        postgresql(programs, folder, durable=True) as database,
        redis(Path(tools["Redis"]), folder) as broker,
    ):
        say("\nOn PostgreSQL with Redis:")
        servers = {"DATABASE_URL": database, "CELERY_BROKER_URL": broker}
        second = measure(python, arguments, folder / "postgresql", servers)
    return 1 if first or second else 0


def measure(python: str, arguments: Sequence[str], folder: Path, servers: dict[str, str]) -> int:
    settings = clean_environment(folder, DJANGO_SETTINGS_MODULE="config.settings", **servers)
    if run([python, "manage.py", "migrate", "--verbosity", "0"], settings) != 0:
        raise LaunchProblem("The benchmark's database could not be migrated.")
    return run([python, "-m", "tests.benchmarks", *arguments], settings)


if __name__ == "__main__":
    run_script(main)
