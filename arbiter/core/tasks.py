"""Celery only wakes: the rows are the jobs, so a message lost, late or doubled does no harm.

Every worker looks for work when it has reached the broker and every lease time after, so that nothing waits
for a message that never came: for jobs, and for what other rooms add to LOOKS_FOR_WORK.
"""

import logging
import mmap
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from celery import bootsteps, shared_task
from celery.signals import celeryd_after_setup, worker_shutting_down
from celery.worker.state import reserved_requests
from django.conf import settings
from django.db import DatabaseError, connections
from kombu.exceptions import OperationalError

from arbiter.core.broker import app
from arbiter.core.jobworkers import JobWorker, doable_jobs

logger = logging.getLogger(__name__)
DEFAULT = "celery"
LOOKS_FOR_WORK: list[Callable[[Any], None]] = []
# Shared with the processes that a worker forks: only the worker itself hears the signal.
_told_to_stop = mmap.mmap(-1, 1)


def stopping() -> bool:
    return _told_to_stop[0] == 1


@celeryd_after_setup.connect  # type: ignore[untyped-decorator]
def note_start(**_: Any) -> None:
    _told_to_stop[0] = 0


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def note_stop(**_: Any) -> None:
    """Note that the worker was told to stop: what is in flight lands or is given back."""
    _told_to_stop[0] = 1


# Waking


def send(task: Any, arguments: list[str], queue: str = DEFAULT, connection: Any = None) -> None:
    """Wake a worker. What nobody takes up is forgotten: workers look by themselves."""
    lasts = 4 * settings.LEASE_SECONDS
    try:
        task.apply_async(arguments, queue=queue, expires=lasts, connection=connection)
    except unreachable() as error:
        tell_unreachable(error)


def send_anew(messages: Iterable[Callable[[Any], None]]) -> None:
    """Send messages over a new connection to the broker, which each of them is given.

    Over one that has broken since it was used last, Celery tries to send for ever.
    """
    try:
        with app.connection_for_write() as connection:
            for message in messages:
                connection.ensure_connection(max_retries=1, interval_start=0.2)
                message(connection)
    except unreachable() as error:
        tell_unreachable(error)


def unreachable() -> tuple[type[Exception], ...]:
    """Return the errors that a broker which is away makes of a message: not always wrapped in one type."""
    return (OperationalError, OSError, *app.connection_for_write().connection_errors)


def tell_unreachable(error: Exception) -> None:
    logger.error("The broker can't be reached, so no worker was woken: %s", error)


# Looking


class PeriodicLook(bootsteps.StartStopStep):  # type: ignore[misc]
    """A step of Celery's worker that looks for work now and then.

    A worker may be the first after one that was killed with its message, or after a broker that lost all.
    Started anew with each connection to the broker, as the timers go with the old one.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)
    timers: tuple[Any, ...] = ()

    def start(self, consumer: Any) -> None:
        every = consumer.timer.call_repeatedly(settings.LEASE_SECONDS, look_for_work, (consumer,))
        self.timers = (consumer.timer.call_after(0, look_for_work, (consumer,)), every)

    def stop(self, consumer: Any) -> None:
        for timer in self.timers:
            timer.cancel()


app.steps["consumer"].add(PeriodicLook)


def look_for_work(consumer: Any) -> None:
    try:
        for look in LOOKS_FOR_WORK:
            look(consumer)
    except DatabaseError as error:
        logger.warning("The database can't be used right now (%s); looking again later.", str(error).strip())
    finally:
        connections.close_all()  # not to be shared with processes forked from this one


def idle(consumer: Any) -> bool:
    """Tell whether the worker has a process to spare.

    One that has none wakes nobody, so that messages don't pile up.
    """
    return not stopping() and len(reserved_requests) < consumer.pool.num_processes


# Jobs


@shared_task  # type: ignore[untyped-decorator]
def work_on_jobs() -> None:
    """Do jobs until none is left for us."""
    JobWorker(stopping).run()


def look_for_jobs(consumer: Any) -> None:
    if (
        doable_jobs().claimable().exists()
        and idle(consumer)
        and DEFAULT in consumer.app.amqp.queues.consume_from
    ):
        send(work_on_jobs, [])


LOOKS_FOR_WORK.append(look_for_jobs)


def wake_for_jobs() -> None:
    """Tell a worker that there is a job."""
    send_anew([partial(send, work_on_jobs, [], DEFAULT)])
