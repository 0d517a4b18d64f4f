"""Work that outlasts a request: asking for it, how far it is, and what it came to."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone

from annotation.access import OWNERS, READERS
from annotation.models import Membership, Rating, Study
from arbiter.core import jobkinds
from arbiter.core.errors import UserError
from arbiter.core.jobfiles import job_file
from arbiter.core.jobkinds import JOB_KINDS
from arbiter.core.models import Job, JobQuerySet
from arbiter.web.forms.queries import FileQuery
from arbiter.web.sign_in_pages import signed_in
from arbiter.web.study.study_page import show_page, study_page, with_own_style
from benchmark.importunderway import refuse_while_importing

# By kind: with how many items, and as many ratings, it takes about a second. A report begins with resampling,
# whatever the size.
AT_ONCE = {"export": 15_000, "settle": 15_000, "report": 1_000}
PATIENCE = timedelta(seconds=5)
LISTED = 50
TYPES = {
    "csv": "text/csv; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "jsonl": "application/jsonl",
    "parquet": "application/vnd.apache.parquet",
}


def is_quick(study: Study, kind: str) -> bool:
    """Tell whether work of a kind is done at once on this study, without a job."""
    most, ratings = AT_ONCE[kind], Rating.objects.filter(item__study=study).order_by()
    return not any(rows[most : most + 1].exists() for rows in (study.items.order_by(), ratings))


def begin(
    request: HttpRequest, mine: Membership, kind: str, arguments: Any, *, owners_only: bool = False
) -> HttpResponse:
    """Ask for a job that makes something of the whole study, and lead to its page."""
    refuse_while_importing(mine.study.pk)
    by = signed_in(request)
    job = jobkinds.ask_for_job(kind, arguments, study=mine.study.pk, by=by, owners_only=owners_only)
    return redirect("study-job", mine.study.slug, job.pk)


def offer(request: HttpRequest, mine: Membership, kind: str, arguments: Any, status: int) -> HttpResponse:
    """Show what would be asked for, with a button that does, and what was asked for before."""
    earlier = _visible(mine).filter(kind=kind, state=Job.State.DONE)[:5]
    context = {
        "title": JOB_KINDS[kind].title,
        "said": str(arguments),
        "jobs": [Shown.of(job) for job in earlier],
    }
    return show_page(request, mine, "web/study/offer.html", context, status=status)


def unfinished(mine: Membership, kind: str) -> Job | None:
    return _visible(mine).filter(kind=kind).unfinished().first()


def _visible(mine: Membership) -> JobQuerySet:
    """Return the study's jobs that the member may see: an owner all, others what they asked for."""
    visible = Job.objects.of_study(mine.study.pk).select_related("by")
    return visible if mine.role in OWNERS else visible.asked_by(mine.user_id)


def _job(mine: Membership, pk: int) -> Job:
    job = _visible(mine).filter(pk=pk).first()
    if job is None and Job.objects.of_study(mine.study.pk).filter(pk=pk).exists():
        raise PermissionDenied
    if job is None:
        raise Http404
    return job


@dataclass(frozen=True)
class Shown:
    """A job as pages tell of it."""

    job: Job
    title: str
    said: str  # what was asked for
    has_file: bool
    unattended: bool
    behind: bool  # a worker lives, and is at another

    @classmethod
    def of(cls, job: Job) -> "Shown":
        kind = JOB_KINDS.get(job.kind)
        at_work = job.unfinished and Job.objects.filter(place=job.place).under_lease()
        behind = bool(at_work and at_work.exclude(pk=job.pk).exists())
        alone = bool(job.unfinished and not (at_work and at_work.exists()))
        waited = timezone.now() - (job.leased_until or job.created_at)
        title = kind.title if kind else job.kind.capitalize()
        return cls(job, title, _said(job), job_file(job) is not None, alone and waited > PATIENCE, behind)

    @property
    def state(self) -> str:
        """Return the job's state, as people say it."""
        return {"open": "Waiting", "leased": "Under way"}.get(self.job.state, self.job.state.capitalize())

    @property
    def news(self) -> str:
        """Return what the job's state means, in words that change only when it does: they are read aloud."""
        if self.job.state == Job.State.OPEN:
            return "It waits for another job to be done." if self.behind else "It waits for a worker."
        if self.job.state == Job.State.LEASED:
            return "A worker is at it. You may leave this page and come back; it goes on."
        if self.job.state == Job.State.CANCELLED and self.job.kind == "settle" and self.job.attempts:
            return "What was settled before it stopped stays. Settle again to go on."
        return ""


def _said(job: Job) -> str:
    try:
        return str(JOB_KINDS[job.kind].read(job))
    except (KeyError, UserError):  # asked for in another version
        return ""


@study_page(READERS)
def show_all(request: HttpRequest, mine: Membership) -> HttpResponse:
    shown = [Shown.of(job) for job in _visible(mine)[:LISTED]]
    return show_page(request, mine, "web/study/jobs.html", {"jobs": shown})


@study_page(READERS)
def show(request: HttpRequest, mine: Membership, pk: int) -> HttpResponse:
    return show_page(request, mine, "web/study/job.html", {"shown": Shown.of(_job(mine, pk))})


@study_page(READERS)
def progress(request: HttpRequest, mine: Membership, pk: int) -> HttpResponse:
    """Show how far a job is, for a page that keeps up by itself."""
    return show_page(request, mine, "web/study/_job.html", {"shown": Shown.of(_job(mine, pk))})


@study_page(READERS, "POST", status=409)
def cancel(request: HttpRequest, mine: Membership, pk: int) -> HttpResponse:
    jobkinds.cancel_job(_job(mine, pk))
    return redirect("study-job", mine.study.slug, pk)


@study_page(READERS)
def result(request: HttpRequest, mine: Membership, pk: int) -> HttpResponseBase:
    """Send the file that a job made. A report may also be read here."""
    job = _job(mine, pk)
    path = job_file(job)
    if path is None:
        raise UserError("There is no file any more, or it is on another machine. Ask for it again.")
    style = job.result.get("style")
    inline = style is not None and not FileQuery.read(request.GET)["download"]
    answer: HttpResponseBase = FileResponse(
        path.open("rb"), as_attachment=not inline, filename=path.name, content_type=TYPES[path.suffix[1:]]
    )
    return with_own_style(request, answer, style) if inline else answer
