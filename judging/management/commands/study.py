from argparse import SUPPRESS, ArgumentParser
from pathlib import Path
from typing import Any

from benchmark.commandline import ArbiterCommand
from judging.applying import apply_file, studies


class Command(ArbiterCommand):
    help = "Apply a study file, or list the studies."

    def add_arguments(self, parser: ArgumentParser) -> None:
        # The base options go to the subcommands too, so that --json may stand where people put it.
        actions = parser.add_subparsers(dest="action", required=True, metavar="apply|list")
        apply = actions.add_parser("apply", help="make the study a file describes, or bring it up to date")
        apply.add_argument("file", type=Path)
        listing = actions.add_parser("list", help="list the studies")
        for action in (apply, listing):
            action.add_argument(
                "--json", action="store_true", default=SUPPRESS, help="print one JSON document on stdout"
            )

    def run(self, *, action: str, file: Path | None = None, json: bool, **_: Any) -> Any:
        if action == "apply" and file:
            return apply_file(file).summary()
        return {"studies": studies()} if json else studies()
