"""Figures as pages show them: what is undefined is a dash, never a zero."""

from collections.abc import Mapping
from typing import Any

from django import template

register = template.Library()
DASH = "–"


@register.filter
def percent(value: float | None) -> str:
    return DASH if value is None else f"{100 * value:.1f} %"


@register.filter
def decimals(value: float | None, places: int) -> str:
    return DASH if value is None else f"{value:.{places}f}"


@register.filter
def interval(low: float | None, high: float | None) -> str:
    return DASH if low is None or high is None else f"{100 * low:.1f} – {100 * high:.1f}"


@register.filter
def get(row: Mapping[str, Any], key: str) -> Any:
    return row.get(key, "")


@register.filter
def commas(words: str) -> str:
    return words.replace(",", ", ")
