"""Importing responses, with any labels and gold they bring, into a suite's runs and a study's items.

One call is one transaction: a bad line leaves nothing behind. Within it rows are written in batches, so
memory stays flat, and what is there already is recognised by its content hash, so that a repeated import
changes nothing.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from django.db import IntegrityError, transaction

from annotation.draws import extend_draws
from annotation.goldlabels import GoldCount, GoldEntry, write
from annotation.ledger import Entry, record
from annotation.models import Gold, Item, Rater, Study
from annotation.raters import rater_named
from annotation.schemes import SchemeSpec, builtin_scheme, save_scheme
from annotation.studyfinder import find_study
from annotation.suiteaccess import grant_study
from arbiter.calls.endings import ending_of
from arbiter.calls.reasoning import split
from arbiter.core.batching import batches
from arbiter.core.bulkinsert import insert, unsaved
from arbiter.core.errors import UserError
from arbiter.core.naming import ByName, same_name
from arbiter.core.text import storable, storable_together
from benchmark.column_limits import require_fit
from benchmark.formats.reading import excerpt
from benchmark.formats.records import FormatError, ParsedCondition, ParsedLabel, ParsedResponse, ParsedRun
from benchmark.models import Condition, Response, Run, SubjectModel, Suite, Task
from benchmark.suites import refuse_bad_slug
from benchmark.taskfinder import TaskFinder

BATCH = 500
KEPT_TOLD = 5  # places named; the rest are counted


@dataclass
class ImportCount:
    """What this call made; `unchanged` counts responses that were there already. `kept` counts labels and
    gold of the file that were left out, as a person has decided here since; `kept_at` says where the first of
    them stand."""

    runs: int = 0
    responses: int = 0
    ratings: int = 0
    gold: int = 0
    unchanged: int = 0
    kept: int = 0
    kept_at: list[str] = field(default_factory=list)
    holding_reasoning: int = 0  # texts of the file that hold a model's reasoning between its tags

    def keep(self, row: ParsedResponse) -> None:
        self.kept += 1
        if len(self.kept_at) < KEPT_TOLD:
            self.kept_at.append(f"{row.path}, line {row.line}")


def import_responses(
    suite: Suite,
    study_slug: str,
    rows: Iterable[ParsedResponse],
    *,
    create_tasks: bool = False,
    scheme: SchemeSpec | None = None,
    split_reasoning: bool = False,
) -> dict[str, Any]:
    """Import all rows or none. Makes the study where there is none of that name, with the scheme, or else
    with four classes. A text stays as it is, to the character, unless `split_reasoning` tells the reasoning
    apart that it holds."""
    try:
        with transaction.atomic():
            # Imports into one suite take turns: two that meet the same models in different orders would
            # deadlock.
            Suite.objects.select_for_update(no_key=True).get(pk=suite.pk)
            study = study_named(study_slug, scheme)
            grant_study(suite.slug, study)
            importer = Importer(suite, study, TaskFinder(suite, create_tasks))
            for batch in batches(rows, BATCH):
                importer.take([importer.told_apart(row, split_reasoning) for row in batch])
            extend_draws(importer.study)
            return asdict(importer.count)
    except IntegrityError as error:
        raise UserError(
            "Another import of the same responses ran at the same time; nothing was imported, run it again."
        ) from error


def study_named(slug: str, spec: SchemeSpec | None = None) -> Study:
    """Return the study of this name, whose scheme must be the one given; made with it where there is none."""
    study = find_study(slug)
    if study is None:
        refuse_bad_slug(slug, "study")
        scheme = save_scheme(spec) if spec else builtin_scheme("four-class")
        return Study.objects.create(slug=slug, title=slug, scheme=scheme)
    if spec and (study.scheme.key, study.scheme.content_hash) != (spec.key, spec.content_hash()):
        labels = ", ".join(study.scheme.labels.values_list("key", flat=True))
        raise UserError(
            f"Study {slug!r} has the scheme {study.scheme} ({labels}), not {spec.key} as the file says; "
            "import into another study, or leave --scheme out."
        )
    return study


@dataclass(slots=True)
class PlacedRow:
    """A parsed row with where it belongs, and its response once that is there."""

    row: ParsedResponse
    run: Run
    task: Task
    response: Response

    @property
    def key(self) -> tuple[int, int, int]:
        return (self.run.pk, self.task.pk, self.row.epoch)


@dataclass
class Importer:
    suite: Suite
    study: Study
    tasks: TaskFinder
    count: ImportCount = field(default_factory=ImportCount)

    def __post_init__(self) -> None:
        self.labels = {label.key: label for label in self.study.scheme.labels.all()}
        self.runs: dict[tuple[int, int, int], Run] = {}
        self.subjects = SubjectFinder()
        self.made: set[int] = set()
        self.kept: list[object] = []  # parsed objects whose id() is a key above must not be collected
        self.raters: dict[tuple[str, str], Rater] = {}
        self.lines: dict[tuple[int, int, int], tuple[str, int]] = {}

    def told_apart(self, row: ParsedResponse, wanted: bool) -> ParsedResponse:
        """Return the row, counted where its text holds reasoning, which is told apart where that is
        wanted."""
        parts = split(row.text)
        if parts.answer == row.text:
            return row
        self.count.holding_reasoning += 1
        if not wanted:
            return row
        reasoning = "\n\n".join(part for part in (row.reasoning, parts.reasoning) if part)
        return replace(row, text=parts.answer, reasoning=reasoning, unfinished=parts.unfinished)

    def take(self, rows: list[ParsedResponse]) -> None:
        placed = [self.place(row) for row in rows]
        new = self.tell_apart(placed)
        insert([p.response for p in new])
        self.count.responses += len(new)
        self.count.unchanged += len(placed) - len(new)
        items = self.items(placed, new)
        self.rate(placed, items)
        self.take_gold(placed, items)

    def place(self, row: ParsedResponse) -> PlacedRow:
        run = self.run_of(row)
        task = self.tasks.find(
            row.path, row.line, row.task_key, row.prompt, row.category, row.condition.language
        )
        if task.training:
            raise FormatError(
                row.path,
                row.line,
                "a task that may enter a study",
                f"{task.key!r}, reserved for training raters",
            )
        for label in [*(given.label for given in row.labels), *([row.gold] if row.gold else [])]:
            if label not in self.labels:
                raise FormatError(
                    row.path,
                    row.line,
                    f"a label of scheme {self.study.scheme}: {', '.join(self.labels)}",
                    excerpt(label),
                )
        require_fit(row.path, row.line, Response, finish_reason=row.finish_reason)
        placed = PlacedRow(row, run, task, _response(row, run, task))
        if placed.key in self.lines:
            path, line = self.lines[placed.key]
            what = f"{task.key!r}, epoch {row.epoch}, of {run} again, after line {line}"
            what += f" of {path}" if path != row.path else ""
            raise FormatError(row.path, row.line, "each task once an epoch of a run", what)
        self.lines[placed.key] = (row.path, row.line)
        return placed

    def run_of(self, row: ParsedResponse) -> Run:
        key = (id(row.subject), id(row.condition), id(row.run))
        if key not in self.runs:
            self.kept += [row.subject, row.condition, row.run]
            _require_names_that_fit(row)
            self.runs[key], made = run_of(
                self.suite, self.subjects.find(row), condition_of(row.condition), row.run
            )
            self.count.runs += made
            if made:
                self.made.add(self.runs[key].pk)
        return self.runs[key]

    def tell_apart(self, placed: list[PlacedRow]) -> list[PlacedRow]:
        """Return the rows whose response isn't there yet, and point the others at theirs."""
        old = [p for p in placed if p.run.pk not in self.made]
        if not old:
            return placed
        stored = Response.objects.defer("text", "reasoning", "transcript").filter(
            run__in={p.run.pk for p in old},
            task__in={p.task.pk for p in old},
            epoch__in={p.row.epoch for p in old},
        )
        there = {(r.run_id, r.task_id, r.epoch): r for r in stored}
        for p in old:
            if p.key in there and _content(there[p.key]) != _content(p.response):
                where = f"{p.task.key!r}, epoch {p.row.epoch}, of {p.run}"
                raise FormatError(
                    p.row.path,
                    p.row.line,
                    f"the response that is stored for {where}",
                    "another one; give it another epoch or run name",
                )
            p.response = there.get(p.key, p.response)
        _add_meta([p for p in old if p.key in there])
        return [p for p in placed if p.key not in there]

    def items(self, placed: list[PlacedRow], new: list[PlacedRow]) -> dict[int, int]:
        """Return item ids by response id, for all rows; make items that are missing."""
        old = {p.response.pk for p in placed} - {p.response.pk for p in new}
        items = (
            dict(Item.objects.filter(study=self.study, response__in=old).values_list("response_id", "id"))
            if old
            else {}
        )
        missing = [p.response.pk for p in placed if p.response.pk not in items]
        made = [unsaved(Item, study_id=self.study.pk, response_id=response) for response in missing]
        insert(made)
        return items | {item.response_id: item.pk for item in made}

    def rate(self, placed: list[PlacedRow], items: dict[int, int]) -> None:
        given = [(p, label) for p in placed for label in p.row.labels]
        entries = [
            Entry(
                item_id=items[p.response.pk],
                rater=self.rater(p.row, label),
                label=label.label,
                rationale=label.rationale,
                shown={"imported": True, **label.shown},
            )
            for p, label in given
        ]
        if entries:
            recorded = record(self.study.scheme, entries, skip_equal=True)
            self.count.ratings += recorded.new
            for number in recorded.kept:
                self.count.keep(given[number][0].row)

    def rater(self, row: ParsedResponse, given: ParsedLabel) -> Rater:
        key = (given.rater, given.kind)
        if key not in self.raters:
            require_fit(row.path, row.line, Rater, name=given.rater, family=given.family)
            self.raters[key] = rater_named(given.rater, given.kind, given.family, self.study)
        return self.raters[key]

    def take_gold(self, placed: list[PlacedRow], items: dict[int, int]) -> None:
        rows = {items[p.response.pk]: p.row for p in placed if p.row.gold}
        wanted = [
            GoldEntry(
                item=item,
                label=self.labels[str(row.gold)].pk,
                origin=Gold.Origin.IMPORTED,
                rationale=storable(row.gold_rationale)[0],
                from_file=True,
                any_origin=True,
            )
            for item, row in rows.items()
        ]
        if wanted:
            written = GoldCount()
            for item in write(wanted, lambda _: True, written):
                self.count.keep(rows[item])
            self.count.gold += written.written


def _require_names_that_fit(row: ParsedResponse) -> None:
    require_fit(row.path, row.line, SubjectModel, **asdict(row.subject))
    require_fit(row.path, row.line, Condition, **asdict(row.condition))
    require_fit(row.path, row.line, Run, **asdict(row.run))


class SubjectFinder:
    """The models that rows name. What rows say of one model must agree, with each other and with what stands;
    what nobody has said of it yet is taken from the first row that does."""

    def __init__(self) -> None:
        self.said: dict[
            tuple[int, str], ParsedResponse
        ] = {}  # by subject and field: the row that said it first

    def find(self, row: ParsedResponse) -> SubjectModel:
        about = {what: getattr(row.subject, what) for what in ("family", "training", "size")}
        subject = SubjectModel.objects.called_or_made(row.subject.name, **about)
        for what, said in about.items():
            if said:
                self._agree(subject, what, said, row)
        return subject

    def _agree(self, subject: SubjectModel, what: str, said: str, row: ParsedResponse) -> None:
        if not getattr(subject, what):
            SubjectModel.objects.filter(pk=subject.pk, **{what: ""}).update(**{what: said})
            subject.refresh_from_db(fields=[what])
        first, known = self.said.setdefault((subject.pk, what), row), getattr(subject, what)
        if same_name(known, said):
            return
        where = "as it stands" if first is row else f"as on line {first.line}"
        where += f" of {first.path}" if first.path != row.path else ""
        raise FormatError(
            row.path,
            row.line,
            f"one {what} for subject {excerpt(subject.name)}: {excerpt(known)}, {where}",
            excerpt(said),
        )


def run_of(suite: Suite, subject: SubjectModel, condition: Condition, parsed: ParsedRun) -> tuple[Run, bool]:
    """Return the pass of this name, and whether it was made."""
    runs = Run.objects.filter(suite=suite, subject=subject, condition=condition)
    run = ByName((one.name, one) for one in runs).one(parsed.name)
    if run:
        return run, False
    return Run.objects.get_or_create(
        suite=suite,
        subject=subject,
        condition=condition,
        name=parsed.name,
        defaults={"config": dict(parsed.config)},
    )


def condition_of(parsed: ParsedCondition) -> Condition:
    """Return the condition with this content, made under this name where it is new."""
    content = {
        "system_prompt": parsed.system_prompt,
        "prompt_suffix": parsed.prompt_suffix,
        "language": parsed.language,
        "sampling": dict(parsed.sampling),
        "factors": dict(parsed.factors),
    }
    return Condition.objects.of_content_or_made(content, name=parsed.name)


def _add_meta(placed: list[PlacedRow]) -> None:
    """Keep what these rows say beside of responses that are there already; what was said before stays as it
    is."""
    more = []
    for p in placed:
        kept = p.response.meta
        for name, value in p.row.meta.items():
            if kept.setdefault(name, value) != value:
                hint = f"; --ignore meta.{name} leaves it out"
                raise FormatError(
                    p.row.path,
                    p.row.line,
                    f"meta.{name} as it is stored, {excerpt(kept[name])}",
                    excerpt(value) + hint,
                )
        if p.row.meta:
            more.append(p.response)
    Response.objects.bulk_update(more, ["meta"])


def _content(response: Response) -> tuple[str, bool]:
    return response.content_hash, response.escaped


def _response(row: ParsedResponse, run: Run, task: Task) -> Response:
    (text, reasoning), escaped = storable_together([row.text, row.reasoning])
    return unsaved(
        Response,
        run_id=run.pk,
        task_id=task.pk,
        epoch=row.epoch,
        text=text,
        reasoning=reasoning,
        escaped=escaped,
        finish_reason=row.finish_reason,
        ending=ending_of(text, row.finish_reason, unfinished=row.unfinished),
        content_hash=Response.hash_of(text, reasoning, row.finish_reason),
        meta=dict(row.meta),
    )
