"""Celery tasks only wake the engine: the rows are the jobs, so a lost or doubled message does no harm."""

import logging
from typing import Any

from celery import shared_task
from celery.signals import worker_ready
from django.conf import settings

from benchmark.engine import EndpointDown, Engine
from judging.work import JudgeWork

logger = logging.getLogger(__name__)


@shared_task  # type: ignore[untyped-decorator]
def work_on_verdicts() -> None:
    work = JudgeWork()
    try:
        Engine(work).run()
    except EndpointDown as error:
        logger.warning("%s", error)
    if work.waiting():
        # Another worker holds the rest, and may die; or an endpoint is down. Nobody else would be told.
        work_on_verdicts.apply_async(countdown=settings.LEASE_SECONDS)


@worker_ready.connect  # type: ignore[untyped-decorator]
def look_for_work(**_: Any) -> None:
    """A worker that starts may be the first after one that was killed with its message."""
    work_on_verdicts.delay()
