"""The settlement's figure: how often posteriors are right, by what they say."""

from collections.abc import Mapping
from typing import Any

from annotation.models import Study
from arbiter.analysis.figures.catalogue import Column, Figure, figure
from arbiter.core.errors import UserError
from judging.models import SettlementVersion

SIDE = 320


def _version_of(study: Study, query: Mapping[str, str]) -> SettlementVersion:
    """Return the settlement version that the query names, else the newest. UserError where there is none."""
    number = query.get("version", "")
    versions = study.settlement_versions.order_by("-number")
    if number:
        versions = versions.filter(number=int(number) if number.isdecimal() and len(number) < 9 else 0)
    version = versions.first()
    if version is None:
        raise UserError("The study has no such settlement")
    return version


@figure("settlement-reliability")
def settlement_figure(study: Study, query: Mapping[str, str]) -> Figure:
    version = _version_of(study, query)
    rows = version.fit.get("bins") or []
    if not rows:
        raise UserError("No item with gold tells how often this settlement's posteriors are right")
    columns = [
        Column("low", "Posterior from", "rate"),
        Column("high", "below", "rate"),
        Column("items", "Gold items", "count"),
        Column("confidence", "Claimed", "rate"),
        Column("right", "Right", "rate"),
        Column("from", "95 % from", "rate"),
        Column("to", "to", "rate"),
    ]
    return Figure(
        title=f"How often settlement {version.number} is right, by its posterior",
        columns=columns,
        rows=rows,
        sentence=_sentence(version),
        chart=lambda colours: _chart(rows, colours),
        alt=(
            "Share of gold items whose leading label is right, with 95 % intervals, against the posterior; "
            "on the diagonal both are equal"
        ),
    )


def _sentence(version: SettlementVersion) -> str:
    fit, error = version.fit, version.fit["error"]
    how = "in-sample" if fit.get("in_sample") else "posteriors cross-fitted by task"
    design = (
        f"drawn by the draw {fit['draw']!r}"
        if fit.get("draw")
        else "on every item"
        if fit.get("design") == "census"
        else "through no draw"
    )
    plain = f"; {fit['error_plain']:.3f} for plain Dawid-Skene" if fit.get("error_plain") is not None else ""
    mark = " Some labels are simulated." if version.changes.get("simulated") else ""
    return (
        f"Calibration error of the leading label under the rule {version.rule!r}: {error:.3f}{plain} "
        f"({how}; {fit['gold']:,} gold items {design}; ten bins of equal width).{mark}"
    )


def _chart(rows: list[dict[str, Any]], colours: dict[str, str]) -> Any:
    import altair as alt

    least = min([row["low"] for row in rows] + [row["from"] for row in rows])
    low = max(0.0, round(least * 10 // 1) / 10)
    scale = alt.Scale(domain=[low, 1], nice=False)
    axis = alt.Axis(format=".0%", tickCount=6)
    base = alt.Chart({"values": rows}).encode(
        x=alt.X("confidence:Q", scale=scale, axis=axis, title="claimed: mean posterior of the leading label")
    )
    line = alt.Chart({"values": [{"at": low}, {"at": 1}]}).mark_line(
        strokeDash=[4, 4], strokeWidth=1, color=colours["quiet"]
    )
    bars = base.mark_rule(strokeWidth=2, opacity=0.55, color=colours["accent"]).encode(y="from:Q", y2="to:Q")
    dots = base.mark_circle(opacity=1, color=colours["accent"]).encode(
        y=alt.Y("right:Q", scale=scale, axis=axis, title="right, of gold items"),
        size=alt.Size("items:Q", scale=alt.Scale(range=[30, 320], zero=True), legend=None),
    )
    diagonal = line.encode(x=alt.X("at:Q", scale=scale), y=alt.Y("at:Q", scale=scale, axis=axis))
    return (diagonal + bars + dots).properties(width=SIDE * 1.5, height=SIDE)
