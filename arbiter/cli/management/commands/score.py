from argparse import ArgumentParser
from typing import Any

from annotation.studyfinder import get_study
from arbiter.cli.commandline import ArbiterCommand, progress_bar
from arbiter.core.stopsignal import StopSignal
from judging.panel.scoring import labels_owed, score


class Command(ArbiterCommand):
    help = (
        "Have a study's scorers label every item they have not looked at. Stopping it loses nothing; run it "
        "again to go on."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study")
        parser.add_argument("--scorer", default="", metavar="NAME", help="only this scorer")
        parser.add_argument(
            "--retry-failed", action="store_true", help="try again where a program gave no label"
        )

    def run(self, *, study: str, scorer: str, retry_failed: bool, **_: Any) -> dict[str, Any]:
        chosen_study = get_study(study)
        with progress_bar("scoring", labels_owed(chosen_study, scorer)) as advance:
            return score(chosen_study, scorer, retry_failed, stopping=StopSignal(), on_progress=advance)
