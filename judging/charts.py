"""Charts, as SVG made on the server. Altair and its renderer are loaded at the first chart, not at start."""

import json
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


def rates_svg(
    rows: Sequence[dict[str, Any]], by: Sequence[str], theme: str = "light", *, simulated: bool = False
) -> str:
    """A dot for each rate (valid responses only) on its interval, in the table's order."""
    import altair as alt

    colours = THEMES[theme]
    data = [
        {**row, "cell": " · ".join(str(row[word]) for word in by)}
        for row in rows
        if row["rate_valid"] is not None
    ]
    base = alt.Chart({"values": data}).encode(
        y=alt.Y(
            "cell:N",
            sort=None,
            title=None,
            axis=alt.Axis(
                labelLimit=420, ticks=False, domain=False, labelPadding=10, minExtent=extent(data, "cell")
            ),
        )
    )
    title = "convergence rate, valid responses" + (" (simulated labels)" if simulated else "")
    axis = alt.Axis(format=".0%", tickCount=5, title=title)
    scale = alt.Scale(domain=[0, 1])
    bars = base.mark_rule(strokeWidth=2, color=colours["accent"], opacity=0.55).encode(
        x=alt.X("low_valid:Q", scale=scale, axis=axis), x2="high_valid:Q"
    )
    dots = base.mark_circle(size=90, color=colours["accent"], opacity=1).encode(
        x=alt.X("rate_valid:Q", scale=scale)
    )
    return _svg(styled((bars + dots).properties(width=WIDTH, height=alt.Step(26)), colours))


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


def _svg(chart: Any) -> str:
    import vl_convert

    spec = chart.to_dict(validate=False)
    return str(vl_convert.vegalite_to_svg(json.dumps(spec)))
