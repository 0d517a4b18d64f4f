"""Telling workers that there are responses to collect."""

from django.conf import settings
from django.db import transaction


def wake_collectors() -> None:
    """Wake workers after the rows are committed. With no broker, `runworker` comes upon them by itself."""
    if settings.CELERY_BROKER_URL:
        from benchmark.collection.tasks import QUEUES  # loads Celery

        transaction.on_commit(QUEUES.wake_all)
