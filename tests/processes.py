"""Commands as processes of their own, on the test's database."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.db import connection

ROOT = Path(__file__).resolve().parent.parent


def database_url() -> str:
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite://{quote(str(settings['NAME']))}"
    user = ":".join(quote(str(part)) for part in (settings["USER"], settings["PASSWORD"]) if part)
    return f"postgresql://{user}@/{settings['NAME']}?host={quote(settings['HOST'])}&port={settings['PORT']}"


def environment(**settings: str) -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": database_url(), **settings}


def start(*command: str, **settings: str) -> subprocess.Popen[str]:
    """A Python program of ours: `start("manage.py", "judge", "tiny")`, `start("-m", "celery", ...)`."""
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
def running(*command: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """The same, killed at the end of the block if it still runs."""
    process = start(*command, **settings)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def result(process: subprocess.Popen[str], within: float = 60) -> Any:
    """The document that a command given --json printed."""
    out, errors = process.communicate(timeout=within)
    assert process.returncode == 0, errors
    return json.loads(out)
