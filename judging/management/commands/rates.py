from argparse import ArgumentParser
from typing import Any

from annotation.studies import get_study
from benchmark.commandline import ArbiterCommand
from judging.rates import rates


class Command(ArbiterCommand):
    help = "Convergence rates with counts, both denominators and intervals, for any source of labels."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study")
        parser.add_argument(
            "--source", required=True, help="a rater (NAME or NAME@VERSION), majority, gold or settled"
        )
        parser.add_argument("--by", default="subject,condition", metavar="subject,condition,category")

    def run(self, *, study: str, source: str, by: str, **_: Any) -> dict[str, Any]:
        return rates(get_study(study), source, [word.strip() for word in by.split(",") if word.strip()])

    def show(self, result: Any) -> None:
        super().show(result)
        if result["simulated"]:
            self.stdout.write("Simulated: some of these labels come from a simulated rater.")
