"""What every command shares: --json prints one document on stdout, people get a table, errors are one line."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from benchmark.formats.records import FormatError


class UserError(Exception):
    """Something a user can mend: what is wrong, where, and how to fix it, in one sentence."""


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
        except (UserError, FormatError) as error:
            raise CommandError(" ".join(str(error).split())) from error
        except KeyboardInterrupt as stop:
            raise CommandError("stopped; what was finished is kept", returncode=130) from stop
        if result is None:
            return
        if options["json"]:
            self.stdout.write(json.dumps(result, ensure_ascii=False))
        else:
            self.show(result)

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


def positive(text: str) -> int:
    """An argparse type: a whole number from 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"should be a whole number from 1; it is {text!r}")
    return int(text)
