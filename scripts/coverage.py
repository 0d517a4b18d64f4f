"""`make coverage-study`: the simulation studies of tests/studies. Finished parts are kept in var/studies."""

from __future__ import annotations

import _path  # noqa: F401
from _checks import clean_environment, run
from _setup import EVERY_EXTRA, Environment

from arbiter.cli.launch.console import run_script
from arbiter.cli.launch.processes import adopt_orphans, end_orphans
from arbiter.core.folders import ROOT


def main(arguments: list[str]) -> int:
    environment = Environment()
    environment.ensure(EVERY_EXTRA)
    kept = ROOT / "var" / "studies"
    adopt_orphans()
    try:
        # One thread: the arrays are small, and a study is to leave the machine usable.
        settings = clean_environment(kept, DJANGO_SETTINGS_MODULE="config.settings", OMP_NUM_THREADS="1")
        return run([str(environment.python), "-m", "tests.studies", str(kept), *arguments], settings)
    finally:
        end_orphans()


if __name__ == "__main__":
    run_script(main)
