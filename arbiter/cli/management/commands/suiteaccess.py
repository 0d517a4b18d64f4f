from argparse import SUPPRESS, ArgumentParser
from typing import Any

from django.contrib.auth.models import User

from annotation.models import SuiteAccess
from annotation.studyfinder import get_study
from annotation.suiteaccess import access_row, access_to, every_suite, grant, grant_study, revoke
from arbiter.cli.commandline import ArbiterCommand
from arbiter.core.errors import UserError
from benchmark.suites import get_suite


class Command(ArbiterCommand):
    help = "Who may make studies of a suite's responses: let somebody, end it, or list them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        # The base options go to the subcommands too, so that --json may stand where people put it.
        actions = parser.add_subparsers(dest="action", required=True, metavar="grant|revoke|list")
        for name, about in (("grant", "let a person or a study use it"), ("revoke", "end that")):
            action = actions.add_parser(name, help=about)
            action.add_argument("suite")
            who = action.add_mutually_exclusive_group(required=True)
            who.add_argument("--user", help="a person's name")
            who.add_argument(
                "--study", help="a study's short name: whoever owns it may bring responses into it"
            )
            if name == "grant":
                action.add_argument("--owner", action="store_true", help="the person also says who else may")
        listing = actions.add_parser("list", help="who may use which suite")
        listing.add_argument("suite", nargs="?")
        for action in actions.choices.values():
            action.add_argument(
                "--json", action="store_true", default=SUPPRESS, help="print one JSON document on stdout"
            )

    def run(self, *, action: str, suite: str | None, **options: Any) -> Any:
        slug = get_suite(suite).slug if suite else None
        if action == "list":
            return {"rows": [access_row(row) for row in access_to([slug] if slug else every_suite())]}
        changed = (self._grant if action == "grant" else self._revoke)(str(slug), options)
        return {"suite": slug, "who": options["user"] or options["study"], "changed": changed}

    def _grant(self, slug: str, options: dict[str, Any]) -> bool:
        if options["study"]:
            if options["owner"]:
                raise UserError("--owner: a study can't own a suite; name a person with --user.")
            return grant_study(slug, get_study(options["study"]))
        return grant(slug, _person(options["user"]), owner=options["owner"])

    def _revoke(self, slug: str, options: dict[str, Any]) -> bool:
        rows = SuiteAccess.objects.filter(suite=slug)
        if options["study"]:
            rows = rows.filter(study=get_study(options["study"]))
        else:
            rows = rows.filter(user=_person(options["user"]))
        row = rows.first()
        if row:
            revoke(row)
        return row is not None


def _person(name: str) -> User:
    person = User.objects.filter(username=name).first()
    if person is None:
        raise UserError(
            f"There is nobody called {name!r}; make an account by an invitation or createsuperuser."
        )
    return person
