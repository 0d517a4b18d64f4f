"""The figures of calibration: judges side by side, and of one judge its matrix, its labels and its
reliability."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from annotation.models import Rater, Study
from annotation.raters import primary_raters
from arbiter.analysis.calibration.accuracy import JudgeAccuracy
from arbiter.analysis.calibration.goldparts import ALL, PARTS_IN_WORDS, gold_parts
from arbiter.analysis.calibration.judgetable import accuracy_kept, judge_rows
from arbiter.analysis.figures.catalogue import Column, Figure, figure
from arbiter.analysis.figures.style import CELL, WIDTH, interval_dots, label_extent
from arbiter.analysis.judgeraters import is_simulated_judge, judge_raters
from arbiter.core.errors import UserError
from arbiter.core.text import how_many
from arbiter.statistics import Rate, Reliability

NO_VERDICT = "no verdict"
SENSITIVITY, SPECIFICITY = "sensitivity", "specificity"


@figure("judges")
def judges_figure(study: Study, query: Mapping[str, str]) -> Figure:
    """Make the figure of sensitivity and specificity for the target labels, a line for each judge and
    part."""
    table = judge_rows(study, judge_raters(study))
    data = [
        {
            "judge": _name(row.rater, row.simulated),
            "part": row.figures.part,
            "measure": measure,
            "n": rate.n,
            "rate": rate.estimate,
            "low": rate.low,
            "high": rate.high,
        }
        for row in table
        for measure, rate in [
            (SENSITIVITY, row.figures.target.sensitivity),
            (SPECIFICITY, row.figures.target.specificity),
        ]
    ]
    parts = gold_parts(study)
    return Figure(
        title="Judges against gold",
        columns=_rate_columns("judge", "Judge"),
        rows=data,
        sentence=(
            f"Sensitivity and specificity of {how_many(len({row.rater.pk for row in table}), 'judge')} for "
            f"the target labels, held against human gold on {how_many(parts.items, 'item')} ({parts.words}), "
            "with 95 % intervals clustered by task."
        ),
        chart=lambda colours: _dots(data, colours, "judge"),
        alt=(
            "A dot on its interval for each judge's sensitivity and specificity; the table below has the "
            "figures."
        ),
    )


@figure("judge-labels")
def labels_figure(study: Study, query: Mapping[str, str]) -> Figure:
    rater, accuracy = _asked(study, query)
    data = [
        {
            "label": one.label.title,
            "part": accuracy.part,
            "measure": measure,
            "n": rate.n,
            "rate": rate.estimate,
            "low": rate.low,
            "high": rate.high,
        }
        for one in accuracy.labels
        for measure, rate in [(SENSITIVITY, one.figures.sensitivity), (SPECIFICITY, one.figures.specificity)]
    ]
    rates = ", ".join(
        f"{one.label.title} {_words(one.figures.sensitivity)} and {_words(one.figures.specificity)}"
        for one in accuracy.labels
        if one.figures.sensitivity.estimate is not None
    )
    return Figure(
        title=f"{rater} by label{_on(accuracy)}",
        columns=_rate_columns("label", "Label"),
        rows=data,
        sentence=f"Sensitivity and specificity of {_about(study, rater, accuracy)}: {rates}.",
        chart=lambda colours: _dots(data, colours, "label"),
        alt=(
            "A dot on its interval for the sensitivity and the specificity on each label; the table below "
            "has the figures."
        ),
    )


@figure("judge-matrix")
def matrix_figure(study: Study, query: Mapping[str, str]) -> Figure:
    """Make the figure of gold labels in rows and what the judge gave in columns. Each cell has the share of
    its row, and how many items that is."""
    rater, accuracy = _asked(study, query)
    titles = [one.label.title for one in accuracy.labels]
    columns = [*titles, NO_VERDICT] if accuracy.missing else titles
    data = []
    for i, gold in enumerate(titles):
        total = accuracy.table[i].sum()
        for j, given in enumerate(columns):
            share = float(accuracy.table[i, j] / total) if total else None
            data.append({"gold": gold, "given": given, "items": int(accuracy.counts[i, j]), "share": share})
    right = _words(accuracy.right)
    return Figure(
        title=f"{rater} against gold{_on(accuracy)}",
        columns=[
            Column("gold", "Gold"),
            Column("given", "Given"),
            Column("items", "Items", "count"),
            Column("share", "Share of the gold label", "rate"),
        ],
        rows=data,
        sentence=(
            f"Labels given by {_about(study, rater, accuracy)}, by gold label: {right} of those with a "
            f"verdict are right, and {accuracy.items - accuracy.judged} have no verdict."
        ),
        chart=lambda colours: _matrix(data, titles, columns, colours),
        alt="Heat map: gold labels in rows, the judge's in columns; the table below has the figures.",
    )


@figure("judge-reliability")
def reliability_figure(study: Study, query: Mapping[str, str]) -> Figure:
    rater, accuracy = _asked(study, query)
    if accuracy.confidence is None:
        raise UserError(f"{rater} has no reliability plot: {accuracy.confidence_undefined}.")
    return _reliability_figure(study, rater, accuracy, accuracy.confidence, STATED)


@figure("judge-logprobs")
def logprobs_figure(study: Study, query: Mapping[str, str]) -> Figure:
    rater, accuracy = _asked(study, query)
    if accuracy.logprobs is None:
        raise UserError(f"{rater} has no reliability plot of logprobs: {accuracy.logprobs_undefined}.")
    return _reliability_figure(study, rater, accuracy, accuracy.logprobs, OF_TOKENS)


class ProbabilityWords(NamedTuple):
    """How figures name a judge's probability of being right."""

    title: str
    column: str
    mean: str
    axis: str


STATED = ProbabilityWords("stated confidence", "Stated", "Mean stated", "stated probability of being right")
OF_TOKENS = ProbabilityWords(
    "logprobs", "By logprobs", "Mean by logprobs", "probability of its label by logprobs"
)


def _reliability_figure(
    study: Study, rater: Rater, accuracy: JudgeAccuracy, reliability: Reliability, words: ProbabilityWords
) -> Figure:
    data = [
        {
            "bin": f"{one.low:.1f} to {one.high:.1f}",
            "n": one.n,
            "confidence": one.confidence,
            "right": one.right.estimate,
            "low": one.right.low,
            "high": one.right.high,
        }
        for one in reliability.bins
    ]
    return Figure(
        title=f"{rater}: {words.title}{_on(accuracy)}",
        columns=[
            Column("bin", words.column),
            Column("n", "Items", "count"),
            Column("confidence", words.mean, "rate"),
            Column("right", "Right", "rate"),
            Column("low", "Low", "rate"),
            Column("high", "High", "rate"),
        ],
        rows=data,
        sentence=(
            f"{words.axis[0].upper()}{words.axis[1:]} and share right of {_about(study, rater, accuracy)}, "
            f"in ten equal bins: {how_many(reliability.n, 'item')}, Brier score {reliability.brier:.3f} "
            f"(reliability {reliability.reliability:.3f}, resolution {reliability.resolution:.3f}, "
            f"uncertainty {reliability.uncertainty:.3f}), mean gap "
            f"{100 * reliability.expected_error:.1f} points."
        ),
        chart=lambda colours: _reliability(data, colours, words.axis),
        alt=(
            f"Share right by {words.axis}, beside the line on which they would be equal; the table below has "
            "the figures."
        ),
    )


def _asked(study: Study, query: Mapping[str, str]) -> tuple[Rater, JudgeAccuracy]:
    key = query.get("judge", "")
    named = primary_raters(study).filter(pk=int(key)) if key.isdecimal() and len(key) < 12 else None
    rater = named.exclude(kind=Rater.Kind.HUMAN).first() if named is not None else None
    if rater is None:
        raise UserError("There is no such judge in this study.")
    return rater, accuracy_kept(study, rater, query.get("part", ""))


def _about(study: Study, rater: Rater, accuracy: JudgeAccuracy) -> str:
    name = _name(rater, is_simulated_judge(study, rater))
    return (
        f"judge {name} on {how_many(accuracy.items, 'item')} with human gold "
        f"({PARTS_IN_WORDS[accuracy.part]}; {gold_parts(study).words}; 95 % intervals clustered by task)"
    )


def _on(accuracy: JudgeAccuracy) -> str:
    return "" if accuracy.part == ALL else f", {accuracy.part} part"


def _name(rater: Rater, made_up: bool) -> str:
    return f"{rater} (simulated)" if made_up else str(rater)


def _words(rate: Rate) -> str:
    if rate.estimate is None or rate.low is None or rate.high is None:
        return "–"
    return f"{100 * rate.estimate:.1f} % ({100 * rate.low:.1f} to {100 * rate.high:.1f})"


def _rate_columns(key: str, heading: str) -> list[Column]:
    return [
        Column(key, heading),
        Column("part", "Gold"),
        Column("measure", "Measure"),
        Column("n", "Items", "count"),
        Column("rate", "Rate", "rate"),
        Column("low", "Low", "rate"),
        Column("high", "High", "rate"),
    ]


# Charts


def _dots(data: list[dict[str, Any]], colours: Mapping[str, str], field: str) -> Any:
    """Draw two dots a line, one under the other: sensitivity, then specificity."""
    import altair as alt

    shown = [
        {
            **row,
            "line": row[field] if row["part"] == "all" else f"{row[field]}, {row['part']}",
            "series": row["measure"],
            "value": row["rate"],
        }
        for row in data
        if row["rate"] is not None
    ]
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

    cells_in_words = [
        {**row, "words": "–" if row["share"] is None else f"{row['share']:.0%}"} for row in data
    ]
    base = alt.Chart({"values": cells_in_words}).encode(
        x=alt.X(
            "given:N",
            sort=columns,
            title="given by the judge",
            axis=alt.Axis(
                orient="top", labelAngle=0, labelLimit=CELL - 4, ticks=False, domain=False, titlePadding=10
            ),
        ),
        y=alt.Y(
            "gold:N",
            sort=rows_,
            title="gold",
            axis=alt.Axis(
                labelLimit=160,
                ticks=False,
                domain=False,
                labelPadding=8,
                minExtent=label_extent(data, "gold"),
            ),
        ),
    )
    shade = alt.Scale(domain=[0, 1], range=[colours["low"], colours["high"]])
    cells = base.mark_rect(cornerRadius=3, stroke=colours["rule"]).encode(
        color=alt.Color("share:Q", scale=shade, legend=None)
    )
    ink = alt.condition(alt.datum.share > 0.5, alt.value(colours["on_high"]), alt.value(colours["ink"]))
    shares = base.mark_text(fontSize=13, dy=-7).encode(text=alt.Text("words:N"), color=ink)
    items = base.mark_text(fontSize=11, dy=10).encode(text=alt.Text("items:Q", format=","), color=ink)
    return (cells + shares + items).properties(width=CELL * len(columns), height=50 * len(rows_))


def _reliability(data: list[dict[str, Any]], colours: Mapping[str, str], axis: str) -> Any:
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
            axis=alt.Axis(format=".0%", tickCount=5, title=axis),
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
