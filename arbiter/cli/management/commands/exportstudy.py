from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from annotation.studyfinder import get_study
from arbiter.cli.commandline import ArbiterCommand
from arbiter.releases.exporting import export_study


class Command(ArbiterCommand):
    help = (
        "Write a study's dataset: a row an item with its settled label and every rating, or a row a rating."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study")
        parser.add_argument("out", type=Path, metavar="OUT.(jsonl|csv|parquet)")
        parser.add_argument("--long", action="store_true", help="one row a rating")
        parser.add_argument("--names", action="store_true", help="people's own names instead of pseudonyms")

        parser.add_argument(
            "--spreadsheet",
            action="store_true",
            help="a CSV to open in a spreadsheet: cells that it would run are marked",
        )

    def run(
        self, *, study: str, out: Path, long: bool, names: bool, spreadsheet: bool, **_: Any
    ) -> dict[str, Any]:
        return export_study(get_study(study), out, long=long, names=names, spreadsheet=spreadsheet)
