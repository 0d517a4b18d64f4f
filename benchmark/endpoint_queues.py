"""Waking Celery workers for calls at endpoints (arbiter.core.tasks says how they are woken for anything).

For work of each kind every endpoint has a queue of its own, `KIND.NAME`. A worker that listens to the default
queue attends to all whose key it has, those of later endpoints too; one started with `-Q KIND.NAME` to that
work alone.
"""

import logging
from collections.abc import Callable, Collection
from functools import cache, partial
from typing import Any

from celery.signals import celeryd_after_setup
from celery.worker.control import control_command
from django.db import DatabaseError, connections

from arbiter.calls.connecting import connection_of
from arbiter.calls.engine import Engine, Work
from arbiter.calls.lanes import EndpointDown
from arbiter.calls.service import Service
from arbiter.core.broker import app
from arbiter.core.errors import UserError
from arbiter.core.tasks import DEFAULT, LOOKS_FOR_WORK, idle, send, send_anew, stopping
from benchmark.models import Endpoint

logger = logging.getLogger(__name__)
KINDS: "list[EndpointQueues]" = []


class EndpointQueues:
    """The queues of one kind of work; `task` is what a message in one starts, with the endpoint's name."""

    def __init__(self, kind: str, work: Callable[[str], Work]) -> None:
        self.kind, self.work = kind, work
        self.task: Any = None
        KINDS.append(self)
        LOOKS_FOR_WORK.append(self.look)

    def queue_of(self, endpoint: str) -> str:
        return f"{self.kind}.{endpoint}"

    def work_at(self, endpoint: str) -> None:
        """Work at one endpoint until nothing is left for us there."""
        work = self.work(endpoint)
        endpoints = [] if stopping() else [service for service in work.endpoints() if has_key(service)]
        if not endpoints:
            return
        was_down = any(service.down_since for service in endpoints)
        if not was_down:
            # For a worker that has nothing to do. Each that takes one up passes one on,
            # so one lies in the queue, no more.
            self.wake_one(endpoint)
        engine = Engine(work, stopping=stopping)
        try:
            engine.run()
        except EndpointDown as error:
            if not was_down and not any(lane.reached for lane in engine.lanes.values()):  # else it was told
                logger.warning("%s", error)

    def wake_one(self, endpoint: str, connection: Any = None) -> None:
        send(self.task, [endpoint], self.queue_of(endpoint), connection)

    def wake_all(self) -> None:
        """Tell workers of every endpoint with open rows."""
        send_anew([partial(self._wake_at, endpoint.name) for endpoint in self.work("").endpoints()])

    def _wake_at(self, endpoint: str, connection: Any) -> None:
        app.control.broadcast("attend", {"endpoint": endpoint}, connection=connection)
        self.wake_one(endpoint, connection)

    def look(self, consumer: Any) -> None:
        """Look for open rows, attend to their endpoints, and wake this worker where it has nothing to do."""
        waiting = [endpoint.name for endpoint in self.work("").endpoints() if has_key(endpoint)]
        for name in waiting:
            self.attend_to(consumer, name)
        for name in waiting if idle(consumer) else []:
            if self.queue_of(name) in consumer.app.amqp.queues.consume_from:
                self.wake_one(name)

    def attend_to(self, consumer: Any, endpoint: str) -> None:
        queues: Collection[str] = consumer.app.amqp.queues.consume_from
        if DEFAULT in queues and self.queue_of(endpoint) not in queues:
            consumer.add_task_queue(self.queue_of(endpoint))


def has_key(endpoint: Service, *, tell: bool = True) -> bool:
    """Tell whether this worker has the endpoint's key and whatever else it names; one that lacks any leaves
    the endpoint to others."""
    try:
        connection_of(endpoint)
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
    if DEFAULT in instance.app.amqp.queues.consume_from:
        for name in _endpoints():
            for queues in KINDS:
                instance.app.amqp.queues.select_add(queues.queue_of(name))


@control_command(args=[("endpoint", str)])  # type: ignore[untyped-decorator]
def attend(state: Any, endpoint: str) -> None:
    """Listen to the queues of an endpoint that came after the worker had started."""
    if endpoint in _endpoints():
        for queues in KINDS:
            state.consumer.call_soon(queues.attend_to, state.consumer, endpoint)


def _endpoints() -> list[str]:
    try:
        return [endpoint.name for endpoint in Endpoint.objects.all() if has_key(endpoint.service, tell=False)]
    except DatabaseError:  # not there yet, or without tables
        return []
    finally:
        connections.close_all()
