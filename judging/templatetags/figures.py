"""Figures as pages show them: what is undefined is a dash, never a zero."""

from collections.abc import Mapping
from typing import Any

from django import template

from judging.panel.money import dollars

register = template.Library()
DASH = "–"


@register.filter
def percent(value: float | None) -> str:
    return DASH if value is None else f"{100 * value:.1f} %"


@register.filter
def points(value: float | None) -> str:
    """A difference of rates, in percentage points and with its sign."""
    return DASH if value is None else f"{100 * value:+.1f}".replace("-", "\u2212")


@register.filter
def decimals(value: float | None, places: int) -> str:
    return DASH if value is None else f"{value:.{places}f}"


@register.filter
def hundredfold(value: float | None) -> str:
    """A share as a number of per cent, for a form's field."""
    return "" if value is None else f"{100 * value:g}"


@register.filter
def interval(low: float | None, high: float | None) -> str:
    return DASH if low is None or high is None else f"{100 * low:.1f} – {100 * high:.1f}"


@register.filter
def grouped(count: int | None) -> str:
    return DASH if count is None else f"{count:,}"


@register.filter
def compact(count: int | None) -> str:
    """A large count to two or three figures, as 412 k."""
    if count is None:
        return DASH
    for unit, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= unit:
            return f"{count / unit:.{1 if count < 100 * unit else 0}f} {letter}"
    return str(count)


@register.filter
def money(pico: int | None) -> str:
    return DASH if pico is None else dollars(pico)


@register.filter
def seconds(value: float | None) -> str:
    """About three figures: 0.12 s, 4.31 s, 12.5 s, 120 s."""
    if value is None:
        return DASH
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} s"


@register.filter
def rate(value: float | None) -> str:
    """Of something a second."""
    if not value:
        return DASH
    return f"{value:.{2 if value < 0.995 else 1 if value < 99.95 else 0}f}"


@register.filter
def duration(value: float | None) -> str:
    """How long something will take, no finer than is known."""
    if value is None:
        return DASH
    if value < 60:
        return "< 1 min"
    minutes = round(value / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{round(hours / 24)} days"


@register.filter
def p_value(value: float | None) -> str:
    """To three places, and never 0."""
    if value is None:
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


@register.filter
def cell(row: Mapping[str, Any], column: Any) -> str:
    """A row's value as its column (judging.figures.Column) has it written."""
    value = row.get(column.key)
    if value is None or value == "":
        return DASH
    if column.kind == "decimal":
        return decimals(value, 3)
    writers = {"count": grouped, "rate": percent, "p": p_value}
    return str(writers[column.kind](value) if column.kind in writers else value)


@register.filter
def get(row: Mapping[str, Any], key: str) -> Any:
    return row.get(key, "")


@register.filter
def commas(words: str) -> str:
    return words.replace(",", ", ")


@register.filter
def state_word(state: str) -> str:
    """A verdict's state as people say it."""
    return {"todo": "open", "leased": "claimed"}.get(state, state).capitalize()


@register.filter
def point_interval(low: float | None, high: float | None) -> str:
    return DASH if low is None or high is None else f"{points(low)} to {points(high)}"


@register.filter
def pair(spec: str) -> str:
    """A contrast as people read it: condition=b,a is b − a."""
    return spec.partition("=")[2].replace(",", " − ")
