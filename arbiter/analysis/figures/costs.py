"""What a study's judges have cost, as a figure."""

from collections.abc import Mapping
from typing import Any

from annotation.models import Study
from arbiter.analysis.figures.catalogue import Column, Figure, figure
from arbiter.analysis.figures.style import label_extent
from arbiter.analysis.spending import costs
from arbiter.calls.prices import PICO, dollars
from arbiter.core.text import how_many


@figure("costs")
def costs_figure(study: Study, query: Mapping[str, str]) -> Figure:
    """Make the figure of dollars by judge, the part that is a worst case set apart; of tokens where nothing
    was paid or no price is known."""
    spent = costs(study)
    priced = bool(spent["total"]["cost"])  # neither unknown nor nothing at all
    rows = [_row(row) for row in spent["rows"]]
    return Figure(
        title="Cost by judge",
        columns=[
            Column("judge", "Judge"),
            Column("calls", "Calls", "count"),
            Column("prompt_tokens", "Prompt tokens", "count"),
            Column("completion_tokens", "Completion tokens", "count"),
            Column("dollars", "Dollars", "decimal"),
            Column("at_most", "Of it a worst case", "decimal"),
        ],
        rows=rows,
        sentence=_sentence(spent),
        chart=lambda colours: _chart(rows, priced, colours),
        alt=f"Bars of the {'dollars' if priced else 'tokens'} each judge has cost",
    )


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    in_all = {name: row[name] for name in ("calls", "prompt_tokens", "completion_tokens")}
    name = row["judge"] + (" (simulated)" if row["simulated"] else "")
    return {
        "judge": name,
        **in_all,
        "dollars": _dollars(row["cost"]),
        "at_most": _dollars(row["cost_at_most"]),
    }


def _dollars(pico: int | None) -> float | None:
    return None if pico is None else pico / PICO


def _sentence(spent: Mapping[str, Any]) -> str:
    total, seconds = spent["total"], spent["seconds"]
    sentence = (
        f"Judges made {how_many(total['calls'], 'call')} for {how_many(total['verdicts'], 'verdict')}, with "
        f"{total['prompt_tokens']:,} prompt and {total['completion_tokens']:,} completion tokens"
    )
    if total["cost"] is not None:
        worst = f", {dollars(total['cost_at_most'])} of it at most" if total["cost_at_most"] else ""
        left = (
            f" (without {', '.join(total['unpriced'])}, whose price is not known)"
            if total["unpriced"]
            else ""
        )
        by_service = (
            f", {dollars(total['cost_told'])} of it as the service itself says" if total["cost_told"] else ""
        )
        sentence += f", for {dollars(total['cost'])}{worst}{by_service}{left}"
    if total["failed_share"]:
        sentence += f"; {100 * total['failed_share']:.1f} % of the calls brought no answer"
    people = f" People spent {seconds / 3600:.1f} hours of active time on their labels." if seconds else ""
    return f"{sentence}.{people}"


def _chart(rows: list[dict[str, Any]], priced: bool, colours: dict[str, str]) -> Any:
    import altair as alt

    data = [
        {"judge": row["judge"], "part": part, "value": value or 0.0, "order": order}
        for row in rows
        for order, (part, value) in enumerate(_parts(row, priced))
    ]
    parts = [part for part, _ in _parts(dict.fromkeys(rows[0], 0), priced)] if rows else []
    title = "dollars" if priced else "tokens"
    shades = alt.Scale(domain=parts, range=[colours["accent"], colours["quiet"]])
    bars = (
        alt.Chart({"values": data})
        .mark_bar(height=14, cornerRadius=2)
        .encode(
            y=alt.Y(
                "judge:N",
                sort=None,
                title=None,
                axis=alt.Axis(
                    labelLimit=320,
                    ticks=False,
                    domain=False,
                    labelPadding=10,
                    minExtent=label_extent(data, "judge"),
                ),
            ),
            x=alt.X("value:Q", title=title, axis=alt.Axis(tickCount=5, format="$,.3~r" if priced else "~s")),
            color=alt.Color(
                "part:N",
                scale=shades,
                legend=alt.Legend(title=None, orient="bottom", labelColor=colours["ink"], labelFontSize=12),
            ),
            order=alt.Order("order:Q"),
        )
    )
    return bars.properties(width=560, height=alt.Step(30))


def _parts(row: Mapping[str, Any], priced: bool) -> list[tuple[str, float | None]]:
    if priced:
        known = (row["dollars"] or 0.0) - (row["at_most"] or 0.0)
        return [("answered", known), ("worst case, no answer came", row["at_most"])]
    return [("prompt", row["prompt_tokens"]), ("completion", row["completion_tokens"])]
