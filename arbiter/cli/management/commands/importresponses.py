from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from annotation.importing.checking import ImportOptions, stage
from annotation.importing.importjob import ask_for_import
from annotation.schemes import scheme_given
from arbiter.cli.commandline import ArbiterCommand, progress_bar
from arbiter.cli.import_progress import seen_through
from arbiter.core.errors import UserError
from arbiter.core.stopsignal import StopSignal
from benchmark.formats import RESPONSE_FORMATS, read_responses
from benchmark.formats.columns import ColumnMapping
from benchmark.models import Suite
from benchmark.suites import get_suite, newest_suite, refuse_bad_slug


class Command(ArbiterCommand):
    help = (
        "Import responses, with any labels they bring, into a study. All is checked before anything is "
        "written; repeating it changes nothing."
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
        self.split, stopping = options["split_reasoning"], StopSignal()
        mapping = ColumnMapping.asked(options["map"], options["ignore"])
        scheme = scheme_given(options["scheme"]) if options["scheme"] else None
        with progress_bar("checking", None) as advance:

            def told(rows: int) -> None:
                if stopping():
                    raise UserError("Stopped before the files were checked; nothing was imported.")
                advance(rows)

            folder = stage(
                _suite(suite, create_tasks),
                study,
                lambda on_error: read_responses(format, paths, mapping, on_error),
                ImportOptions(create_tasks, scheme, self.split),
                told,
            )
        return seen_through(ask_for_import(folder), stopping)

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
        return Suite(slug=name, version=1, title=name)
    return get_suite(name)
