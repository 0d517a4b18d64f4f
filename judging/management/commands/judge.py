from argparse import ArgumentParser
from typing import Any

from annotation.studies import get_study
from benchmark.commandline import ArbiterCommand, positive, progress_bar
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
        with progress_bar("judging", limit or wanted(found, judge)) as advance:
            return judge_study(
                found,
                judge,
                limit,
                retry=retry_failed,
                stopping=StopSignal(),
                on_progress=advance,
            )
