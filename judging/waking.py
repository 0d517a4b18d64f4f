"""Telling workers that there is work."""

import logging

from django.conf import settings
from django.db import transaction

logger = logging.getLogger(__name__)


def wake_workers() -> None:
    """After the rows are committed. With no broker, `runworker` finds them by itself."""
    if settings.CELERY_BROKER_URL:
        transaction.on_commit(_send)


def _send() -> None:
    from judging.tasks import work_on_verdicts

    try:
        work_on_verdicts.delay()
    except work_on_verdicts.OperationalError as error:
        # The rows are there; whichever worker starts next, or the next wake, does them.
        logger.error("The broker can't be reached, so no worker was woken: %s", error)
