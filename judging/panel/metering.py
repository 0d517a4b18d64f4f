"""What a study may spend, held by any number of workers at once:
the worst case is reserved before a call, and settled after.

A study's budget counts calls and cost, those on their way included. Under a cap a call goes through these
steps:

1. permit: the budget takes the call's worst case and the verdict notes it, in one transaction. Killed here or
   during the call: the verdict's lease runs out with its reservation standing.
2. settle costs: with the stored attempt, the worst case becomes what the call cost.
3. give back: a call that was permitted and did not set out costs nothing.
4. forfeit: whoever takes over the verdict of a worker that died leaves its reservation spent: the call may
   have been made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F, Q, QuerySet, Sum

from annotation.models import Study
from arbiter.calls.caps import fits, spent_under_caps
from judging.models import Attempt, Budget, StudyJudge, Verdict

if TYPE_CHECKING:  # they load the library that calls are made with, which no page needs
    from arbiter.calls.client import Call
    from arbiter.calls.lanes import CallJob

# As Call.turned_away has it: nothing was done for these, so they count against no cap.
TURNED_AWAY = Q(outcome="rejected") & (Q(status__gte=300, status__lt=400) | Q(status=401))
CAPPED = Q(max_calls__isnull=False) | Q(max_cost__isnull=False)


def metered(studies: Iterable[int]) -> set[int]:
    """Return those of the studies that have a cap."""
    return set(Budget.objects.filter(CAPPED, study__in=set(studies)).values_list("study", flat=True))


@transaction.atomic
def permit(lease: str, asked: Sequence[tuple[CallJob, int | None]]) -> tuple[list[CallJob], set[int]]:
    """Return the jobs whose call may be made now, and the rows for which none will be: there is no room for
    it, or the row is another worker's by now. The rest may ask again: what others have reserved and don't
    need comes back."""
    studies = {job.pk: job.context.verdict.study_judge.study_id for job, _ in asked}
    budgets = (
        Budget.objects.select_for_update().filter(CAPPED, study__in=set(studies.values())).order_by("pk")
    )
    by_study = {budget.study_id: budget for budget in budgets}
    noted = dict(_reserved(Verdict.objects.claimed_by(lease).filter(pk__in=list(studies))))
    permitted: list[CallJob] = []
    over: set[int] = set()
    full: dict[int, set[int]] = {study: set() for study in by_study}
    for job, worst in asked:
        budget = by_study.get(studies[job.pk])
        if budget is None:
            permitted.append(job)
            continue
        if job.pk in noted and job.metered:  # by a try that was cut off
            permitted.append(replace(job, reserved=noted[job.pk]))
            continue
        if job.pk in noted:  # when the cap came it was taken for a call on its way, and it had not set out
            Verdict.objects.claimed_by(lease).filter(pk=job.pk).update(reserved=None)
            budget.calls, budget.cost = budget.calls - 1, budget.cost - noted[job.pk]
        if not fits(budget, worst):
            full[budget.study_id].add(job.pk)
        elif _note(lease, job, worst or 0):
            budget.calls, budget.cost = budget.calls + 1, budget.cost + (worst or 0)
            permitted.append(replace(job, metered=True, reserved=worst or 0))
        else:
            over.add(job.pk)
    for budget in by_study.values():
        budget.reached = bool(full[budget.study_id]) and not _on_their_way(budget)
        budget.save(update_fields=["calls", "cost", "reached"])
        over |= full[budget.study_id] if budget.reached else set()
    return permitted, over


def _note(lease: str, job: CallJob, worst: int) -> bool:
    return Verdict.objects.claimed_by(lease).filter(pk=job.pk).update(reserved=worst) == 1


def _on_their_way(budget: Budget) -> bool:
    """Tell whether any call's reservation may still come back, in part or whole."""
    leased = Verdict.objects.under_lease().filter(study_judge__study=budget.study_id)
    return leased.filter(reserved__isnull=False).exists()


def _reserved(verdicts: QuerySet[Verdict]) -> Iterable[tuple[int, int]]:
    for pk, reserved in verdicts.filter(reserved__isnull=False).values_list("pk", "reserved"):
        yield pk, reserved or 0


def settle_costs(lease: str, made: Sequence[tuple[CallJob, Call, int | None]]) -> None:
    """Turn what was reserved for these calls into what they cost.
    Part of the transaction that stores them."""
    studies = {job.pk: job.context.verdict.study_judge.study_id for job, _, _ in made}
    capped = metered(studies.values())
    if not capped:
        return
    reservations = dict(_reserved(Verdict.objects.claimed_by(lease).filter(pk__in=list(studies))))
    Verdict.objects.claimed_by(lease).filter(pk__in=list(reservations)).update(reserved=None)
    calls, cost = Counter[int](), Counter[int]()
    lost, lost_cost = Counter[int](), Counter[int]()
    for job, call, paid in made:
        study = studies[job.pk]
        cost[study] += (paid or 0) - job.reserved
        calls[study] -= call.unreached or call.turned_away
        if job.pk in reservations:
            del reservations[job.pk]  # of two calls for one row, one holds the reservation
        elif job.metered:
            lost[study] -= 1  # whoever took the row over gave this call up for lost
            lost_cost[study] -= job.reserved
        else:
            calls[study] += 1  # it set out before there was a cap
    for study in sorted(capped):
        _change(study, calls[study], cost[study], lost[study], lost_cost[study])


def give_back(verdicts: QuerySet[Verdict]) -> None:
    """Give back what was reserved for calls that did not set out.
    Part of the transaction that gives their rows back."""
    calls, cost = Counter[int](), Counter[int]()
    reserved_rows = verdicts.filter(reserved__isnull=False)
    for pk, reserved, study in list(reserved_rows.values_list("pk", "reserved", "study_judge__study")):
        if Verdict.objects.filter(pk=pk, reserved=reserved).update(reserved=None):
            calls[study], cost[study] = calls[study] - 1, cost[study] - (reserved or 0)
    for study in sorted(calls):
        _change(study, calls[study], cost[study])


@transaction.atomic
def forfeit(pks: Sequence[int]) -> None:
    """Leave what workers that died had reserved spent."""
    lapsed = Verdict.objects.lapsed().filter(pk__in=pks, reserved__isnull=False)
    for pk, reserved, study in list(lapsed.values_list("pk", "reserved", "study_judge__study")):
        if lapsed.filter(pk=pk).update(reserved=None):
            _change(study, 0, 0, 1, reserved or 0)


def _change(study: int, calls: int, cost: int, lost: int = 0, lost_cost: int = 0) -> None:
    if not (calls or cost or lost):
        return
    changed = {
        "calls": F("calls") + calls,
        "cost": F("cost") + cost,
        "lost_calls": F("lost_calls") + lost,
        "lost_cost": F("lost_cost") + lost_cost,
    }
    if calls < 0 or cost < 0:
        changed["reached"] = False  # type: ignore[assignment] # there is room again
    Budget.objects.filter(study=study).update(**changed)


@transaction.atomic
def set_caps(study: Study, max_calls: int | None, max_cost: int | None) -> None:
    """Cap the study from now on; what it has spent until now counts. Without either, it is capped no more."""
    judges = StudyJudge.objects.filter(study=study).order_by("pk")
    # Calls are stored before or after this, not meanwhile: storing counts them on their judge first.
    locked = list(judges.select_for_update(no_key=True))
    budget, _ = Budget.objects.get_or_create(study=study)
    budget = Budget.objects.select_for_update().get(pk=budget.pk)
    if not metered([study.pk]):
        spent = judges.aggregate(calls=Sum("calls"), cost=Sum("cost"))
        # Rows that workers hold now may be called without asking: each counts as a call on its way. No join
        # here: it would move the state to a subquery, which PostgreSQL does not look at again after waiting
        # for a row to be concluded.
        ours = [judge.pk for judge in locked]
        claimed = Verdict.objects.claimed().filter(study_judge__in=ours)
        on_their_way = claimed.update(reserved=0) if max_calls is not None or max_cost is not None else 0
        turned_away = Attempt.objects.filter(TURNED_AWAY, study_judge__in=ours).count()
        budget.calls = (spent["calls"] or 0) - turned_away + on_their_way + budget.lost_calls
        budget.cost = (spent["cost"] or 0) + budget.lost_cost
    budget.max_calls, budget.max_cost, budget.reached = max_calls, max_cost, False
    budget.save()


def reached(budget: Budget) -> str:
    """Say that a cap was reached, and what was spent under it, in one sentence."""
    lost = (
        f" ({budget.lost_calls:,} of the calls were reserved by workers that died)"
        if budget.lost_calls
        else ""
    )
    return (
        f"the study's cap is reached: {spent_under_caps(budget)} are spent, and the next call might go past "
        f"it{lost}"
    )
