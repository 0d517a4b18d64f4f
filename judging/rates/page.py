"""What the Rates tab offers and shows: ways to estimate, which of them the design allows, and the figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotation.models import Gold, Study, newest
from annotation.raters import latest_raters
from benchmark.errors import UserError
from judging.calibration.against_gold import judge_raters
from judging.calibration.goldsample import gold_sample
from judging.charts import interval_dots
from judging.figures import Column, Figure, figure
from judging.keeping import kept
from judging.models import Settlement
from judging.rates.cells import chosen_judges
from judging.rates.contrasting import pairs_of
from judging.rates.estimates import Asked, Estimates, carried_or_why, comparisons, estimates, refusal

BY = ("subject,condition", "category", "subject,condition,category", "subject", "condition")
DESIGNED = {
    "corrected": "corrected for judge error",
    "gold": "gold alone, design-weighted",
    "transported": "judge errors carried over (Rogan-Gladen)",
    "ppi": "prediction-powered (PPI++), for comparison",
}
TAKEN = {"majority": "majority of the votes", "settled": "settled labels"}
OF = {"valid": "valid responses", "all": "all responses"}
NAMED = 3  # rates in a figure's sentence


@dataclass(frozen=True)
class View:
    """What the page was asked. source: a key of DESIGNED or TAKEN, or a rater's name."""

    source: str
    by: tuple[str, ...]
    finite: bool
    of: str

    @property
    def asked(self) -> Asked:
        if self.source in DESIGNED or self.source in TAKEN:
            return Asked(self.source, self.by, self.finite)
        return Asked("raw", self.by, self.finite, self.source)

    @property
    def query(self) -> dict[str, str]:
        return {
            "source": self.source, "by": ",".join(self.by), "over": "items" if self.finite else "tasks", "of": self.of,
        }  # fmt: skip


def sources(study: Study) -> dict[str, dict[str, str]]:
    """What rates can be shown of, in groups; the first is shown unless asked otherwise."""
    raters = {str(rater): str(rater) for rater in latest_raters(study)}
    taken = {"majority": TAKEN["majority"]} if raters else {}
    if Settlement.objects.filter(item__study=study, label__isnull=False).exists():
        taken = {"settled": TAKEN["settled"], **taken}
    groups = {"As labelled": taken | raters}
    if newest(Gold.objects.filter(item__study=study)).exists():
        groups = {"By human gold": DESIGNED if judge_raters(study) else {"gold": DESIGNED["gold"]}, **groups}
    return {name: group for name, group in groups.items() if group}


def view_of(study: Study, query: Mapping[str, str]) -> View | None:
    """None where nobody has labelled anything; UserError on what can't be asked."""
    offered = [key for group in sources(study).values() for key in group]
    if not offered:
        return None
    by, of = query.get("by") or BY[0], query.get("of") or "valid"
    source = query.get("source") or _usual(study, offered)
    if source not in offered or by not in BY or of not in OF:
        raise UserError(f"There is no source {source!r}, grouping {by!r} or denominator {of!r} here.")
    return View(source, tuple(by.split(",")), query.get("over") == "items", of)


def _usual(study: Study, offered: Sequence[str]) -> str:
    """Corrected where that is allowed."""
    if "corrected" in offered and not allowed(study)["corrected"]:
        return "corrected"
    return next((key for key in offered if key not in DESIGNED), offered[0])


def allowed(study: Study) -> dict[str, str]:
    """Of each estimator that needs gold, why the design does not allow it; empty where it does."""
    return kept(study, "rates-allowed", "", lambda: _allowed(study))


def _allowed(study: Study) -> dict[str, str]:
    judges = chosen_judges(study, "")
    design = gold_sample(study, raters=judges).design
    asked = {name: Asked(name, ("condition",)) for name in DESIGNED}
    found = {name: refusal(one, judges, design) for name, one in asked.items()}
    if not found["transported"]:
        _, found["transported"] = carried_or_why(study, asked["transported"], judges)
    return found


def raw_beside(view: View, found: Estimates) -> Asked | None:
    """What a corrected rate stands beside: its judge's own, or the panel's majority."""
    if view.source not in DESIGNED or not (found.judges or view.source == "gold"):
        return None
    if len(found.judges) == 1:
        return Asked("raw", view.by, view.finite, found.judges[0])
    return Asked("majority", view.by, view.finite)


def differences(found: Estimates, spec: str) -> list[Any]:
    """Every two values of the last word that has two or more, unless one pair is asked for."""
    specs = [spec] if spec else offered_pairs(found)
    return [one for pair in specs for one in comparisons(found, pair)]


def offered_pairs(found: Estimates) -> list[str]:
    names = [row.names for row in found.rows]
    order = [word for word in ("condition", "subject", "category") if word in found.asked.by]
    return next((pairs for word in order if (pairs := pairs_of(names, word))), [])


# The figure


@figure("rates")
def rates_figure(study: Study, query: Mapping[str, str]) -> Figure:
    """A dot on its interval for each rate, the labels as they are beside the corrected one."""
    view = view_of(study, query)
    if view is None:
        raise UserError("Nobody has labelled anything yet, so there is no rate.")
    found = estimates(study, view.asked)
    beside = raw_beside(view, found)
    raw = estimates(study, beside) if beside else None
    rows = [_row(view, row, raw) for row in found.rows]
    return Figure(
        title=f"Convergence rates, {label_of(view.source)}" + (" (simulated labels)" if found.simulated else ""),
        columns=_columns(view, raw is not None), rows=rows, sentence=_sentence(view, found, rows, beside),
        chart=lambda colours: _chart(view, rows, raw is not None, found.simulated, colours),
        alt="Dot-and-interval plot of the rates in the table below", query=view.query,
    )  # fmt: skip


def label_of(source: str) -> str:
    return DESIGNED.get(source) or TAKEN.get(source) or source


def _row(view: View, row: Any, raw: Estimates | None) -> dict[str, Any]:
    told = {**row.names, **row.counts}
    others = {tuple(one.names.values()): one for one in raw.rows} if raw else {}
    for prefix, one in (("", row), ("raw_", others.get(tuple(row.names.values())))):
        for which in OF if one else ():
            value = getattr(one, which)
            told |= {
                f"{prefix}rate_{which}": value.estimate, f"{prefix}low_{which}": value.low, f"{prefix}high_{which}": value.high,
                f"{prefix}why_{which}": value.why,
            }  # fmt: skip
    if row.under_error:
        told |= dict(zip(("rate_under", "low_under", "high_under"), row.under_error, strict=True))
    return told


def _columns(view: View, beside: bool) -> list[Column]:
    counts = (
        ("n", "gold", "waiting") if view.source in DESIGNED else ("n", "unlabelled", "excluded", "target")
    )
    columns = [Column(word, word.capitalize()) for word in view.by] + [
        Column(one, one.capitalize(), "count") for one in counts
    ]
    for prefix, name in (("", ""), ("raw_", "as labelled, "))[: 2 if beside else 1]:
        for which, words in OF.items():
            start = f"{name}{words}"
            columns += [
                Column(f"{prefix}rate_{which}", start[0].upper() + start[1:], "rate"),
                Column(f"{prefix}low_{which}", "From", "rate"), Column(f"{prefix}high_{which}", "To", "rate"),
            ]  # fmt: skip
    return columns


def _sentence(view: View, found: Estimates, rows: Sequence[Mapping[str, Any]], beside: Asked | None) -> str:
    """For a paper: what was estimated, how, on how much, with which interval."""
    if found.refused:
        return f"Not estimated. {found.refused}"
    known = [row for row in rows if row.get(f"rate_{view.of}") is not None]
    if not known:
        return "No rate can be estimated yet."
    told = "; ".join(_told(view, row, beside is not None) for row in known[:NAMED])
    more = f" (and {len(known) - NAMED} more in the table)" if len(known) > NAMED else ""
    return f"{_how(view, found)} {told}{more}."


def _how(view: View, found: Estimates) -> str:
    n, gold = sum(row.counts["n"] for row in found.rows), found.gold
    over = f"over {found.estimand}, {OF[view.of]}"
    judges = _counted(len(found.judges), "LLM judge")
    drawn = "a census" if found.design and found.design.kind == "census" else "a design-weighted draw"
    how = {
        "corrected": f"Convergence rates {over}, were estimated from {n:,} responses, post-stratified on the target votes of {judges} with human gold labels on {gold:,} of them ({drawn}).",
        "gold": f"Convergence rates {over}, were estimated from human gold labels on {gold:,} of {n:,} responses ({drawn}).",
        "transported": f"Convergence rates {over}, were estimated from the judges' labels of {n:,} responses by the Rogan-Gladen correction, with sensitivity and specificity from human gold.",
        "ppi": f"Convergence rates {over}, were estimated by prediction-powered inference (PPI++) from {n:,} responses, {gold:,} of them with human gold labels.",
    }
    taken = f"Convergence rates {over}, were taken from {n:,} labels as they are ({label_of(view.source)}), so their intervals hold sampling error only."
    return how.get(view.source, taken) + " The 95 % intervals treat tasks as clusters:"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _told(view: View, row: Mapping[str, Any], beside: bool) -> str:
    cell = " · ".join(str(row[word]) for word in view.by)
    said = f"{cell} {_percent(row, '', view.of)}"
    if beside and row.get(f"raw_rate_{view.of}") is not None:
        said += f", as labelled {_percent(row, 'raw_', view.of)}"
    return said


def _percent(row: Mapping[str, Any], prefix: str, of: str) -> str:
    rate, low, high = (row[f"{prefix}{part}_{of}"] for part in ("rate", "low", "high"))
    return f"{100 * rate:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _chart(view: View, rows: Sequence[Mapping[str, Any]], beside: bool, simulated: bool, colours: dict[str, str]) -> Any:  # fmt: skip
    import altair as alt

    new, old = ("corrected" if view.source == "corrected" else "estimated"), "as labelled"
    series = [(new, "")] + ([(old, "raw_")] if beside else [])
    data = [
        {
            "line": " · ".join(str(row[word]) for word in view.by), "series": name,
            "value": row[f"{prefix}rate_{view.of}"], "low": row[f"{prefix}low_{view.of}"], "high": row[f"{prefix}high_{view.of}"],
        }
        for row in rows
        for name, prefix in series
        if row.get(f"{prefix}rate_{view.of}") is not None
    ]  # fmt: skip
    title = f"convergence rate, {OF[view.of]}" + (" (simulated labels)" if simulated else "")
    axis = alt.Axis(format=".0%", tickCount=5, title=title)
    legend = alt.Legend(orient="top", labelColor=colours["ink"], labelFontSize=12, symbolStrokeWidth=0, columnPadding=16)  # fmt: skip
    return interval_dots(
        data, colours, axis, series=[name for name, _ in series], legend=legend if beside else None,
        step=17 if beside else 26,
    )  # fmt: skip
