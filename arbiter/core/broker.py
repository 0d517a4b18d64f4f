"""The Celery application. Tasks only wake the engine; the database rows are the jobs."""

from celery import Celery
from django.conf import settings

app = Celery("arbiter", broker=settings.CELERY_BROKER_URL or "memory://")
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # a worker outlasts any outage
    # Waking must not hold up a page while the broker is away: once more, at once.
    broker_transport_options={"max_retries": 1, "interval_start": 0.2, "socket_connect_timeout": 4},
    # The engine goes on where the broker went away: its work stands in the database.
    worker_cancel_long_running_tasks_on_connection_loss=False,
)
