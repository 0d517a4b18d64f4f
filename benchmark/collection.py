"""Collecting responses from a subject model. A response's row is the job; a call that fails for good is an outcome."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from benchmark.client import Call, key_of
from benchmark.engine import Engine, Made
from benchmark.errors import UserError
from benchmark.lanes import Job
from benchmark.models import Condition, Endpoint, Response, Run, SubjectModel, Suite
from benchmark.text import storable, storable_json, storable_together

State = Response.State


def subject_named(name: str, endpoint: Endpoint | None) -> SubjectModel:
    """The model under test; the endpoint, where one is given, is remembered for the next time."""
    subject, _ = SubjectModel.objects.get_or_create(name=name)
    if endpoint and subject.endpoint_id != endpoint.pk:
        subject.endpoint = endpoint
        subject.save(update_fields=["endpoint"])
    if subject.endpoint is None:
        raise UserError(
            f"No endpoint is known for {name!r}; give --base-url URL (and --key-variable NAME) once."
        )
    return subject


def collect(
    suite: Suite,
    subject: SubjectModel,
    condition: Condition,
    epochs: int = 1,
    *,
    retry_failed: bool = False,
    stopping: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int], None] = lambda concluded: None,
) -> dict[str, Any]:
    """Ask for every response of the run that is missing; run again after any stop, it goes on where it was."""
    assert subject.endpoint is not None
    key_of(subject.endpoint)
    clock = monotonic()
    run, _ = Run.objects.get_or_create(suite=suite, subject=subject, condition=condition, name="")
    if retry_failed:
        run.responses.filter(state=State.FAILED).update(state=State.TODO, error="", attempts=0)
    before = _count(run, epochs)
    _want(run, epochs)
    Engine(CollectWork(run, epochs), stopping=stopping, on_progress=on_progress, wait_for_others=True).run()
    connection.close_if_unusable_or_obsolete()  # it may have been cut off meanwhile
    after = _count(run, epochs)
    return {
        "responses": after[State.DONE] - before[State.DONE],
        "failed": after[State.FAILED] - before[State.FAILED],
        "unchanged": before[State.DONE] + before[State.FAILED],
        "seconds": round(monotonic() - clock, 3),
    }


def _count(run: Run, epochs: int) -> Counter[str]:
    return Counter(run.responses.filter(epoch__lte=epochs).values_list("state", flat=True))


def _want(run: Run, epochs: int) -> None:
    """Tasks reserved for training raters are not asked: their responses could enter no study."""
    tasks = list(run.suite.tasks.filter(training=False, language=run.condition.language))
    if not tasks:
        raise UserError(
            f"Suite {run.suite} has no task in the language of condition {run.condition}, {run.condition.language!r}."
        )
    for epoch in range(1, epochs + 1):
        rows = [Response(run=run, task=task, epoch=epoch, state=State.TODO) for task in tasks]
        Response.objects.bulk_create(rows, ignore_conflicts=True, batch_size=1000)


@dataclass
class CollectWork:
    """The engine's work: the open responses of one run, of its first so many epochs."""

    run: Run
    epochs: int

    def open(self) -> QuerySet[Response]:
        free = Q(state=State.TODO) | Q(state=State.LEASED, leased_until__lt=timezone.now())
        return self.run.responses.filter(free, epoch__lte=self.epochs)

    def endpoints(self) -> Sequence[Endpoint]:
        endpoint = self.run.subject.endpoint
        return [endpoint] if endpoint and self.open().exists() else []

    def claim(self, endpoint: Endpoint, lease: str, room: int) -> Sequence[Job]:
        # Not those whose lease we let run out: their calls are still in flight.
        ids = list(self.open().exclude(lease=lease).order_by("pk").values_list("pk", flat=True)[:room])
        until = timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
        # Another collect may have taken some since we looked: only rows that are still open become ours.
        self.open().filter(pk__in=ids).update(state=State.LEASED, lease=lease, leased_until=until)
        mine = self.run.responses.filter(pk__in=ids, lease=lease, leased_until=until).select_related(
            "task__category"
        )
        return [self._job(response, endpoint) for response in mine]

    def _job(self, response: Response, endpoint: Endpoint) -> Job:
        condition = self.run.condition
        request = {
            "model": self.run.subject.name,
            "messages": condition.messages(response.task),
            "seed": response.epoch,
            **condition.sampling,
        }
        return Job(response.pk, endpoint, request)

    def renew(self, lease: str) -> None:
        until = timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
        self.run.responses.filter(lease=lease, state=State.LEASED).update(leased_until=until)

    def release(self, lease: str, *, only: Collection[int] | None = None, keep: Collection[int] = ()) -> None:
        held = self.run.responses.filter(lease=lease, state=State.LEASED).exclude(pk__in=keep)
        held = held if only is None else held.filter(pk__in=only)
        held.update(state=State.TODO, lease="", leased_until=None)

    def permit(self, lease: str, jobs: Sequence[Job]) -> tuple[Sequence[Job], set[int]]:
        return jobs, set()

    def capped(self, lease: str, jobs: Sequence[Job]) -> bool:
        return False

    def withdrawn(self, lease: str) -> set[int]:
        return set()

    def again(self, job: Job, call: Call) -> Job | None:
        return None

    def waiting(self) -> bool:
        return self.run.responses.filter(
            state__in=[State.TODO, State.LEASED], epoch__lte=self.epochs
        ).exists()

    def store(self, lease: str, made: Sequence[Made]) -> None:
        """Calls are counted on their row; the last one's outcome is written by `conclude`."""
        for one in made:
            self.run.responses.filter(pk=one.job.pk).update(attempts=F("attempts") + 1)

    @transaction.atomic
    def conclude(self, lease: str, made: Sequence[Made]) -> None:
        for one in made:
            held = self.run.responses.filter(pk=one.job.pk, lease=lease, state=State.LEASED)
            held.update(lease="", leased_until=None, latency=one.call.latency, **_outcome(one))


def _outcome(made: Made) -> dict[str, Any]:
    """An empty or refused answer is a response like any other; only the absence of an answer is a failure."""
    answer = made.call.answer
    if answer is None:
        return {"state": State.FAILED, "error": made.call.error or made.call.outcome, "raw": made.call.raw}
    (text, reasoning), escaped = storable_together([answer.text or answer.refusal, answer.reasoning])
    finish_reason = storable(answer.finish_reason)[0][:40]
    return {
        "state": State.DONE, "text": text, "reasoning": reasoning, "escaped": escaped, "finish_reason": finish_reason,
        "usage": dict(answer.usage) if answer.usage and storable_json(answer.usage) else None, "simulated": answer.simulated,
        "error": "", "raw": "", "content_hash": Response.hash_of(text, reasoning, finish_reason),
    }  # fmt: skip
