"""Asking a study's judges, from a command, a worker or a page; and what became of it."""

from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import Any

from annotation.models import Study
from benchmark.client import key_of
from benchmark.engine import Engine
from judging.models import StudyJudge, Verdict
from judging.work import FINAL, JudgeWork, State, active_judges, retry_failed, tally, want_verdicts


def judge_study(
    study: Study,
    judge_name: str = "",
    limit: int | None = None,
    *,
    retry: bool = False,
    stopping: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int], None] = lambda concluded: None,
) -> dict[str, Any]:
    """Bring the study's verdicts (or `limit` of them) to their outcome and count them.

    The counts are of all final verdicts there are after the call, for the judges chosen; `cached` says how many of them
    took no call now: final before, or answered by an equal call made earlier.
    """
    clock = monotonic()
    judges = active_judges(study, judge_name)
    for judge in judges:
        key_of(judge.judge.endpoint)  # refuse before a row is made
    if retry:
        retry_failed(study, judge_name)
    before = sum(_states(study, judges)[state] for state in FINAL)
    cached_before = _cached(study, judges)
    want_verdicts(study, judge_name, _missing_within(study, judges, limit))
    work = JudgeWork(study, [sj.judge_id for sj in judges], limit)
    Engine(work, stopping=stopping, on_progress=on_progress, wait_for_others=True).run()
    states = _states(study, judges)
    return {
        "verdicts": sum(states[state] for state in FINAL),
        "parsed": states[State.DONE],
        "unparsed": states[State.UNPARSED],
        "refused": states[State.REFUSED],
        "failed": states[State.FAILED],
        "cached": before + _cached(study, judges) - cached_before,
        "seconds": round(monotonic() - clock, 3),
    }


def _missing_within(study: Study, judges: list[StudyJudge], limit: int | None) -> int | None:
    """With a limit no more rows are made than it allows, else a running worker would go past it."""
    if limit is None:
        return None
    states = _states(study, judges)
    return max(0, limit - states[State.TODO] - states[State.LEASED])


def wanted(study: Study, judge_name: str = "") -> int:
    """How many verdicts the study's judges owe in all, for a progress bar."""
    return study.items.count() * sum(sj.repeats for sj in active_judges(study, judge_name))


def _states(study: Study, judges: list[StudyJudge]) -> Counter[str]:
    counts = tally(study)
    total: Counter[str] = Counter()
    for study_judge in judges:
        total.update(counts.get(study_judge.judge_id, {}))
    return total


def _cached(study: Study, judges: list[StudyJudge]) -> int:
    return Verdict.objects.filter(
        item__study=study, judge__in=[sj.judge_id for sj in judges], cached=True
    ).count()
