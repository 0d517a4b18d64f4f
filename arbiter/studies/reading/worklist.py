"""The work that goes on here, and what is over lately: jobs, collections of responses and judge runs, as far
as somebody may see them; of the whole installation, or of a study."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from annotation.access import OWNERS, READERS
from annotation.models import Membership, Study, SuiteAccess
from annotation.suiteaccess import is_superuser, owned_suites
from arbiter.calls.call_progress import CALM_SECONDS, POLL_SECONDS, RowCounts
from arbiter.core.errors import UserError
from arbiter.core.jobkinds import JOB_KINDS
from arbiter.core.models import Job, JobQuerySet
from benchmark.collection.collect_progress import (
    CollectionProgress,
    PlanProgress,
    over_lately,
    title_of,
    under_way,
)
from benchmark.models import Collection, CollectionPlan
from judging.models import StudyJudge, Verdict
from judging.panel.verdict_progress import PanelProgress, progress

LISTED, OVER = 100, 10  # of a kind: under way, and over
Paused = StudyJudge.Status.PAUSED
Cancelled = StudyJudge.Status.CANCELLED
MOVING = {"working", "waiting", "endpoint down", "under way"}
# The phase of a judge run whose judges differ: the first of these.
FIRST = ("working", "waiting", "endpoint down", "resting", "at the cap", "paused", "cancelled")


class JobCounts(RowCounts):
    """How much of a job is done."""

    FINAL = ("done",)
    SHOWN = ("done", "todo")


@dataclass(frozen=True)
class WorkSeer:
    """Somebody who looks at work, and what they may see and change."""

    user: int
    everything: bool
    suites: Sequence[str]  # of which they see and change collections
    studies: frozenset[int]  # whose judge runs, and their own jobs, they see
    owned: frozenset[int]  # whose jobs and judge runs they change

    @property
    def nothing(self) -> bool:
        return not (self.everything or self.suites or self.studies)


@dataclass(frozen=True)
class WorkItem:
    """One piece of work as it stands. `of` is its row; of a judge run, the study."""

    kind: str  # job, collection, plan, judges
    of: Any
    title: str
    about: str
    phase: str
    counts: RowCounts | None = None
    rate: float | None = None  # rows a second
    seconds_left: float | None = None
    cost: int | None = None  # picodollars
    unpriced: bool = False
    message: str = ""
    pauses: bool = False
    resumes: bool = False
    cancels: bool = False

    @property
    def key(self) -> str:
        return f"{self.kind}-{self.of.pk}"


@dataclass(frozen=True)
class Worklist:
    under_way: list[WorkItem] = field(default_factory=list)
    over: list[WorkItem] = field(default_factory=list)

    @property
    def poll(self) -> int:
        """Return the seconds until a page looks again: new work may come at any time."""
        return POLL_SECONDS if any(item.phase in MOVING for item in self.under_way) else CALM_SECONDS

    @property
    def news(self) -> str:
        """Say how things stand, in words that change only when that does: they are read aloud."""
        count = len(self.under_way)
        return f"{count:,} under way." if count else "Nothing is under way."


def seer(user: User | AnonymousUser) -> WorkSeer:
    roles = list(Membership.objects.filter(user=user.pk).values_list("study", "role"))
    return WorkSeer(
        user.pk or 0,
        is_superuser(user),
        owned_suites(user),
        frozenset(study for study, role in roles if role in READERS),
        frozenset(study for study, role in roles if role in OWNERS),
    )


def worklist(by: WorkSeer, study: Study | None = None) -> Worklist:
    """Return what goes on and what is over lately, as far as this person may see it; of one study alone,
    where one is given."""
    suites = _suites(by, study)
    going = [*_jobs(by, study), *_judge_runs(by, study), *map(_collection, under_way(suites))]
    over = [*_jobs_over(by, study), *_judge_runs_over(by, study), *_collections_over(suites)]
    return Worklist(going, over)


# Jobs


def _visible_jobs(by: WorkSeer, study: Study | None) -> JobQuerySet:
    jobs = Job.objects.select_related("by")
    if study:
        jobs = jobs.filter(study=study.pk)
    if by.everything:
        return jobs
    own = Q(by=by.user) & (Q(study=None) | Q(study__in=by.studies, owners_only=False))
    return jobs.filter(own | Q(study__in=by.owned))


def _jobs(by: WorkSeer, study: Study | None) -> Iterator[WorkItem]:
    jobs = list(_visible_jobs(by, study).unfinished().order_by("pk")[:LISTED])
    titles = _study_titles(jobs)
    for job in jobs:
        counts = JobCounts({"done": job.done, "todo": max(0, job.total - job.done)}, job.total)
        rate = _rate(job)
        yield _job_item(
            job,
            titles,
            "under way" if job.state == Job.State.LEASED else "waiting",
            counts=counts if job.total else None,
            rate=rate,
            seconds_left=counts.open / rate if rate and job.total else None,
            message=job.message,
            cancels=True,
        )


def _jobs_over(by: WorkSeer, study: Study | None) -> Iterator[WorkItem]:
    over = _visible_jobs(by, study).exclude(state__in=[Job.State.OPEN, Job.State.LEASED])
    jobs = list(over.order_by("-pk")[:OVER])
    titles = _study_titles(jobs)
    return (_job_item(job, titles, str(job.state), message=job.error) for job in jobs)


def _study_titles(jobs: Sequence[Job]) -> dict[int, Study]:
    return Study.objects.only("title", "slug").in_bulk({job.study for job in jobs if job.study})


def _job_item(job: Job, studies: dict[int, Study], phase: str, **more: Any) -> WorkItem:
    kind = JOB_KINDS.get(job.kind)
    job.of_study = studies.get(job.study or 0)  # type: ignore[attr-defined]
    about = [job.of_study.title if job.of_study else "", _said(job)]  # type: ignore[attr-defined]
    title = kind.title if kind else job.kind.capitalize()
    return WorkItem("job", job, title, " · ".join(filter(None, about)), phase, **more)


def _said(job: Job) -> str:
    try:
        return str(JOB_KINDS[job.kind].read(job))
    except (KeyError, UserError):  # asked for in another version
        return ""


def _rate(job: Job) -> float | None:
    """Return what of a job is done a second, since it was begun."""
    if job.state != Job.State.LEASED or not job.started_at or not job.done:
        return None
    return job.done / max(1.0, (timezone.now() - job.started_at).total_seconds())


# Judge runs: what is wanted of the judges of a study


def _judged_studies(by: WorkSeer, study: Study | None, *, going: bool) -> list[Study]:
    wanted = Verdict.objects.filter(study_judge=OuterRef("pk"))
    judges = StudyJudge.objects.filter(Exists(wanted.unfinished()), active=True)
    studies = Study.objects.filter(pk__in=judges.values("study"))
    if not going:
        asked = StudyJudge.objects.filter(Exists(wanted)).values("study")
        studies = Study.objects.filter(pk__in=asked).exclude(pk__in=judges.values("study"))
    if study:
        studies = studies.filter(pk=study.pk)
    if not by.everything:
        studies = studies.filter(pk__in=by.studies)
    return list(studies.order_by("-pk")[: LISTED if going else OVER])


def _judge_runs(by: WorkSeer, study: Study | None) -> Iterator[WorkItem]:
    for one in _judged_studies(by, study, going=True):
        seen, changes = progress(one), by.everything or one.pk in by.owned
        yield WorkItem(
            "judges",
            one,
            f"Judges of {one.title}",
            ", ".join(str(judge.study_judge.judge) for judge in seen.judges),
            next((phase for phase in FIRST if phase in seen.phases), "waiting"),
            counts=seen.total,
            rate=seen.total.pace.rows,
            seconds_left=seen.seconds_left,
            cost=seen.spent["cost"],
            unpriced=seen.unpriced,
            message=_news_of(seen),
            pauses=changes and seen.can_pause,
            resumes=changes and seen.paused,
            cancels=changes and any(j.open and j.study_judge.status != Cancelled for j in seen.judges),
        )


def _news_of(seen: PanelProgress) -> str:
    down = [f"{endpoint.name}: {endpoint.down_error}" for endpoint in seen.down]
    return _sentence(seen.reached) or "; ".join(down) or seen.news


def _judge_runs_over(by: WorkSeer, study: Study | None) -> Iterator[WorkItem]:
    for one in _judged_studies(by, study, going=False):
        judges = list(one.judges.select_related("judge__rater"))
        failed = Verdict.objects.filter(study_judge__in=judges, state=Verdict.State.FAILED).count()
        cancelled = all(judge.status == Cancelled for judge in judges)
        yield WorkItem(
            "judges",
            one,
            f"Judges of {one.title}",
            ", ".join(str(judge.judge) for judge in judges if judge.active),
            "cancelled" if cancelled else "done",
            cost=sum(judge.cost for judge in judges),
            unpriced=any(judge.output_price is None and not judge.cost for judge in judges),
            message=_failed(failed, "verdict"),
        )


# Collections


def _suites(by: WorkSeer, study: Study | None) -> list[str]:
    if study is None:
        return list(by.suites)
    of_study = SuiteAccess.objects.filter(study=study).values_list("suite", flat=True)
    return sorted(set(of_study) & set(by.suites))


def _collection(seen: CollectionProgress | PlanProgress) -> WorkItem:
    down = [f"{one.name}: {one.down_error}" for one in seen.endpoints if one.down_since]
    running = seen.status == Collection.Status.RUNNING
    return WorkItem(
        "plan" if isinstance(seen, PlanProgress) else "collection",
        seen.of,
        f"Responses of {title_of(seen.of)}",
        _suite_of(seen.of),
        seen.phase,
        counts=seen,
        rate=seen.pace.rows,
        seconds_left=seen.seconds_left,
        cost=seen.of.cost,
        unpriced=seen.unpriced,
        message=_sentence(seen.at_cap) or "; ".join(down) or seen.news,
        pauses=running and seen.phase != "resting",
        resumes=seen.phase in ("paused", "resting"),
        cancels=seen.status != Collection.Status.CANCELLED,
    )


def _collections_over(suites: Sequence[str]) -> Iterator[WorkItem]:
    for one, failed in over_lately(suites, OVER):
        yield WorkItem(
            "plan" if isinstance(one, CollectionPlan) else "collection",
            one,
            f"Responses of {title_of(one)}",
            _suite_of(one),
            "cancelled" if one.status == Collection.Status.CANCELLED else "done",
            cost=one.cost,
            unpriced=not one.cost and isinstance(one, Collection) and one.output_price is None,
            message=_failed(failed, "response"),
        )


def _suite_of(of: Collection | CollectionPlan) -> str:
    return str(of.suite if isinstance(of, CollectionPlan) else of.run.suite)


def _failed(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)} failed." if count else ""


def _sentence(said: str) -> str:
    return f"{said[0].upper()}{said[1:]}." if said else ""
