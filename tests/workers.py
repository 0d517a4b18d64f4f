"""Give each process that runs tests a data folder and a Redis database of its own. Loaded by `-p` in
pyproject.toml, since it has to come before Django's settings are read."""

import os
from pathlib import Path


def number_of_this() -> int | None:
    """Tell which of pytest-xdist's workers this process is; None where it is not one."""
    name = os.environ.get("PYTEST_XDIST_WORKER", "")
    return int(name.removeprefix("gw")) if name else None


def set_apart(number: int) -> None:
    """Change what the environment says of the data folder and the broker, for this process and those it
    starts."""
    data = os.environ.get("ARBITER_DATA")
    if data:
        own = Path(data) / f"worker-{number}"
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.environ["ARBITER_DATA"] = str(own)
    broker = os.environ.get("CELERY_BROKER_URL", "")
    if broker.startswith("redis://"):
        os.environ["CELERY_BROKER_URL"] = f"{broker.rpartition('/')[0]}/{number}"


if (_number := number_of_this()) is not None:
    set_apart(_number)
