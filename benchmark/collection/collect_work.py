"""Responses as the engine's work: claimed, asked for, stored, concluded."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import BooleanField, Exists, F, OuterRef, Q, QuerySet
from django.db.models.expressions import RawSQL

from arbiter.calls.client import Call
from arbiter.calls.dialects import limit_in
from arbiter.calls.engine import MadeCall
from arbiter.calls.lanes import CallJob
from arbiter.calls.service import Service
from arbiter.core.leases import LeasedQuerySet
from arbiter.core.statements import update_by_key
from benchmark.collection import call_permits
from benchmark.collection.collected_runs import request_for
from benchmark.collection.response_outcomes import FINAL_FIELDS, final_values
from benchmark.collection.wanted_responses import tidy_cancelled
from benchmark.endpoints import NotesEndpoints, awake
from benchmark.models import Collection, CollectionPlan, Endpoint, Response, Run, Task

CLAIM_AT_MOST = 128
# Written out: SQLite takes the index of what is not done for no value that is given beside a statement.
NOT_DONE = RawSQL("NOT (state = 'done')", (), output_field=BooleanField())


@dataclass
class CollectWork(NotesEndpoints):
    """The engine's work: the open responses of one run, or of a plan's runs, of the first so many epochs;
    or of all runs."""

    run: Run | None = None
    epochs: int | None = None
    endpoint: str = ""  # only at this one
    plan: CollectionPlan | None = None
    _runs: set[int] = field(default_factory=set)  # of which responses were claimed
    _tasks: dict[int, Task] = field(
        default_factory=dict
    )  # whose responses were, since we looked for endpoints
    _unsure: bool = False  # whether the last permission counted

    def asked(self) -> QuerySet[Collection]:
        """Return the collections that are to be worked on. One that is paused or has no money left is not,
        nor one whose endpoint rests, or is at another address than the run's. Of a plan, what holds for it
        holds for its arms."""
        collections = Collection.objects.filter(
            Q(plan=None) | Q(plan__status=Collection.Status.RUNNING, plan__reached=False),
            status=Collection.Status.RUNNING,
            reached=False,
            run__endpoint__in=Endpoint.objects.filter(awake()),
            run__endpoint__base_url=F("run__base_url"),
        )
        if self.run:
            collections = collections.filter(run=self.run)
        if self.plan:
            collections = collections.filter(plan=self.plan)
        return collections.filter(run__endpoint__name=self.endpoint) if self.endpoint else collections

    def __post_init__(self) -> None:
        self._arms = self.plan.run_ids if self.plan else []

    def rows(self) -> LeasedQuerySet[Response]:
        """Return the responses that this work may concern."""
        rows = self._of_epochs()
        if self.plan:
            return rows.filter(run__in=self._arms)
        return rows.filter(run=self.run) if self.run else rows

    def _of_epochs(self) -> LeasedQuerySet[Response]:
        rows = Response.objects.filter(NOT_DONE)
        return rows if self.epochs is None else rows.filter(epoch__lte=self.epochs)

    def endpoints(self) -> Sequence[Service]:
        self._tasks = {}  # what their categories say may have changed
        open_rows = self.rows().claimable().filter(run=OuterRef("run"))
        waiting = self.asked().filter(Exists(open_rows))
        endpoints = Endpoint.objects.filter(pk__in=waiting.values("run__endpoint"))
        return [endpoint.service for endpoint in endpoints]

    def claim(self, endpoint: Service, lease: str, room: int) -> Sequence[CallJob]:
        asked = self.asked().filter(run__endpoint=endpoint.pk)
        collections = {one.run_id: one for one in asked.select_related("run__subject", "run__condition")}
        ids = self._open(_together(collections.values()), lease, min(room, CLAIM_AT_MOST))
        self._runs |= set(collections)
        # Another worker may have taken some since we looked: only rows that are still open become ours.
        rows = Response.objects.filter(pk__in=ids)
        rows.claim(lease, settings.LEASE_SECONDS)
        mine = list(rows.claimed_by(lease).only("run", "task", "epoch").order_by("pk"))
        self._read_tasks({response.task_id for response in mine})
        return [
            self._job(response, self._tasks[response.task_id], collections[response.run_id], endpoint)
            for response in mine
        ]

    def _read_tasks(self, wanted: set[int]) -> None:
        """Read those of the tasks that were not read a moment ago."""
        if missing := wanted - self._tasks.keys():
            self._tasks |= Task.objects.select_related("category").in_bulk(missing)

    def _open(self, together: Sequence[Sequence[int]], lease: str, room: int) -> list[int]:
        """Return the keys of rows that are wanted, then of those that other workers let go: a run at a time,
        but a plan's runs together, in the order in which their rows were made."""
        ids: list[int] = []
        rows = self._of_epochs()
        for wanted in (rows.open(), rows.lapsed().exclude(lease=lease)):
            # Not those whose lease we let run out ourselves: their calls are still in flight.
            for runs in together:
                if len(ids) < room:
                    ids += _first(wanted, runs, room - len(ids))
        return ids

    def _job(self, response: Response, task: Task, collection: Collection, endpoint: Service) -> CallJob:
        run = collection.run
        findings = endpoint.findings(run.subject.name)
        request = request_for(run, task, response.epoch, endpoint.dialect, findings)
        limit = limit_in(collection.run.condition.sampling)
        pending = call_permits.PendingResponse(response, collection, uuid4(), limit)
        return CallJob(response.pk, endpoint, request, metered=True, context=pending)

    def _held(self, lease: str) -> LeasedQuerySet[Response]:
        return Response.objects.claimed_by(lease).filter(NOT_DONE, run__in=list(self._runs))

    def permit(self, lease: str, jobs: Sequence[CallJob]) -> tuple[Sequence[CallJob], set[int]]:
        again, self._unsure = self._unsure, True
        permitted = call_permits.permit(lease, jobs, again=again)
        self._unsure = False
        return permitted

    def capped(self, lease: str, jobs: Sequence[CallJob]) -> bool:
        return False  # every call asks for permission, with a cap or without

    def renew(self, lease: str) -> None:
        self._held(lease).renew(settings.LEASE_SECONDS)

    def withdrawn(self, lease: str) -> set[int]:
        gone = self._runs - set(self.asked().values_list("run", flat=True))
        return (
            set(self._held(lease).filter(run__in=list(gone)).values_list("pk", flat=True)) if gone else set()
        )

    def again(self, job: CallJob, call: Call) -> CallJob | None:
        return None

    def waiting_rows(self) -> LeasedQuerySet[Response]:
        """Return what is open or held, of the collections that are to be worked on."""
        runs = list(self.asked().values_list("run", flat=True))
        return self.rows().unfinished().filter(run__in=runs)

    def waiting(self) -> bool:
        return self.waiting_rows().exists()

    @transaction.atomic
    def store(self, lease: str, made: Sequence[MadeCall]) -> None:
        """Write the calls on their rows, count them on their responses, and give those of final calls their
        outcome: together, so that no answer is stored whose response would be asked for again."""
        counts = Counter(one.job.pk for one in call_permits.settle(made))
        for count in set(counts.values()):
            rows = Response.objects.filter(pk__in=[pk for pk in counts if counts[pk] == count])
            rows.update(attempts=F("attempts") + count)
        self.conclude(lease, [one for one in made if one.final])

    @transaction.atomic
    def conclude(self, lease: str, made: Sequence[MadeCall]) -> None:
        """Give the responses that are still ours what their last call makes of them."""
        update_by_key(
            Response,
            FINAL_FIELDS,
            {one.job.pk: final_values(one.call) for one in made},
            where="state = 'leased' AND lease = %s",
            values=[lease],
        )

    @transaction.atomic
    def release(self, lease: str, *, only: Iterable[int] | None = None, keep: Iterable[int] = ()) -> None:
        call_permits.withdraw(lease, self._runs, only, keep)
        claimed = self._held(lease).exclude(pk__in=list(keep))
        claimed = claimed if only is None else claimed.filter(pk__in=list(only))
        runs = sorted(set(claimed.values_list("run", flat=True)))
        claimed.release()
        if runs:
            tidy_cancelled(runs)


def _together(collections: Iterable[Collection]) -> list[list[int]]:
    """Return the runs that are asked for one after the other, the runs of a plan as one."""
    runs: dict[tuple[str, int], list[int]] = defaultdict(list)
    for one in sorted(collections, key=lambda one: one.pk):
        runs[("plan", one.plan_id) if one.plan_id else ("run", one.run_id)].append(one.run_id)
    return list(runs.values())


def _first(rows: LeasedQuerySet[Response], runs: Sequence[int], room: int) -> list[int]:
    """Return the first keys of these runs' rows: by a statement a run, whose index gives them in order."""
    keys = (rows.filter(run=run).order_by("pk").values_list("pk", flat=True)[:room] for run in runs)
    return sorted(chain.from_iterable(keys))[:room]
