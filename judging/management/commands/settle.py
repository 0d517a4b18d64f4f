from argparse import ArgumentParser
from typing import Any

from annotation.studies import get_study
from benchmark.commandline import ArbiterCommand
from judging.settling import settle


class Command(ArbiterCommand):
    help = (
        "Settle a final label for every item: an adjudication where there is one, else the voters' majority."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study")

    def run(self, *, study: str, **_: Any) -> dict[str, Any]:
        return settle(get_study(study))
