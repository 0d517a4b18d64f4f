"""Every call for a response has its row before it sets out, and its worst case is reserved with it:

1. permit: the collection, and the plan it is an arm of, take the call's worst case and the attempt is written
   as `asked`, in one transaction. Killed here or during the call: the row and what it reserved stay, as the
   call may have been made.
2. settle: what came of the call is written on its row, and the worst case becomes what it cost.
3. withdraw: a call that was permitted and did not set out costs nothing, and its row goes.

So at any time the rows are at least the calls that were made, and no more of them than the caps allow.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
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
from arbiter.core.leases import LEASED
from arbiter.core.statements import placeholders, rows, update_by_key
from benchmark.collection.wanted_responses import Collecting
from benchmark.models import Collection, CollectionAttempt, CollectionPlan, Response

ASKED = CollectionAttempt.ASKED
SUMS = ("calls", "cost", "reached")
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
def permit(lease: str, jobs: Sequence[CallJob], *, again: bool) -> tuple[list[CallJob], set[int]]:
    """Return the jobs whose call may be made now, and the rows for which none will be: there is no room for
    it, or the row is another worker's by now. The rest may ask again: what others have reserved and don't
    need comes back. `again`: the last time was cut off, so what was permitted then may count."""
    collections = _locked(job.context.response.run_id for job in jobs)
    permits = CallPermits(
        lease,
        {one.run_id: one for one in collections},
        {one.pk: one for one in _locked_plans(collections)},
        _held(lease, jobs),
        _noted(jobs) if again else set(),
    )
    for job in jobs:
        permits.decide(job)
    permits.write()
    return permits.permitted, permits.over


@dataclass
class CallPermits:
    """What is decided on the calls that one worker asks permission for, while their collections and the plans
    of those are locked."""

    lease: str
    collections: dict[int, Collection]  # by run
    plans: dict[int, CollectionPlan]
    ours: set[int]  # the rows that the worker still holds
    noted: set[UUID]  # calls that were permitted by a try that was cut off
    permitted: list[CallJob] = field(default_factory=list)
    over: set[int] = field(default_factory=set)
    full: dict[Collecting, set[int]] = field(default_factory=lambda: defaultdict(set))  # rows without room
    rows: list[CollectionAttempt] = field(default_factory=list)

    def decide(self, job: CallJob) -> None:
        uid, worst = call_uid(job), worst_of_call(job)
        spending = self._spending(job.context.response.run_id)
        if uid in self.noted:
            self.permitted.append(job)
        elif job.pk not in self.ours:
            self.over.add(job.pk)
        elif full := next((one for one in spending if not fits(one, worst)), None):
            self.full[full].add(job.pk)
        else:
            for one in spending:
                one.calls, one.cost = one.calls + 1, one.cost + (worst or 0)
            self.rows.append(_asked(self.lease, uid, job, worst))
            self.permitted.append(job)

    def _spending(self, run: int) -> list[Collecting]:
        """Return what a call of the run is paid from."""
        collection = self.collections[run]
        return [collection, self.plans[collection.plan_id]] if collection.plan_id else [collection]

    def write(self) -> None:
        insert(self.rows)
        for spending in (self.collections, self.plans):
            for one in spending.values():
                refused = self.full[one]
                one.reached = bool(refused) and not calls_on_their_way(one).exists()
                self.over |= refused if one.reached else set()
        _save_sums(Collection, self.collections.values())
        _save_sums(CollectionPlan, self.plans.values())


def _save_sums(model: type[Collecting], changed: Iterable[Collecting]) -> None:
    update_by_key(model, SUMS, {one.pk: [getattr(one, name) for name in SUMS] for one in changed})


# Collections first, in the order of their runs, then plans: so whoever locks both never waits for whoever
# waits for them.


def _locked(runs: Iterable[int]) -> list[Collection]:
    return list(Collection.objects.select_for_update().filter(run__in=set(runs)).order_by("run"))


def _locked_plans(collections: Iterable[Collection]) -> list[CollectionPlan]:
    ids = {one.plan_id for one in collections if one.plan_id}
    return list(CollectionPlan.objects.select_for_update().filter(pk__in=ids).order_by("pk")) if ids else []


def _held(lease: str, jobs: Sequence[CallJob]) -> set[int]:
    """Return the rows of these jobs that the worker still holds. Written out, it takes a third of the 0.9 ms
    of processor time, once for every few calls."""
    statement = f"SELECT id FROM {Response._meta.db_table} WHERE state = %s AND lease = %s AND id IN "  # noqa: S608
    keys = [job.pk for job in jobs]
    return {key for (key,) in rows(f"{statement} ({placeholders(keys)})", [LEASED, lease, *keys])}


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


def calls_on_their_way(of: Collecting) -> QuerySet[CollectionAttempt]:
    """Return the attempts whose worker lives: what they reserved may come back, in part or whole."""
    held = Response.objects.under_lease().filter(run__in=of.run_ids).values("pk")
    asked = CollectionAttempt.objects.filter(run__in=of.run_ids, outcome=ASKED)
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
    _add(changes)
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
    gone = list(asked.values_list("pk", "run", "cost"))
    for _, run, reserved in gone:
        changes[run].update(calls=-1, cost=-(reserved or 0))
    taken_back = CollectionAttempt.objects.filter(outcome=ASKED, pk__in=[pk for pk, _, _ in gone])
    taken_back._raw_delete(taken_back.db)
    _add(changes)


def _add(changes: Mapping[int, Counter[str]]) -> None:
    """Add to the sums of these runs' collections, and to those of their plans."""
    for run in sorted(changes):
        _change_row(Collection.objects.filter(run=run), changes[run])
    arms = Collection.objects.filter(run__in=list(changes), plan__isnull=False)
    of_plans: dict[int, Counter[str]] = defaultdict(Counter)
    for run, plan in arms.values_list("run", "plan"):
        of_plans[plan].update({name: changes[run][name] for name in ("calls", "cost")})
    for plan in sorted(of_plans):
        _change_row(CollectionPlan.objects.filter(pk=plan), of_plans[plan])


def _change_row(row: QuerySet[Any], change: Counter[str]) -> None:
    changed: dict[str, Any] = {name: F(name) + count for name, count in change.items() if count}
    if change["calls"] < 0 or change["cost"] < 0:
        changed["reached"] = False  # there is room again
    if changed:
        row.update(**changed)
