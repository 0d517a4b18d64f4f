from argparse import ArgumentParser
from time import sleep
from typing import Any

from django.db import DatabaseError, connection

from benchmark.commandline import ArbiterCommand
from benchmark.engine import Engine
from benchmark.stopping import StopSignal
from judging.work import JudgeWork

IDLE_SECONDS = 0.5


class Command(ArbiterCommand):
    help = "Work on every verdict that is wanted, in any study, until stopped. Any number of workers may run at once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--until-idle", action="store_true", help="stop when nothing is left to do")

    def run(self, *, until_idle: bool, **_: Any) -> None:
        stop = StopSignal()
        while not stop():
            try:
                work = JudgeWork()
                if work.endpoints():
                    Engine(work, stopping=stop).run()
            except DatabaseError as error:  # the server is restarting, say; rows keep, so does the worker
                self.stderr.write(f"The database can't be used right now ({error}); trying again.")
                connection.close()
            if until_idle and not JudgeWork().waiting():
                return
            sleep(IDLE_SECONDS)
