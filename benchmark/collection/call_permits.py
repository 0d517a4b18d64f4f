"""Every call for a response has its row before it sets out, and its worst case is reserved with it:

1. permit: the collection takes the call's worst case and the attempt is written as `asked`, in one
   transaction. Killed here or during the call: the row and what it reserved stay, as the call may have been
   made.
2. settle: what came of the call is written on its row, and the worst case becomes what it cost.
3. withdraw: a call that was permitted and did not set out costs nothing, and its row goes.

So at any time the rows are at least the calls that were made, and no more of them than the caps allow.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from arbiter.calls.caps import fits
from arbiter.calls.client import body_hash
from arbiter.calls.costs import call_fields
from arbiter.calls.engine import MadeCall
from arbiter.calls.lanes import CallJob
from arbiter.calls.prices import price_of, worst_case
from arbiter.core.bulkinsert import insert, unsaved
from arbiter.core.statements import update_by_key
from benchmark.models import Collection, CollectionAttempt, Response

ASKED = CollectionAttempt.ASKED
SETTLED = (  # what is written once more after the row was made, and never again
    "outcome",
    "raw",
    "error",
    "status",
    "finish_reason",
    "returned_model",
    "fingerprint",
    "completion_id",
    "prompt_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "cached_tokens",
    "cost",
    "cost_at_most",
    "cost_told",
    "started_at",
    "latency",
    "simulated",
)


@dataclass(frozen=True, slots=True)
class PendingResponse:
    """A response that was claimed, and what its calls are made by."""

    response: Response
    collection: Collection
    claim: UUID  # of the response, of which its calls have their own
    limit: int | None  # of completion tokens


def call_uid(job: CallJob) -> UUID:
    """Return the uid of the job's next call: the same however often it is asked for."""
    return uuid5(job.context.claim, str(job.failures))


def worst_of_call(job: CallJob) -> int | None:
    """Return what the job's next call may cost at most; None where that is not known."""
    pending: PendingResponse = job.context
    return worst_case(job.request, price_of(pending.collection), pending.limit)


@transaction.atomic
def permit(lease: str, jobs: Sequence[CallJob]) -> tuple[list[CallJob], set[int]]:
    """Return the jobs whose call may be made now, and the rows for which none will be: there is no room for
    it, or the row is another worker's by now. The rest may ask again: what others have reserved and don't
    need comes back."""
    runs = {job.context.response.run_id for job in jobs}
    held = Response.objects.claimed_by(lease).filter(pk__in=[job.pk for job in jobs])
    permits = CallPermits(
        lease,
        {one.run_id: one for one in _locked(runs)},
        set(held.values_list("pk", flat=True)),
        _noted(jobs),
    )
    for job in jobs:
        permits.decide(job)
    permits.write()
    return permits.permitted, permits.over


@dataclass
class CallPermits:
    """What is decided on the calls that one worker asks permission for, while their collections are
    locked."""

    lease: str
    collections: dict[int, Collection]  # by run
    ours: set[int]  # the rows that the worker still holds
    noted: set[UUID]  # calls that were permitted by a try that was cut off
    permitted: list[CallJob] = field(default_factory=list)
    over: set[int] = field(default_factory=set)
    full: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))  # rows without room, by run
    rows: list[CollectionAttempt] = field(default_factory=list)

    def decide(self, job: CallJob) -> None:
        collection = self.collections[job.context.response.run_id]
        uid, worst = call_uid(job), worst_of_call(job)
        if uid in self.noted:
            self.permitted.append(job)
        elif job.pk not in self.ours:
            self.over.add(job.pk)
        elif not fits(collection, worst):
            self.full[collection.run_id].add(job.pk)
        else:
            collection.calls, collection.cost = collection.calls + 1, collection.cost + (worst or 0)
            self.rows.append(_asked(self.lease, uid, job, worst))
            self.permitted.append(job)

    def write(self) -> None:
        insert(self.rows)
        for collection in self.collections.values():
            refused = self.full[collection.run_id]
            collection.reached = bool(refused) and not calls_on_their_way(collection).exists()
            collection.save(update_fields=["calls", "cost", "reached"])
            self.over |= refused if collection.reached else set()


def _locked(runs: Iterable[int]) -> QuerySet[Collection]:
    return Collection.objects.select_for_update().filter(run__in=list(runs)).order_by("pk")


def _noted(jobs: Iterable[CallJob]) -> set[UUID]:
    uids = [call_uid(job) for job in jobs]
    return set(CollectionAttempt.objects.filter(uid__in=uids).values_list("uid", flat=True))


def _asked(lease: str, uid: UUID, job: CallJob, worst: int | None) -> CollectionAttempt:
    return unsaved(
        CollectionAttempt,
        uid=uid,
        response_id=job.pk,
        run_id=job.context.response.run_id,
        endpoint=job.endpoint.name,
        base_url=job.endpoint.base_url,
        lease=lease,
        request_hash=body_hash(job.request),
        cost=worst,
        cost_at_most=worst is not None,
        started_at=timezone.now(),
        latency=0.0,
    )


def calls_on_their_way(collection: Collection) -> QuerySet[CollectionAttempt]:
    """Return the attempts whose worker lives: what they reserved may come back, in part or whole."""
    held = Response.objects.under_lease().filter(run=collection.run_id).values("pk")
    asked = CollectionAttempt.objects.filter(run=collection.run_id, outcome=ASKED)
    return asked.filter(response__in=held, lease=F("response__lease"))


def settle(made: Sequence[MadeCall]) -> list[MadeCall]:
    """Write what came of the calls on their rows, once, and turn what they reserved into what they cost.
    Return those that were not settled before, by a try that was cut off. Part of the transaction that stores
    them."""
    uids = {call_uid(one.job): one for one in made}
    asked = CollectionAttempt.objects.filter(uid__in=list(uids), outcome=ASKED)
    written: dict[int, Sequence[Any]] = {}
    changes: dict[int, Counter[str]] = defaultdict(Counter)
    settled: list[MadeCall] = []
    for pk, uid, reserved in list(asked.values_list("pk", "uid", "cost")):
        one = uids[uid]
        fields = _fields(one, reserved)
        written[pk] = [fields[name] for name in SETTLED]
        changes[one.job.context.response.run_id].update(_change(one, fields, reserved or 0))
        settled.append(one)
    update_by_key(CollectionAttempt, SETTLED, written, where="outcome = %s", values=[ASKED])
    for run in sorted(changes):
        _add(run, changes[run])
    return settled


def _fields(one: MadeCall, reserved: int | None) -> dict[str, Any]:
    return call_fields(one.call, price_of(one.job.context.collection), lambda: reserved)


def _change(one: MadeCall, fields: dict[str, Any], reserved: int) -> Counter[str]:
    """Return what the call changes of its collection's sums. One that was turned away counts against no
    cap."""
    return Counter(
        calls=-int(one.call.unreached or one.call.turned_away),
        cost=(fields["cost"] or 0) - reserved,
        prompt_tokens=fields["prompt_tokens"] or 0,
        completion_tokens=fields["completion_tokens"] or 0,
    )


def withdraw(lease: str, runs: Iterable[int], only: Iterable[int] | None, keep: Iterable[int]) -> None:
    """Take back the rows of this worker's calls that did not set out, with what they reserved.
    Part of the transaction that gives their responses back."""
    asked = CollectionAttempt.objects.filter(run__in=list(runs), outcome=ASKED, lease=lease)
    asked = asked.exclude(response__in=list(keep))
    asked = asked if only is None else asked.filter(response__in=list(only))
    changes: dict[int, Counter[str]] = defaultdict(Counter)
    rows = list(asked.values_list("pk", "run", "cost"))
    for _, run, reserved in rows:
        changes[run].update(calls=-1, cost=-(reserved or 0))
    taken_back = CollectionAttempt.objects.filter(outcome=ASKED, pk__in=[pk for pk, _, _ in rows])
    taken_back._raw_delete(taken_back.db)
    for run in sorted(changes):
        _add(run, changes[run])


def _add(run: int, change: Counter[str]) -> None:
    changed: dict[str, Any] = {name: F(name) + count for name, count in change.items() if count}
    if change["calls"] < 0 or change["cost"] < 0:
        changed["reached"] = False  # there is room again
    if changed:
        Collection.objects.filter(run=run).update(**changed)
