from argparse import ArgumentParser
from collections.abc import Callable
from threading import Thread
from time import sleep
from typing import Any

from django.db import DatabaseError, connection, connections

from arbiter.calls.engine import Engine, Work
from arbiter.cli.commandline import ArbiterCommand
from arbiter.core.errors import UserError
from arbiter.core.jobworkers import JobWorker, JobWorkerThread
from arbiter.core.stopsignal import StopSignal
from benchmark.collection.collect_work import CollectWork
from benchmark.models import Endpoint
from judging.panel.judge_work import JudgeWork

AGAIN_SECONDS = 1.0


class CollectorThread(Thread):
    """Collecting beside judging, in one process. What ends it before its time ends the process too."""

    def __init__(self, work: Callable[[], None], stop: StopSignal) -> None:
        super().__init__(name="arbiter-collecting", daemon=True)
        self.work, self.stop = work, stop
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.work()
        except Exception as error:
            self.error, self.stop.told = error, True
        finally:
            connections.close_all()

    def end(self) -> None:
        self.join()
        if self.error:
            raise self.error


class Command(ArbiterCommand):
    help = (
        "Work on every verdict that is wanted, every response that is to be collected and every job that was "
        "asked for, until stopped. Any number of workers may run at once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--until-idle", action="store_true", help="stop when nothing is left to do")
        parser.add_argument(
            "--endpoint",
            default="",
            metavar="NAME",
            help="only verdicts and responses of this endpoint, and no jobs",
        )

    def run(self, *, until_idle: bool, endpoint: str, **_: Any) -> None:
        stop = StopSignal()
        jobs = JobWorkerThread(JobWorker(stop, wait_for_others=True, stay=not until_idle))
        collector = CollectorThread(
            lambda: self._work(lambda: CollectWork(endpoint=endpoint), stop, endpoint, until_idle), stop
        )
        if not endpoint:
            jobs.start()
        collector.start()
        try:
            self._work(lambda: JudgeWork(endpoint=endpoint), stop, endpoint, until_idle)
        finally:
            stop.told = (
                stop.told or not until_idle
            )  # whatever ended it: a worker that stays would not end by itself
            if not endpoint:
                jobs.join()
            collector.end()

    def _work(self, work: Callable[[], Work], stop: StopSignal, endpoint: str, until_idle: bool) -> None:
        """Work on rows of one kind. Where the database is away for longer than an engine waits, rows keep, so
        does the worker."""
        while not stop():
            try:
                _check(endpoint)
                Engine(work(), stopping=stop, wait_for_others=True, stay=not until_idle).run()
                return
            except DatabaseError as error:
                if until_idle:
                    raise
                self.stderr.write(f"The database can't be used right now ({error}); trying again.")
                connection.close()
                sleep(AGAIN_SECONDS)


def _check(endpoint: str) -> None:
    """Refuse an endpoint that there is not: a misspelt one would be waited for in silence."""
    known = list(Endpoint.objects.order_by("name").values_list("name", flat=True))
    if endpoint and endpoint not in known:
        raise UserError(
            f"There is no endpoint {endpoint!r} (known: {', '.join(known) or 'none; apply a study file'})."
        )
