"""The house style of charts. Altair and its renderer are loaded at the first chart, not at start."""

from collections.abc import Sequence
from typing import Any

THEMES = {
    "light": {
        "ink": "#1d2328",
        "quiet": "#5c6770",
        "rule": "#d9dee2",
        "accent": "#2456a6",
        "low": "#f3f6fa",
        "high": "#2456a6",
        "on_high": "#ffffff",
    },
    "dark": {
        "ink": "#e6e9ec",
        "quiet": "#9aa5ae",
        "rule": "#343b42",
        "accent": "#8ab4ff",
        "low": "#1d242c",
        "high": "#8ab4ff",
        "on_high": "#10151a",
    },
}
WIDTH, CELL = 680, 112
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def extent(data: Sequence[dict[str, Any]], field: str) -> float:
    """Room for the labels: the renderer measures with a narrower font than the reader's browser may have."""
    return min(430.0, 7.4 * max((len(str(row[field])) for row in data), default=0) + 16)


def styled(chart: Any, colours: dict[str, str]) -> Any:
    """The house style."""
    return (
        chart.configure(background="transparent", font=FONT)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=colours["ink"], titleColor=colours["quiet"], gridColor=colours["rule"], labelFontSize=12,
            titleFontSize=12, titleFontWeight="normal", tickColor=colours["rule"], domainColor=colours["rule"],
        )
    )  # fmt: skip
