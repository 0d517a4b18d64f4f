import sys
from argparse import ArgumentParser
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from annotation.studies import get_study
from benchmark.commandline import ArbiterCommand, positive
from benchmark.stopping import StopSignal
from judging.panel import judge_study, wanted


class Command(ArbiterCommand):
    help = "Ask a study's judges for every verdict that is missing. Stopping it loses nothing; run it again to go on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study")
        parser.add_argument("--judge", default="", metavar="NAME", help="only this judge")
        parser.add_argument("--limit", type=positive, help="at most this many verdicts in this call")
        parser.add_argument("--retry-failed", action="store_true", help="ask again for verdicts that failed")

    def run(
        self, *, study: str, judge: str, limit: int | None, retry_failed: bool, **_: Any
    ) -> dict[str, Any]:
        found = get_study(study)
        bar = Progress(
            TextColumn("judging"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=Console(stderr=True), disable=not sys.stderr.isatty(),
        )  # fmt: skip
        with bar:
            task = bar.add_task("judging", total=limit or wanted(found, judge))
            return judge_study(
                found,
                judge,
                limit,
                retry=retry_failed,
                stopping=StopSignal(),
                on_progress=lambda n: bar.advance(task, n),
            )
