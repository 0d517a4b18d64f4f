"""`make docs`: the website of README.md and docs/, in build/docs.

A broken link, or a page out of the navigation, fails.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import _path  # noqa: F401
from _checks import clean_environment, run
from _services import temporary_folder
from _setup import EVERY_EXTRA, Environment

from arbiter.cli.launch.console import run_script, say
from arbiter.core.folders import ROOT

BUILT = ROOT / "build" / "docs"


def main(arguments: list[str]) -> int:
    environment = Environment()
    environment.ensure(EVERY_EXTRA)
    shutil.rmtree(BUILT, ignore_errors=True)  # a page that is gone would stay
    with temporary_folder() as folder:
        code = run(sphinx(str(environment.python), folder, BUILT), clean_environment(folder))
    if code == 0:
        say(f"Open {BUILT / 'index.html'}")
    return code


def sphinx(python: str, folder: Path, built: Path) -> list[str]:
    """Give the command that writes the website to `built`, with what it works on in `folder`."""
    options = ["--conf-dir", str(ROOT / "docs"), "--doctree-dir", str(folder / "doctrees")]
    return [python, "-m", "sphinx", *options, "--fail-on-warning", "--quiet", str(ROOT), str(built)]


if __name__ == "__main__":
    run_script(main)
