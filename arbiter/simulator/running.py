"""A simulated provider as a process of its own, for the length of a `with` block."""

import http.client
import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import urlsplit

from arbiter.core.folders import ROOT
from arbiter.simulator.native_manners import EVERY_MANNER
from arbiter.simulator.options import Options
from arbiter.simulator.server import StartError

_STOP_WITHIN = 5.0  # seconds


@dataclass(frozen=True, slots=True)
class RunningSimulator:
    base_url: str  # ends in /v1; OpenAI's dialect
    process: subprocess.Popen[str]

    def url(self, dialect: str) -> str:
        """Return the base URL under which it speaks this dialect."""
        return self.base_url.removesuffix("/v1") + EVERY_MANNER[dialect].prefix + "/v1"

    def stats(self) -> dict[str, Any]:
        """Return what it sent so far, as `GET /stats` tells it."""
        connection = http.client.HTTPConnection(urlsplit(self.base_url).netloc, timeout=10)
        try:
            connection.request("GET", "/stats")
            return dict(json.load(connection.getresponse()))
        finally:
            connection.close()


@contextmanager
def running_simulator(*, start_within: float = 60.0, **options: Any) -> Iterator[RunningSimulator]:
    """Start a simulator with these options (those of the command line, with underscores), stop it at the end.

    It also stops when this process dies, however it dies. Raises OptionError, or StartError with what it
    said.
    """
    wanted = Options(**{"stop_with": os.getpid(), **options})
    with tempfile.TemporaryFile("w+") as errors, _started(wanted, errors) as process:
        try:
            yield RunningSimulator(_base_url(process, errors, start_within), process)
        finally:
            _stop(process)


def _started(options: Options, errors: IO[str]) -> subprocess.Popen[str]:
    # The root goes on the path rather than becoming the working directory: a relative --labels stays right.
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "arbiter.simulator", *options.arguments()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,  # a file: a pipe that nobody reads would fill up and block it
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def _base_url(process: subprocess.Popen[str], errors: IO[str], within: float) -> str:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], within)
    line = process.stdout.readline().strip() if ready else ""
    if line:
        return line.rpartition(" ")[2]
    ended = process.poll() is not None or bool(ready)
    _stop(process)
    errors.seek(0)
    said = errors.read().strip()
    raise StartError(
        said or ("It ended." if ended else f"The simulated provider did not start in {within:g} s.")
    )


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
