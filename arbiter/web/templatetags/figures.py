"""What templates call for figures and words."""

from collections.abc import Mapping
from typing import Any

from django import template

from arbiter.analysis import notation

register = template.Library()
FIGURES = (
    notation.percent,
    notation.unbroken,
    notation.points,
    notation.decimals,
    notation.hundredfold,
    notation.interval,
    notation.grouped,
    notation.compact,
    notation.money,
    notation.seconds,
    notation.rate,
    notation.duration,
    notation.p_value,
    notation.cell,
    notation.point_interval,
)
for figure in FIGURES:
    register.filter(figure.__name__, figure)


@register.filter
def get(row: Mapping[str, Any], key: str) -> Any:
    return row.get(key, "")


@register.filter
def commas(words: str) -> str:
    return words.replace(",", ", ")


@register.filter
def state_word(state: str) -> str:
    """Return a verdict's state as people say it."""
    return {"todo": "open", "leased": "claimed"}.get(state, state).capitalize()


@register.filter
def pair(spec: str) -> str:
    """Return a contrast as people read it: condition=b,a is b − a."""
    return spec.partition("=")[2].replace(",", " − ")
