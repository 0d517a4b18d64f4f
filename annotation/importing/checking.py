"""Checking what files say before a row is written: against each other, and against what the database holds.

Every bad row is counted and the first are told, each with its line. What is good goes to the staging folder.
Nothing is written to the database here.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings

from annotation.draws import JUDGED, refuse_undrawable
from annotation.importing.drawnitems import DrawnItems, ItemKind, ItemThere
from annotation.importing.runfinder import FoundRun, RunFinder
from annotation.importing.staging import (
    StagedLabel,
    StagedNames,
    StagedRow,
    StagedTask,
    StagedTexts,
    StagingWriter,
)
from annotation.importing.stored import Meta, Place, StoredResponse, meta_of, stored_at
from annotation.models import Item, Label, LabelScheme, Rater, Study
from annotation.raters import rater_there, refuse_other_kind
from annotation.schemes import BUILTIN, SchemeSpec
from annotation.studyfinder import find_study
from arbiter.calls.endings import ending_of
from arbiter.calls.reasoning import split
from arbiter.core.batching import batches
from arbiter.core.errors import SeveralErrors, UserError
from arbiter.core.naming import ByName
from arbiter.core.text import storable, storable_together
from benchmark.column_limits import require_fit
from benchmark.formats.reading import excerpt
from benchmark.formats.records import FormatError, ParsedLabel, ParsedResponse
from benchmark.models import Response, Suite, Task
from benchmark.suites import refuse_bad_slug
from benchmark.taskfinder import TaskFinder

BATCH = 500
TOLD = 20  # bad rows that are told of; the rest are counted
USUAL_SCHEME = "four-class"
UNWRITABLE = (
    "{folder}: what is checked is kept here until it is imported, and it can't be written ({why}); make room "
    "or let this user write there, and import the files again."
)


class ErrorCount:
    """The errors that were met."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[UserError] = []

    def __call__(self, error: UserError) -> None:
        self.count += 1
        if self.tells:
            self.first.append(error)

    @property
    def tells(self) -> bool:
        """Tell whether the next error would be told of, and not only counted."""
        return len(self.first) < TOLD

    def refuse(self) -> None:
        """Raise what was met: one error as it is, several as one with a line for each."""
        if self.count == 1:
            raise self.first[0]
        if self.count:
            more = self.count - len(self.first)
            lines = [f"{self.count:,} rows can't be imported, and nothing was.", *map(str, self.first)]
            raise SeveralErrors("\n".join([*lines, f"… and {more:,} more."] if more else lines))


@dataclass(frozen=True)
class ImportOptions:
    """What an import is asked to do with its rows."""

    create_tasks: bool = False
    scheme: SchemeSpec | None = None
    split_reasoning: bool = False


@dataclass(slots=True)
class CheckedRow:
    """A parsed row with where it belongs."""

    row: ParsedResponse
    run: FoundRun
    task: Task
    labels: list[StagedLabel]
    texts: StagedTexts

    @property
    def place(self) -> Place:
        return (self.run.pk or 0, self.task.pk, self.row.epoch)


def stage(
    suite: Suite,
    study_slug: str,
    rows: Callable[[Callable[[FormatError], None]], Iterable[ParsedResponse]],
    options: ImportOptions,
    on_progress: Callable[[int], None] = lambda rows: None,
) -> str:
    """Check the rows and write them to a staging folder, whose name is returned. `rows` is called with what
    to tell of a row that can't be read."""
    errors = ErrorCount()
    try:
        with StagingWriter() as writer:
            check = ResponseCheck(suite, study_slug, options, writer, errors)
            _check_all(check, rows(errors), on_progress)
            errors.refuse()
            return writer.finish(check.names)
    except OSError as error:
        raise UserError(UNWRITABLE.format(folder=settings.DATA / "imports", why=error.strerror)) from error


def _check_all(
    check: "ResponseCheck", rows: Iterable[ParsedResponse], on_progress: Callable[[int], None]
) -> None:
    try:
        for batch in batches(rows, BATCH):
            check.take(batch)
            on_progress(len(batch))
        check.finish()
    except UserError as error:
        check.errors(error)


class ResponseCheck:
    """Checks rows as they come, and stages those that are good."""

    def __init__(
        self,
        suite: Suite,
        study_slug: str,
        options: ImportOptions,
        writer: StagingWriter,
        errors: ErrorCount,
    ) -> None:
        self.suite, self.options, self.writer, self.errors = suite, options, writer, errors
        self.study = study_asked_for(study_slug, options.scheme)
        self.scheme, self.labels = _labels_of(self.study, options.scheme)
        self.tasks = TaskFinder(suite, options.create_tasks, self._stage_task)
        self.runs = RunFinder(suite)
        self.raters = RaterFinder(self.study)
        self.paths: dict[str, int] = {}
        self.seen: dict[tuple[int, int], set[int]] = defaultdict(set)  # tasks by run and epoch
        self.drawing = DrawnItems(self.study)
        self.new_kinds: dict[tuple[Any, ...], tuple[CheckedRow, ItemKind]] = {}  # as draws tell them apart
        self.names = StagedNames(suite=str(suite), makes_suite=suite.pk is None, study=self.study.slug)

    def take(self, rows: list[ParsedResponse]) -> None:
        checked = [one for row in rows if (one := self._checked(row))]
        stored = self._stored(checked)
        said = meta_of([stored[one.place].pk for one in checked if one.row.meta and one.place in stored])
        items = self.drawing.items(stored)
        for one in checked:
            try:
                self._require_once(one.row, one.run, one.task)
                self._agree(one, stored.get(one.place), said)
                self._note_kind(one, items.get(one.place))
            except UserError as error:
                self.errors(error)
            else:
                self._stage(one)

    def _checked(self, row: ParsedResponse) -> CheckedRow | None:
        try:
            return self._place(self._told_apart(row))
        except FormatError as error:
            self.errors(error)
        except UserError as error:
            self.errors(UserError(f"{row.path}, line {row.line}: {error}"))
        return None

    def _told_apart(self, row: ParsedResponse) -> ParsedResponse:
        """Return the row, counted where its text holds reasoning, which is told apart where that is
        wanted."""
        parts = split(row.text)
        if parts.answer == row.text:
            return row
        self.names.holding_reasoning += 1
        if not self.options.split_reasoning:
            return row
        reasoning = "\n\n".join(part for part in (row.reasoning, parts.reasoning) if part)
        return replace(row, text=parts.answer, reasoning=reasoning, unfinished=parts.unfinished)

    def _place(self, row: ParsedResponse) -> CheckedRow:
        run = self.runs.find(row)
        task = self.tasks.find(
            row.path, row.line, row.task_key, row.prompt, row.category, row.condition.language
        )
        if task.training:
            expected, actual = "a task that may enter a study", f"{task.key!r}, reserved for training raters"
            raise FormatError(row.path, row.line, expected, actual)
        for label in [*(given.label for given in row.labels), *([row.gold] if row.gold else [])]:
            if label not in self.labels:
                expected = f"a label of scheme {self.scheme}: {', '.join(self.labels)}"
                raise FormatError(row.path, row.line, expected, excerpt(label))
        require_fit(row.path, row.line, Response, finish_reason=row.finish_reason)
        labels = [self._label(row, given) for given in row.labels]
        return CheckedRow(row, run, task, labels, texts_of(row))

    def _label(self, row: ParsedResponse, given: ParsedLabel) -> StagedLabel:
        return StagedLabel(
            self.raters.number(row, given), given.label, storable(given.rationale)[0], dict(given.shown)
        )

    def _require_once(self, row: ParsedResponse, run: FoundRun, task: Task) -> None:
        if task.pk in self.seen[run.number, row.epoch]:
            what = f"{task.key!r}, epoch {row.epoch}, of {run.run} again"
            if self.errors.tells:  # to look the place up takes reading the staging file
                what += self._after(row, run, task)
            raise FormatError(row.path, row.line, "each task once an epoch of a run", what)

    def _after(self, row: ParsedResponse, run: FoundRun, task: Task) -> str:
        path, line = self.writer.first_place(run.number, task.key, row.epoch, list(self.paths))
        return f", after line {line}" + (f" of {path}" if path != row.path else "")

    def _stored(self, checked: list[CheckedRow]) -> dict[Place, StoredResponse]:
        """Return what stands in the places of these rows."""
        return stored_at([one.place for one in checked if one.run.pk and one.task.pk > 0])

    def _agree(self, one: CheckedRow, there: StoredResponse | None, said: dict[int, Meta]) -> None:
        if there is not None:
            row = one.row
            refuse_another(row.path, row.line, there, one.texts, one.task.key, one.run.run)
            refuse_other_meta(row.path, row.line, said.get(there.pk, {}), row.meta)

    def _note_kind(self, one: CheckedRow, there: ItemThere | None) -> None:
        """Note what draws will see of an item that they have to take: a new one, or one that they have not
        taken yet and that gets judges' labels."""
        given = {
            self.raters.identity(label.rater): label.label
            for label in one.labels
            if self.raters.kinds[label.rater] == Rater.Kind.JUDGE
        }
        if there and not given:
            return
        said = list(({**there.said, **given} if there else given).values())
        draws = there.missing_in if there else self.drawing.keys
        kind = ItemKind(len(said), len(set(said)) > 1, draws)
        seen = (one.run.number, one.task.category_id, one.task.language, min(kind.judges, JUDGED), *kind[1:])
        self.new_kinds.setdefault(seen, (one, kind))

    def _stage(self, one: CheckedRow) -> None:
        row = one.row
        self.seen[one.run.number, row.epoch].add(one.task.pk)
        self.names.rows += 1
        staged = StagedRow(
            path=self.paths.setdefault(row.path, len(self.paths)),
            line=row.line,
            run=one.run.number,
            task=one.task.key,
            epoch=row.epoch,
            labels=one.labels,
            gold=row.gold,
            gold_rationale=storable(row.gold_rationale)[0],
            meta=dict(row.meta),
        )
        self.writer.add_row(staged, one.texts)

    def _stage_task(self, task: Task) -> None:
        self.writer.add_task(StagedTask(task.key, task.category.key, task.language, task.text))

    def finish(self) -> None:
        """Check what takes all rows to know, and say what they refer to."""
        self._refuse_undrawable()
        names, scheme = self.names, self.options.scheme
        names.paths = list(self.paths)
        names.last_task = self.tasks.last
        names.categories = [(one.key, one.title) for one in self.tasks.new_categories]
        names.raters = self.raters.named
        names.scheme = scheme.model_dump(mode="json") if scheme else None
        names.scheme_hash = self.study.scheme.content_hash
        self.runs.write_to(names)

    def _refuse_undrawable(self) -> None:
        """Refuse items that no stratum of the study's draws would take."""
        for draw in self.drawing.draws:
            for one, kind in self.new_kinds.values():
                if draw.pk not in kind.draws:
                    continue
                response = Response(run=one.run.run, task=one.task)
                item = Item(response=response, judge_votes=kind.judges, judges_split=kind.split)
                try:
                    refuse_undrawable(draw, item)
                except UserError as error:
                    self.errors(UserError(f"{one.row.path}, line {one.row.line}: {error}"))


def texts_of(row: ParsedResponse) -> StagedTexts:
    (text, reasoning), escaped = storable_together([row.text, row.reasoning])
    return StagedTexts(
        text=text,
        reasoning=reasoning,
        escaped=escaped,
        finish_reason=row.finish_reason,
        ending=ending_of(text, row.finish_reason, unfinished=row.unfinished),
        content_hash=Response.hash_of(text, reasoning, row.finish_reason),
    )


def refuse_another(
    path: str, line: int, there: StoredResponse, texts: StagedTexts, task: str, run: Any
) -> None:
    """Refuse a response that differs from the one that is stored in its place."""
    if (there.content_hash, there.escaped) != (texts.content_hash, texts.escaped):
        where = f"{task!r}, epoch {there.epoch}, of {run}"
        expected = f"the response that is stored for {where}"
        raise FormatError(path, line, expected, "another one; give it another epoch or run name")


def refuse_other_meta(path: str, line: int, kept: Meta, said: Mapping[str, Any]) -> None:
    """Refuse to change what was said beside a response before; more may be said."""
    for name, value in said.items():
        if kept.get(name, value) != value:
            hint = f"; --ignore meta.{name} leaves it out"
            raise FormatError(
                path, line, f"meta.{name} as it is stored, {excerpt(kept[name])}", excerpt(value) + hint
            )


# The study, its scheme and its raters


def study_asked_for(slug: str, spec: SchemeSpec | None) -> Study:
    """Return the study of this name, whose scheme must be the one given; where there is none, one that is to
    be made, with a key below 0."""
    study = find_study(slug)
    if study is None:
        refuse_bad_slug(slug, "study")
        return Study(pk=-1, slug=slug, title=slug, scheme=_scheme_to_make(spec or BUILTIN[USUAL_SCHEME]))
    if spec and (study.scheme.key, study.scheme.content_hash) != (spec.key, spec.content_hash()):
        labels = ", ".join(study.scheme.labels.values_list("key", flat=True))
        raise UserError(
            f"Study {study.slug!r} has the scheme {study.scheme} ({labels}), not {spec.key} as the file "
            "says; import into another study, or leave --scheme out."
        )
    return study


def _scheme_to_make(spec: SchemeSpec) -> LabelScheme:
    content = spec.content_hash()
    there = LabelScheme.objects.filter(key=spec.key)
    version = there.count() + 1
    return there.filter(content_hash=content).first() or LabelScheme(
        pk=-1, key=spec.key, version=version, content_hash=content
    )


def _labels_of(study: Study, spec: SchemeSpec | None) -> tuple[str, list[str]]:
    if study.scheme.pk > 0:
        labels = Label.objects.filter(scheme=study.scheme).order_by("position")
        return str(study.scheme), list(labels.values_list("key", flat=True))
    return str(study.scheme), [label.key for label in (spec or BUILTIN[USUAL_SCHEME]).labels]


class RaterFinder:
    """The raters that rows name, numbered as they first come. In one study a name is of one kind."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.named: list[tuple[str, str, str]] = []  # name, kind and family
        self.kinds: list[str] = []
        self.identities: list[int] = []
        self.numbers: dict[tuple[str, str], int] = {}
        self.by_key: dict[int, int] = {}
        self.new: ByName[int] = ByName()

    def number(self, row: ParsedResponse, given: ParsedLabel) -> int:
        key = (given.rater, given.kind)
        if key not in self.numbers:
            require_fit(row.path, row.line, Rater, name=given.rater, family=given.family)
            self.numbers[key] = self._number(given)
        return self.numbers[key]

    def _number(self, given: ParsedLabel) -> int:
        there = rater_there(given.rater, given.kind, self.study)
        known = self.by_key.get(there.pk) if there else self.new.one(given.rater)
        if known is not None:
            if self.kinds[known] != given.kind:
                refuse_other_kind(given.rater, self.kinds[known], given.kind)
            return known
        number = len(self.kinds)
        self.named.append((given.rater, given.kind, given.family))
        self.kinds.append(given.kind)
        self.identities.append(there.pk if there else -number - 1)
        if there:
            self.by_key[there.pk] = number
        else:
            self.new.add(given.rater, number)
        return number

    def identity(self, number: int) -> int:
        """Return the rater's key; of one that is to be made, a number below 0."""
        return self.identities[number]
