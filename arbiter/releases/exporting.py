"""The dataset: a row an item with its settled label and every rating, or a row a rating.

It streams, so that memory stays flat. A file appears whole or not at all: it is written beside its place
under another name and moved there at the end.
"""

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from time import monotonic
from typing import IO, Any

from django.db.models import QuerySet

from annotation.models import Adjudication, DrawnItem, Gold, Item, Label, Rater, Rating, Study
from annotation.raters import pseudonym
from arbiter.core.batching import batches
from arbiter.core.csvfile import BOM, csv_lines
from arbiter.core.errors import UserError
from arbiter.core.longwork import TellProgress, tell_nobody
from benchmark.importunderway import without_later_imports
from benchmark.models import Run
from judging.models import Judge, Settlement, Verdict
from judging.panel.prompting import probability_of

BATCH = 1000
ITEM_FIELDS = {
    "study": "study__slug",
    "scheme": "study__scheme__key",
    "scheme_version": "study__scheme__version",
    "item": "key",
    "suite": "response__run__suite__slug",
    "suite_version": "response__run__suite__version",
    "task": "response__task__key",
    "category": "response__task__category__title",
    "control": "response__task__control",
    "language": "response__task__language",
    "subject": "response__run__subject__name",
    "subject_family": "response__run__subject__family",
    "subject_training": "response__run__subject__training",
    "subject_size": "response__run__subject__size",
    "condition": "response__run__condition__name",
    "condition_version": "response__run__condition__version",
    "condition_hash": "response__run__condition__content_hash",
    "system_prompt": "response__run__condition__system_prompt",
    "prompt_suffix": "response__run__condition__prompt_suffix",
    "sampling": "response__run__condition__sampling",
    "factors": "response__run__condition__factors",
    "run": "response__run__name",
    "epoch": "response__epoch",
    "prompt": "response__task__text",
    "response": "response__text",
    "reasoning": "response__reasoning",
    "finish_reason": "response__finish_reason",
    "ending": "response__ending",
    "returned_model": "response__returned_model",
    "fingerprint": "response__fingerprint",
    "completion_id": "response__completion_id",
    "escaped": "response__escaped",
    "response_hash": "response__content_hash",
    "response_simulated": "response__simulated",
    "meta": "response__meta",
}
RUN = "response__run__"
NOT_IN_LONG = {"prompt", "response", "reasoning", "system_prompt", "prompt_suffix", "sampling", "factors"}
RATING_FIELDS = [
    "rater",
    "kind",
    "family",
    "judge",
    "label",
    "role",
    "current",
    "revision",
    "question",
    "purpose",
    "repeat",
    "surplus",
    "confidence",
    "confidence_scale",
    "rationale",
    "evidence",
    "active_seconds",
    "flagged",
    "shown",
    "simulated",
    "rated_at",
    "by_owner",
    "probabilities",
]
RATING_VALUES = [
    "id",
    "item_id",
    "rater_id",
    "label_id",
    "revision",
    "question",
    "purpose",
    "ordinal",
    "surplus",
    "confidence",
    "confidence_scale",
    "rationale",
    "evidence",
    "active_seconds",
    "flagged",
    "shown",
    "simulated",
    "created_at",
]
SETTLED_FIELDS = [
    "settled",
    "settled_role",
    "settled_rule",
    "settled_version",
    "settled_simulated",
    "posterior",
    "gold",
    "gold_origin",
    "gold_rationale",
    "adjudicator",
    "adjudication_reason",
    "no_verdict",
]
DRAW_FIELDS = ["stratum", "inclusion_probability", "draw_number", "drawn"]
FLOATS = {"confidence", "active_seconds", "inclusion_probability", "draw_number"}
WHEN = "rated_at"
WITHOUT_LABEL = [Verdict.State.UNPARSED, Verdict.State.REFUSED, Verdict.State.FAILED]
Row = dict[str, Any]
About = Callable[[int], tuple[Any, ...]]


def columns(long: bool) -> list[str]:
    if long:
        return [
            *[name for name in ITEM_FIELDS if name not in NOT_IN_LONG],
            *RATING_FIELDS,
        ]
    return [*ITEM_FIELDS, *DRAW_FIELDS, *SETTLED_FIELDS, "ratings"]


def rows(
    study: Study, *, long: bool = False, names: bool = False, progress: TellProgress = tell_nobody
) -> Iterator[Row]:
    """Return the rows of the items that are there now, in their order. Refuses at once while
    an import is under way."""
    items = without_later_imports(study.items.all(), study.pk)
    return _rows(study, items, long, names, progress)


def _rows(
    study: Study, items: "QuerySet[Item]", long: bool, names: bool, progress: TellProgress
) -> Iterator[Row]:
    done, total = 0, 0 if progress is tell_nobody else items.count()
    rater_of, label_of = _about_rater(study, names), _about_label()
    for batch in _batches(items, long):
        ids = [item["pk"] for item in batch]
        ratings = _ratings(study, ids, rater_of, label_of)
        draw, settled = ({}, {}) if long else (_draw(study, ids), _settled(study, ids, rater_of))
        for item in batch:
            pk = item.pop("pk")
            if long:
                yield from ({**item, **rating} for rating in ratings[pk])
            else:
                yield {**item, **draw[pk], **settled[pk], "ratings": ratings[pk]}
        done += len(batch)
        progress(done, total, "items")


def _batches(items: "QuerySet[Item]", long: bool) -> Iterator[list[Row]]:
    """Yield the items' rows in pages by key: each costs the same, and rows added later don't shift them."""
    wanted = {name: path for name, path in ITEM_FIELDS.items() if name in columns(long)}
    own = {name: path for name, path in wanted.items() if not path.startswith(RUN)}
    run_of = _about_run({name: path.removeprefix(RUN) for name, path in wanted.items() if name not in own})
    items, last = items.order_by("pk"), 0
    # Where a page ends is asked first: a planner without statistics would sort all
    # that is left, texts included.
    while ids := list(items.filter(pk__gt=last).values_list("pk", flat=True)[:BATCH]):
        page = items.filter(pk__gt=last, pk__lte=ids[-1]).values_list("response__run", "pk", *own.values())
        last = ids[-1]
        rows = [run_of(run) | dict(zip(("pk", *own), values, strict=True)) for run, *values in page]
        yield [{name: row[name] for name in ("pk", *wanted)} for row in rows]


def _about_run(fields: dict[str, str]) -> Callable[[int], Row]:
    """Return what tells the columns of a run; each is looked up once, as thousands of responses share one."""

    @cache
    def about(pk: int) -> Row:
        return dict(zip(fields, Run.objects.values_list(*fields.values()).get(pk=pk), strict=True))

    return about


def _about_rater(study: Study, names: bool) -> About:
    """Return what tells a rater's name, kind, family and, of a judge run here, what it is exactly."""

    @cache
    def about(pk: int) -> tuple[Any, ...]:
        rater = Rater.objects.get(pk=pk)
        judge = Judge.objects.filter(rater=pk).select_related("endpoint").first()
        program = rater.kind != Rater.Kind.HUMAN
        person = rater.name if names else pseudonym(study, rater)
        name = f"{rater.name}@{rater.version}" if program else person
        return name, rater.kind, rater.family, judge and _exactly(judge, rater)

    return about


def _exactly(judge: Judge, rater: Rater) -> Row:
    return {
        "model": judge.model,
        "endpoint": judge.endpoint.name,
        "template": judge.template_name,
        "parameters": judge.parameters,
        "json_schema": judge.json_schema,
        "show_condition": judge.show_condition,
        "repeats": judge.repeats,
        "probability": probability_of(judge),
        "label_order": judge.label_order,
        "label_seed": judge.label_seed,
        "mapping": judge.mapping,
        "question": judge.question,
        "dialect": judge.dialect,
        "definition": rater.definition,
    }


def _about_label() -> Callable[[int], tuple[str, str]]:
    return cache(lambda pk: Label.objects.values_list("key", "role").get(pk=pk))


def _span(queryset: QuerySet[Any], study: Study, ids: list[int]) -> QuerySet[Any]:
    """Return the rows of these items, by range rather than a thousand ids.

    Another study's items may lie between. The items have the range too: PostgreSQL does not conclude it from
    a join, and read all 100,000 items of a study for the settlements of each thousand: 69 ms instead of 16.
    """
    first, last = ids[0], ids[-1]
    items = study.items.filter(pk__gte=first, pk__lte=last).order_by().values("pk")
    return queryset.filter(item__in=items, item__gte=first, item__lte=last)


def _ratings(study: Study, ids: list[int], rater_of: About, label_of: About) -> dict[int, list[Row]]:
    """Return every rating by item, older revisions too; `current` tells which ones hold."""
    ratings: dict[int, list[Row]] = defaultdict(list)
    place_newest: dict[tuple[Any, ...], Row] = {}
    # Plain values: a million model instances would take longer than all the rest.
    stored = _span(Rating.objects.order_by("item", "id"), study, ids).values_list(*RATING_VALUES)
    told = _probabilities(study, ids)
    for rating, item, rater, label, *rest, rated_at in stored:
        values = [*rater_of(rater), *label_of(label), True, *rest, rated_at.isoformat(), False]
        values.append(told.get(rating))
        row = dict(zip(RATING_FIELDS, values, strict=True))
        row["by_owner"] = row["shown"].get("by") == "owner"
        place = (item, rater, row["question"], row["purpose"], row["repeat"])
        if place in place_newest:
            place_newest[place]["current"] = False
        place_newest[place] = row
        ratings[item].append(row)
    return ratings


def _probabilities(study: Study, ids: list[int]) -> dict[int, Row]:
    """Return what logprobs say of the labels, by rating, of judges whose probability comes from there."""
    judges = study.judges.select_related("judge")
    asked = [one.pk for one in judges if probability_of(one.judge) == "logprobs"]
    if not asked:
        return {}
    told = Verdict.objects.filter(study_judge__in=asked, answer__probabilities__isnull=False)
    rows = (
        _span(told.exclude(rating=None), study, ids).order_by().values_list("rating", "answer__probabilities")
    )
    return dict(rows)


def _draw(study: Study, ids: list[int]) -> dict[int, Row]:
    """Return where each item lies in the frame of the raters' draw; blanks outside it and without a draw."""
    blank = dict.fromkeys(DRAW_FIELDS)
    frame: dict[int, Row] = defaultdict(lambda: dict(blank))
    framed = _span(DrawnItem.objects.filter(draw__study=study, draw__name="main"), study, ids)
    for item, stratum, probability, number in framed.values_list("item", "stratum", "probability", "number"):
        values = (stratum, probability, number, number < probability)
        frame[item] = dict(zip(DRAW_FIELDS, values, strict=True))
    return frame


def _settled(study: Study, ids: list[int], rater_of: About) -> dict[int, Row]:
    """Return the final label of each item and what it came from, and its verdicts without a
    label, outcomes too.
    """
    blank = dict.fromkeys(SETTLED_FIELDS)
    outcomes: dict[int, Row] = defaultdict(lambda: dict(blank))
    for settlement in _span(Settlement.objects.newest().select_related("label"), study, ids):
        outcomes[settlement.item_id] |= {
            "settled": settlement.label.key if settlement.label else None,
            "settled_role": settlement.label.role if settlement.label else None,
            "settled_rule": settlement.rule,
            "settled_version": settlement.revision,
            "settled_simulated": settlement.simulated,
            "posterior": settlement.posterior,
        }
    for gold in _span(Gold.objects.current().select_related("label"), study, ids):
        outcomes[gold.item_id] |= {
            "gold": gold.label.key,
            "gold_origin": gold.origin,
            "gold_rationale": gold.rationale,
        }
    for decision in _span(Adjudication.objects.newest(), study, ids):
        outcomes[decision.item_id] |= {
            "adjudicator": rater_of(decision.adjudicator_id)[0],
            "adjudication_reason": decision.reason,
        }
    without = _span(Verdict.objects.filter(state__in=WITHOUT_LABEL), study, ids).order_by("pk")
    for item, rater, repeat, state, reason in without.values_list(
        "item", "study_judge__judge__rater", "repeat", "state", "reason"
    ):
        row = {"rater": rater_of(rater)[0], "repeat": repeat, "state": state, "reason": reason}
        outcomes[item]["no_verdict"] = [*(outcomes[item]["no_verdict"] or []), row]
    return outcomes


# Writers


def write_jsonl(out: IO[bytes], rows: Iterable[Row], _columns: list[str]) -> int:
    count = 0
    for count, line in enumerate(json_lines(rows), start=1):  # noqa: B007
        out.write(line.encode())
    return count


def json_lines(rows: Iterable[Row]) -> Iterator[str]:
    return (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_csv(out: IO[bytes], rows: Iterable[Row], columns: list[str], *, spreadsheet: bool = False) -> int:
    count = 0
    for count, line in enumerate(table_lines(rows, columns, spreadsheet=spreadsheet)):  # noqa: B007 - the header is line 0
        out.write(line.encode())
    return count


def table_lines(rows: Iterable[Row], columns: list[str], *, spreadsheet: bool = False) -> Iterator[str]:
    """Yield CSV lines. For a `spreadsheet`, cells that it would run are marked; else every text is exact."""
    cells = ([_cell(row[name]) for name in columns] for row in rows)
    lines = csv_lines(columns, cells, guard=spreadsheet, quote_texts=True)
    if spreadsheet:
        yield BOM + next(lines)
    yield from lines


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value


def write_parquet(out: IO[bytes], rows: Iterable[Row], columns: list[str]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, _arrow_type(name)) for name in columns])
    count = 0
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for batch in batches(rows, 2 * BATCH):
            data = {name: [_arrow_cell(name, row[name]) for row in batch] for name in columns}
            writer.write_table(pa.table(data, schema=schema))
            count += len(batch)
    return count


def _arrow_cell(name: str, value: Any) -> Any:
    return datetime.fromisoformat(value) if name == WHEN and value else _cell(value)


def _arrow_type(name: str) -> Any:
    import pyarrow as pa

    if name == WHEN:
        return pa.timestamp("us", tz="UTC")

    if name in (
        "control",
        "escaped",
        "response_simulated",
        "settled_simulated",
        "simulated",
        "current",
        "surplus",
        "flagged",
        "by_owner",
        "drawn",
    ):
        return pa.bool_()
    if name in (
        "suite_version",
        "scheme_version",
        "condition_version",
        "epoch",
        "settled_version",
        "revision",
        "repeat",
    ):
        return pa.int64()
    return pa.float64() if name in FLOATS else pa.string()


WRITERS: dict[str, Callable[[IO[bytes], Iterable[Row], list[str]], int]] = {
    ".jsonl": write_jsonl,
    ".csv": write_csv,
    ".parquet": write_parquet,
}


def filename(study: Study, extension: str, *, long: bool, spreadsheet: bool) -> str:
    """Return the name that a downloaded file is given."""
    return f"{study.slug}{'-ratings' if long else ''}{'-spreadsheet' if spreadsheet else ''}.{extension}"


def export_study(
    study: Study,
    out: Path,
    *,
    long: bool = False,
    names: bool = False,
    spreadsheet: bool = False,
    progress: TellProgress = tell_nobody,
) -> dict[str, Any]:
    """Write the file; return its path, format, rows and the seconds it took."""
    writer = WRITERS.get(out.suffix)
    if spreadsheet:
        if out.suffix != ".csv":
            raise UserError(f"{out}: for a spreadsheet the name should end in .csv.")
        writer = partial(write_csv, spreadsheet=True)
    if writer is None:
        raise UserError(f"{out}: the name should end in {', '.join(WRITERS)}, which says the format.")
    if not out.parent.is_dir():
        raise UserError(f"{out}: there is no folder {out.parent}.")
    clock, data = monotonic(), rows(study, long=long, names=names, progress=progress)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            count = writer(file, data, columns(long))
        part.replace(out)
    except OSError as error:
        raise UserError(f"{out}: can't be written: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)
    return {
        "study": study.slug,
        "path": str(out),
        "format": out.suffix[1:],
        "rows": count,
        "seconds": round(monotonic() - clock, 3),
    }
