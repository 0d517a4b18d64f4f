"""Celery workers as processes of their own, a broker that a test may kill, and what lies in its queues."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from kombu import Connection
from redis import Redis
from redis.exceptions import ConnectionError as NotThere

from tests.processes import running
from tests.waiting import wait_until

ENDPOINTS = ("local", "other", "later", "paid")  # whose queues tests use
WORKER = ("-m", "celery", "-A", "config.celery", "worker", "--without-gossip", "--without-mingle")
needs_broker = pytest.mark.skipif(
    not settings.CELERY_BROKER_URL,
    reason="needs a broker: CELERY_BROKER_URL is not set (`make test` starts a Redis)",
)
needs_redis = pytest.mark.skipif(
    not shutil.which("redis-server"), reason="needs a Redis to kill: there is no redis-server on the PATH"
)


@contextmanager
def worker(*options: str, name: str = "one", **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a worker in one process of its own (`solo`),
    or in as many as the options say; with short leases."""
    pool = () if "-c" in options else ("--pool", "solo")
    level = () if "--loglevel" in options else ("--loglevel", "ERROR")
    environment = {"ARBITER_LEASE_SECONDS": "1", **environment}
    with running(*WORKER, "-n", f"{name}@%h", *pool, *level, *options, **environment) as process:
        yield process


def lying(url: str = "") -> dict[str, int]:
    """Count the messages in each queue that tests use, where there are any."""
    waiting = {}
    with Connection(url or settings.CELERY_BROKER_URL) as connection:
        for queue in ("celery", *(f"{kind}.{name}" for name in ENDPOINTS for kind in ("judge", "collect"))):
            with suppress(connection.channel_errors), connection.channel() as channel:
                waiting[queue] = channel.queue_declare(queue, passive=True).message_count
    return {queue: count for queue, count in waiting.items() if count}


def sweep() -> None:
    """Take out what another test left in the queues."""
    with Connection(settings.CELERY_BROKER_URL) as connection:
        for queue in lying():
            with connection.channel() as channel:
                channel.queue_purge(queue)


@contextmanager
def redis_server(port: int, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a Redis that keeps nothing."""
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    server = subprocess.Popen([*command, "--dir", str(folder)], stdout=subprocess.DEVNULL)
    try:
        wait_until(_answers(port))
        yield server
    finally:
        server.kill()
        server.wait()


def _answers(port: int) -> Callable[[], Any]:
    def ping() -> bool:
        with suppress(NotThere):
            return bool(Redis(port=port).ping())
        return False

    return ping
