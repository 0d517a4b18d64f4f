"""The plan as figures: what each width takes, and what the strata have and need."""

from collections.abc import Mapping
from typing import Any

from annotation.models import Study
from arbiter.analysis.figures.catalogue import Column, Figure, figure
from arbiter.analysis.planning.labelplan import width_curve
from arbiter.analysis.planning.planspec import plan_spec_from


@figure("plan-widths")
def widths_figure(study: Study, query: Mapping[str, str]) -> Figure:
    """Make the figure of the items to label for intervals no wider than so much."""
    spec = plan_spec_from(query)
    rows = width_curve(study, spec)
    there = next(row for row in rows if row["width"] == spec.width)
    of = "these very items" if spec.finite else "tasks of this kind"
    return Figure(
        title="What a width takes",
        columns=[
            Column("width", "Width, at most", "rate"),
            Column("more", "More items with gold", "count"),
            Column("arms", "Arms that get there", "count"),
            Column("of", "Of", "count"),
        ],
        rows=rows,
        sentence=_sentence(there, of),
        chart=lambda colours: _chart(rows, spec.width, colours),
        alt="Line of the labels that each width of the intervals takes",
    )


def _sentence(there: Mapping[str, Any], of: str) -> str:
    points = f"{100 * there['width']:.0f} points"
    if not there["arms"]:
        return f"No number of labels brings a 95 % interval for the rate over {of} to {points} here."
    return (
        f"It is planned that {there['more']:,} more human labels, allocated over the draw's strata by "
        f"Neyman's rule, bring the 95 % intervals of {there['arms']} of {there['of']} rates over {of} to a "
        f"width of {points} or less."
    )


def _chart(rows: list[dict[str, Any]], wanted: float, colours: dict[str, str]) -> Any:
    import altair as alt

    data = [row for row in rows if row["more"] is not None]
    base = alt.Chart({"values": data}).encode(
        x=alt.X("more:Q", title="more items with gold", axis=alt.Axis(format=",d", tickCount=6)),
        y=alt.Y("width:Q", title="width, at most", axis=alt.Axis(format=".0%", tickCount=6)),
    )
    line = base.mark_line(color=colours["accent"], opacity=0.55, strokeWidth=2)
    dots = base.mark_circle(size=70, color=colours["accent"], opacity=1)
    rule = (
        alt.Chart({"values": [{"width": wanted}]})
        .mark_rule(color=colours["quiet"], strokeDash=[4, 4])
        .encode(y="width:Q")
    )
    return (line + dots + rule).properties(width=560, height=220)
