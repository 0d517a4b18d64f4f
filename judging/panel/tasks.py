"""Waking Celery workers for verdicts (arbiter.core.tasks says how they are woken for anything).

Each endpoint has a queue of its own, `judge.NAME`. A worker that listens to the default queue attends to all
whose key it has, those of later endpoints too; one started with `-Q judge.NAME` to that endpoint alone.
"""

import logging
from functools import cache, partial
from typing import Any

from celery import shared_task
from celery.signals import celeryd_after_setup
from celery.worker.control import control_command
from django.db import DatabaseError, connections

from arbiter.calls.client import key_of
from arbiter.calls.engine import Engine
from arbiter.calls.lanes import EndpointDown
from arbiter.calls.service import Service
from arbiter.core.broker import app
from arbiter.core.errors import UserError
from arbiter.core.tasks import DEFAULT, LOOKS_FOR_WORK, idle, send, send_anew, stopping
from benchmark.models import Endpoint
from judging.panel.judge_work import JudgeWork

logger = logging.getLogger(__name__)


def queue_of(endpoint: str) -> str:
    return f"judge.{endpoint}"


@shared_task  # type: ignore[untyped-decorator]
def work_at(endpoint: str) -> None:
    """Work at one endpoint until nothing is left for us there."""
    work = JudgeWork(endpoint=endpoint)
    endpoints = [] if stopping() else [service for service in work.endpoints() if has_key(service)]
    if not endpoints:
        return
    was_down = any(service.down_since for service in endpoints)
    if not was_down:
        # For a worker that has nothing to do. Each that takes one up passes one on,
        # so one lies in the queue, no more.
        wake_one(endpoint)
    engine = Engine(work, stopping=stopping)
    try:
        engine.run()
    except EndpointDown as error:
        if not was_down and not any(lane.reached for lane in engine.lanes.values()):  # else it was told
            logger.warning("%s", error)


def wake_one(endpoint: str, connection: Any = None) -> None:
    send(work_at, [endpoint], queue_of(endpoint), connection)


def has_key(endpoint: Service, *, tell: bool = True) -> bool:
    """Tell whether this worker has the endpoint's key; one that lacks it leaves the endpoint to others."""
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
    if DEFAULT in instance.app.amqp.queues.consume_from:
        for name in _endpoints():
            instance.app.amqp.queues.select_add(queue_of(name))


def look_for_verdicts(consumer: Any) -> None:
    waiting = [endpoint.name for endpoint in JudgeWork().endpoints() if has_key(endpoint)]
    for name in waiting:
        _attend(consumer, name)
    for name in waiting if idle(consumer) else []:
        if queue_of(name) in consumer.app.amqp.queues.consume_from:
            wake_one(name)


LOOKS_FOR_WORK.append(look_for_verdicts)


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
        return [endpoint.name for endpoint in Endpoint.objects.all() if has_key(endpoint.service, tell=False)]
    except DatabaseError:  # not there yet, or without tables
        return []
    finally:
        connections.close_all()


def wake_for_verdicts() -> None:
    """Tell workers of every endpoint with open rows."""
    send_anew([partial(_wake_at, endpoint.name) for endpoint in JudgeWork().endpoints()])


def _wake_at(endpoint: str, connection: Any) -> None:
    app.control.broadcast("attend", {"endpoint": endpoint}, connection=connection)
    wake_one(endpoint, connection)
