from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.db import transaction

from annotation.importing import import_responses
from benchmark.commandline import ArbiterCommand
from benchmark.errors import UserError
from benchmark.formats import RESPONSE_FORMATS, read_responses
from benchmark.models import Suite
from benchmark.suites import get_suite, newest_suite, refuse_bad_slug


class Command(ArbiterCommand):
    help = "Import responses, with any labels they bring, into a study. All or nothing; repeating it changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
        parser.add_argument("--format", required=True, choices=sorted(RESPONSE_FORMATS))
        parser.add_argument("--suite", required=True, help="SLUG, or SLUG@VERSION")
        parser.add_argument(
            "--study", required=True, help="made, with the four-class scheme, if there is none"
        )
        parser.add_argument(
            "--create-tasks", action="store_true", help="take tasks the suite lacks from the table itself"
        )

    def run(
        self, *, paths: list[Path], format: str, suite: str, study: str, create_tasks: bool, **_: Any
    ) -> dict[str, int]:
        missing = next((path for path in paths if not path.exists()), None)
        if missing:
            raise UserError(f"{missing}: there is no such file or folder.")
        rows = read_responses(format, paths)
        with transaction.atomic():  # a suite made for a file that turns out bad goes with it
            return import_responses(_suite(suite, create_tasks), study, rows, create_tasks=create_tasks)


def _suite(name: str, create: bool) -> Suite:
    if create and "@" not in name and newest_suite(name) is None:
        refuse_bad_slug(name, "suite")
        return Suite.objects.get_or_create(slug=name, version=1, defaults={"title": name})[0]
    return get_suite(name)
