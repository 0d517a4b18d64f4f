"""What a study's judges have cost, as a figure."""

from collections.abc import Mapping
from typing import Any

from annotation.models import Study
from judging.charts import extent
from judging.costs import costs
from judging.figures import Column, Figure, figure
from judging.panel.money import PICO, dollars


@figure("costs")
def by_judge(study: Study, query: Mapping[str, str]) -> Figure:
    """Dollars by judge, the part that is a worst case set apart; tokens where nothing was paid or no price is known."""
    found = costs(study)
    priced = bool(found["total"]["cost"])  # neither unknown nor nothing at all
    rows = [_row(row) for row in found["rows"]]
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
        sentence=_sentence(found),
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


def _sentence(found: Mapping[str, Any]) -> str:
    total, seconds = found["total"], found["seconds"]
    said = (
        f"Judges made {total['calls']:,} calls for {total['verdicts']:,} verdicts, with {total['prompt_tokens']:,} prompt and "
        f"{total['completion_tokens']:,} completion tokens"
    )
    if total["cost"] is not None:
        worst = f", {dollars(total['cost_at_most'])} of it at most" if total["cost_at_most"] else ""
        left = (
            f" (without {', '.join(total['unpriced'])}, whose price is not known)"
            if total["unpriced"]
            else ""
        )
        said += f", for {dollars(total['cost'])}{worst}{left}"
    if total["failed_share"]:
        said += f"; {100 * total['failed_share']:.1f} % of the calls brought no answer"
    people = f" People spent {seconds / 3600:.1f} hours of active time on their labels." if seconds else ""
    return f"{said}.{people}"


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
            y=alt.Y("judge:N", sort=None, title=None, axis=alt.Axis(labelLimit=320, ticks=False, domain=False, labelPadding=10, minExtent=extent(data, "judge"))),
            x=alt.X("value:Q", title=title, axis=alt.Axis(tickCount=5, format="$,.3~r" if priced else "~s")),
            color=alt.Color("part:N", scale=shades, legend=alt.Legend(title=None, orient="bottom", labelColor=colours["ink"], labelFontSize=12)),
            order=alt.Order("order:Q"),
        )
    )  # fmt: skip
    return bars.properties(width=560, height=alt.Step(30))


def _parts(row: Mapping[str, Any], priced: bool) -> list[tuple[str, float | None]]:
    if priced:
        known = (row["dollars"] or 0.0) - (row["at_most"] or 0.0)
        return [("answered", known), ("worst case, no answer came", row["at_most"])]
    return [("prompt", row["prompt_tokens"]), ("completion", row["completion_tokens"])]
