"""The figures of calibration: judges side by side, and of one judge its matrix, its labels and its reliability."""

from collections.abc import Mapping
from typing import Any

from annotation.models import Rater, Study
from annotation.raters import primary_raters
from benchmark.errors import UserError
from judging.calibration.against_gold import ALL, JudgeFigures, judge_raters
from judging.calibration.calibrating import WORDS, figures_of, gold_parts, rows, simulated
from judging.charts import CELL, WIDTH, extent, interval_dots
from judging.figures import Column, Figure, figure
from judging.statistics import Rate

NO_VERDICT = "no verdict"
SENSITIVITY, SPECIFICITY = "sensitivity", "specificity"


@figure("judges")
def judges(study: Study, query: Mapping[str, str]) -> Figure:
    """Sensitivity and specificity for the target labels, a line for each judge and part."""
    found = rows(study, judge_raters(study))
    data = [
        {
            "judge": _name(row.rater, row.simulated), "part": row.figures.part, "measure": measure, "n": rate.n,
            "rate": rate.estimate, "low": rate.low, "high": rate.high,
        }
        for row in found
        for measure, rate in [
            (SENSITIVITY, row.figures.target.sensitivity), (SPECIFICITY, row.figures.target.specificity)
        ]
    ]  # fmt: skip
    parts = gold_parts(study)
    return Figure(
        title="Judges against gold", columns=_rate_columns("judge", "Judge"), rows=data,
        sentence=f"Sensitivity and specificity of {len({row.rater.pk for row in found})} judges for the target labels, held against "
        f"human gold on {parts.items} items ({parts.words}), with 95 % intervals clustered by task.",
        chart=lambda colours: _dots(data, colours, "judge"),
        alt="A dot on its interval for each judge's sensitivity and specificity; the table below has the figures.",
    )  # fmt: skip


@figure("judge-labels")
def judge_labels(study: Study, query: Mapping[str, str]) -> Figure:
    rater, found = _asked(study, query)
    data = [
        {
            "label": one.label.title, "part": found.part, "measure": measure, "n": rate.n, "rate": rate.estimate,
            "low": rate.low, "high": rate.high,
        }
        for one in found.labels
        for measure, rate in [(SENSITIVITY, one.figures.sensitivity), (SPECIFICITY, one.figures.specificity)]
    ]  # fmt: skip
    told = ", ".join(
        f"{one.label.title} {_words(one.figures.sensitivity)} and {_words(one.figures.specificity)}"
        for one in found.labels
        if one.figures.sensitivity.estimate is not None
    )
    return Figure(
        title=f"{rater} by label{_on(found)}", columns=_rate_columns("label", "Label"), rows=data,
        sentence=f"Sensitivity and specificity of {_about(study, rater, found)}: {told}.",
        chart=lambda colours: _dots(data, colours, "label"),
        alt="A dot on its interval for the sensitivity and the specificity on each label; the table below has the figures.",
    )  # fmt: skip


@figure("judge-matrix")
def judge_matrix(study: Study, query: Mapping[str, str]) -> Figure:
    """Rows are gold, columns what the judge gave. Each cell has the share of its row, and how many items that is."""
    rater, found = _asked(study, query)
    titles = [one.label.title for one in found.labels]
    columns = [*titles, NO_VERDICT] if found.missing else titles
    data = []
    for i, gold in enumerate(titles):
        total = found.table[i].sum()
        for j, given in enumerate(columns):
            share = float(found.table[i, j] / total) if total else None
            data.append({"gold": gold, "given": given, "items": int(found.counts[i, j]), "share": share})
    right = _words(found.right)
    return Figure(
        title=f"{rater} against gold{_on(found)}",
        columns=[Column("gold", "Gold"), Column("given", "Given"), Column("items", "Items", "count"),
                 Column("share", "Share of the gold label", "rate")],
        rows=data,
        sentence=f"Labels given by {_about(study, rater, found)}, by gold label: {right} of those with a verdict are right, "
        f"and {found.items - found.judged} have no verdict.",
        chart=lambda colours: _matrix(data, titles, columns, colours),
        alt="Heat map: gold labels in rows, the judge's in columns; the table below has the figures.",
    )  # fmt: skip


@figure("judge-reliability")
def judge_reliability(study: Study, query: Mapping[str, str]) -> Figure:
    rater, found = _asked(study, query)
    if found.confidence is None:
        raise UserError(f"{rater} has no reliability plot: {found.confidence_undefined}.")
    told = found.confidence
    data = [
        {
            "bin": f"{one.low:.1f} to {one.high:.1f}", "n": one.n, "confidence": one.confidence, "right": one.right.estimate,
            "low": one.right.low, "high": one.right.high,
        }
        for one in told.bins
    ]  # fmt: skip
    return Figure(
        title=f"{rater}: stated confidence{_on(found)}",
        columns=[Column("bin", "Stated"), Column("n", "Items", "count"), Column("confidence", "Mean stated", "rate"),
                 Column("right", "Right", "rate"), Column("low", "Low", "rate"), Column("high", "High", "rate")],
        rows=data,
        sentence=f"Stated probability of being right and share right of {_about(study, rater, found)}, in ten equal bins: Brier "
        f"score {told.brier:.3f} (reliability {told.reliability:.3f}, resolution {told.resolution:.3f}, uncertainty "
        f"{told.uncertainty:.3f}), mean gap {100 * told.expected_error:.1f} points.",
        chart=lambda colours: _reliability(data, colours),
        alt="Share right by stated confidence, beside the line on which they would be equal; the table below has the figures.",
    )  # fmt: skip


def _asked(study: Study, query: Mapping[str, str]) -> tuple[Rater, JudgeFigures]:
    key = query.get("judge", "")
    found = primary_raters(study).filter(pk=int(key)) if key.isdecimal() and len(key) < 12 else None
    rater = found.exclude(kind=Rater.Kind.HUMAN).first() if found is not None else None
    if rater is None:
        raise UserError("There is no such judge in this study.")
    return rater, figures_of(study, rater, query.get("part", ""))


def _about(study: Study, rater: Rater, found: JudgeFigures) -> str:
    name = _name(rater, simulated(study, rater))
    return f"judge {name} on {found.items} items with human gold ({WORDS[found.part]}; {gold_parts(study).words}; 95 % intervals clustered by task)"


def _on(found: JudgeFigures) -> str:
    return "" if found.part == ALL else f", {found.part} part"


def _name(rater: Rater, made_up: bool) -> str:
    return f"{rater} (simulated)" if made_up else str(rater)


def _words(rate: Rate) -> str:
    if rate.estimate is None or rate.low is None or rate.high is None:
        return "–"
    return f"{100 * rate.estimate:.1f} % ({100 * rate.low:.1f} to {100 * rate.high:.1f})"


def _rate_columns(key: str, heading: str) -> list[Column]:
    return [
        Column(key, heading), Column("part", "Gold"), Column("measure", "Measure"), Column("n", "Items", "count"),
        Column("rate", "Rate", "rate"), Column("low", "Low", "rate"), Column("high", "High", "rate"),
    ]  # fmt: skip


# Charts


def _dots(data: list[dict[str, Any]], colours: Mapping[str, str], field: str) -> Any:
    """Two dots a line, one under the other: sensitivity, then specificity."""
    import altair as alt

    shown = [
        {
            **row, "line": row[field] if row["part"] == "all" else f"{row[field]}, {row['part']}",
            "series": row["measure"], "value": row["rate"],
        }
        for row in data
        if row["rate"] is not None
    ]  # fmt: skip
    axis = alt.Axis(format=".0%", tickCount=5, title="rate, with its 95 % interval")
    legend = _legend(colours, orient="top", direction="horizontal", symbolType="circle", symbolSize=70)
    return interval_dots(
        shown, colours, axis, series=(SENSITIVITY, SPECIFICITY), legend=legend, width=WIDTH - 220, step=20
    )


def _legend(colours: Mapping[str, str], **options: Any) -> Any:
    import altair as alt

    ink: dict[str, Any] = {
        "labelColor": colours["ink"],
        "titleColor": colours["quiet"],
        "labelFontSize": 12,
        "titleFontSize": 12,
    }
    return alt.Legend(**ink, titleFontWeight="normal", **options)


def _matrix(
    data: list[dict[str, Any]], rows_: list[str], columns: list[str], colours: Mapping[str, str]
) -> Any:
    import altair as alt

    told = [{**row, "words": "–" if row["share"] is None else f"{row['share']:.0%}"} for row in data]
    base = alt.Chart({"values": told}).encode(
        x=alt.X(
            "given:N", sort=columns, title="given by the judge",
            axis=alt.Axis(orient="top", labelAngle=0, labelLimit=CELL - 4, ticks=False, domain=False, titlePadding=10),
        ),
        y=alt.Y(
            "gold:N", sort=rows_, title="gold",
            axis=alt.Axis(labelLimit=160, ticks=False, domain=False, labelPadding=8, minExtent=extent(data, "gold")),
        ),
    )  # fmt: skip
    shade = alt.Scale(domain=[0, 1], range=[colours["low"], colours["high"]])
    cells = base.mark_rect(cornerRadius=3, stroke=colours["rule"]).encode(
        color=alt.Color("share:Q", scale=shade, legend=None)
    )
    ink = alt.condition(alt.datum.share > 0.5, alt.value(colours["on_high"]), alt.value(colours["ink"]))
    shares = base.mark_text(fontSize=13, dy=-7).encode(text=alt.Text("words:N"), color=ink)
    items = base.mark_text(fontSize=11, dy=10).encode(text=alt.Text("items:Q", format=","), color=ink)
    return (cells + shares + items).properties(width=CELL * len(columns), height=50 * len(rows_))


def _reliability(data: list[dict[str, Any]], colours: Mapping[str, str]) -> Any:
    import altair as alt

    scale = alt.Scale(domain=[0, 1])
    line = (
        alt.Chart({"values": [{"at": 0}, {"at": 1}]})
        .mark_line(strokeDash=[4, 4], color=colours["quiet"], strokeWidth=1)
        .encode(x=alt.X("at:Q", scale=scale), y=alt.Y("at:Q", scale=scale))
    )
    base = alt.Chart({"values": data}).encode(
        x=alt.X(
            "confidence:Q",
            scale=scale,
            axis=alt.Axis(format=".0%", tickCount=5, title="stated probability of being right"),
        )
    )
    bars = base.mark_rule(strokeWidth=2, color=colours["accent"], opacity=0.55).encode(
        y=alt.Y("low:Q", scale=scale, axis=alt.Axis(format=".0%", tickCount=5, title="right")), y2="high:Q"
    )
    dots = base.mark_circle(color=colours["accent"], opacity=1).encode(
        y=alt.Y("right:Q", scale=scale),
        size=alt.Size(
            "n:Q",
            scale=alt.Scale(range=[50, 400]),
            legend=_legend(
                colours, title="items", orient="right", symbolFillColor=colours["accent"], symbolStrokeWidth=0
            ),
        ),
    )
    return (line + bars + dots).properties(width=360, height=300)
