from argparse import ArgumentParser
from time import sleep
from typing import Any

from django.db import DatabaseError, connection

from arbiter.calls.engine import Engine
from arbiter.cli.commandline import ArbiterCommand
from arbiter.core.errors import UserError
from arbiter.core.jobworkers import JobWorker, JobWorkerThread
from arbiter.core.stopsignal import StopSignal
from benchmark.models import Endpoint
from judging.panel.judge_work import JudgeWork

AGAIN_SECONDS = 1.0


class Command(ArbiterCommand):
    help = (
        "Work on every verdict that is wanted and every job that was asked for, in any study, until stopped. "
        "Any number of workers may run at once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--until-idle", action="store_true", help="stop when nothing is left to do")
        parser.add_argument(
            "--endpoint", default="", metavar="NAME", help="only verdicts of this endpoint, and no jobs"
        )

    def run(self, *, until_idle: bool, endpoint: str, **_: Any) -> None:
        stop = StopSignal()
        jobs = JobWorkerThread(JobWorker(stop, wait_for_others=True, stay=not until_idle))
        if not endpoint:
            jobs.start()
        try:
            self._judge(stop, endpoint, until_idle)
        finally:
            stop.told = (
                stop.told or not until_idle
            )  # whatever ended it: a worker that stays would not end by itself
            if not endpoint:
                jobs.join()

    def _judge(self, stop: StopSignal, endpoint: str, until_idle: bool) -> None:
        """Work on verdicts. Where the database is away for longer than an engine waits, rows keep, so does
        the worker."""
        while not stop():
            try:
                _check(endpoint)
                Engine(
                    JudgeWork(endpoint=endpoint), stopping=stop, wait_for_others=True, stay=not until_idle
                ).run()
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
