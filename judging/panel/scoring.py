"""Deterministic scorers: programs that label responses through the same ledger as humans and judges.

A scorer is a Python function from a ScoredResponse to a label. It is a rater's exact version by its entry
point and its code, so a program that was changed labels under a version of its own.
"""

import hashlib
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, fields
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from time import monotonic
from types import ModuleType
from typing import Any, Literal

from django.db import transaction
from django.db.models import QuerySet
from pydantic import Field

from annotation import ledger
from annotation.models import Item, LabelScheme, Rater, Rating, Study
from annotation.raters import RaterName, make_way, next_version, refuse_reserved, shown_name
from arbiter.core.basespec import BaseSpec, Slug
from arbiter.core.batching import pages
from arbiter.core.errors import UserError
from arbiter.core.naming import among
from arbiter.core.text import digest, original, storable
from arbiter.scorers import Score, ScoredResponse
from benchmark.importunderway import refuse_while_importing
from judging.models import Scorer, ScorerFailure
from judging.panel.prompting import evidence

GROUP = "arbiter.scorers"
FORM = re.compile(r"\w+(\.\w+)*:\w+(\.\w+)*")
PAGE = 200
WRITE_AFTER = 2.0  # seconds: what a slow program has said by then is written, though the page isn't full
LONGEST_REASON = 1000
# A program that was a script may end itself; that is its own failure, not ours.
FAILURES = (Exception, SystemExit)


class ScorerSpec(BaseSpec):
    name: RaterName
    entry_point: str = Field(min_length=1, max_length=200)
    question: Slug | Literal[""] = ""


@dataclass(frozen=True, slots=True)
class Program:
    """A scorer's function, and what it was loaded from."""

    call: Callable[[ScoredResponse], Any]
    code: str  # a hash


def load_program(name: str, entry_point: str) -> Program:
    """Load a scorer's program. UserError where it can't be imported or isn't callable."""
    place = f"scorer {name!r}: {entry_point!r}"
    point = _entry_point(place, entry_point)
    try:
        with redirect_stdout(sys.stderr):  # stdout is for the command's own document
            call = point.load()
            code = _code_of(point, call)
    except FAILURES as error:
        raise UserError(
            f"{place} can't be loaded: {_in_a_line(error)}; its module must be importable: install it, or "
            "put its folder on PYTHONPATH."
        ) from error
    if not callable(call):
        raise UserError(
            f"{place} is no function but a {type(call).__name__}; name one that takes a response."
        )
    return Program(call, code)


def _entry_point(place: str, text: str) -> EntryPoint:
    if FORM.fullmatch(text):
        return EntryPoint(name="", value=text, group=GROUP)
    named = entry_points(group=GROUP, name=text)
    if len(named) == 1:
        return next(iter(named))
    if named:
        raise UserError(f"{place} is registered by several packages; name it as package.module:function.")
    known = ", ".join(sorted(entry_points(group=GROUP).names)) or "none"
    raise UserError(
        f"{place} is neither package.module:function nor registered under {GROUP} (registered: {known})."
    )


def _code_of(point: EntryPoint, call: Any) -> str:
    """Hash a program's code: the source of the module it was named in and of the one it was written in,
    and its package's version."""
    modules = [import_module(point.module), inspect.getmodule(inspect.unwrap(call))]
    sources = list(dict.fromkeys(_source(module) for module in modules if module))
    package = [point.dist.name, point.dist.version] if point.dist else []
    return digest(*package, *sources)


def _source(module: ModuleType) -> str:
    file = getattr(module, "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else f"{module.__name__} {sys.version}"


def _definition(name: str, entry_point: str, question: str, code: str) -> str:
    return digest(name, entry_point, question, code)


def save_scorer(spec: ScorerSpec, study: Study) -> Scorer:
    """Return the scorer with exactly this definition and code, or a new version under its name."""
    refuse_reserved(spec.name)
    spec = spec.model_copy(update={"name": shown_name(spec.name)})
    program = load_program(spec.name, spec.entry_point)
    if spec.question and not study.questions.filter(name=spec.question).exists():
        raise UserError(f"scorer {spec.name!r}: study {study.slug!r} has no question {spec.question!r}.")
    definition = _definition(spec.name, spec.entry_point, spec.question, program.code)
    saved = Scorer.objects.filter(rater__name=spec.name, rater__definition=definition).first()
    return saved or Scorer.objects.create(
        rater=next_version(spec.name, Rater.Kind.SCORER, where="scorers: ", definition=definition),
        entry_point=spec.entry_point,
        question=spec.question,
    )


def apply_scorers(study: Study, specs: Sequence[ScorerSpec]) -> None:
    """Make these the study's scorers; those there were before keep their ratings."""
    study.scorers.set([save_scorer(spec, study) for spec in specs])
    for scorer in study.scorers.select_related("rater"):
        make_way(study, scorer.rater)


# Scoring


@dataclass(slots=True)
class ScoringCounts:
    scored: int = 0
    failed: int = 0
    unchanged: int = 0


def score(
    study: Study,
    name: str = "",
    retry: bool = False,
    *,
    stopping: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Have the study's scorers label every item they have not looked at;
    with `retry`, those they failed on too."""
    refuse_while_importing(study.pk)
    clock, count = monotonic(), ScoringCounts()
    scorings = [Scoring(study, scorer, retry, count) for scorer in scorers_of(study, name)]
    for scoring in scorings:
        scoring.run(stopping, on_progress)
    return {
        "scored": count.scored,
        "failed": count.failed,
        "unchanged": count.unchanged,
        "seconds": round(monotonic() - clock, 3),
    }


def scorers_of(study: Study, name: str = "") -> list[Scorer]:
    scorers = list(study.scorers.select_related("rater"))
    chosen = [
        scorer
        for scorer in scorers
        if not name or among(name, [scorer.rater.name, f"{scorer.rater.name}@{scorer.rater.version}"])
    ]
    if not chosen and not scorers:
        raise UserError(f"Study {study.slug!r} has no scorers; add some to its study file and apply it.")
    if not chosen:
        known = ", ".join(str(scorer) for scorer in scorers)
        raise UserError(f"Study {study.slug!r} has no scorer {name!r} (its scorers: {known}).")
    return chosen


def labels_owed(study: Study, name: str = "") -> int:
    """Return how many answers the study's scorers owe in all, for a progress bar."""
    return study.items.count() * len(scorers_of(study, name))


@dataclass(slots=True)
class UnwrittenAnswers:
    """What a program said and is not written yet."""

    entries: list[ledger.Entry] = field(default_factory=list)
    failures: list[ScorerFailure] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.entries) + len(self.failures)


class Scoring:
    """One scorer going through a study's items in their order.

    1. A page of items is read, without those that have an answer.
    2. The program is called for each, outside any transaction.
    3. The answers are written in one transaction, under a lock on the scorer.

    Killed between any two of them, what was not written is asked for again. Two that score at once may both
    call the program for an item; the rating's submission key lets one of them write, and a label stands above
    a failure, whichever came first.
    """

    def __init__(self, study: Study, scorer: Scorer, retry: bool, count: ScoringCounts) -> None:
        self.study, self.scorer, self.retry, self.count = study, scorer, retry, count
        rater = scorer.rater
        self.program = load_program(rater.name, scorer.entry_point)
        if rater.definition != _definition(
            rater.name, scorer.entry_point, scorer.question, self.program.code
        ):
            raise UserError(
                f"scorer {rater.name!r}: its program has changed since the study file was applied; apply "
                "the file again, which makes it a new version."
            )
        self.scheme = LabelScheme.objects.prefetch_related("labels").get(
            pk=study.scheme_of(scorer.question).pk
        )
        self.keys = [label.key for label in self.scheme.labels.all()]
        self.shown = {
            "blind": False,
            "fields": [one.name for one in fields(ScoredResponse)],
            "program": scorer.entry_point,
        }

    def run(self, stopping: Callable[[], bool], on_progress: Callable[[int], None]) -> None:
        for page in pages(self.study.items.all(), PAGE):
            missing = self._missing(page)
            self.count.unchanged += len(page) - len(missing)
            on_progress(len(page) - len(missing))
            if not self._ask_all(_items(missing), stopping, on_progress):
                return

    def _missing(self, page: Sequence[int]) -> list[int]:
        """Return the items of a page that lack an answer. A page at a time, as PostgreSQL plans badly over
        all of them while the tables are so new that it has no figures about them."""
        there = self._labelled(page)
        if not self.retry:
            failures = ScorerFailure.objects.filter(item__in=page, scorer=self.scorer)
            there |= set(failures.values_list("item", flat=True))
        return [item for item in page if item not in there]

    def _ask_all(
        self, items: QuerySet[Item], stopping: Callable[[], bool], on_progress: Callable[[int], None]
    ) -> bool:
        """Ask the program about the items and write what it says;
        tell whether there was time for all of them."""
        answers, clock, stopped = UnwrittenAnswers(), monotonic(), False
        for item in items:
            if stopped := stopping():
                break
            self._ask(item, answers)
            if monotonic() - clock > WRITE_AFTER:
                on_progress(self._write(answers))
                answers, clock = UnwrittenAnswers(), monotonic()
        on_progress(self._write(answers))
        return not stopped

    def _ask(self, item: Item, answers: UnwrittenAnswers) -> None:
        response = _scored(item)
        try:
            with redirect_stdout(sys.stderr):
                said = self._checked(self.program.call(response))
        except FAILURES as error:
            reason = storable(_in_a_line(error))[0][:LONGEST_REASON]
            answers.failures.append(ScorerFailure(item=item, scorer=self.scorer, reason=reason))
            return
        sure = said.confidence
        answers.entries.append(
            ledger.Entry(
                item_id=item.pk,
                rater=self.scorer.rater,
                label=said.label,
                question=self.scorer.question,
                confidence=None if sure is None else float(sure),
                confidence_scale="" if sure is None else "probability",
                rationale=said.rationale,
                evidence=evidence(list(said.evidence), item.response.text),
                shown=self.shown,
                submission=f"scorer:{self.scorer.pk}:{item.pk}",
            )
        )

    def _checked(self, said: Any) -> Score:
        """Return what a program said as a score.
        Raise where it's no label of the scheme: a failure like any other, never a label."""
        if not isinstance(said, str | Score):
            raise TypeError(f"a scorer returns a label's key or a Score; found {type(said).__name__}")
        score = said if isinstance(said, Score) else Score(said)
        label = next((key for key in self.keys if key == score.label), None)
        if label is None:
            raise ValueError(
                f"{str(score.label)[:60]!r} is no label of scheme {self.scheme}; its labels: "
                f"{', '.join(self.keys)}"
            )
        return Score(label, score.confidence, score.rationale, score.evidence)

    @transaction.atomic
    def _write(self, answers: UnwrittenAnswers) -> int:
        if not answers:
            return 0
        Scorer.objects.select_for_update(no_key=True).get(pk=self.scorer.pk)
        recorded = ledger.record(self.scheme, answers.entries)
        failures = ScorerFailure.objects.filter(scorer=self.scorer)
        failures.filter(item__in=[entry.item_id for entry in answers.entries]).delete()
        labelled = self._labelled([failure.item_id for failure in answers.failures])
        new = [failure for failure in answers.failures if failure.item_id not in labelled]
        ScorerFailure.objects.bulk_create(new, ignore_conflicts=True)
        self.count.scored += recorded.new
        self.count.failed += len(new)
        self.count.unchanged += len(answers) - recorded.new - len(new)
        return len(answers)

    def _labelled(self, items: Sequence[int]) -> set[int]:
        rated = Rating.objects.filter(
            item__in=items, rater=self.scorer.rater_id, question=self.scorer.question
        )
        return set(rated.values_list("item", flat=True))


def _items(keys: Sequence[int]) -> QuerySet[Item]:
    related = ("response__task__category", "response__run__subject", "response__run__condition")
    return Item.objects.filter(pk__in=keys).select_related(*related).order_by("pk")


def _scored(item: Item) -> ScoredResponse:
    response = item.response
    task, run, condition = response.task, response.run, response.run.condition
    return ScoredResponse(
        text=original(response.text, response.escaped),
        reasoning=original(response.reasoning, response.escaped),
        transcript=response.transcript,
        finish_reason=response.finish_reason,
        usage=response.usage,
        epoch=response.epoch,
        task=task.key,
        task_text=task.text,
        category=task.category.key,
        subject=run.subject.name,
        condition=condition.name,
        factors=condition.factors,
        run=run.name,
        metadata={"run": run.config, "task": task.meta},
    )


def _in_a_line(error: BaseException) -> str:
    """Return an error's type and message, even where the error can't say what it is."""
    return " ".join("".join(traceback.format_exception_only(error)).split())
