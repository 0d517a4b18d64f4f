"""Figures as people read them, on pages and in the report: what is undefined is a dash, never a zero."""

import re
from collections.abc import Mapping
from typing import Any

from arbiter.calls.prices import dollars

DASH = "–"
NO_BREAK = "\u00a0"


def percent(value: float | None) -> str:
    """Return a share as a number of per cent, whose sign stays with it where a line ends."""
    return DASH if value is None else unbroken(f"{100 * value:.1f} %")


def unbroken(text: object) -> str:
    """Return a text whose numbers keep their per cent signs where a line ends."""
    return re.sub(r"(?<=\d) %", f"{NO_BREAK}%", str(text))


def points(value: float | None) -> str:
    """Write a difference of rates in percentage points, with its sign."""
    return DASH if value is None else f"{100 * value:+.1f}".replace("-", "\u2212")


def decimals(value: float | None, places: int) -> str:
    return DASH if value is None else f"{value:.{places}f}"


def hundredfold(value: float | None) -> str:
    """Write a share as a number of per cent, for a form's field."""
    return "" if value is None else f"{100 * value:g}"


def interval(low: float | None, high: float | None) -> str:
    return DASH if low is None or high is None else f"{100 * low:.1f} – {100 * high:.1f}"


def grouped(count: int | None) -> str:
    return DASH if count is None else f"{count:,}"


def compact(count: int | None) -> str:
    """Write a large count to two or three figures, as 412 k."""
    if count is None:
        return DASH
    for unit, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= unit:
            return f"{count / unit:.{1 if count < 100 * unit else 0}f} {letter}"
    return str(count)


def money(pico: int | None) -> str:
    return DASH if pico is None else dollars(pico)


def seconds(value: float | None) -> str:
    """Write seconds to about three figures: 0.12 s, 4.31 s, 12.5 s, 120 s."""
    if value is None:
        return DASH
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} s"


def rate(value: float | None) -> str:
    """Write how much of something there is a second."""
    if not value:
        return DASH
    return f"{value:.{2 if value < 0.995 else 1 if value < 99.95 else 0}f}"


def duration(value: float | None) -> str:
    """Write how long something will take, no finer than is known."""
    if value is None:
        return DASH
    if value < 60:
        return "< 1 min"
    minutes = round(value / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{round(hours / 24)} days"


def p_value(value: float | None) -> str:
    """Write a p value to three places, and never as 0."""
    if value is None:
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def cell(row: Mapping[str, Any], column: Any) -> str:
    """Write a row's value as its column (arbiter.analysis.figures.catalogue.Column) says."""
    value = row.get(column.key)
    if value is None or value == "":
        return DASH
    if column.kind == "decimal":
        return decimals(value, 3)
    writers = {"count": grouped, "rate": percent, "p": p_value}
    return str(writers[column.kind](value) if column.kind in writers else value)


def point_interval(low: float | None, high: float | None) -> str:
    return DASH if low is None or high is None else f"{points(low)} to {points(high)}"
