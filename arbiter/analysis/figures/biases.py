"""The effects of the bias battery as dots on their intervals: differences of rates, and odds ratios on a
scale of their own."""

from collections.abc import Mapping, Sequence
from typing import Any

from annotation.models import Study
from arbiter.analysis.biases.biasreport import BiasReport, bias_report, bias_summary, finding_rows
from arbiter.analysis.biases.findings import NOTHING, ODDS, POINTS, Finding
from arbiter.analysis.figures.catalogue import Column, Figure, figure
from arbiter.analysis.figures.style import WIDTH, line_axis

MOST = 16  # dots on one scale: those least likely to be chance
WIDEST_ODDS = 50.0
COLUMNS = [
    Column("bias", "Bias"),
    Column("judge", "Judge"),
    Column("about", "About"),
    Column("test", "Test"),
    Column("n", "Items", "count"),
    Column("unit", "Unit"),
    Column("effect", "Effect", "decimal"),
    Column("low", "Low", "decimal"),
    Column("high", "High", "decimal"),
    Column("p", "p", "p"),
    Column("adjusted", "Adjusted p", "p"),
    Column("sentence", "In words"),
    Column("too_little", "Too little data"),
]
AXES = {POINTS: ("difference of rates", "+.0%"), ODDS: ("odds ratio, logarithmic", "~g")}


@figure("biases")
def biases_figure(study: Study, query: Mapping[str, str]) -> Figure:
    report = bias_report(study)
    simulated = " Some labels are simulated." if report.simulated else ""
    return Figure(
        title="Effects of the bias battery",
        columns=COLUMNS,
        rows=finding_rows(report),
        sentence=bias_summary(report) + simulated,
        chart=lambda colours: _chart(report, colours),
        alt=(
            "Dots on intervals that hold together at 95 %: the effect of each bias tested, with a line "
            "where there is none; the same figures are in the table"
        ),
    )


def _chart(report: BiasReport, colours: dict[str, str]) -> Any:
    import altair as alt

    panels = [_panel(rows, unit, colours) for unit in (POINTS, ODDS) if (rows := _rows(report, unit))]
    return alt.vconcat(*panels, spacing=28) if panels else alt.Chart({"values": []}).mark_point()


def _rows(report: BiasReport, unit: str) -> list[dict[str, Any]]:
    shown = [one for one in report.findings if one.unit == unit and one.p is not None][:MOST]
    return [_row(one, report) for one in shown]


def _row(one: Finding, report: BiasReport) -> dict[str, Any]:
    words = f"{one.bias}: {one.judge}" + (f", {one.about}" if one.about else "")
    simulated = " (simulated)" if report.is_simulated(one) else ""
    assert one.effect is not None and one.low is not None and one.high is not None
    ends = [one.effect, one.low, one.high]
    if one.unit == ODDS:
        ends = [min(max(value, 1 / WIDEST_ODDS), WIDEST_ODDS) for value in ends]
    return {"name": words + simulated, "effect": ends[0], "low": ends[1], "high": ends[2], "found": one.found}


def _panel(rows: Sequence[dict[str, Any]], unit: str, colours: dict[str, str]) -> Any:
    import altair as alt

    title, numbers = AXES[unit]
    axis = alt.Axis(title=title, tickCount=6, format=numbers)
    ends = [row[name] for row in rows for name in ("low", "high")] + [NOTHING[unit]]
    scale = alt.Scale(domain=[min(ends), max(ends)], nice=True, type="log" if unit == ODDS else "linear")
    base = alt.Chart({"values": list(rows)}).encode(
        y=alt.Y("name:N", sort=None, title=None, axis=line_axis(rows, "name"))
    )
    # What is found is filled and strong, what is not is hollow: told apart without colour too.
    strong = alt.condition("datum.found", alt.value(colours["accent"]), alt.value(colours["quiet"]))
    none = (
        alt.Chart({"values": [{"none": NOTHING[unit]}]})
        .mark_rule(color=colours["quiet"], strokeDash=[3, 3])
        .encode(x=alt.X("none:Q", scale=scale, axis=axis))
    )
    bars = base.mark_rule(strokeWidth=2, opacity=0.6).encode(
        x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q", color=strong
    )
    dots = base.mark_point(size=80, strokeWidth=2, opacity=1).encode(
        x=alt.X("effect:Q", scale=scale),
        stroke=strong,
        fill=alt.condition("datum.found", alt.value(colours["accent"]), alt.value(colours["low"])),
    )
    return (none + bars + dots).properties(width=WIDTH - 160, height=alt.Step(24))
