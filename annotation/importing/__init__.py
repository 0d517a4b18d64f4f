"""Importing responses, with any labels and gold they bring, into a suite's runs and a study's items.

A file is checked whole and staged (`checking`, `staging`) before a row is written; then a job publishes it
in short transactions (`importjob`, `publishing`). Repeating an import changes nothing.
"""

from collections.abc import Iterable
from typing import Any

from annotation.importing.checking import ImportOptions, stage
from annotation.importing.importjob import ask_for_import, see_through
from benchmark.formats.records import ParsedResponse
from benchmark.models import Suite


def import_responses(
    suite: Suite, study_slug: str, rows: Iterable[ParsedResponse], options: ImportOptions | None = None
) -> dict[str, Any]:
    """Import the rows, whole or not at all; return what that made. Makes the study where there is none of
    that name, with the scheme that was asked for, or else with four classes."""
    folder = stage(suite, study_slug, lambda _: rows, options or ImportOptions())
    return see_through(ask_for_import(folder))
