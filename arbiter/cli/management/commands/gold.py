import sys
from argparse import SUPPRESS, ArgumentParser
from pathlib import Path
from typing import Any

from annotation.goldfile import import_gold
from annotation.goldlabels import SOURCES, coverage, gold_rows, promote
from annotation.studyfinder import get_study
from arbiter.cli.commandline import ArbiterCommand, positive


class Command(ArbiterCommand):
    help = "Labels taken as truth: import them, promote them, or list how many there are."

    def add_arguments(self, parser: ArgumentParser) -> None:
        # The base options go to the subcommands too, so that --json may stand where people put it.
        actions = parser.add_subparsers(dest="action", required=True, metavar="import|promote|list")
        importing = actions.add_parser("import", help="take a file's labels as gold")
        importing.add_argument("study")
        importing.add_argument(
            "file", type=Path, help="CSV or JSONL: item, or task, subject, condition; label"
        )
        importing.add_argument(
            "--draw", default="", help="the draw these items came through; none: not drawn by a design"
        )
        promoting = actions.add_parser(
            "promote", help="make gold of what raters agree on, or adjudicators decided"
        )
        promoting.add_argument("study")
        promoting.add_argument(
            "--from",
            dest="source",
            choices=SOURCES,
            required=True,
            help="consensus: of all raters an item needs. adjudication: such items were chosen because "
            "people differ, so their draw is named only once every disputed item of it is decided",
        )
        promoting.add_argument(
            "--min", type=positive, default=2, help="for consensus, how many raters at least (2)"
        )
        promoting.add_argument(
            "--replace", action="store_true", help="also where an expert wrote gold or it was imported"
        )
        listing = actions.add_parser("list", help="count gold by origin, draw, stratum and label")
        listing.add_argument("study")
        for action in (importing, promoting, listing):
            action.add_argument(
                "--json", action="store_true", default=SUPPRESS, help="print one JSON document on stdout"
            )

    def run(self, *, action: str, study: str, json: bool, **options: Any) -> Any:
        of = get_study(study)
        if action == "import":
            return import_gold(of, options["file"], options["draw"])
        if action == "promote":
            return promote(of, options["source"], minimum=options["min"], replace=options["replace"])
        rows, covered = gold_rows(of), coverage(of)
        if json:
            return {"study": of.slug, "rows": rows, "coverage": covered}
        self.table(rows or [{"gold": "none yet"}], "Items with gold")
        if covered:
            sys.stdout.write("\n")
            self.table(covered, "Of the items drawn, those with gold")
        return None
