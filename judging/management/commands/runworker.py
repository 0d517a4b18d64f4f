from argparse import ArgumentParser
from time import sleep
from typing import Any

from django.db import DatabaseError, connection

from benchmark.commandline import ArbiterCommand
from benchmark.engine import Engine
from benchmark.errors import UserError
from benchmark.models import Endpoint
from benchmark.stopping import StopSignal
from judging.panel.work import JudgeWork

AGAIN_SECONDS = 1.0


class Command(ArbiterCommand):
    help = "Work on every verdict that is wanted, in any study, until stopped. Any number of workers may run at once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--until-idle", action="store_true", help="stop when nothing is left to do")
        parser.add_argument("--endpoint", default="", metavar="NAME", help="only at this endpoint")

    def run(self, *, until_idle: bool, endpoint: str, **_: Any) -> None:
        stop = StopSignal()
        while not stop():
            try:
                _check(endpoint)
                Engine(
                    JudgeWork(endpoint=endpoint), stopping=stop, wait_for_others=True, stay=not until_idle
                ).run()
                return
            except (
                DatabaseError
            ) as error:  # away for longer than an engine waits; rows keep, so does the worker
                if until_idle:
                    raise
                self.stderr.write(f"The database can't be used right now ({error}); trying again.")
                connection.close()
                sleep(AGAIN_SECONDS)


def _check(endpoint: str) -> None:
    """A misspelt one would be waited for in silence."""
    known = list(Endpoint.objects.order_by("name").values_list("name", flat=True))
    if endpoint and endpoint not in known:
        raise UserError(
            f"There is no endpoint {endpoint!r} (known: {', '.join(known) or 'none; apply a study file'})."
        )
