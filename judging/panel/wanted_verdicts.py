"""What is asked of a study's judges: wanting verdicts, pausing, cancelling,
asking again; and how far it is."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, OuterRef
from django.utils import timezone

from annotation.models import Study
from arbiter.core.batching import batches, pages
from arbiter.core.errors import UserError
from arbiter.core.naming import among
from benchmark.importunderway import refuse_while_importing
from benchmark.models import Endpoint
from judging.models import Attempt, StudyJudge, Verdict
from judging.panel import metering

State = Verdict.State
Status = StudyJudge.Status
AS_NEW: dict[str, Any] = {
    "state": State.TODO,
    "reason": "",
    "form": "",
    "finished_at": None,
    "answer": None,
    "cached": False,
}
CANCELLED = "cancelled before a call for it succeeded"
PAGE = 1000  # items that are looked through at once


def active_judges(study: Study, name: str = "") -> list[StudyJudge]:
    judges = list(
        study.judges.filter(active=True).select_related("judge__rater", "judge__endpoint", "study__scheme")
    )
    chosen = [
        sj
        for sj in judges
        if not name or among(name, [sj.judge.rater.name, f"{sj.judge.rater.name}@{sj.judge.rater.version}"])
    ]
    if not chosen:
        known = ", ".join(str(sj.judge) for sj in judges) or "none; add judges to its study file and apply it"
        raise UserError(
            f"Study {study.slug!r} has no judge {name!r} (its judges: {known})."
            if name
            else f"Study {study.slug!r} has no judges; add some to its study file and apply it."
        )
    return chosen


def want_verdicts(study: Study, judge_name: str = "", limit: int | None = None) -> int:
    """Make the verdict rows that are missing: one an item, judge and repeat. At most `limit`, if given. Not
    for judges that are paused; what was cancelled is wanted again."""
    refuse_while_importing(study.pk)
    count = 0
    for study_judge in active_judges(study, judge_name):
        if study_judge.status == Status.PAUSED:
            continue
        count += uncancel([study_judge])
        for repeat in range(study_judge.judge.repeats):
            count += _want(study_judge, repeat, None if limit is None else max(0, limit - count))
    return count


def _want(study_judge: StudyJudge, repeat: int, limit: int | None) -> int:
    count = 0
    # A page at a time: over tables that were just filled PostgreSQL would plan one NOT EXISTS as a loop in a
    # loop.
    for page in pages(study_judge.study.items.all(), PAGE):
        there = Verdict.objects.filter(
            study_judge=study_judge, repeat=repeat, item__gte=page[0], item__lte=page[-1]
        )
        asked = set(there.values_list("item", flat=True))
        missing = [pk for pk in page if pk not in asked][: None if limit is None else limit - count]
        # Somebody else may be asking for the same: whoever comes second makes nothing.
        rows = [Verdict(item_id=pk, study_judge=study_judge, repeat=repeat) for pk in missing]
        Verdict.objects.bulk_create(rows, ignore_conflicts=True)
        count += len(rows)
        if count == limit:
            break
    return count


def retry_failed(judges: Sequence[StudyJudge]) -> int:
    """Want failed verdicts again, and return how many; their attempts stay."""
    failed = Verdict.objects.filter(study_judge__in=judges, state=State.FAILED)
    return failed.update(**AS_NEW)


def uncancel(judges: Sequence[StudyJudge]) -> int:
    """Let cancelled judges be asked again, also for what a call had failed for when they were cancelled;
    return how many verdicts that is."""
    _running(judges, Status.CANCELLED, Status.RUNNING)
    failed = Verdict.objects.filter(study_judge__in=judges, state=State.FAILED, reason=CANCELLED)
    return failed.update(**AS_NEW)


def pause(judges: Sequence[StudyJudge]) -> int:
    """Pause judges, and return how many were running. What is in flight is finished, nothing else sets out;
    what is wanted stays wanted."""
    return _running(judges, Status.RUNNING, Status.PAUSED)


def resume(judges: Sequence[StudyJudge]) -> int:
    """Let judges that are paused or cancelled go on, and return how many; endpoints of theirs that rest are
    asked at once, whatever they said."""
    wake_endpoints(judges)
    return _running(judges, Status.PAUSED, Status.RUNNING) + _running(
        judges, Status.CANCELLED, Status.RUNNING
    )


def wake_endpoints(judges: Sequence[StudyJudge]) -> int:
    resting = Endpoint.objects.filter(
        judges__studies__in=[sj.pk for sj in judges], rests_until__gt=timezone.now()
    )
    return Endpoint.objects.filter(pk__in=list(resting.values_list("pk", flat=True))).update(rests_until=None)


def _running(judges: Sequence[StudyJudge], now: str, then: str) -> int:
    return StudyJudge.objects.filter(pk__in=[sj.pk for sj in judges], status=now).update(status=then)


def cancel(judges: Sequence[StudyJudge]) -> int:
    """Cancel judges, and return how many verdicts are wanted no more. What is in flight is finished. Rows
    that no call was made for go, the others keep their attempts and are failed. Asking the judges again wants
    everything that is missing."""
    # Committed by itself: a worker that stores calls locks the budget before the judge,
    # the tidying would do the opposite.
    StudyJudge.objects.filter(pk__in=[sj.pk for sj in judges]).update(status=Status.CANCELLED)
    # A worker gives back what it held ready within a second or two: `tidy_cancelled` takes care of that.
    return sum(tidy_cancelled(sj.pk) for sj in judges)


def tidy_cancelled(study_judge: int) -> int:
    """Take back the open rows of a cancelled judge that no living worker holds; how many there were."""
    of_judge = Verdict.objects.filter(study_judge=study_judge, study_judge__status=Status.CANCELLED)
    open_rows = list(of_judge.claimable().order_by("pk").values_list("pk", flat=True))
    return sum(_take_back(batch) for batch in batches(open_rows, 500))


@transaction.atomic
def _take_back(rows: Sequence[int]) -> int:
    still = Verdict.objects.claimable().filter(pk__in=rows)
    metering.forfeit(rows)
    # Not those whose lease ran out: a worker that only seemed dead may yet store a call for one.
    untried = still.open().filter(~Exists(Attempt.objects.filter(verdict=OuterRef("pk"))))
    gone = untried.order_by()._raw_delete(using=untried.db)
    return gone + still.conclude(State.FAILED, reason=CANCELLED, finished_at=timezone.now())


def tally(study: Study) -> dict[int, dict[str, int]]:
    """Count verdicts by state, by StudyJudge id."""
    counts: dict[int, dict[str, int]] = defaultdict(dict)
    judges = list(study.judges.values_list("pk", flat=True))  # as numbers, by which the index alone is read
    verdicts = Verdict.objects.filter(study_judge__in=judges).order_by()
    rows = verdicts.values_list("study_judge", "state").annotate(count=Count("*"))
    for study_judge, state, count in rows:
        counts[study_judge][state] = count
    return counts
