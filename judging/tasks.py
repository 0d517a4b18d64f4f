"""Celery only wakes the engine: the rows are the jobs, so a message lost, late or doubled does no harm.

Each endpoint has a queue of its own, `judge.NAME`. A worker that listens to the default queue attends to all whose key it
has, those of later endpoints too; one started with `-Q judge.NAME` to that endpoint alone. Every worker looks for open rows
when it has reached the broker and every lease time after, so that nothing waits for a message that never came. It wakes
nobody but itself by that, and only if it has a process to spare: so messages don't pile up.
"""

import logging
import mmap
from functools import cache
from typing import Any

from celery import bootsteps, shared_task
from celery.signals import celeryd_after_setup, worker_shutting_down
from celery.worker.control import control_command
from celery.worker.state import reserved_requests
from django.conf import settings
from django.db import DatabaseError, connections
from kombu.exceptions import OperationalError

from benchmark.client import key_of
from benchmark.engine import Engine
from benchmark.errors import UserError
from benchmark.lanes import EndpointDown
from benchmark.models import Endpoint
from config.celery import app
from judging.panel.work import JudgeWork

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
    found = [] if stopping() else [one for one in work.endpoints() if has_key(one)]
    if not found:
        return
    was_down = any(one.down_since for one in found)
    if not was_down:
        # For a worker that has nothing to do. Each that takes one up passes one on, so one lies in the queue, no more.
        send(endpoint)
    engine = Engine(work, stopping=stopping)
    try:
        engine.run()
    except EndpointDown as error:
        if not was_down and not any(lane.reached for lane in engine.lanes.values()):  # else it was told
            logger.warning("%s", error)


def send(endpoint: str, connection: Any = None) -> None:
    """Wake a worker. What nobody takes up is forgotten: workers look by themselves."""
    lasts = 4 * settings.LEASE_SECONDS
    try:
        work_at.apply_async([endpoint], queue=queue_of(endpoint), expires=lasts, connection=connection)
    except _unreachable() as error:
        _tell_unreachable(error)


def _unreachable() -> tuple[type[Exception], ...]:
    """What a broker that is away makes of a message: not always wrapped in one type."""
    return (OperationalError, OSError, *app.connection_for_write().connection_errors)


def _tell_unreachable(error: Exception) -> None:
    logger.error("The broker can't be reached, so no worker was woken: %s", error)


def has_key(endpoint: Endpoint, *, tell: bool = True) -> bool:
    """What a worker lacks the key for it leaves to others."""
    try:
        key_of(endpoint)
    except UserError as error:
        if tell:
            _tell_once(str(error))
        return False
    return True


@cache
def _tell_once(problem: str) -> None:
    logger.error(problem)


@celeryd_after_setup.connect  # type: ignore[untyped-decorator]
def attend_to_endpoints(instance: Any, **_: Any) -> None:
    _told[0] = 0
    if DEFAULT in instance.app.amqp.queues.consume_from:
        for name in _endpoints():
            instance.app.amqp.queues.select_add(queue_of(name))


class Lookout(bootsteps.StartStopStep):  # type: ignore[misc]
    """A worker may be the first after one that was killed with its message, or after a broker that lost all. Started anew
    with each connection to the broker, as the timers go with the old one."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    timers: tuple[Any, ...] = ()

    def start(self, consumer: Any) -> None:
        every = consumer.timer.call_repeatedly(settings.LEASE_SECONDS, look, (consumer,))
        self.timers = (consumer.timer.call_after(0, look, (consumer,)), every)

    def stop(self, consumer: Any) -> None:
        for timer in self.timers:
            timer.cancel()


app.steps["consumer"].add(Lookout)


def look(consumer: Any) -> None:
    try:
        waiting = [endpoint.name for endpoint in JudgeWork().endpoints() if has_key(endpoint)]
    except DatabaseError as error:
        logger.warning("The database can't be used right now (%s); looking again later.", str(error).strip())
        return
    finally:
        connections.close_all()  # not to be shared with processes forked from this one
    for name in waiting:
        _attend(consumer, name)
    idle = not stopping() and len(reserved_requests) < consumer.pool.num_processes
    for name in waiting if idle else []:
        if queue_of(name) in consumer.app.amqp.queues.consume_from:
            send(name)


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def tell(**_: Any) -> None:
    """What is in flight lands or is given back; the rest is for others."""
    _told[0] = 1


@control_command(args=[("endpoint", str)])  # type: ignore[untyped-decorator]
def attend(state: Any, endpoint: str) -> None:
    """Listen to the queue of an endpoint that came after the worker had started."""
    if endpoint in _endpoints():
        state.consumer.call_soon(_attend, state.consumer, endpoint)


def _attend(consumer: Any, endpoint: str) -> None:
    queues = consumer.app.amqp.queues
    if DEFAULT in queues.consume_from and queue_of(endpoint) not in queues.consume_from:
        consumer.add_task_queue(queue_of(endpoint))


def _endpoints() -> list[str]:
    try:
        return [endpoint.name for endpoint in Endpoint.objects.all() if has_key(endpoint, tell=False)]
    except DatabaseError:  # not there yet, or without tables
        return []
    finally:
        connections.close_all()


def wake() -> None:
    """Every endpoint with open rows."""
    waiting = JudgeWork().endpoints()
    try:
        # A new connection: over one that has broken since it was used last, Celery tries to broadcast for ever.
        with app.connection_for_write() as connection:
            for endpoint in waiting:
                connection.ensure_connection(max_retries=1, interval_start=0.2)
                app.control.broadcast("attend", {"endpoint": endpoint.name}, connection=connection)
                send(endpoint.name, connection)
    except _unreachable() as error:
        _tell_unreachable(error)
