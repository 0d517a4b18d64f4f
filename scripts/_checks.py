"""What test, lint and bench have in common: the environment their commands see, and a private
place for their data.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from arbiter.cli.launch.console import in_ci
from arbiter.cli.launch.processes import running, start, wait
from arbiter.core.folders import ROOT

# What a developer may have set for a real installation; none of it may reach a test.
FOREIGN = ("DATABASE_URL", "CELERY_BROKER_URL", "SECRET_KEY", "DJANGO_SETTINGS_MODULE")
# Without bytecode each process that tests start compiles everything anew, which takes half of its start.
SLOW = ("PYTHONDONTWRITEBYTECODE",)
KEPT = ("ARBITER_SHARED",)


def clean_environment(folder: Path, **settings: str) -> dict[str, str]:
    """Return this process's environment without what configures Arbiter, its data under `folder`."""
    environment = {name: value for name, value in os.environ.items() if not _is_foreign(name)}
    environment.update(ARBITER_ENV="test", ARBITER_DATA=str(folder / "data"), PYTHONUNBUFFERED="1")
    if in_ci():
        environment.update(NO_COLOR="1", PY_COLORS="0")
    environment.update(settings)
    return environment


def _is_foreign(name: str) -> bool:
    return name not in KEPT and (name in (*FOREIGN, *SLOW) or name.startswith("ARBITER_"))


def run(command: Sequence[str], environment: dict[str, str], *, grace: float = 8.0) -> int:
    """Run a command on our terminal and give its exit code.

    If we are asked to end, it gets a Ctrl-C first.
    """
    process = start(
        command,
        environment=environment,
        folder=ROOT,
        death_signal=signal.SIGINT,
        keep_input=not in_ci(),
    )
    with running(process, number=signal.SIGINT, grace=grace):
        return wait(process)
