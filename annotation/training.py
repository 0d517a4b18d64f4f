"""The training round: reserved examples with their gold label, reason and evidence, and a score to pass.

A round's examples are drawn from the study's suite, per rater and round, and come in that order. Each is
answered once a round: of two answers to one example the database keeps the first. Training answers are no
ratings.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db.models import F, Q
from django.utils import timezone

from annotation.desk import Desk, chance
from annotation.humanplan import TrainingSpec, humans_of
from annotation.models import Enrolment, Label, PlacePurpose, Study, TrainingAnswer
from annotation.schemes import BUILTIN
from arbiter.core.errors import UserError
from arbiter.core.quotesearch import SearchedText
from arbiter.core.text import storable
from benchmark.formats import read_suite
from benchmark.models import Task
from benchmark.suites import BUILTIN as BUILTIN_SUITE

KNOWN = {label.key: label for scheme in BUILTIN.values() for label in scheme.labels}  # beside a study's own


def passed(desk: Desk) -> bool:
    """Tell whether the rater may enter the pool. Experts are taken at their word."""
    return (
        desk.plan.training is None
        or desk.purpose == PlacePurpose.GOLD
        or desk.enrolment.trained_at is not None
    )


@dataclass(frozen=True)
class Example:
    """A reserved task with a response to it, the label it should get, and why."""

    key: str
    category: str
    question: str
    task: str
    response: str
    label: str
    reason: str
    evidence: tuple[str, ...]

    def pieces(self) -> list[tuple[str, bool]]:
        """Cut the response at its evidence, and return each piece with whether it is part of a quote."""
        pieces, at = [], 0
        for start, end in _joined(filter(None, map(SearchedText(self.response).find, self.evidence))):
            pieces += [(self.response[at:start], False), (self.response[start:end], True)]
            at = end
        return [piece for piece in [*pieces, (self.response[at:], False)] if piece[0]]


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans in order, those that overlap made one."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


# The examples


def examples_of(study: Study) -> Sequence[Example]:
    """Return the examples of the suite that the study's responses belong to; where it has none, those of the
    built-in suite."""
    first = study.items.select_related("response__run").only("response__run__suite").order_by("pk").first()
    if first is None:
        return builtin_examples()
    tasks = Task.objects.filter(suite=first.response.run.suite_id, training=True).select_related("category")
    own = [
        _example(task.key, task.category.title, task.category.question, task.text, task.meta["sample"])
        for task in tasks.order_by("pk")
        if _usable(study, task.meta.get("sample"))
    ]
    return own or builtin_examples()


@lru_cache(maxsize=1)
def builtin_examples() -> Sequence[Example]:
    suite = read_suite(BUILTIN_SUITE)
    categories = {category.key: category for category in suite.categories}
    return tuple(
        _example(
            task.key,
            categories[task.category].title,
            categories[task.category].question,
            task.text,
            task.meta["sample"],
        )
        for task in suite.tasks
        if task.training and task.meta.get("sample")
    )


def _example(key: str, category: str, question: str, task: str, sample: Mapping[str, Any]) -> Example:
    evidence = sample.get("evidence") or ()
    return Example(
        key=key,
        category=category,
        question=question,
        task=task,
        response=storable(sample["response"])[0],
        label=sample["label"],
        reason=sample.get("reason", ""),
        evidence=(evidence,) if isinstance(evidence, str) else tuple(evidence),
    )


def _usable(study: Study, sample: Any) -> bool:
    """Tell whether a sample can be marked: its label is known to the study's scheme or a built-in one."""
    if not isinstance(sample, Mapping) or not isinstance(sample.get("response"), str):
        return False
    return sample.get("label") in {*KNOWN, *study.scheme.labels.values_list("key", flat=True)}


def round_examples(study: Study, rater: int, round: int, spec: TrainingSpec) -> list[Example]:
    """Return the round's examples in its order: the same each time it is asked for."""
    order = sorted(
        examples_of(study), key=lambda example: chance(study, "training", study.pk, rater, round, example.key)
    )
    return order[: spec.examples]


def agrees(labels: Sequence[Label], gold: str, given: str) -> bool:
    """Tell whether an answer agrees with the gold: the same label, where the scheme has it; else one of the
    same role. A scheme that excludes nothing has what can't be judged among its other labels."""
    by_key = {label.key: label for label in labels}
    if gold in by_key:
        return gold == given
    role: str = KNOWN[gold].role
    if role not in {label.role for label in labels}:
        role = Label.Role.OTHER
    return by_key[given].role == role


def label_titles(study: Study) -> dict[str, str]:
    """Return what labels are called, the study's own and those an example's gold may be."""
    own = dict(study.scheme.labels.values_list("key", "title"))
    return {key: label.title for key, label in KNOWN.items()} | own


# A round


@dataclass(frozen=True)
class Answered:
    number: int
    example: Example
    answer: TrainingAnswer | None


@dataclass(frozen=True)
class Round:
    """Where a rater is in their training."""

    spec: TrainingSpec
    number: int
    rows: Sequence[Answered]

    @property
    def answered(self) -> int:
        return sum(row.answer is not None for row in self.rows)

    @property
    def correct(self) -> int:
        return sum(row.answer is not None and row.answer.correct for row in self.rows)

    @property
    def finished(self) -> bool:
        return self.answered == len(self.rows)

    @property
    def needed(self) -> int:
        """Return how many answers have to agree: the least whole number that reaches the score."""
        return next(n for n in range(len(self.rows) + 1) if n + 1e-9 >= self.spec.score * len(self.rows))

    @property
    def passed(self) -> bool:
        return self.finished and self.correct >= self.needed

    @property
    def failed(self) -> bool:
        return self.finished and not self.passed

    @property
    def rounds_left(self) -> int:
        return max(self.spec.rounds - self.number, 0)

    @property
    def next(self) -> Answered | None:
        return next((row for row in self.rows if row.answer is None), None)

    def row(self, number: int) -> Answered | None:
        return self.rows[number - 1] if 1 <= number <= len(self.rows) else None


def round_of(enrolment: Enrolment) -> Round | None:
    """Return the rater's present round; None where the study asks for no training."""
    study = enrolment.study
    spec = humans_of(study).training
    if spec is None:
        return None
    number = enrolment.training_round
    answers = {one.task_key: one for one in enrolment.training.filter(round=number)}
    examples = round_examples(study, enrolment.rater_id, number, spec)
    rows = [Answered(n, example, answers.get(example.key)) for n, example in enumerate(examples, start=1)]
    return Round(spec, number, rows)


def answer(enrolment: Enrolment, round: int, number: int, label: str) -> TrainingAnswer:
    """Keep the first answer to an example of the present round; asking again gives that one. The last may
    open the pool."""
    now = round_of(enrolment)
    row = now.row(number) if now and now.number == round else None
    if row is None:
        raise UserError("This example is not in your present round; go on with the one shown.")
    labels = list(enrolment.study.scheme.labels.all())
    if label not in {one.key for one in labels}:
        raise UserError("Choose a label first.")
    given, _ = TrainingAnswer.objects.get_or_create(
        enrolment=enrolment,
        round=round,
        task_key=row.example.key,
        defaults={"label_key": label, "correct": agrees(labels, row.example.label, label)},
    )
    enter(enrolment)
    return given


def enter(enrolment: Enrolment) -> bool:
    """Let a rater whose round reaches the score into the pool; return whether they are in."""
    now = round_of(enrolment)
    if now and now.passed:
        Enrolment.objects.filter(pk=enrolment.pk, trained_at=None).update(trained_at=timezone.now())
        enrolment.refresh_from_db(fields=["trained_at"])
    return enrolment.trained_at is not None


def try_again(enrolment: Enrolment) -> None:
    """Begin the next round, after one that fell short, while the study allows another. Asked twice, it begins
    once."""
    now = round_of(enrolment)
    if now and now.failed and now.rounds_left:
        _begin_after(enrolment, now.number)


def grant_round(enrolment: Enrolment) -> None:
    """Grant, as the owner, one more round to somebody who has used up theirs."""
    now = round_of(enrolment)
    if now is None:
        raise UserError("This study asks for no training.")
    if enrolment.trained_at is not None or not now.failed or now.rounds_left:
        raise UserError("Another round can be granted once the last one fell short; this rater is not there.")
    _begin_after(enrolment, now.number)


def wave_through(enrolment: Enrolment) -> None:
    """Let somebody into the pool, as the owner, without or in spite of the training."""
    Enrolment.objects.filter(pk=enrolment.pk, trained_at=None).update(trained_at=timezone.now())
    enrolment.refresh_from_db(fields=["trained_at"])


def _begin_after(enrolment: Enrolment, round: int) -> None:
    still = Q(pk=enrolment.pk, training_round=round, trained_at=None)
    Enrolment.objects.filter(still).update(training_round=F("training_round") + 1)
    enrolment.refresh_from_db(fields=["training_round"])
