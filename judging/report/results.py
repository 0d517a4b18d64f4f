"""The parts of a report that say what came of a study: rates, agreement, judges against gold, biases, settlement."""

from collections.abc import Iterator, Sequence

from annotation.models import Study
from annotation.raters import latest_raters
from judging.biases.report import report as bias_report
from judging.calibration.against_gold import judge_raters
from judging.calibration.calibrating import WORDS as PARTS_IN_WORDS
from judging.calibration.calibrating import JudgeRow, rows
from judging.calibration.ceiling import EPSILON
from judging.overview import settlement_counts
from judging.rates.contrasting import pairs_of
from judging.rates.estimates import Asked, Estimates, Row, comparisons, estimates
from judging.rates.estimators import Estimated
from judging.report.parts import Section, Table, sentence
from judging.report.setup import numbers
from judging.settlement.auditing import audit
from judging.settlement.page import WORDS
from judging.templatetags.figures import DASH, grouped, interval, p_value, percent

BY = ("subject", "condition")
NAMES = {
    "raw": "as the judge says", "majority": "majority of raters", "gold": "gold alone, design-weighted",
    "corrected": "corrected, post-stratified", "ppi": "prediction-powered (PPI++)", "settled": "settled labels",
}  # fmt: skip
PAIRS = 12


def agreement(study: Study, section: Section) -> None:
    if len(latest_raters(study)) < 2:
        section.missing.append("Fewer than two raters have labelled, so there is no agreement to measure.")
        return
    for name in ("agreement", "agreement-by", "agreement-pairs"):
        section.add(study, name)


def judged(study: Study, section: Section) -> None:
    section.add(study, "judges")
    if not section.figures:
        return
    found = rows(study, judge_raters(study))
    for one in found:
        section.add(study, "judge-matrix", {"judge": str(one.rater.pk), "part": one.figures.part})
    section.tables.append(_ceiling(found))
    section.paragraphs.append(
        "May a judge stand in for a human rater? Each human is left out in turn, and the judge wins where it is as near to the "
        f"remaining ones, or nearer (alternative annotator test, epsilon {EPSILON:g}); it may where it wins against half of them or more."
    )


def _ceiling(found: Sequence[JudgeRow]) -> Table:
    lines = [
        [
            str(one.rater), PARTS_IN_WORDS[one.figures.part], grouped(one.ceiling.items),
            *((("yes" if test.passed else "no"), f"{one.ceiling.won} of {len(one.ceiling.humans)}", percent(test.rho))
              if (test := one.ceiling.test) else (sentence(f"too little data: {one.ceiling.undefined}"), DASH, DASH)),
        ]
        for one in found
    ]  # fmt: skip
    headings = ["Judge", "Gold", "Items", "May it stand in", "Wins against", "As good or better"]
    return Table("The human ceiling", headings, lines, frozenset({2, 4, 5}))


def biases(study: Study, section: Section) -> None:
    """In the words of the biases' page: the figure's own table has too many columns for a sheet of paper."""
    section.add(study, "biases", tabled=False)
    lines = [
        [
            one.bias.capitalize(), ", ".join(filter(None, (one.judge, one.about))),
            sentence(f"too little data: {one.too_little}") if one.too_little else one.sentence,
            one.effect_words, one.interval_words, p_value(one.adjusted),
        ]
        for one in bias_report(study).findings
    ]  # fmt: skip
    headings = ["Bias", "Judge", "In words", "Effect", "95 %", "Adjusted p"]
    section.tables.append(Table("Every test", headings, lines, frozenset({3, 4, 5})))


def settled(study: Study, section: Section) -> None:
    rules = settlement_counts(study)
    if not rules:
        section.missing.append("Nothing is settled yet.")
        return
    rows = [[WORDS[rule], grouped(rules[rule])] for rule in WORDS if rule in rules]
    section.tables.append(Table("Items by how they were settled", ["Rule", "Items"], rows, numbers(1, 1)))
    last = study.settlement_versions.order_by("-number").first()
    if last:
        section.paragraphs.append(
            f"Settlement {last.number} by the rule {last.rule}, made {last.created_at:%Y-%m-%d %H:%M} UTC, of inputs {last.inputs_hash[:16]}."
        )
        if last.fit:
            section.add(study, "settlement-reliability")
    section.paragraphs += _audited(study)


def _audited(study: Study) -> Iterator[str]:
    """What people found in a random part of what votes alone settled."""
    found = audit(study)
    if found is None:
        return
    yield f"An audit drew {found.drawn:,} of {found.frame:,} items that votes alone had settled; {found.labelled:,} of them are labelled since."
    if found.wrong is None:
        yield sentence(f"It has no error rate: {found.reason or 'too little is labelled'}")
    else:
        claimed = "" if found.claimed is None else f", where their posteriors claim {percent(found.claimed)}"
        yield f"{percent(found.wrong.estimate)} ({interval(found.wrong.interval.low, found.wrong.interval.high)}) of the audited labels are wrong{claimed}."


def rated(study: Study, section: Section) -> None:
    """Raw beside corrected; what the design of the gold does not allow is named with the reason."""
    section.add(study, "rates", tabled=False)
    found = [(words, estimates(study, asked)) for words, asked in _asked(study)]
    shown = [(words, one) for words, one in found if not one.refused]
    section.missing += [sentence(f"{words}: refused. {one.refused}") for words, one in found if one.refused]
    if shown:
        section.tables.append(_table("Rates by model and condition, over tasks of this kind", shown))
        finite = [
            (words, estimates(study, Asked("corrected", BY, finite=True)))
            for words, one in shown
            if one.asked.estimator == "corrected"
        ]
        section.tables += [_table("The same among these very items", finite)] if finite else []
        by_category = [
            (words, estimates(study, Asked(one.asked.estimator, ("category",), source=one.asked.source)))
            for words, one in shown
        ]
        section.tables.append(_table("Rates by category, over tasks of this kind", by_category))
        section.tables += _contrasts([one for _, one in shown if one.asked.estimator == "corrected"])
    section.paragraphs += [*_covered(shown), *_said([one for _, one in shown])]
    section.paragraphs.append(
        "“Valid” leaves responses with an excluded label out of the denominator, “all” counts them; intervals are 95 %, responses to one "
        "task are one cluster, and control tasks are not counted."
    )


def _asked(study: Study) -> Iterator[tuple[str, Asked]]:
    for rater in judge_raters(study):
        yield f"{rater}, {NAMES['raw']}", Asked("raw", BY, source=str(rater))
    if len(latest_raters(study)) > 1:
        yield NAMES["majority"], Asked("majority", BY)
    for name in ("gold", "corrected", "ppi"):
        yield NAMES[name], Asked(name, BY)
    if settlement_counts(study):
        yield NAMES["settled"], Asked("settled", BY)


def _table(title: str, found: list[tuple[str, Estimates]]) -> Table:
    """An arm's estimators together, the arm named once."""
    headings = ["Arm", "Labels", "Rate, valid", "95 %", "Rate, all", "95 %", "Responses", "Excluded", "Gold"]
    arms = [tuple(row.names.values()) for row in found[0][1].rows]
    by_arm = {words: {tuple(row.names.values()): row for row in one.rows} for words, one in found}
    rows = [
        ["" if place else ", ".join(arm), words, *_cells(row.valid), *_cells(row.all), *_counts(row)]
        for arm in arms
        for place, (words, row) in enumerate(
            (words, by_arm[words][arm]) for words in by_arm if arm in by_arm[words]
        )
    ]
    return Table(title, headings, rows, numbers(2, 7))


def _cells(one: Estimated) -> tuple[str, str]:
    return percent(one.estimate), interval(one.low, one.high)


def _counts(row: Row) -> list[str]:
    return [grouped(row.counts.get(name)) for name in ("n", "excluded", "gold")]


def _contrasts(found: list[Estimates]) -> Iterator[Table]:
    """Of the corrected rates: every two models, every two conditions, paired by task."""
    for one in found:
        rows = []
        for word in BY:
            for spec in pairs_of([row.names for row in one.rows], word, PAIRS):
                for each in comparisons(one, spec):
                    within = ", ".join(each.within.values()) or "–"
                    rows.append(
                        [
                            each.what,
                            within,
                            *_difference(each.valid, each.why_valid),
                            *_difference(each.all, each.why_all),
                        ]
                    )
        if rows:
            yield Table(
                "Differences of the corrected rates, paired by task",
                ["Difference", "Within", "Valid", "95 %", "All", "95 %"],
                rows,
                numbers(2, 4),
            )


def _difference(one: object, why: str) -> tuple[str, str]:
    estimate = getattr(one, "estimate", None)
    if estimate is None:
        return DASH, why or DASH
    return percent(estimate), interval(getattr(one, "low", None), getattr(one, "high", None))


def _covered(shown: list[tuple[str, Estimates]]) -> Iterator[str]:
    """What each kind of interval covers, and why a rate is a dash."""
    covers: dict[str, list[str]] = {}
    for _, one in shown:
        words = "labels of a judge" if one.asked.estimator == "raw" else NAMES[one.asked.estimator]
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


def _said(found: list[Estimates]) -> list[str]:
    """Cautions and notes, each once."""
    texts = [text for one in found for text in (one.caution, *one.notes, one.human_error) if text]
    waiting = {one.design.waiting for one in found if one.design and one.design.waiting}
    texts += [f"{count:,} drawn items have no gold yet." for count in waiting]
    return [sentence(text) for text in dict.fromkeys(texts)]
