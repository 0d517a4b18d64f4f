"""The house style of charts. Altair and its renderer are loaded at the first chart, not at start."""

from collections.abc import Mapping, Sequence
from textwrap import wrap
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


def label_extent(data: Sequence[Mapping[str, Any]], field: str) -> float:
    """Return the room that an axis's labels need, in pixels: the renderer measures with a narrower font than
    the reader's browser may have."""
    return min(430.0, 7.4 * max((len(str(row[field])) for row in data), default=0) + 16)


def line_axis(data: Sequence[Mapping[str, Any]], field: str) -> Any:
    """Return the axis that names each line of a chart."""
    import altair as alt

    return alt.Axis(
        labelLimit=420, ticks=False, domain=False, labelPadding=10, minExtent=label_extent(data, field)
    )


def interval_dots(
    data: Sequence[Mapping[str, Any]],
    colours: Mapping[str, str],
    axis: Any,
    *,
    series: Sequence[str] = (),
    legend: Any = None,
    lowest: float = 0.0,
    width: int = WIDTH,
    step: int = 26,
) -> Any:
    """Draw dots on their intervals, a line each, in the order of the data: rows of `line`, `value`, `low` and
    `high`. With two series, the rows' `series` lie one under the other, the first in the accent's colour."""
    import altair as alt

    scale = alt.Scale(domain=[lowest, 1], nice=lowest < 0)
    lines = list(dict.fromkeys(row["line"] for row in data))
    base = alt.Chart({"values": list(data)}).encode(
        y=alt.Y("line:N", sort=lines, title=None, axis=line_axis(data, "line"))
    )
    if series:
        shades = alt.Scale(domain=list(series), range=[colours["accent"], colours["quiet"]][: len(series)])
        base = base.encode(
            yOffset=alt.YOffset("series:N", sort=list(series)),
            color=alt.Color("series:N", sort=list(series), title=None, scale=shades, legend=legend),
        )
    mark: dict[str, Any] = {} if series else {"color": colours["accent"]}
    bars = base.mark_rule(strokeWidth=2, opacity=0.55, **mark).encode(
        x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q"
    )
    dots = base.mark_circle(size=80, opacity=1, **mark).encode(x=alt.X("value:Q", scale=scale))
    return (bars + dots).properties(width=width, height=alt.Step(step))


def styled(chart: Any, colours: dict[str, str]) -> Any:
    """Return the chart in the house style."""
    return (
        chart.configure(background="transparent", font=FONT)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=colours["ink"],
            titleColor=colours["quiet"],
            gridColor=colours["rule"],
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            tickColor=colours["rule"],
            domainColor=colours["rule"],
        )
    )


# A phone's width

TITLE = 46  # characters of an axis's title to a line
NARROW = 310  # of the plot, in pixels: what a screen of 390 has beside its margins


def narrowed(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the same chart for a phone: where lines have names, these stand over their marks, not beside
    them."""
    for part in spec.get("vconcat", [spec]):
        views = part.get("layer", [part])
        for view in views:
            _fit(view.get("encoding", {}).get("x", {}).get("axis") or {})
        named = [view["encoding"] for view in views if _names_lines(view.get("encoding", {}))]
        for encoding in named:
            _names_above(encoding, two=_has_two_series(encoding))
        if named:
            part["height"] = {"step": 62 if _has_two_series(named[0]) else 46, "for": "position"}
        if named or not _is_grid(views):
            part["width"] = NARROW if named else NARROW - 40  # whose axis stands beside the plot
    return spec


def _names_lines(encoding: Mapping[str, Any]) -> bool:
    return [encoding.get(channel, {}).get("type") for channel in "yx"] == ["nominal", "quantitative"]


def _has_two_series(encoding: Mapping[str, Any]) -> bool:
    return len(encoding.get("yOffset", {}).get("sort", ())) > 1


def _fit(axis: dict[str, Any]) -> None:
    """Let an axis's long title go on in a second line, and leave out numbers that would touch."""
    if isinstance(axis.get("title"), str):
        axis["title"] = wrap(axis["title"], TITLE)
    if axis.get("tickCount"):
        axis["tickCount"] = min(4, axis["tickCount"])


def _is_grid(views: Sequence[Mapping[str, Any]]) -> bool:
    return any(view.get("encoding", {}).get("x", {}).get("type") == "nominal" for view in views)


def _names_above(encoding: dict[str, Any], *, two: bool) -> None:
    """Move each line's name over its marks. Vega draws a label beside its line; with no padding it begins at
    the plot's left edge."""
    y = encoding["y"]
    y["axis"] = {
        **y.get("axis", {}),
        "labelAlign": "left",
        "labelPadding": 0,
        "labelOffset": -29 if two else -16,
        "labelLimit": NARROW,
        "minExtent": 0,
        "maxExtent": 0,
    }
    y["scale"] = {**y.get("scale", {}), **({"paddingInner": 0.4, "paddingOuter": 0.4} if two else {})}
