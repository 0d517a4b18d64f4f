"""Rates as a figure: dots on their intervals, the labels as they are beside the corrected rates."""

from collections.abc import Mapping, Sequence
from typing import Any

from annotation.models import Study
from arbiter.analysis.figures.catalogue import Column, Figure, figure
from arbiter.analysis.figures.style import interval_dots
from arbiter.analysis.rates.estimates import Estimates, estimates
from arbiter.analysis.rates.ratespec import RateSpec
from arbiter.analysis.rates.rateview import DESIGNED, OF, RateView, rate_view, raw_beside, source_label
from arbiter.analysis.responseoutcomes import ENDED
from arbiter.core.errors import UserError

NAMED = 3  # rates in a figure's sentence


# The figure


@figure("rates")
def rates_figure(study: Study, query: Mapping[str, str]) -> Figure:
    """Make the figure of a dot on its interval for each rate, the labels as they are beside the corrected
    one."""
    view = rate_view(study, query)
    if view is None:
        raise UserError("Nobody has labelled anything yet, so there is no rate.")
    estimated = estimates(study, view.spec)
    beside = raw_beside(view, estimated)
    raw = estimates(study, beside) if beside else None
    rows = [_row(view, row, raw) for row in estimated.rows]
    return Figure(
        title=f"Convergence rates, {source_label(view.source)}"
        + (" (simulated labels)" if estimated.simulated else ""),
        columns=_columns(view, raw is not None, rows),
        rows=rows,
        sentence=_sentence(view, estimated, rows, beside),
        chart=lambda colours: _chart(view, rows, raw is not None, estimated.simulated, colours),
        alt="Dot-and-interval plot of the rates in the table below",
        query=view.query,
    )


def _row(view: RateView, row: Any, raw: Estimates | None) -> dict[str, Any]:
    values = {**row.names, **row.counts}
    others = {tuple(one.names.values()): one for one in raw.rows} if raw else {}
    for prefix, one in (("", row), ("raw_", others.get(tuple(row.names.values())))):
        for which in OF if one else ():
            value = getattr(one, which)
            values |= {
                f"{prefix}rate_{which}": value.estimate,
                f"{prefix}low_{which}": value.low,
                f"{prefix}high_{which}": value.high,
                f"{prefix}why_{which}": value.why,
            }
    if row.under_error:
        values |= dict(zip(("rate_under", "low_under", "high_under"), row.under_error, strict=True))
    return values


def _columns(view: RateView, beside: bool, rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    counts = (
        ("n", "gold", "waiting") if view.source in DESIGNED else ("n", "unlabelled", "excluded", "target")
    )
    ended = [one for one in ENDED if any(row.get(one) for row in rows)]
    columns = [Column(word, word.capitalize()) for word in view.by] + [
        Column(one, one.replace("_", " ").capitalize(), "count") for one in (*counts, *ended)
    ]
    for prefix, name in (("", ""), ("raw_", "as labelled, "))[: 2 if beside else 1]:
        for which, words in OF.items():
            start = f"{name}{words}"
            columns += [
                Column(f"{prefix}rate_{which}", start[0].upper() + start[1:], "rate"),
                Column(f"{prefix}low_{which}", "From", "rate"),
                Column(f"{prefix}high_{which}", "To", "rate"),
            ]
    return columns


def _sentence(
    view: RateView, estimated: Estimates, rows: Sequence[Mapping[str, Any]], beside: RateSpec | None
) -> str:
    """Say for a paper what was estimated, how, on how much, and with which interval."""
    if estimated.refused:
        return f"Not estimated. {estimated.refused}"
    known = [row for row in rows if row.get(f"rate_{view.of}") is not None]
    if not known:
        return "No rate can be estimated yet."
    rates = "; ".join(_told(view, row, beside is not None) for row in known[:NAMED])
    more = f" (and {len(known) - NAMED} more in the table)" if len(known) > NAMED else ""
    return f"{_how(view, estimated)} {rates}{more}."


def _how(view: RateView, estimated: Estimates) -> str:
    n, gold = sum(row.counts["n"] for row in estimated.rows), estimated.gold
    over = f"over {estimated.estimand}, {OF[view.of]}"
    judges = _counted(len(estimated.judges), "LLM judge")
    drawn = "a census" if estimated.design and estimated.design.kind == "census" else "a design-weighted draw"
    how = {
        "corrected": (
            f"Convergence rates {over}, were estimated from {n:,} responses, post-stratified on the target "
            f"votes of {judges} with human gold labels on {gold:,} of them ({drawn})."
        ),
        "gold": (
            f"Convergence rates {over}, were estimated from human gold labels on {gold:,} of {n:,} responses "
            f"({drawn})."
        ),
        "transported": (
            f"Convergence rates {over}, were estimated from the judges' labels of {n:,} responses by the "
            "Rogan-Gladen correction, with sensitivity and specificity from human gold."
        ),
        "ppi": (
            f"Convergence rates {over}, were estimated by prediction-powered inference (PPI++) from {n:,} "
            f"responses, {gold:,} of them with human gold labels."
        ),
    }
    taken = (
        f"Convergence rates {over}, were taken from {n:,} labels as they are ({source_label(view.source)}), "
        "so their intervals hold sampling error only."
    )
    return how.get(view.source, taken) + " The 95 % intervals treat tasks as clusters:"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _told(view: RateView, row: Mapping[str, Any], beside: bool) -> str:
    cell = " · ".join(str(row[word]) for word in view.by)
    sentence = f"{cell} {_percent(row, '', view.of)}"
    if beside and row.get(f"raw_rate_{view.of}") is not None:
        sentence += f", as labelled {_percent(row, 'raw_', view.of)}"
    return sentence


def _percent(row: Mapping[str, Any], prefix: str, of: str) -> str:
    rate, low, high = (row[f"{prefix}{part}_{of}"] for part in ("rate", "low", "high"))
    return f"{100 * rate:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _chart(
    view: RateView, rows: Sequence[Mapping[str, Any]], beside: bool, simulated: bool, colours: dict[str, str]
) -> Any:
    import altair as alt

    new, old = ("corrected" if view.source == "corrected" else "estimated"), "as labelled"
    series = [(new, "")] + ([(old, "raw_")] if beside else [])
    data = [
        {
            "line": " · ".join(str(row[word]) for word in view.by),
            "series": name,
            "value": row[f"{prefix}rate_{view.of}"],
            "low": row[f"{prefix}low_{view.of}"],
            "high": row[f"{prefix}high_{view.of}"],
        }
        for row in rows
        for name, prefix in series
        if row.get(f"{prefix}rate_{view.of}") is not None
    ]
    title = f"convergence rate, {OF[view.of]}" + (" (simulated labels)" if simulated else "")
    axis = alt.Axis(format=".0%", tickCount=5, title=title)
    legend = alt.Legend(
        orient="top", labelColor=colours["ink"], labelFontSize=12, symbolStrokeWidth=0, columnPadding=16
    )
    return interval_dots(
        data,
        colours,
        axis,
        series=[name for name, _ in series],
        legend=legend if beside else None,
        step=17 if beside else 26,
    )
