from argparse import SUPPRESS, ArgumentParser
from typing import Any

from arbiter.cli.commandline import ArbiterCommand
from arbiter.studies.reading.ledgerchecks import check_ledger


class Command(ArbiterCommand):
    help = "Look whether the ledger is whole: guarded, without gaps, and what is kept is what was said."

    def add_arguments(self, parser: ArgumentParser) -> None:
        # The base options go to the subcommands too, so that --json may stand where people put it.
        actions = parser.add_subparsers(dest="action", required=True, metavar="ledger")
        ledger = actions.add_parser("ledger", help="ratings, gold, attempts, decisions and settlements")
        ledger.add_argument(
            "--json", action="store_true", default=SUPPRESS, help="print one JSON document on stdout"
        )

    def run(self, **_: Any) -> dict[str, Any]:
        return check_ledger()

    def show(self, result: dict[str, Any]) -> None:
        super().show(result["checks"])
        if result["faults"]:
            self.table(result["faults"])

    def failed(self, result: dict[str, Any]) -> str:
        return "" if result["sound"] else "The ledger is not whole; what is wrong stands above."
