"""What every command shares: --json prints one document on stdout, people get a table, errors are one line."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from benchmark.errors import UserError
from benchmark.formats.records import FormatError


class ArbiterCommand(BaseCommand):
    """A command that returns its result from `run`; this prints it. Bad input ends in one line and exit code 1."""

    requires_system_checks: list[str] = []
    run: Callable[..., Any]  # each command names the options it takes

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
        return parser

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            result = self.run(**options)
            self._print(result, options["json"])
        except (UserError, FormatError) as error:
            raise CommandError(" ".join(str(error).split())) from error
        except DatabaseError as error:
            raise CommandError(f"The database can't be used: {_first_line(error)}") from error
        except BrokenPipeError:  # the reader of our output has seen enough, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except KeyboardInterrupt as stop:
            raise CommandError("stopped; what was finished is kept", returncode=130) from stop

    def _print(self, result: Any, as_json: bool) -> None:
        if result is None:
            return
        if as_json:
            self.stdout.write(json.dumps(result, ensure_ascii=False))
        else:
            self.show(result)
        sys.stdout.flush()

    def show(self, result: Any) -> None:
        """For people: a table of the result's rows, or of its plain values."""
        rows = result.get("rows") if isinstance(result, Mapping) else result
        if not isinstance(rows, list):
            rows = [{"": key, "value": value} for key, value in result.items()]
        self.table(rows)

    def table(self, rows: Sequence[Mapping[str, Any]], title: str | None = None) -> None:
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for column in rows[0] if rows else ["nothing to show"]:
            table.add_column(str(column))
        for row in rows:
            table.add_row(*(plain(value) for value in row.values()))
        Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160).print(table)


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """On a terminal, a bar on stderr; yields what advances it."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    if "no such table" in text or ("relation" in text and "does not exist" in text):
        return f"it lacks tables ({text}); make them with `manage.py migrate`."
    return f"{text}."


def plain(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4f}".rstrip("0").rstrip(".")
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {plain(inner)}" for key, inner in value.items()) or "–"
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(inner) for inner in value) or "–"
    return str(value)


def seconds(text: str) -> float:
    """An argparse type: a time above 0 and of at most an hour."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"should be seconds, above 0 and at most 3600; it is {text!r}")
    return value


def positive(text: str) -> int:
    """An argparse type: a whole number from 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"should be a whole number from 1; it is {text!r}")
    return int(text)
