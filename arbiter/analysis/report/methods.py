"""The parts of a report that say how a study was made: responses, judges, people, what failed, what it
cost."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Count, Q

from annotation.goldlabels import gold_counts
from annotation.humanplan import humans_of
from annotation.models import Enrolment, Label, Rater, Skip, Study
from annotation.raters import latest_raters
from arbiter.analysis.notation import decimals, duration, grouped, percent, seconds
from arbiter.analysis.report.sections import Section, Table, sentence
from arbiter.analysis.responseoutcomes import ENDED, ending_counts, endings_by_cell, endings_said
from arbiter.analysis.spending import costs
from arbiter.calls.prices import dollars
from arbiter.core.text import how_many
from benchmark.models import Condition, SubjectModel
from judging.models import FINAL, Reveal, ScorerFailure
from judging.panel.wanted_verdicts import State, tally

LONGEST = 400  # of a text that stands in a table


def short(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + " …"


def plain(values: Any) -> str:
    """Write a small mapping or list as people do."""
    if isinstance(values, dict):
        return ", ".join(f"{key}={plain(value)}" for key, value in values.items())
    return " or ".join(map(str, values)) if isinstance(values, list) else str(values)


def numbers(first: int, count: int) -> frozenset[int]:
    return frozenset(range(first, first + count))


def responses_section(study: Study, section: Section) -> None:
    items, tasks = study.items.all().order_by(), "response__task"
    total = items.aggregate(
        items=Count("pk"),
        tasks=Count(tasks, distinct=True),
        control=Count(tasks, distinct=True, filter=Q(response__task__control=True)),
        controls=Count("pk", filter=Q(response__task__control=True)),
    )
    control = (
        f", and {total['controls']:,} of {total['control']} control tasks, which count in no rate"
        if total["controls"]
        else ""
    )
    section.paragraphs.append(
        f"{how_many(total['items'] - total['controls'], 'response')} to "
        f"{how_many(total['tasks'] - total['control'], 'task')}{control}."
    )
    section.tables += [_suites(items), _models(items), _conditions(items), *_ended(study), _labels(study)]


def _ended(study: Study) -> Iterable[Table]:
    """Yield the table of what became of all responses that were asked for, where some are more or less than
    an answer."""
    paths = ("response__run__subject__name", "response__run__condition__name")
    ended = endings_by_cell(study, paths)
    if not ended:
        return
    there = study.items.filter(response__task__control=False).order_by()
    items = {tuple(cell): count for *cell, count in there.values_list(*paths).annotate(Count("pk"))}
    rows = [
        [*cell, grouped(items.get(cell, 0) + one["failed"]), *(grouped(one[key]) for key in ENDED)]
        for cell, one in sorted(ended.items())
    ]
    headings = ["Model", "Condition", "Asked for", *(key.replace("_", " ").capitalize() for key in ENDED)]
    yield Table("How responses ended, without control tasks", headings, rows, numbers(2, 1 + len(ENDED)))


def _suites(items: Any) -> Table:
    path = "response__task__suite"
    rows = items.values_list(
        f"{path}__slug", f"{path}__version", f"{path}__title", "response__task__category__title"
    )
    counted = rows.annotate(Count("response__task", distinct=True), Count("pk"))
    cells = [
        [f"{slug}@{version}", title, category, grouped(tasks), grouped(count)]
        for slug, version, title, category, tasks, count in sorted(counted)
    ]
    return Table(
        "Suites and categories", ["Suite", "Title", "Category", "Tasks", "Responses"], cells, numbers(3, 2)
    )


def _models(items: Any) -> Table:
    counts = dict(items.values_list("response__run__subject").annotate(Count("pk")))
    rows = [
        [one.name, one.family or "–", one.training or "–", one.size or "–", grouped(counts[one.pk])]
        for one in SubjectModel.objects.filter(pk__in=counts)
    ]
    return Table("Models", ["Model", "Family", "Training", "Size", "Responses"], rows, numbers(4, 1))


def _conditions(items: Any) -> Table:
    counts = dict(items.values_list("response__run__condition").annotate(Count("pk")))
    rows = [
        [
            one.name,
            one.content_hash[:12],
            plain(one.factors) or "–",
            one.language,
            short(one.system_prompt) or "–",
            short(one.prompt_suffix) or "–",
            grouped(counts[one.pk]),
        ]
        for one in Condition.objects.filter(pk__in=counts)
    ]
    headings = ["Condition", "Content", "Factors", "Language", "System prompt", "Prompt suffix", "Responses"]
    return Table("Conditions", headings, rows, numbers(6, 1))


def _labels(study: Study) -> Table:
    labels = Label.objects.filter(scheme=study.scheme_id).order_by("position")
    rows = [[one.title, one.key, one.get_role_display(), short(one.definition) or "–"] for one in labels]
    title = f"Labels: {study.scheme.title} ({study.scheme}, content {study.scheme.content_hash[:12]})"
    return Table(title, ["Label", "Key", "Counts", "Definition"], rows)


def judges_section(study: Study, section: Section) -> None:
    study_judges = list(study.judges.select_related("judge__rater", "judge__endpoint"))
    rows = [
        [
            str(one.judge),
            one.judge.rater.family or "–",
            one.judge.model,
            one.judge.endpoint.name,
            one.judge.template_name,
            "sees the condition's suffix" if one.judge.show_condition else "blind",
            plain(one.judge.parameters) or "–",
            f"{one.judge.get_label_order_display()}",
            grouped(one.judge.repeats),
            "in use" if one.active else "replaced",
            one.judge.rater.definition[:12],
        ]
        for one in study_judges
    ]
    headings = [
        "Judge",
        "Family",
        "Model",
        "Endpoint",
        "Template",
        "Condition",
        "Parameters",
        "Order of labels",
        "Asked",
        "State",
        "Definition",
    ]
    if rows:
        section.tables.append(Table("Judges that were run", headings, rows, numbers(8, 1)))
    others = {one.judge.rater_id for one in study_judges}
    brought = [one for one in latest_raters(study) if one.kind != Rater.Kind.HUMAN and one.pk not in others]
    if brought:
        section.paragraphs.append(
            "Labels that came with the responses, or from programs: "
            f"{', '.join(f'{one} ({one.kind})' for one in brought)}."
        )
    if not rows and not brought:
        section.missing.append("No judge has labelled here.")


def people_section(study: Study, section: Section) -> None:
    plan, people = humans_of(study), Enrolment.objects.filter(study=study).count()
    examples = how_many(plan.training.examples, "example") if plan.training else ""
    training = f", after a training round of {examples}" if examples else ""
    section.paragraphs.append(
        f"{people:,} enrolled. The plan: {plan.chosen()}, {how_many(plan.per_item, 'rater')} an item"
        f"{f', {percent(plan.checks.gold)} checks against gold' if plan.checks.gold else ''}"
        f"{f', {percent(plan.checks.repeats)} repeats' if plan.checks.repeats else ''}"
        f"{training}."
    )
    section.tables += [*_draws(study), *_gold(study)]
    split = getattr(study, "gold_split", None)
    section.paragraphs.append(
        f"The gold was split by task with seed {split.seed}, {percent(split.share)} of it sealed."
        if split
        else "The gold was not split: whatever was tuned on it was tuned on all of it."
    )
    looks = Reveal.objects.filter(split__study=study).select_related("rater")
    if looks:
        rows = [[f"{one.created_at:%Y-%m-%d %H:%M}", str(one.rater), short(one.reason)] for one in looks]
        section.tables.append(Table("Looks at the sealed part", ["When (UTC)", "Judge", "Reason"], rows))
    skipped = Skip.objects.filter(item__study=study).count()
    if skipped:
        section.paragraphs.append(
            f"Raters skipped an item {skipped:,} times; skips are non-response, not labels."
        )


def _draws(study: Study) -> Iterable[Table]:
    gold = {(row["draw"], row["stratum"]): row for row in gold_counts(study)["coverage"]}
    sizes = {
        (draw, stratum): count
        for draw, stratum, count in study.draws.order_by()
        .values_list("name", "framed__stratum")
        .annotate(Count("framed"))
    }
    rows = []
    for draw in study.draws.prefetch_related("strata").order_by("pk"):
        for one in draw.strata.all():
            row = gold.get((draw.name, one.name), {"drawn": 0, "gold": 0})
            rows.append(
                [
                    draw.name,
                    draw.get_purpose_display(),
                    one.name,
                    plain(one.rule) or "every item",
                    grouped(sizes.get((draw.name, one.name), 0)),
                    decimals(one.probability, 4),
                    grouped(row["drawn"]),
                    grouped(row["gold"]),
                    str(draw.seed),
                ]
            )
    headings = [
        "Draw",
        "Purpose",
        "Stratum",
        "Rule",
        "In the frame",
        "Probability",
        "Drawn",
        "With gold",
        "Seed",
    ]
    if rows:
        yield Table("Draws", headings, rows, numbers(4, 5))


def _gold(study: Study) -> Iterable[Table]:
    rows = [
        [row["origin"], row["draw"] or "none", row["stratum"] or "–", row["label"], grouped(row["items"])]
        for row in gold_counts(study)["rows"]
    ]
    if rows:
        yield Table("Gold", ["Origin", "Through draw", "Stratum", "Label", "Items"], rows, numbers(4, 1))


def failures_section(study: Study, section: Section) -> None:
    """Add the failures of judges, scorers and the collection: counted, never dropped, never turned into a
    label."""
    states, study_judges = tally(study), study.judges.select_related("judge__rater")
    rows = [
        [
            str(one.judge),
            *(grouped(states.get(one.pk, {}).get(state, 0)) for state in FINAL),
            _without(states.get(one.pk, {})),
        ]
        for one in study_judges
    ]
    if rows:
        headings = ["Judge", *(State(state).label for state in FINAL), "Without a label"]
        section.tables.append(Table("Verdicts by outcome", headings, rows, numbers(1, len(headings) - 1)))
    calls = [
        [row["judge"], word.replace("_", " "), grouped(count)]
        for row in costs(study)["rows"]
        for word, count in row["outcomes"].items()
    ]
    if calls:
        section.tables.append(Table("Calls by outcome", ["Judge", "Outcome", "Calls"], calls, numbers(2, 1)))
    scored = (
        ScorerFailure.objects.filter(item__study=study)
        .order_by()
        .values_list("scorer__rater__name")
        .annotate(Count("pk"))
    )
    section.paragraphs += [
        f"Scorer {name} gave no label for {how_many(count, 'item')}." for name, count in scored
    ]
    if of_responses := endings_said(ending_counts(study)):
        section.paragraphs.append(
            f"Of the responses asked of the models, {of_responses}. Those that were refused, cut off or "
            "empty are items like others."
        )
    section.paragraphs.append(
        "A verdict without a label is its own outcome: no rate counts it as “no convergence”."
    )


def _without(states: dict[str, int]) -> str:
    final = sum(states.get(state, 0) for state in FINAL)
    return percent((final - states.get(State.DONE, 0)) / final if final else None)


def costs_section(study: Study, section: Section) -> None:
    spent = costs(study)
    if spent["total"]["calls"]:
        section.add(study, "costs")
    if spent["people"]:
        rows = [
            [
                row["purpose"],
                grouped(row["raters"]),
                grouped(row["labels"]),
                duration(row["seconds"]),
                seconds(row["each"]),
            ]
            for row in spent["people"]
        ]
        section.tables.append(
            Table(
                "People's active time",
                ["For", "Raters", "Labels", "Active time", "A label"],
                rows,
                numbers(1, 4),
            )
        )
    worst = spent["total"]["cost_at_most"]
    if worst:
        section.paragraphs.append(
            f"{dollars(worst)} of the cost is a worst case: calls whose answer never came."
        )
    budget = spent["budget"]
    if budget and budget.max_cost is not None:
        section.paragraphs.append(f"The study was capped at {dollars(budget.max_cost)}.")
    if not section.figures and not section.tables:
        section.missing.append(sentence("Nothing was spent on judges or people here"))
