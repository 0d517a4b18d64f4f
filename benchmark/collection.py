"""Collecting responses from a subject model.
A response's row is the job; a call that fails for good is an outcome."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, F, QuerySet

from arbiter.calls.answers import Completion
from arbiter.calls.client import Call
from arbiter.calls.dialects import dialect, spoken
from arbiter.calls.engine import TURNED_AWAY, Engine, MadeCall
from arbiter.calls.lanes import CallJob
from arbiter.calls.service import Service
from arbiter.core.errors import UserError
from arbiter.core.failuregroups import grouped
from arbiter.core.outages import despite_outages
from arbiter.core.text import storable_json, storable_together
from benchmark.endpoints import NotesEndpoints, awake, rests
from benchmark.models import Condition, Endpoint, Response, Run, SubjectModel, Suite, Task

State = Response.State
# One model is asked, so one that is not there or not for us (404, 403) is the endpoint's fault and no task's.
NOT_FOR_US = TURNED_AWAY | {403, 404}


def subject_named(name: str, endpoint: Endpoint | None) -> SubjectModel:
    """Return the model under test of this name, made where there is none. The endpoint, where one is given,
    is remembered for the next time; UserError where none is known."""
    subject = SubjectModel.objects.called_or_made(name.strip())
    if endpoint and subject.endpoint_id != endpoint.pk:
        subject.endpoint = endpoint
        subject.save(update_fields=["endpoint"])
    if subject.endpoint is None:
        raise UserError(
            f"No endpoint is known for {name!r}; give --base-url URL (and --key-variable NAME) once."
        )
    return subject


def run_at(
    endpoint: Endpoint,
    suite: Suite,
    subject: SubjectModel,
    condition: Condition,
    name: str = "",
    *,
    moved: bool = False,
) -> Run:
    """Return the run of this name, at this endpoint. Refuse it where its responses came from elsewhere, so
    that no run mixes the answers of two services; `moved` says that it is the same service at another
    address."""
    here = {"endpoint": endpoint, "base_url": endpoint.base_url}
    run, _ = Run.objects.get_or_create(
        suite=suite, subject=subject, condition=condition, name=name, defaults=here
    )
    if run.base_url != endpoint.base_url and run.responses.filter(state=State.DONE).exists():
        if not (moved and run.base_url):
            raise UserError(_elsewhere(run, endpoint))
        run.config = {**run.config, "moved_from": [*run.config.get("moved_from", []), run.base_url]}
    run.endpoint, run.base_url = endpoint, endpoint.base_url
    run.save(update_fields=["endpoint", "base_url", "config"])
    return run


def _elsewhere(run: Run, endpoint: Endpoint) -> str:
    """Say that a run has one endpoint, and what can be done."""
    if not run.base_url:
        return (
            f"The responses of run {run} were imported; to collect at {endpoint.base_url}, name a run of "
            "its own: --run NAME."
        )
    return (
        f"The responses of run {run} came from {run.base_url}, and a run has one endpoint; to collect at "
        f"{endpoint.base_url}, name a run of its own (--run NAME), or say that it is the same service at a "
        "new address (--moved)."
    )


def collect(
    run: Run,
    epochs: int = 1,
    *,
    retry_failed: bool = False,
    stopping: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int], None] = lambda concluded: None,
) -> dict[str, Any]:
    """Ask for every response of the run that is missing; run again after any stop, it goes on where it was.

    `responses` and `failed` are of this time, `refused`, `cut_off`, `empty` and `failures` of all that the
    run holds.
    """
    clock = monotonic()
    if retry_failed:
        run.responses.filter(state=State.FAILED).update(state=State.TODO, error="", attempts=0)
    before = _count(run, epochs)
    _want(run, epochs)
    work = CollectWork(run, epochs)
    engine = Engine(
        work, stopping=stopping, on_progress=on_progress, wait_for_others=True, turned_away=NOT_FOR_US
    )
    engine.run()
    connection.close_if_unusable_or_obsolete()  # it may have been cut off meanwhile
    came = despite_outages(lambda: _came_of(run, epochs, before))
    return {**came, "stopped": despite_outages(work.stopped), "seconds": round(monotonic() - clock, 3)}


def _came_of(run: Run, epochs: int, before: Counter[str]) -> dict[str, Any]:
    after = _count(run, epochs)
    return {
        "responses": after[State.DONE] - before[State.DONE],
        "failed": after[State.FAILED] - before[State.FAILED],
        "unchanged": before[State.DONE] + before[State.FAILED],
        "open": after[State.TODO] + after[State.LEASED],
        **_endings(run, epochs),
        "failures": _failures(run, epochs),
        "nothing_answered": not after[State.DONE] and after[State.FAILED] > 0,
    }


def _count(run: Run, epochs: int) -> Counter[str]:
    return Counter(run.responses.filter(epoch__lte=epochs).values_list("state", flat=True))


def _endings(run: Run, epochs: int) -> dict[str, int]:
    """Count the run's responses that are more or less than an answer, by their ending:
    each is a response like any other."""
    ended = run.responses.filter(epoch__lte=epochs, state=State.DONE).exclude(ending="")
    counts = dict(ended.order_by().values_list("ending").annotate(Count("pk")))
    return {str(ending): counts.get(ending, 0) for ending in Response.Ending.values if ending}


def _failures(run: Run, epochs: int) -> list[dict[str, Any]]:
    """Return why the run's responses failed, alike reasons together, the most frequent first."""
    failed = run.responses.filter(epoch__lte=epochs, state=State.FAILED).order_by("pk")
    return grouped(failed.values_list("error", "task__key").iterator(chunk_size=1000))


def require_tasks(suite: Suite, condition: Condition) -> list[Task]:
    """Return the tasks that are asked, UserError where there are none. Those reserved for training raters are
    not: their responses could enter no study."""
    tasks = list(suite.tasks.filter(training=False, language=condition.language))
    if not tasks:
        raise UserError(
            f"Suite {suite} has no task in the language of condition {condition}, {condition.language!r}."
        )
    return tasks


def _want(run: Run, epochs: int) -> None:
    tasks = require_tasks(run.suite, run.condition)
    for epoch in range(1, epochs + 1):
        rows = [Response(run=run, task=task, epoch=epoch, state=State.TODO) for task in tasks]
        Response.objects.bulk_create(rows, ignore_conflicts=True, batch_size=1000)


@dataclass
class CollectWork(NotesEndpoints):
    """The engine's work: the open responses of one run, of its first so many epochs."""

    run: Run
    epochs: int

    def open(self) -> QuerySet[Response]:
        return self.run.responses.claimable().filter(epoch__lte=self.epochs)

    def here(self) -> QuerySet[Endpoint]:
        """Return the run's endpoint, while it may be asked and is where it was."""
        return Endpoint.objects.filter(awake(), pk=self.run.endpoint_id or 0, base_url=self.run.base_url)

    def stopped(self) -> str:
        """Say why open responses are not asked for; empty where nothing stands in the way."""
        endpoint = Endpoint.objects.filter(pk=self.run.endpoint_id or 0).first()
        if endpoint is None or not self.waiting_rows().exists():
            return ""
        if endpoint.base_url != self.run.base_url:
            return f"endpoint {endpoint.name!r} was given another address meanwhile, {endpoint.base_url}"
        return rests(endpoint)

    def endpoints(self) -> Sequence[Service]:
        return [endpoint.service for endpoint in self.here()] if self.open().exists() else []

    def claim(self, endpoint: Service, lease: str, room: int) -> Sequence[CallJob]:
        # Not those whose lease we let run out: their calls are still in flight.
        ids = list(self.open().exclude(lease=lease).order_by("pk").values_list("pk", flat=True)[:room])
        # Another collect may have taken some since we looked: only rows that are still open become ours.
        asked = self.run.responses.filter(pk__in=ids)
        asked.claim(lease, settings.LEASE_SECONDS)
        mine = asked.claimed_by(lease).select_related("task__category")
        return [self._job(response, endpoint) for response in mine]

    def _job(self, response: Response, endpoint: Service) -> CallJob:
        condition = self.run.condition
        parameters = {"seed": response.epoch, **condition.sampling}
        request = {
            "model": self.run.subject.name,
            "messages": condition.messages(response.task),
            **spoken(dialect(endpoint.dialect), parameters),
        }
        return CallJob(response.pk, endpoint, request)

    def renew(self, lease: str) -> None:
        self.run.responses.claimed_by(lease).renew(settings.LEASE_SECONDS)

    def release(self, lease: str, *, only: Collection[int] | None = None, keep: Collection[int] = ()) -> None:
        claimed = self.run.responses.claimed_by(lease).exclude(pk__in=keep)
        claimed = claimed if only is None else claimed.filter(pk__in=only)
        claimed.release()

    def permit(self, lease: str, jobs: Sequence[CallJob]) -> tuple[Sequence[CallJob], set[int]]:
        return jobs, set()

    def capped(self, lease: str, jobs: Sequence[CallJob]) -> bool:
        return False

    def withdrawn(self, lease: str) -> set[int]:
        if self.here().exists():
            return set()
        return set(self.run.responses.claimed_by(lease).values_list("pk", flat=True))

    def again(self, job: CallJob, call: Call) -> CallJob | None:
        return None

    def waiting_rows(self) -> QuerySet[Response]:
        return self.run.responses.unfinished().filter(epoch__lte=self.epochs)

    def waiting(self) -> bool:
        return self.here().exists() and self.waiting_rows().exists()

    def store(self, lease: str, made: Sequence[MadeCall]) -> None:
        """Count the calls on their rows; the last one's outcome is written by `conclude`."""
        for made_call in made:
            self.run.responses.filter(pk=made_call.job.pk).update(attempts=F("attempts") + 1)

    @transaction.atomic
    def conclude(self, lease: str, made: Sequence[MadeCall]) -> None:
        for made_call in made:
            row = self.run.responses.claimed_by(lease).filter(pk=made_call.job.pk)
            row.conclude(latency=made_call.call.latency, **_outcome(made_call))


def _outcome(made: MadeCall) -> dict[str, Any]:
    """Return the fields that a final call gives its response. An empty or refused answer is a response like
    any other; only the absence of an answer is a failure."""
    call = made.call
    if call.answer is None:
        return {
            "state": State.FAILED,
            "error": call.error or call.outcome,
            "raw": call.raw,
            **_told(Completion()),
        }
    if call.answer.lacking:
        return {"state": State.FAILED, "error": call.answer.lacking, "raw": call.raw, **_told(call.answer)}
    # What a filter says is the service's word, never the model's.
    return {"state": State.DONE, "error": call.answer.notice, "raw": "", **_told(call.answer)}


def _told(answer: Completion) -> dict[str, Any]:
    (text, reasoning), escaped = storable_together([answer.text or answer.refusal, answer.reasoning])
    ending = Response.Ending.WHOLE if answer == Completion() or answer.silent else answer.ending
    return {
        "text": text,
        "reasoning": reasoning,
        "escaped": escaped,
        "finish_reason": answer.finish_reason,
        "ending": ending,
        "returned_model": answer.model,
        "fingerprint": answer.fingerprint,
        "completion_id": answer.id,
        "usage": dict(answer.usage) if answer.usage and storable_json(answer.usage) else None,
        "simulated": answer.simulated,
        "content_hash": Response.hash_of(text, reasoning, answer.finish_reason),
    }
