from argparse import ArgumentParser
from time import monotonic, sleep
from typing import Any

from django.db import DatabaseError, connection

from benchmark.commandline import ArbiterCommand
from benchmark.engine import EndpointDown, Engine
from benchmark.stopping import StopSignal
from judging.work import JudgeWork

IDLE_SECONDS = 0.5
DOWN_SECONDS = (5.0, 60.0)  # before an endpoint that could not be reached is tried again: at first, at most


class Command(ArbiterCommand):
    help = "Work on every verdict that is wanted, in any study, until stopped. Any number of workers may run at once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--until-idle", action="store_true", help="stop when nothing is left to do")

    def run(self, *, until_idle: bool, **_: Any) -> None:
        stop, pause = StopSignal(), DOWN_SECONDS[0]
        while not stop():
            try:
                work = JudgeWork()
                if work.endpoints():
                    Engine(work, stopping=stop).run()
                pause = DOWN_SECONDS[0]
            except EndpointDown as error:
                self.stderr.write(str(error))
                self._wait(stop, pause)
                pause = min(2 * pause, DOWN_SECONDS[1])
            except DatabaseError as error:  # the server is restarting, say; rows keep, so does the worker
                self.stderr.write(f"The database can't be used right now ({error}); trying again.")
                connection.close()
            if until_idle and not JudgeWork().waiting():
                return
            sleep(IDLE_SECONDS)

    def _wait(self, stop: StopSignal, seconds: float) -> None:
        end = monotonic() + seconds
        while monotonic() < end and not stop():
            sleep(IDLE_SECONDS)
