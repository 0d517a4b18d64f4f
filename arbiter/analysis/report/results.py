"""The parts of a report that say what came of a study: rates, agreement, judges against gold, biases,
settlement."""

from collections.abc import Iterator, Sequence

from annotation.models import Study
from annotation.raters import latest_raters
from arbiter.analysis.agreement.coefficients import agreement_kept
from arbiter.analysis.biases.biasreport import bias_report
from arbiter.analysis.calibration.goldparts import PARTS_IN_WORDS
from arbiter.analysis.calibration.humanceiling import EPSILON
from arbiter.analysis.calibration.judgetable import JudgeRow, judge_rows
from arbiter.analysis.judgeraters import judge_raters
from arbiter.analysis.notation import DASH, grouped, interval, p_value, percent
from arbiter.analysis.rates.armcontrasts import ArmComparison
from arbiter.analysis.rates.armrate import ArmRate
from arbiter.analysis.rates.differences import cautions_of, comparisons_of, pairs_of
from arbiter.analysis.rates.estimates import Estimates, RateRow, estimates
from arbiter.analysis.rates.ratespec import RateSpec
from arbiter.analysis.report.methods import numbers
from arbiter.analysis.report.sections import Section, Table, sentence
from arbiter.analysis.settlements import RULES_IN_WORDS, settlement_counts
from arbiter.core.text import how_many
from judging.settlement.auditing import audit

BY = ("subject", "condition")
NAMES = {
    "raw": "as the judge says",
    "majority": "majority of raters",
    "gold": "gold alone, design-weighted",
    "corrected": "corrected, post-stratified",
    "ppi": "prediction-powered (PPI++)",
    "settled": "settled labels",
}
PAIRS = 12


def agreement_section(study: Study, section: Section) -> None:
    if len(latest_raters(study)) < 2:
        section.missing.append("Fewer than two raters have labelled, so there is no agreement to measure.")
        return
    for name in ("agreement", "agreement-by"):
        section.add(study, name)
    if left_out := agreement_kept(study)["pairs_left_out"]:
        section.paragraphs.append(
            f"The {left_out:,} pairs of raters are left out here; the command `agreement --pairs` gives them."
        )
    else:
        section.add(study, "agreement-pairs")


def gold_section(study: Study, section: Section) -> None:
    section.add(study, "judges")
    if not section.figures:
        return
    table = judge_rows(study, judge_raters(study))
    for one in table:
        section.add(study, "judge-matrix", {"judge": str(one.rater.pk), "part": one.figures.part})
    section.tables.append(_ceiling(table))
    section.paragraphs.append(
        "May a judge stand in for a human rater? Each human is left out in turn, and the judge wins where "
        f"it is as near to the remaining ones, or nearer (alternative annotator test, epsilon {EPSILON:g}); "
        "it may where it wins against half of them or more."
    )


def _ceiling(table: Sequence[JudgeRow]) -> Table:
    lines = [
        [
            str(one.rater),
            PARTS_IN_WORDS[one.figures.part],
            grouped(one.ceiling.items),
            *(
                (
                    ("yes" if test.passed else "no"),
                    f"{one.ceiling.won} of {len(one.ceiling.humans)}",
                    percent(test.rho),
                )
                if (test := one.ceiling.test)
                else (sentence(f"too little data: {one.ceiling.undefined}"), DASH, DASH)
            ),
        ]
        for one in table
    ]
    headings = ["Judge", "Gold", "Items", "May it stand in", "Wins against", "As good or better"]
    return Table("The human ceiling", headings, lines, frozenset({2, 4, 5}))


def biases_section(study: Study, section: Section) -> None:
    """Add the biases in the words of their page: the figure's own table has too many columns for a sheet of
    paper."""
    section.add(study, "biases", tabled=False)
    lines = [
        [
            one.bias.capitalize(),
            ", ".join(filter(None, (one.judge, one.about))),
            sentence(f"too little data: {one.too_little}") if one.too_little else one.sentence,
            one.effect_words,
            one.interval_words,
            p_value(one.adjusted),
        ]
        for one in bias_report(study).findings
    ]
    headings = ["Bias", "Judge", "In words", "Effect", "95 %", "Adjusted p"]
    section.tables.append(Table("Every test", headings, lines, frozenset({3, 4, 5})))


def settlement_section(study: Study, section: Section) -> None:
    rules = settlement_counts(study)
    if not rules:
        section.missing.append("Nothing is settled yet.")
        return
    rows = [[RULES_IN_WORDS[rule], grouped(rules[rule])] for rule in RULES_IN_WORDS if rule in rules]
    section.tables.append(Table("Items by how they were settled", ["Rule", "Items"], rows, numbers(1, 1)))
    last = study.settlement_versions.order_by("-number").first()
    if last:
        section.paragraphs.append(
            f"Settlement {last.number} by the rule {last.rule}, made {last.created_at:%Y-%m-%d %H:%M} "
            f"UTC, of inputs {last.inputs_hash[:16]}."
        )
        section.paragraphs += [sentence for key in ("reason", "unbacked") if (sentence := last.fit.get(key))][
            :1
        ]
        if last.fit:
            section.add(study, "settlement-reliability")
    section.paragraphs += _audited(study)


def _audited(study: Study) -> Iterator[str]:
    """Say what people found in a random part of what votes alone settled."""
    audited = audit(study)
    if audited is None:
        return
    yield (
        f"An audit drew {audited.drawn:,} of {how_many(audited.frame, 'item')} that votes alone had settled; "
        f"{audited.labelled:,} of them are labelled since."
    )
    if audited.wrong is None:
        yield sentence(f"It has no error rate: {audited.reason or 'too little is labelled'}")
    else:
        claimed = (
            "" if audited.claimed is None else f", where their posteriors claim {percent(audited.claimed)}"
        )
        yield (
            f"{percent(audited.wrong.estimate)} "
            f"({interval(audited.wrong.interval.low, audited.wrong.interval.high)}) of the audited labels "
            f"are wrong{claimed}."
        )


def rates_section(study: Study, section: Section) -> None:
    """Add the raw rates beside the corrected ones; what the design of the gold does not allow is named with
    the reason."""
    section.add(study, "rates", tabled=False)
    estimated = [(words, estimates(study, spec)) for words, spec in _specs(study)]
    shown = [(words, one) for words, one in estimated if not one.refused]
    section.missing += [
        sentence(f"{words}: refused. {one.refused}") for words, one in estimated if one.refused
    ]
    if shown:
        section.tables.append(_table("Rates by model and condition, over tasks of this kind", shown))
        finite = [
            (words, estimates(study, RateSpec("corrected", BY, finite=True)))
            for words, one in shown
            if one.spec.estimator == "corrected"
        ]
        section.tables += [_table("The same among these very items", finite)] if finite else []
        by_category = [
            (words, estimates(study, RateSpec(one.spec.estimator, ("category",), source=one.spec.source)))
            for words, one in shown
        ]
        section.tables.append(_table("Rates by category, over tasks of this kind", by_category))
        tables, cautions = _contrasts([one for _, one in shown if one.spec.estimator == "corrected"])
        section.tables += tables
        section.paragraphs += cautions
    section.paragraphs += [*_covered(shown), *_said([one for _, one in shown])]
    section.paragraphs.append(
        "“Valid” leaves responses with an excluded label out of the denominator, “all” counts them, and "
        "responses that failed; intervals are 95 %, responses to one task are one cluster, and control "
        "tasks are not counted."
    )


def _specs(study: Study) -> Iterator[tuple[str, RateSpec]]:
    for rater in judge_raters(study):
        yield f"{rater}, {NAMES['raw']}", RateSpec("raw", BY, source=str(rater))
    if len(latest_raters(study)) > 1:
        yield NAMES["majority"], RateSpec("majority", BY)
    for name in ("gold", "corrected", "ppi"):
        yield NAMES[name], RateSpec(name, BY)
    if settlement_counts(study):
        yield NAMES["settled"], RateSpec("settled", BY)


def _table(title: str, estimated: list[tuple[str, Estimates]]) -> Table:
    """Return a table of an arm's estimators together, the arm named once."""
    headings = ["Arm", "Labels", "Rate, valid", "95 %", "Rate, all", "95 %", "Responses", "Excluded", "Gold"]
    arms = [tuple(row.names.values()) for row in estimated[0][1].rows]
    by_arm = {words: {tuple(row.names.values()): row for row in one.rows} for words, one in estimated}
    rows = [
        ["" if place else ", ".join(arm), words, *_cells(row.valid), *_cells(row.all), *_counts(row)]
        for arm in arms
        for place, (words, row) in enumerate(
            (words, by_arm[words][arm]) for words in by_arm if arm in by_arm[words]
        )
    ]
    return Table(title, headings, rows, numbers(2, 7))


def _cells(one: ArmRate) -> tuple[str, str]:
    return percent(one.estimate), interval(one.low, one.high)


def _counts(row: RateRow) -> list[str]:
    return [grouped(row.counts.get(name)) for name in ("n", "excluded", "gold")]


def _contrasts(corrected: list[Estimates]) -> tuple[list[Table], list[str]]:
    """Return differences of the corrected rates, of every two models and every two conditions, paired by
    task; and what has to be said of them."""
    tables, cautions = [], []
    for one in corrected:
        names = [row.names for row in one.rows]
        compared = [
            each for word in BY for spec in pairs_of(names, word, PAIRS) for each in comparisons_of(one, spec)
        ]
        cautions += [
            f"Differences. {text}" for text in cautions_of([each.document() for each in compared], BY)
        ]
        rows = [row for each in compared for row in _compared(each)]
        if rows:
            title = "Differences of the corrected rates, paired by task"
            tables.append(Table(title, HEADINGS, rows, numbers(2, 4)))
    return tables, cautions


HEADINGS = ["Difference", "Within", "Valid", "95 %", "All", "95 %"]


def _compared(each: ArmComparison) -> Iterator[list[str]]:
    within = ", ".join(each.within.values()) or "–"
    yield [each.what, within, *_difference(each.valid, each.why_valid), *_difference(each.all, each.why_all)]
    if each.tasks is not None:
        yield [f"over the {each.tasks:,} tasks in common", within, *_difference(each.common, ""), DASH, DASH]


def _difference(one: object, why: str) -> tuple[str, str]:
    estimate = getattr(one, "estimate", None)
    if estimate is None:
        return DASH, why or DASH
    return percent(estimate), interval(getattr(one, "low", None), getattr(one, "high", None))


def _covered(shown: list[tuple[str, Estimates]]) -> Iterator[str]:
    """Say what each kind of interval covers, and why a rate is a dash."""
    covers: dict[str, list[str]] = {}
    for _, one in shown:
        words = "labels of a judge" if one.spec.estimator == "raw" else NAMES[one.spec.estimator]
        covers.setdefault(one.covers, []).append(words)
    for what, kinds in covers.items():
        yield sentence(f"{', '.join(dict.fromkeys(kinds))}: the interval covers {what}")
    whys = {
        (words, each.why)
        for words, one in shown
        for row in one.rows
        for each in (row.valid, row.all)
        if each.why
    }
    yield from (sentence(f"{words}, where it is a dash: {why}") for words, why in sorted(whys))


def _said(estimated: list[Estimates]) -> list[str]:
    """Return cautions and notes, each once."""
    texts = [text for one in estimated for text in (one.caution, *one.notes, one.human_error) if text]
    waiting = {one.design.waiting for one in estimated if one.design and one.design.waiting}
    texts += [f"{count:,} drawn items have no gold yet." for count in waiting]
    return [sentence(text) for text in dict.fromkeys(texts)]
