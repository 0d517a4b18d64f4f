from argparse import SUPPRESS, ArgumentParser
from typing import Any

from annotation.studyfinder import get_study
from arbiter.cli.commandline import ArbiterCommand
from arbiter.core.errors import UserError
from arbiter.studies.ending.personerasure import erase_person, find_person


class Command(ArbiterCommand):
    help = (
        "Erase a person: what names them goes for good, and their labels stay under a name that says nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        # The base options go to the subcommands too, so that --json may stand where people put it.
        actions = parser.add_subparsers(dest="action", required=True, metavar="erase")
        erase = actions.add_parser("erase", help="erase somebody's account and name")
        erase.add_argument("name", help="their account's name")
        erase.add_argument("--study", help="somebody without an account, whom files of this study named so")
        erase.add_argument(
            "--texts", action="store_true", help="empty what they wrote in their own words too"
        )
        erase.add_argument("--by", required=True, metavar="NAME", help="who erases them, which is kept")
        erase.add_argument("--reason", required=True, help="why, which is kept")
        erase.add_argument("--yes", action="store_true", help="do it")
        erase.add_argument(
            "--json", action="store_true", default=SUPPRESS, help="print one JSON document on stdout"
        )

    def run(
        self, *, name: str, study: str | None, texts: bool, by: str, reason: str, yes: bool, **_: Any
    ) -> dict[str, Any]:
        user, rater = find_person(name, get_study(study) if study else None)
        if not yes:
            raise UserError(f"Nothing was erased: add --yes to erase {name!r} for good.")
        return erase_person(user, rater, who=by, why=reason, texts=texts)
