"""Agreement as figures: every coefficient, by groups of items, of each two raters, and how two raters' labels
meet."""

from collections.abc import Mapping, Sequence
from typing import Any

from annotation.models import Study
from arbiter.analysis.agreement.coefficients import (
    BY,
    GRADED,
    agreement_by,
    agreement_kept,
    pair_of,
    pairs_kept,
)
from arbiter.analysis.figures.catalogue import Column, Figure, figure
from arbiter.analysis.figures.style import CELL, WIDTH, interval_dots, label_extent
from arbiter.core.errors import UserError

NAMES = {
    "alpha": "Krippendorff's alpha",
    "alpha_ordinal": "Alpha for grades",
    "fleiss": "Fleiss' kappa",
    "ac1": "Gwet's AC1",
    "ac2_linear": "Gwet's AC2, linear",
    "ac2_quadratic": "Gwet's AC2, quadratic",
    "percent": "Percent agreement",
    "brennan_prediger": "Brennan-Prediger",
    "kappa": "Cohen's kappa",
    "kappa_linear": "Kappa, linear weights",
    "kappa_quadratic": "Kappa, quadratic weights",
}
GROUPS = {"humans": "People", "judges": "Judges", "all": "All together"}
MEASURES = ("kappa", "ac1", "alpha", "percent")
INTERVALS = [
    Column("value", "Value", "decimal"),
    Column("delta_low", "Delta from", "decimal"),
    Column("delta_high", "to", "decimal"),
    Column("bootstrap_low", "Bootstrap from", "decimal"),
    Column("bootstrap_high", "to", "decimal"),
]
WRITTEN = 14  # raters; in more, the cells are too small for numbers


@figure("agreement")
def coefficients_figure(study: Study, query: Mapping[str, str]) -> Figure:
    """Make the figure of every coefficient of people, of judges and of all, with both intervals."""
    agreement = agreement_kept(study)
    rows = [
        {
            "group": GROUPS[group["group"]],
            "coefficient": NAMES[key],
            "key": key,
            "items": group["pairable"],
            **_flat(one),
        }
        for group in agreement["groups"]
        for key, one in group["coefficients"].items()
    ]
    keys = ("group", "coefficient") if len(agreement["groups"]) > 1 else ("coefficient",)
    return Figure(
        title="Agreement" + _simulated_mark(agreement),
        columns=[
            Column("group", "Raters"),
            Column("coefficient", "Coefficient"),
            *INTERVALS,
            *_note_column(rows),
        ],
        rows=rows,
        sentence=_in_words(agreement),
        chart=lambda colours: _dots(rows, keys, _simulated_mark(agreement), colours),
        alt=(
            "Each coefficient as a dot on its delta-method interval, for people, judges and all raters "
            "together"
        ),
    )


@figure("agreement-by")
def groups_figure(study: Study, query: Mapping[str, str]) -> Figure:
    """Make the figure of alpha by category, or by another word, of people, of judges and of all."""
    word = query.get("by", "category")
    if word not in BY:
        raise UserError(f"agreement can't be given by {word!r}")
    agreement = agreement_kept(study)
    key = "alpha_ordinal" if agreement["graded"] else "alpha"
    rows = [
        {
            "value_of": row["value"],
            "group": GROUPS[row["group"]],
            "items": row["pairable"],
            "tasks": row["tasks"],
            **_flat(row["coefficients"][key]),
            "percent": row["coefficients"]["percent"]["value"],
        }
        for row in agreement_by(study, word)
    ]
    lines = [
        f"{row['value_of']}: {row['group'].lower()} {_with_interval(row)}"
        for row in rows
        if row["value"] is not None
    ]
    return Figure(
        title=f"{NAMES[key]} by {word}" + _simulated_mark(agreement),
        columns=[
            Column("value_of", word.capitalize()),
            Column("group", "Raters"),
            Column("items", "Items", "count"),
            Column("tasks", "Tasks", "count"),
            Column("percent", "Agree", "rate"),
            *INTERVALS,
            *_note_column(rows),
        ],
        rows=rows,
        sentence=(
            f"{NAMES[key]} by {word}, with {_percent(agreement['level'])} intervals "
            f"{_clustering(agreement)}: {'; '.join(lines) or 'undefined throughout'}."
        )
        + _simulated_sentence(agreement),
        chart=lambda colours: _dots(rows, ("value_of", "group"), _simulated_mark(agreement), colours),
        alt=f"Alpha as a dot on its delta-method interval, by {word}",
    )


@figure("agreement-pairs")
def pairs_figure(study: Study, query: Mapping[str, str]) -> Figure:
    """Make the figure of each two raters: one measure as a heat map, all of them in the table."""
    measure = query.get("measure", "kappa")
    if measure not in MEASURES:
        raise UserError(f"there is no measure {measure!r} of pairs; there are {', '.join(MEASURES)}")
    agreement = agreement_kept(study)
    kinds = {"ceiling_percent", "percent"}
    columns = ["kappa", "percent", "ac1", "alpha", *(GRADED if agreement["graded"] else [])]
    again = ["ceiling_percent", "ceiling_kappa"] if agreement["repeats"] else []
    headings = {**NAMES, "percent": "Agree", "ceiling_percent": "At most", "ceiling_kappa": "Kappa at most"}
    rows = [_pair_row(pair) for pair in pairs_kept(study)]
    known = [row for row in rows if row[measure] is not None]
    return Figure(
        title=f"{NAMES[measure]} of each two raters" + _simulated_mark(agreement),
        columns=[
            Column("first", "First"),
            Column("second", "Second"),
            Column("items", "Items of both", "count"),
            Column("alone", "Of one alone", "count"),
            *(
                Column(key, headings[key], "rate" if key in kinds else "decimal")
                for key in [*columns, *again]
            ),
            Column("kappa_low", "Kappa from", "decimal"),
            Column("kappa_high", "to", "decimal"),
            *_note_column(rows),
        ],
        rows=rows,
        sentence=_of_pairs(known, measure, len(rows)) + _simulated_sentence(agreement),
        chart=lambda colours: _heat(agreement["names"], rows, measure, _simulated_mark(agreement), colours),
        alt=f"Heat map of {NAMES[measure]} between each two raters; the table below has the same figures",
    )


@figure("confusion")
def confusion_figure(study: Study, query: Mapping[str, str]) -> Figure:
    """Make the figure of how often the second rater gave each label where the first gave each."""
    agreement = agreement_kept(study)
    if agreement["raters"] < 2:
        raise UserError("a confusion needs two raters")
    names = [query.get(key) or agreement["names"][place] for place, key in enumerate(("first", "second"))]
    pair = pair_of(study, *names)
    titles = list(study.scheme.labels.values_list("title", flat=True))
    shown = [
        f"{name} (simulated)" if name in agreement["simulated_raters"] else name
        for name in (pair["first"], pair["second"])
    ]
    indices = zip(pair["prevalence"].values(), pair["bias"].values(), strict=True)
    rows = [
        {
            "label": title,
            **{f"to_{place}": count for place, count in enumerate(line)},
            "all": sum(line),
            "prevalence": prevalence,
            "bias": bias,
        }
        for title, line, (prevalence, bias) in zip(titles, pair["table"], indices, strict=True)
    ]
    return Figure(
        title=f"{shown[0]} against {shown[1]}",
        columns=[
            Column("label", f"{shown[0]} \\ {shown[1]}"),
            *(Column(f"to_{place}", title, "count") for place, title in enumerate(titles)),
            Column("all", "All", "count"),
            Column("prevalence", "Prevalence index", "decimal"),
            Column("bias", "Bias index", "decimal"),
        ],
        rows=rows,
        sentence=_of_pair(pair, shown),
        chart=lambda colours: _label_heat(titles, pair["table"], shown, colours),
        alt=f"Heat map of how often {shown[1]} gave each label where {shown[0]} gave each",
    )


# Words


def _note_column(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Return a column for why something is missing, where something is."""
    return [Column("note", "Note")] if any(row["note"] for row in rows) else []


def _flat(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return a coefficient as a row: its value, its intervals, and why one is missing."""
    bounds = {
        f"{kind}_{end}": one[kind][place] if one[kind] else None
        for kind in ("delta", "bootstrap")
        for place, end in enumerate(("low", "high"))
    }
    why = one.get("undefined", "")
    return {
        "value": one["value"],
        **bounds,
        "note": f"{'Undefined' if one['value'] is None else 'No interval'}: {why}." if why else "",
    }


def _pair_row(pair: Mapping[str, Any]) -> dict[str, Any]:
    kappa = _flat(pair["intervals"]["kappa"])
    interval = {"kappa_low": kappa["delta_low"], "kappa_high": kappa["delta_high"], "note": kappa["note"]}
    return {**{key: value for key, value in pair.items() if not isinstance(value, (dict, list))}, **interval}


def _in_words(agreement: Mapping[str, Any]) -> str:
    """Say the main figures in words, for a paper."""
    key = "alpha_ordinal" if agreement["graded"] else "alpha"
    kind = "ordinal" if agreement["graded"] else "nominal"
    parts = []
    for group in agreement["groups"]:
        coefficients, who = group["coefficients"], GROUPS[group["group"]].lower()
        if coefficients[key]["value"] is None:
            parts.append(f"of {who} undefined ({coefficients[key]['undefined']})")
            continue
        parts.append(
            f"of {who} ({len(group['raters'])} raters, {group['pairable']:,} items, {group['tasks']:,} "
            f"tasks) {_with_interval(_flat(coefficients[key]))}, AC1 "
            f"{_number(coefficients['ac1']['value'])}, agreement {_percent(coefficients['percent']['value'])}"
        )
    return (
        f"Krippendorff's alpha ({kind}) was, with {_percent(agreement['level'])} intervals "
        f"{_clustering(agreement)}: {'; '.join(parts)}.{_simulated_sentence(agreement)}"
    )


def _with_interval(row: Mapping[str, Any]) -> str:
    if row["delta_low"] is None:
        return f"{_number(row['value'])} (no interval)"
    return f"{_number(row['value'])} ({_number(row['delta_low'])} to {_number(row['delta_high'])})"


def _of_pairs(known: Sequence[Mapping[str, Any]], measure: str, count: int) -> str:
    if not known:
        return f"{NAMES[measure]} is undefined for each of the {count} pairs of raters."
    values = sorted((row[measure], f"{row['first']} and {row['second']}") for row in known)
    write = _percent if measure == "percent" else _number
    items = [row["items"] for row in known]
    on = f"{items[0]:,}" if min(items) == max(items) else f"{min(items):,} to {max(items):,}"
    if len(values) == 1:
        return (
            f"{NAMES[measure]} of {values[0][1]}, on {on} items that both labelled, was "
            f"{write(values[0][0])}."
        )
    return (
        f"{NAMES[measure]} of {len(known)} pairs of raters, on {on} items that both labelled, ran from "
        f"{write(values[0][0])} ({values[0][1]}) to {write(values[-1][0])} ({values[-1][1]})."
    )


def _of_pair(pair: Mapping[str, Any], names: Sequence[str]) -> str:
    kappa = pair["intervals"]["kappa"]
    if pair["percent"] is None:
        return f"{names[0]} and {names[1]} have no item in common."
    agree = (
        f"Of {pair['items']:,} items that both labelled, {names[0]} and {names[1]} gave the same label to "
        f"{_percent(pair['percent'])}"
    )
    if kappa["value"] is None:
        return f"{agree}; kappa is undefined, because {kappa['undefined']}."
    return f"{agree}; Cohen's kappa {_with_interval(_flat(kappa))}."


def _clustering(agreement: Mapping[str, Any]) -> str:
    return (
        "that count tasks as clusters"
        if agreement["clusters"] == "task"
        else "that count each item by itself"
    )


def _simulated_mark(agreement: Mapping[str, Any]) -> str:
    return " (simulated labels)" if agreement["simulated"] else ""


def _simulated_sentence(agreement: Mapping[str, Any]) -> str:
    return " Some of these labels are simulated; this is no result." if agreement["simulated"] else ""


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %".replace(".0 %", " %")


# Charts


def _dots(
    rows: Sequence[Mapping[str, Any]], keys: Sequence[str], marked: str, colours: Mapping[str, str]
) -> Any:
    """Draw values as dots on their intervals, in the table's order."""
    import altair as alt

    data = [
        {
            "line": " · ".join(row[key] for key in keys),
            "value": row["value"],
            "low": row["delta_low"],
            "high": row["delta_high"],
        }
        for row in rows
        if row["value"] is not None
    ]
    lowest = min([0.0, *(value for row in data for value in (row["value"], row["low"]) if value is not None)])
    axis = alt.Axis(
        format=".1f", tickCount=5, title="agreement, with 95 % intervals by the delta method" + marked
    )
    return interval_dots(data, colours, axis, lowest=lowest, width=480)


def _heat(
    names: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    measure: str,
    marked: str,
    colours: Mapping[str, str],
) -> Any:
    """Draw a measure of each two raters as a heat map of both triangles, so that a row holds all pairs of its
    rater."""
    import altair as alt

    data = [
        {
            "row": one,
            "column": other,
            "value": row[measure],
            "said": _number(row[measure]),
            "shade": max(0.0, row[measure] or 0.0),
        }
        for row in rows
        for one, other in ((row["first"], row["second"]), (row["second"], row["first"]))
    ]
    size = min(64.0, WIDTH / max(1, len(names)))
    ticks: dict[str, Any] = {"ticks": False, "domain": False, "labelLimit": 160, "labelPadding": 8}
    base = alt.Chart({"values": data}).encode(
        x=alt.X(
            "column:N", sort=list(names), title=None, axis=alt.Axis(orient="top", labelAngle=-45, **ticks)
        ),
        y=alt.Y(
            "row:N",
            sort=list(names),
            title=None,
            axis=alt.Axis(minExtent=min(190, label_extent(data, "row")), **ticks),
        ),
    )
    shade = alt.Scale(domain=[0, 1], range=[colours["low"], colours["high"]])
    cells = base.mark_rect(cornerRadius=3, stroke=colours["rule"]).encode(
        color=alt.Color("shade:Q", scale=shade, legend=None)
    )
    on_shade = alt.condition(
        alt.datum.shade > _turn(colours), alt.value(colours["on_high"]), alt.value(colours["ink"])
    )
    chart = (
        cells + base.mark_text(fontSize=12).encode(text="said:N", color=on_shade)
        if len(names) <= WRITTEN
        else cells
    )
    title = alt.TitleParams(
        NAMES[measure] + marked, color=colours["quiet"], fontSize=12, fontWeight="normal", anchor="start"
    )
    return chart.properties(width=size * len(names), height=size * 0.7 * len(names), title=title)


def _label_heat(
    titles: Sequence[str], table: Sequence[Sequence[int]], names: Sequence[str], colours: Mapping[str, str]
) -> Any:
    """Draw counts by the first rater's label (rows) and the second's (columns); shade is the share of the
    row."""
    import altair as alt

    data = [
        {"row": titles[i], "column": titles[j], "count": f"{count:,}", "share": count / max(1, sum(line))}
        for i, line in enumerate(table)
        for j, count in enumerate(line)
    ]
    ticks: dict[str, Any] = {"ticks": False, "domain": False}
    base = alt.Chart({"values": data}).encode(
        x=alt.X(
            "column:N",
            sort=None,
            title=names[1],
            axis=alt.Axis(
                orient="top",
                labelAngle=0,
                labelLimit=110,
                titlePadding=10,
                titleLimit=CELL * len(titles),
                **ticks,
            ),
        ),
        y=alt.Y(
            "row:N",
            sort=None,
            title=names[0],
            axis=alt.Axis(
                labelLimit=160,
                titleLimit=44 * len(titles),
                labelPadding=8,
                minExtent=label_extent(data, "row"),
                **ticks,
            ),
        ),
    )
    shade = alt.Scale(domain=[0, 1], range=[colours["low"], colours["high"]])
    cells = base.mark_rect(cornerRadius=3, stroke=colours["rule"]).encode(
        color=alt.Color("share:Q", scale=shade, legend=None)
    )
    on_shade = alt.condition(
        alt.datum.share > _turn(colours), alt.value(colours["on_high"]), alt.value(colours["ink"])
    )
    numbers = base.mark_text(fontSize=13).encode(text="count:N", color=on_shade)
    return (cells + numbers).properties(width=CELL * len(titles), height=44 * len(titles))


def _turn(colours: Mapping[str, str]) -> float:
    """Return the shade from which a number is easier to read in the other ink."""
    return 0.72 if colours["on_high"] == "#ffffff" else 0.57
