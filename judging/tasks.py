"""Celery tasks only wake the engine: the rows are the jobs, so a lost or doubled message does no harm."""

from celery import shared_task

from benchmark.engine import Engine
from judging.work import JudgeWork


@shared_task  # type: ignore[untyped-decorator]
def work_on_verdicts() -> None:
    Engine(JudgeWork()).run()
