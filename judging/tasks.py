"""Celery only wakes the engine: the rows are the jobs, so a message lost, late or doubled does no harm.

Each endpoint has a queue of its own, `judge.NAME`. A worker that listens to the default queue attends to all of them, those
of later endpoints too; one started with `-Q judge.NAME` to that endpoint alone. Every worker looks for open rows when it
starts and every lease time after, so that nothing waits for a message that never came.
"""

import logging
import mmap
from typing import Any

from celery import shared_task
from celery.signals import celeryd_after_setup, worker_ready, worker_shutting_down
from celery.worker.control import control_command
from django.conf import settings
from django.db import DatabaseError, connections
from kombu.exceptions import OperationalError

from benchmark.engine import Engine
from benchmark.lanes import EndpointDown
from benchmark.models import Endpoint
from config.celery import app
from judging.work import JudgeWork

logger = logging.getLogger(__name__)
DEFAULT = "celery"
_told = mmap.mmap(
    -1, 1
)  # shared with the processes that a worker forks: only the worker itself hears the signal


def stopping() -> bool:
    return _told[0] == 1


def queue_of(endpoint: str) -> str:
    return f"judge.{endpoint}"


@shared_task  # type: ignore[untyped-decorator]
def work_at(endpoint: str) -> None:
    """Work at one endpoint until nothing is left for us there."""
    work = JudgeWork(endpoint=endpoint)
    found = [] if stopping() else work.endpoints()
    if not found:
        return
    if not any(one.down_since for one in found):
        # For a worker that has nothing to do. Each that takes one up passes one on, so one lies in the queue, no more.
        send(endpoint)
    try:
        Engine(work, stopping=stopping).run()
    except EndpointDown as error:
        logger.warning("%s", error)


def send(endpoint: str) -> None:
    """Wake a worker. What nobody takes up is forgotten: workers look by themselves."""
    try:
        work_at.apply_async([endpoint], queue=queue_of(endpoint), expires=4 * settings.LEASE_SECONDS)
    except OperationalError as error:
        logger.error("The broker can't be reached, so no worker was woken: %s", error)


@celeryd_after_setup.connect  # type: ignore[untyped-decorator]
def attend_to_endpoints(instance: Any, **_: Any) -> None:
    if DEFAULT in instance.app.amqp.queues.consume_from:
        for name in _endpoints():
            instance.app.amqp.queues.select_add(queue_of(name))


@worker_ready.connect  # type: ignore[untyped-decorator]
def keep_looking(sender: Any, **_: Any) -> None:
    """A worker may be the first after one that was killed with its message, or after a broker that lost all."""
    _told[0] = 0
    look(sender)
    sender.timer.call_repeatedly(settings.LEASE_SECONDS, look, (sender,))


def look(consumer: Any) -> None:
    try:
        waiting = [endpoint.name for endpoint in JudgeWork().endpoints()]
    except DatabaseError as error:
        logger.warning("The database can't be used right now (%s); looking again later.", str(error).strip())
        return
    finally:
        connections.close_all()  # not to be shared with processes forked from this one
    for name in waiting:
        _attend(consumer, name)
        send(name)


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def tell(**_: Any) -> None:
    """What is in flight lands or is given back; the rest is for others."""
    _told[0] = 1


@control_command(args=[("endpoint", str)])  # type: ignore[untyped-decorator]
def attend(state: Any, endpoint: str) -> None:
    """Listen to the queue of an endpoint that came after the worker had started."""
    state.consumer.call_soon(_attend, state.consumer, endpoint)


def _attend(consumer: Any, endpoint: str) -> None:
    queues = consumer.app.amqp.queues
    if DEFAULT in queues.consume_from and queue_of(endpoint) not in queues.consume_from:
        consumer.add_task_queue(queue_of(endpoint))


def _endpoints() -> list[str]:
    try:
        return list(Endpoint.objects.values_list("name", flat=True))
    except DatabaseError:  # not there yet, or without tables
        return []
    finally:
        connections.close_all()


def wake() -> None:
    """Every endpoint with open rows."""
    for endpoint in JudgeWork().endpoints():
        try:
            app.control.broadcast("attend", arguments={"endpoint": endpoint.name})
        except OperationalError as error:
            logger.error("The broker can't be reached, so no worker was woken: %s", error)
            return
        send(endpoint.name)
