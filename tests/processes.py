"""Commands as processes of their own, on the test's database.

A command of manage.py is forked from a process that has imported the libraries before: to import them takes
most of a command's time, and tests start hundreds. It is a process of its own all the same, and can be
killed."""

import io
import json
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.db import connection

ROOT = Path(__file__).resolve().parent.parent
Step = Callable[[], None]
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.preloaded"])


def database_url() -> str:
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite://{quote(str(settings['NAME']))}"
    user = ":".join(quote(str(part)) for part in (settings["USER"], settings["PASSWORD"]) if part)
    return f"postgresql://{user}@/{settings['NAME']}?host={quote(settings['HOST'])}&port={settings['PORT']}"


def environment(**settings: str) -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": database_url(), **settings}


class Command:
    """A command of manage.py at work, with what tests use of `subprocess.Popen`."""

    def __init__(self, arguments: list[str], settings: dict[str, str], first: Step | None) -> None:
        self.args = ["manage.py", *arguments]
        pipes = [_context.Pipe(duplex=False) for _ in range(2)]
        written = [end for _, end in pipes]
        given = (self.args, settings, first, *written)
        self._process = _context.Process(target=_run, args=given, daemon=True)
        self._process.start()
        self.pid = self._process.pid or 0
        for end in written:
            end.close()
        self._texts = [_Text(end) for end, _ in pipes]

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        self.wait(timeout)
        out, errors = (text.whole() for text in self._texts)
        return out, errors

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _Text:
    """All that a process writes into a pipe."""

    def __init__(self, end: Connection) -> None:
        self._end = end
        self._read = ""
        self._thread = threading.Thread(target=self._fill, daemon=True)
        self._thread.start()

    def _fill(self) -> None:
        with self._end, open(self._end.fileno(), encoding="utf-8", errors="replace", closefd=False) as lines:
            self._read = lines.read()

    def whole(self) -> str:
        self._thread.join()
        return self._read


def _run(
    arguments: list[str],
    settings: dict[str, str],
    first: Step | None,
    out: Connection,
    errors: Connection,
) -> None:
    """Be what `python manage.py ...` would be in this environment."""
    os.environ.clear()
    os.environ.update(settings)
    os.chdir(ROOT)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    for number, end in ((1, out), (2, errors)):
        os.dup2(end.fileno(), number)
        end.close()
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(
        io.FileIO(2, "w", closefd=False), encoding="utf-8", errors="backslashreplace", line_buffering=True
    )
    sys.argv = arguments
    if first:
        first()
    runpy.run_path(str(ROOT / "manage.py"), run_name="__main__")


def start(*command: str, first: Step | None = None, **settings: str) -> Any:
    """A Python program of ours: `start("manage.py", "judge", "tiny")`, `start("-m", "celery", ...)`. Before a
    command of manage.py its process takes the step `first`."""
    if command[0] == "manage.py":
        return Command(list(command[1:]), environment(**settings), first)
    assert not first
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment(**settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running(*command: str, first: Step | None = None, **settings: str) -> Iterator[Any]:
    """The same, killed at the end of the block if it still runs."""
    process = start(*command, first=first, **settings)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def result(process: Any, within: float = 600) -> Any:
    """The document that a command given --json printed."""
    out, errors = process.communicate(timeout=within)
    assert process.returncode == 0, errors
    return json.loads(out)
