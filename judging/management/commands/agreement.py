from argparse import ArgumentParser
from typing import Any

from annotation.studies import get_study
from benchmark.commandline import ArbiterCommand
from judging.agreement import agreement


class Command(ArbiterCommand):
    help = (
        "How far a study's raters agree: Krippendorff's alpha with an interval, percent agreement, each pair."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study")
        parser.add_argument("--raters", default="", metavar="A,B", help="only these; NAME or NAME@VERSION")

    def run(self, *, study: str, raters: str, **_: Any) -> dict[str, Any]:
        return agreement(get_study(study), [name.strip() for name in raters.split(",") if name.strip()])

    def show(self, result: Any) -> None:
        pairs = result.pop("pairs")
        super().show(result)
        if pairs:
            self.table(pairs, "\nPairs")
