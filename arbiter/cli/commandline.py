"""What every command shares: --json prints one document on stdout, people get a table, errors are one
line."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from arbiter.core.errorkinds import notice_in_a_line


class ArbiterCommand(BaseCommand):
    """A command that returns its result from `run`; this prints it. Bad input ends in one line and exit code
    1."""

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
            if why := self.failed(result):
                raise CommandError(why)
        except BrokenPipeError:  # the reader of our output has seen enough, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except KeyboardInterrupt as stop:
            raise CommandError("stopped; what was finished is kept", returncode=130) from stop
        except CommandError:
            raise
        except Exception as error:
            if said := notice_in_a_line(error):
                raise CommandError(said) from error
            raise

    def failed(self, result: Any) -> str:
        """Return why a result that was printed is a failure all the same, so that a script learns of it;
        empty where it is none."""
        return ""

    def _print(self, result: Any, as_json: bool) -> None:
        if result is None:
            return
        if as_json:
            self.stdout.write(json.dumps(result, ensure_ascii=False))
        else:
            self.show(result)
        sys.stdout.flush()

    def show(self, result: Any) -> None:
        """Print a result for people: a table of its rows, or of its plain values."""
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
def progress_bar(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr, where that is a terminal, and yield what advances it. Of what nobody knows the
    total of, it counts."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)


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


def add_control(parser: argparse.ArgumentParser) -> None:
    """Add what a command that makes calls to models can be told to do instead of making them."""
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--dry-run",
        action="store_true",
        help="say what it would take: calls, tokens and cost; ask nothing",
    )
    instead.add_argument("--pause", action="store_true", help="let no further call set out, in any worker")
    instead.add_argument("--resume", action="store_true", help="let workers go on where they were paused")
    instead.add_argument("--cancel", action="store_true", help="want what is still open no more")


def seconds(text: str) -> float:
    """Read a time in seconds for argparse: above 0, and at most an hour."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"should be seconds, above 0 and at most 3600; it is {text!r}")
    return value


def positive(text: str) -> int:
    """Read a whole number from 1 for argparse."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"should be a whole number from 1; it is {text!r}")
    return int(text)


def amount(text: str) -> float:
    """Read dollars for argparse: from 0, and at most a million."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1_000_000:
        raise argparse.ArgumentTypeError(f"should be dollars, from 0 to 1000000; it is {text!r}")
    return value


def amounts(text: str) -> tuple[float, ...]:
    """Read dollars with commas between them for argparse."""
    return tuple(map(amount, text.split(",")))


def parameter(text: str) -> tuple[str, Any]:
    """Read NAME=VALUE for argparse; a value that is JSON is what it says, any other is text."""
    name, separator, value = text.partition("=")
    if not separator or not name.strip():
        raise argparse.ArgumentTypeError(f"should be NAME=VALUE; it is {text!r}")
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        return name.strip(), value
