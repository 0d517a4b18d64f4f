"""`make lint`: every static check, all of them even when one fails.

`--fix` (make format) mends what can be mended.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import NamedTuple

import _path  # noqa: F401
from _checks import clean_environment, run
from _javascript import Packages
from _services import temporary_folder
from _setup import EVERY_EXTRA, Environment

from arbiter.cli.launch.console import complain, run_script, say

TYPED = ("arbiter", "config", "benchmark", "annotation", "judging", "scripts")


class Check(NamedTuple):
    name: str
    command: list[str]
    settings: dict[str, str] = {}


def checks(environment: Environment, packages: Packages) -> list[Check]:
    python = str(environment.python)
    manage = [python, "manage.py"]
    migrations = [*manage, "makemigrations", "--check", "--dry-run"]
    deploy = [*manage, "check", "--deploy", "--fail-level", "WARNING"]
    production = {
        "ARBITER_ENV": "production",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "ARBITER_ALLOWED_HOSTS": "arbiter.example",
    }
    return [
        Check("ruff check", [python, "-m", "ruff", "check", "."]),
        Check("ruff format", [python, "-m", "ruff", "format", "--check", "."]),
        Check("mypy", [python, "-m", "mypy", *TYPED]),
        Check("import contracts", [str(environment.python.parent / "lint-imports"), "--no-logo"]),
        Check("migrations", migrations),
        Check("deployment", deploy, production),
        Check("tsc", [packages.program("tsc"), "--project", "."]),
        Check("biome", [packages.program("biome"), "check", "--error-on-warnings"]),
    ]


def fixes(environment: Environment, packages: Packages) -> list[Check]:
    ruff = [str(environment.python), "-m", "ruff"]
    return [
        Check("ruff check --fix", [*ruff, "check", "--fix", "."]),
        Check("ruff format", [*ruff, "format", "."]),
        Check("biome check --write", [packages.program("biome"), "check", "--write"]),
    ]


def main(arguments: list[str]) -> int:
    environment, packages = Environment(), Packages()
    environment.ensure(EVERY_EXTRA)
    packages.ensure()
    chosen = (fixes if "--fix" in arguments else checks)(environment, packages)
    with temporary_folder() as folder:
        failed = [check.name for check in chosen if not passes(check, folder)]
    if failed:
        complain(f"\nFailed: {', '.join(failed)}.")
    return 1 if failed else 0


def passes(check: Check, folder: Path) -> bool:
    say(f"== {check.name}")
    return run(check.command, clean_environment(folder, **check.settings)) == 0


if __name__ == "__main__":
    run_script(main)
