"""Asking a study's judges, from a command; and what became of it."""

from collections import Counter
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet

from annotation.models import Study
from arbiter.calls.connecting import connection_of
from arbiter.calls.engine import Engine
from arbiter.calls.prices import as_dollars
from arbiter.core.errors import UserError
from arbiter.core.outages import despite_outages
from benchmark.endpoints import awake, rests
from benchmark.models import Endpoint
from judging.models import FINAL, Budget, StudyJudge, Verdict
from judging.panel.judge_work import JudgeWork
from judging.panel.metering import reached
from judging.panel.prompting import not_sent
from judging.panel.tuning_verdicts import want_tuning
from judging.panel.wanted_verdicts import (
    State,
    Status,
    active_judges,
    retry_failed,
    tally,
    uncancel,
    want_verdicts,
)


def judge_study(
    study: Study,
    judge_name: str = "",
    limit: int | None = None,
    *,
    retry: bool = False,
    tuning: bool = False,
    stopping: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int], None] = lambda concluded: None,
) -> dict[str, Any]:
    """Bring the study's verdicts (or `limit` of them; or those on the tuning gold, and what is wanted
    already) to their outcome and count them.

    The counts are of all final verdicts there are after the call, for the judges chosen; `cached` says how
    many of them took no call now: final before, or answered by an equal call made earlier. `dollars` leaves
    out the judges that are `unpriced`, and is None where all are. `stopped` says why some are still open.
    """
    clock = monotonic()
    judges = _ready(study, judge_name)
    if retry:
        retry_failed(judges)
    before = sum(_states(study, judges)[state] for state in FINAL)
    cached_before, spent_before = _cached(judges), _spent(judges)
    for judge in judges:
        rater = judge.judge.rater
        if tuning:
            want_tuning(study, judge)
        else:
            want_verdicts(study, f"{rater.name}@{rater.version}", _missing_within(study, judges, limit))
    work = JudgeWork(study, [sj.pk for sj in judges], limit=limit)
    Engine(work, stopping=stopping, on_progress=on_progress, wait_for_others=True).run()
    connection.close_if_unusable_or_obsolete()  # it may have been cut off meanwhile
    counts = despite_outages(lambda: _counts(study, judges, cached_before, spent_before))
    return {**counts, "cached": before + counts["cached"], "seconds": round(monotonic() - clock, 3)}


def _counts(
    study: Study, judges: Sequence[StudyJudge], cached_before: int, spent_before: dict[str, int]
) -> dict[str, Any]:
    states, spent, unpriced = _states(study, judges), _spent(judges), _unpriced(judges)
    return {
        "verdicts": sum(states[state] for state in FINAL),
        "parsed": states[State.DONE],
        "unparsed": states[State.UNPARSED],
        "refused": states[State.REFUSED],
        "failed": states[State.FAILED],
        "cached": _cached(judges) - cached_before,
        "open": states[State.TODO] + states[State.LEASED],
        "calls": spent["calls"] - spent_before["calls"],
        "dollars": as_dollars(spent["cost"] - spent_before["cost"]) if len(unpriced) < len(judges) else None,
        "unpriced": unpriced,
        "stopped": _stopped(study, judges),
        "not_sent": [said for study_judge in judges for said in not_sent(study_judge.judge)],
        "seconds": 0.0,
    }


def _ready(study: Study, judge_name: str) -> list[StudyJudge]:
    """Return the judges to ask, refused before a row is made where one can't be asked.
    What was cancelled is wanted again."""
    chosen = active_judges(study, judge_name)
    judges = [sj for sj in chosen if sj.status != Status.PAUSED]
    if not judges:
        names = ", ".join(str(sj.judge) for sj in chosen)
        raise UserError(f"Paused: {names}. To go on: manage.py judge {study.slug} --resume.")
    for judge in judges:
        connection_of(judge.judge.endpoint.service)
    uncancel(judges)
    return judges


def _missing_within(study: Study, judges: Sequence[StudyJudge], limit: int | None) -> int | None:
    """Return how many rows may still be made under a limit:
    with more, a running worker would go past it. None without a limit."""
    if limit is None:
        return None
    states = _states(study, judges)
    return max(0, limit - states[State.TODO] - states[State.LEASED])


def verdicts_owed(study: Study, judge_name: str = "") -> int:
    """Return how many verdicts the study's judges owe in all, for a progress bar."""
    return study.items.count() * sum(sj.judge.repeats for sj in active_judges(study, judge_name))


def _stopped(study: Study, judges: Sequence[StudyJudge]) -> str:
    budget = Budget.objects.filter(study=study, reached=True).first()
    if budget:
        return reached(budget)
    ours = StudyJudge.objects.filter(pk__in=[sj.pk for sj in judges])
    halted = ours.exclude(status=Status.RUNNING).select_related("judge__rater")
    resting = Endpoint.objects.filter(~awake(), judges__studies__in=_with_open_rows(ours)).distinct()
    return ", ".join([*(f"{sj.judge} is {sj.status}" for sj in halted), *map(rests, resting)])


def _with_open_rows(judges: QuerySet[StudyJudge]) -> QuerySet[StudyJudge]:
    still = Verdict.objects.unfinished().filter(study_judge=OuterRef("pk"))
    return judges.filter(Exists(still), status=Status.RUNNING)


def _states(study: Study, judges: Sequence[StudyJudge]) -> Counter[str]:
    counts = tally(study)
    total: Counter[str] = Counter()
    for study_judge in judges:
        total.update(counts.get(study_judge.pk, {}))
    return total


def _cached(judges: Sequence[StudyJudge]) -> int:
    return Verdict.objects.filter(study_judge__in=judges, cached=True).count()


def _spent(judges: Sequence[StudyJudge]) -> Counter[str]:
    total: Counter[str] = Counter()
    for row in StudyJudge.objects.filter(pk__in=[sj.pk for sj in judges]).values("calls", "cost"):
        total.update(row)
    return total


def _unpriced(judges: Sequence[StudyJudge]) -> list[str]:
    """Name the judges whose costs are not known: no price is, and the service has told none."""
    paid = dict(StudyJudge.objects.filter(pk__in=[sj.pk for sj in judges]).values_list("pk", "cost"))
    return [str(sj.judge) for sj in judges if sj.output_price is None and not paid[sj.pk]]
