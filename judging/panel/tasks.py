"""Waking Celery workers for verdicts, in the queues `judge.NAME`."""

from celery import shared_task

from benchmark.endpoint_queues import EndpointQueues
from judging.panel.judge_work import JudgeWork

QUEUES = EndpointQueues("judge", lambda endpoint: JudgeWork(endpoint=endpoint))


@shared_task  # type: ignore[untyped-decorator]
def work_at(endpoint: str) -> None:
    """Work on verdicts at one endpoint until nothing is left for us there."""
    QUEUES.work_at(endpoint)


QUEUES.task = work_at
