"""`make run`: from a fresh clone to a page that answers; Ctrl-C ends everything it started."""

from __future__ import annotations

import os

import _path  # noqa: F401
from _setup import Environment

from arbiter.cli.launch.address import read_address, require_free
from arbiter.cli.launch.console import run_script
from arbiter.cli.launch.folder_lock import on_port, only_one
from arbiter.core.folders import ROOT, data_folder


def main(_arguments: list[str]) -> int:
    address, environment = read_address(os.environ), Environment()
    with only_one(
        data_folder(os.environ), address
    ):  # what it would refuse is told before anything slow begins
        require_free(address, on_port)
        environment.ensure()
    os.chdir(ROOT)
    os.execv(environment.python, [str(environment.python), "-m", "arbiter", "run"])


if __name__ == "__main__":
    run_script(main)
