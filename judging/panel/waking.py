"""Telling workers that there is work."""

from django.conf import settings
from django.db import transaction


def wake_workers() -> None:
    """After the rows are committed. With no broker, `runworker` finds them by itself."""
    if settings.CELERY_BROKER_URL:
        from judging.tasks import wake  # loads Celery

        transaction.on_commit(wake)
