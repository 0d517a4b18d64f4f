from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.db import transaction

from annotation.importing import import_responses
from annotation.schemes import scheme_given
from arbiter.cli.commandline import ArbiterCommand
from arbiter.core.errors import UserError
from benchmark.formats import RESPONSE_FORMATS, read_responses
from benchmark.formats.columns import ColumnMapping
from benchmark.models import Suite
from benchmark.suites import get_suite, newest_suite, refuse_bad_slug


class Command(ArbiterCommand):
    help = (
        "Import responses, with any labels they bring, into a study. All or nothing; repeating it changes "
        "nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
        parser.add_argument("--format", required=True, choices=sorted(RESPONSE_FORMATS))
        parser.add_argument("--suite", required=True, help="SLUG, or SLUG@VERSION")
        parser.add_argument(
            "--study", required=True, help="made if there is none, with --scheme or else the four classes"
        )
        parser.add_argument(
            "--scheme",
            metavar="FILE",
            help="a YAML file with the study's label scheme, or a built-in one's name",
        )
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="COLUMN=KNOWN",
            help="read a column as a known one, as output=response",
        )
        parser.add_argument(
            "--ignore",
            action="append",
            default=[],
            metavar="COLUMN,...",
            help="columns to leave out, as id,created_at",
        )
        parser.add_argument(
            "--split-reasoning",
            action="store_true",
            help=(
                "tell a model's reasoning between tags, as <think>, apart from its answer; else a text stays "
                "as it is"
            ),
        )
        parser.add_argument(
            "--create-tasks", action="store_true", help="take tasks the suite lacks from the table itself"
        )

    def run(
        self, *, paths: list[Path], format: str, suite: str, study: str, create_tasks: bool, **options: Any
    ) -> dict[str, Any]:
        missing = next((path for path in paths if not path.exists()), None)
        if missing:
            raise UserError(f"{missing}: there is no such file or folder.")
        rows = read_responses(format, paths, ColumnMapping.asked(options["map"], options["ignore"]))
        scheme = scheme_given(options["scheme"]) if options["scheme"] else None
        with transaction.atomic():  # a suite made for a file that turns out bad goes with it
            counts = import_responses(
                _suite(suite, create_tasks),
                study,
                rows,
                create_tasks=create_tasks,
                scheme=scheme,
                split_reasoning=options["split_reasoning"],
            )
        self.split = options["split_reasoning"]
        return counts

    def show(self, result: dict[str, Any]) -> None:
        super().show(result)
        if (count := result["holding_reasoning"]) and not self.split:
            self.stdout.write(
                f"{count:,} text{'s hold' if count > 1 else ' holds'} a model's reasoning between tags, and "
                "judges and raters will read it; --split-reasoning tells it apart from the answer."
            )


def _suite(name: str, create: bool) -> Suite:
    if create and "@" not in name and newest_suite(name) is None:
        refuse_bad_slug(name, "suite")
        return Suite.objects.get_or_create(slug=name, version=1, defaults={"title": name})[0]
    return get_suite(name)
