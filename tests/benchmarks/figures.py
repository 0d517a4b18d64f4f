"""What a benchmark measured, beside what was asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection

COLUMNS = ("benchmark", "figure", "unit", "asked", "met", "database")
RIGHT = {"figure"}


@dataclass(frozen=True)
class Measurement:
    name: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    exactly: float | None = None

    @property
    def met(self) -> bool | None:
        if self.exactly is not None:
            return self.value == self.exactly
        if self.at_least is not None:
            return self.value >= self.at_least
        return None if self.at_most is None else self.value <= self.at_most

    @property
    def asked(self) -> str:
        if self.exactly is not None:
            return plain(self.exactly)
        if self.at_least is not None:
            return f"at least {plain(self.at_least)}"
        return "" if self.at_most is None else f"at most {plain(self.at_most)}"

    def row(self) -> tuple[str, ...]:
        met = {True: "met", False: "NOT MET", None: ""}[self.met]
        return self.name, plain(self.value), self.unit, self.asked, met, connection.display_name


def plain(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(figures: Sequence[Measurement]) -> str:
    rows = [COLUMNS, *(figure.row() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = zip(COLUMNS, row, widths, strict=True)
    padded = [cell.rjust(width) if column in RIGHT else cell.ljust(width) for column, cell, width in cells]
    return "  ".join(padded).rstrip()
