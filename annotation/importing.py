"""Importing responses, with any labels and gold they bring, into a suite's runs and a study's items.

One call is one transaction: a bad line leaves nothing behind. Within it rows are written in batches, so memory stays
flat, and what is there already is recognised by its content hash, so that a repeated import changes nothing.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from django.db import IntegrityError, transaction

from annotation.draws import extend_draws
from annotation.ledger import Entry, record
from annotation.models import Gold, Item, Rater, Study
from annotation.raters import rater_named
from annotation.schemes import builtin_scheme
from benchmark.batching import batches
from benchmark.bulk import insert
from benchmark.errors import UserError
from benchmark.fitting import require_fit
from benchmark.formats.reading import excerpt
from benchmark.formats.records import FormatError, ParsedCondition, ParsedLabel, ParsedResponse
from benchmark.models import Condition, Response, Run, SubjectModel, Suite, Task
from benchmark.suites import TaskFinder, refuse_bad_slug
from benchmark.text import storable, storable_together

BATCH = 500


@dataclass
class ImportCount:
    """What this call made; `unchanged` counts responses that were there already."""

    runs: int = 0
    responses: int = 0
    ratings: int = 0
    gold: int = 0
    unchanged: int = 0


def import_responses(
    suite: Suite, study_slug: str, rows: Iterable[ParsedResponse], *, create_tasks: bool = False
) -> dict[str, int]:
    """Import all rows or none. Makes the study, with the four-class scheme, where there is none of that name."""
    try:
        with transaction.atomic():
            # Imports into one suite take turns: two that meet the same models in different orders would deadlock.
            Suite.objects.select_for_update(no_key=True).get(pk=suite.pk)
            importer = Importer(suite, study_named(study_slug), TaskFinder(suite, create_tasks))
            for batch in batches(rows, BATCH):
                importer.take(batch)
            extend_draws(importer.study)
            return asdict(importer.count)
    except IntegrityError as error:
        raise UserError(
            "Another import of the same responses ran at the same time; nothing was imported, run it again."
        ) from error


def study_named(slug: str) -> Study:
    found = Study.objects.filter(slug=slug).select_related("scheme").first()
    if found is None:
        refuse_bad_slug(slug, "study")
        found = Study.objects.create(slug=slug, title=slug, scheme=builtin_scheme("four-class"))
    return found


@dataclass(slots=True)
class Placed:
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
        self.made: set[int] = set()
        self.kept: list[object] = []  # parsed objects whose id() is a key above must not be collected
        self.raters: dict[tuple[str, str], Rater] = {}
        self.lines: dict[tuple[int, int, int], tuple[str, int]] = {}

    def take(self, rows: list[ParsedResponse]) -> None:
        placed = [self.place(row) for row in rows]
        new = self.tell_apart(placed)
        insert([p.response for p in new])
        self.count.responses += len(new)
        self.count.unchanged += len(placed) - len(new)
        items = self.items(placed, new)
        self.rate(placed, items)
        self.take_gold(placed, items)

    def place(self, row: ParsedResponse) -> Placed:
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
        placed = Placed(row, run, task, _response(row, run, task))
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
            subject, _ = SubjectModel.objects.get_or_create(
                name=row.subject.name,
                defaults={
                    "family": row.subject.family,
                    "training": row.subject.training,
                    "size": row.subject.size,
                },
            )
            self.runs[key], made = Run.objects.get_or_create(
                suite=self.suite, subject=subject, condition=condition_of(row.condition), name=row.run.name,
                defaults={"config": dict(row.run.config)},
            )  # fmt: skip
            self.count.runs += made
            if made:
                self.made.add(self.runs[key].pk)
        return self.runs[key]

    def tell_apart(self, placed: list[Placed]) -> list[Placed]:
        """The rows whose response isn't there yet; the others are pointed at theirs."""
        old = [p for p in placed if p.run.pk not in self.made]
        if not old:
            return placed
        found = Response.objects.defer("text", "reasoning", "transcript").filter(
            run__in={p.run.pk for p in old},
            task__in={p.task.pk for p in old},
            epoch__in={p.row.epoch for p in old},
        )
        there = {(r.run_id, r.task_id, r.epoch): r for r in found}
        for p in old:
            if p.key in there and _content(there[p.key]) != _content(p.response):
                where = f"{p.task.key!r}, epoch {p.row.epoch}, of {p.run}"
                raise FormatError(
                    p.row.path, p.row.line, f"the response that is stored for {where}",
                    "another one; give it another epoch or run name",
                )  # fmt: skip
            p.response = there.get(p.key, p.response)
        return [p for p in placed if p.key not in there]

    def items(self, placed: list[Placed], new: list[Placed]) -> dict[int, int]:
        """Response id to item id, for all rows; items that are missing are made."""
        old = {p.response.pk for p in placed} - {p.response.pk for p in new}
        items = (
            dict(Item.objects.filter(study=self.study, response__in=old).values_list("response_id", "id"))
            if old
            else {}
        )
        missing = [p.response.pk for p in placed if p.response.pk not in items]
        made = [Item(study_id=self.study.pk, response_id=response) for response in missing]
        insert(made)
        return items | {item.response_id: item.pk for item in made}

    def rate(self, placed: list[Placed], items: dict[int, int]) -> None:
        entries = [
            Entry(
                item_id=items[p.response.pk], rater=self.rater(p.row, given), label=given.label, rationale=given.rationale,
                shown={"imported": True, **given.shown},
            )
            for p in placed
            for given in p.row.labels
        ]  # fmt: skip
        if entries:
            self.count.ratings += record(self.study.scheme, entries, skip_equal=True).new

    def rater(self, row: ParsedResponse, given: ParsedLabel) -> Rater:
        key = (given.rater, given.kind)
        if key not in self.raters:
            require_fit(row.path, row.line, Rater, name=given.rater, family=given.family)
            self.raters[key] = rater_named(given.rater, given.kind, given.family)
        return self.raters[key]

    def take_gold(self, placed: list[Placed], items: dict[int, int]) -> None:
        rows = {items[p.response.pk]: p.row for p in placed if p.row.gold}
        golds = Gold.objects.filter(item__in=rows).order_by("revision")
        there = {gold.item_id: gold for gold in golds} if rows else {}
        new = []
        for item_id, row in rows.items():
            before, label = there.get(item_id), self.labels[str(row.gold)]
            rationale, _ = storable(row.gold_rationale)
            said = before and before.origin != Gold.Origin.WITHDRAWN and (before.label_id, before.rationale)
            if said != (label.pk, rationale):
                revision = before.revision + 1 if before else 1
                new.append(
                    Gold(
                        item_id=item_id,
                        label=label,
                        revision=revision,
                        origin=Gold.Origin.IMPORTED,
                        rationale=rationale,
                    )
                )
        Gold.objects.bulk_create(new)
        self.count.gold += len(new)


def _require_names_that_fit(row: ParsedResponse) -> None:
    require_fit(row.path, row.line, SubjectModel, **asdict(row.subject))
    require_fit(row.path, row.line, Condition, **asdict(row.condition))
    require_fit(row.path, row.line, Run, **asdict(row.run))


def condition_of(parsed: ParsedCondition) -> Condition:
    """The condition with this content, made under this name where it is new."""
    content = (
        parsed.system_prompt,
        parsed.prompt_suffix,
        parsed.language,
        dict(parsed.sampling),
        dict(parsed.factors),
    )
    found = Condition.objects.filter(content_hash=Condition.hash_of(*content)).first()
    return found or Condition.objects.create(
        name=parsed.name,
        system_prompt=content[0],
        prompt_suffix=content[1],
        language=content[2],
        sampling=content[3],
        factors=content[4],
    )


def _content(response: Response) -> tuple[str, bool]:
    return response.content_hash, response.escaped


def _response(row: ParsedResponse, run: Run, task: Task) -> Response:
    (text, reasoning), escaped = storable_together([row.text, row.reasoning])
    return Response(
        run_id=run.pk, task_id=task.pk, epoch=row.epoch, text=text, reasoning=reasoning, escaped=escaped,
        finish_reason=row.finish_reason, content_hash=Response.hash_of(text, reasoning, row.finish_reason),
    )  # fmt: skip
