"""Waking Celery workers for responses that are to be collected, in the queues `collect.NAME`."""

from celery import shared_task

from benchmark.collection.collect_work import CollectWork
from benchmark.endpoint_queues import EndpointQueues

QUEUES = EndpointQueues("collect", lambda endpoint: CollectWork(endpoint=endpoint))


@shared_task  # type: ignore[untyped-decorator]
def collect_at(endpoint: str) -> None:
    """Collect at one endpoint until nothing is left for us there."""
    QUEUES.work_at(endpoint)


QUEUES.task = collect_at
