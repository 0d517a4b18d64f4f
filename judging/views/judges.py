"""A study's judges: how far they are, what went wrong, and what their owner wants of them."""

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from annotation.access import owned, readable
from annotation.models import Study
from benchmark.errors import UserError
from judging.models import StudyJudge
from judging.panel import asking
from judging.panel.progress import progress
from judging.panel.troubles import troubles
from judging.panel.waking import wake_workers


@login_required
@require_GET
def show(request: HttpRequest, slug: str) -> HttpResponse:
    """The judges' part of the overview, which changes while they work."""
    study = readable(request, slug)
    still = request.GET.get("still", "0")
    seen = progress(study, int(still) if still.isdecimal() and len(still) < 5 else 0)
    return render(request, "study/_judges.html", {"study": study, "progress": seen})


@login_required
@require_GET
def errors(request: HttpRequest, slug: str) -> HttpResponse:
    """What went wrong lately, which changes too, and more slowly."""
    study = readable(request, slug)
    return render(
        request,
        "study/_troubles.html",
        {"study": study, "progress": progress(study), "troubles": troubles(study)},
    )


@login_required
@require_POST
def change(request: HttpRequest, slug: str) -> HttpResponse:
    """Ask the judges, pause, resume or cancel them, or ask again for what failed: all of them, or one."""
    study = owned(request, slug)
    action = next((name for name in ACTIONS if name in request.POST), "ask")
    level = messages.SUCCESS
    try:
        said = ACTIONS[action](study, _chosen(study, request.POST.get(action, "")))
    except UserError as error:
        said, level = str(error), messages.ERROR
    if not request.htmx:  # type: ignore[attr-defined]
        messages.add_message(request, level, said)
        return redirect("study", slug)
    context = {"study": study, "progress": progress(study), "said": said, "refused": level == messages.ERROR}
    return render(request, "study/_judges.html", context)


def _chosen(study: Study, which: str) -> list[StudyJudge]:
    judges = asking.active_judges(study)
    chosen = [judge for judge in judges if which in ("", "all", str(judge.pk))]
    if not chosen:
        raise UserError("That judge is not asked in this study any more; reload the page to see which are.")
    return chosen


def _ask(study: Study, judges: list[StudyJudge]) -> str:
    asked = 0
    for judge in judges:
        if len(judges) == 1 and judge.status == StudyJudge.Status.PAUSED:
            raise UserError(f"{judge.judge} is paused; resume it, then ask again.")
        rater = judge.judge.rater
        asked += asking.want_verdicts(study, f"{rater.name}@{rater.version}")
    wake_workers()
    if asked:
        return f"{_verdicts(asked)} asked for; the worker is on it."
    return "Every verdict has been asked for already."


def _pause(study: Study, judges: list[StudyJudge]) -> str:
    return f"{_judges(asking.pause(judges))} paused. Calls on their way are finished; nothing else sets out."


def _resume(study: Study, judges: list[StudyJudge]) -> str:
    count = asking.resume([judge for judge in judges if judge.status == StudyJudge.Status.PAUSED])
    wake_workers()
    return f"{_judges(count)} resumed."


def _cancel(study: Study, judges: list[StudyJudge]) -> str:
    count = asking.cancel(judges)
    return (
        f"{_judges(len(judges))} cancelled; {_verdicts(count)} taken back. Calls on their way are finished."
    )


def _retry(study: Study, judges: list[StudyJudge]) -> str:
    asking.resume([judge for judge in judges if judge.status == StudyJudge.Status.CANCELLED])
    count = asking.retry_failed(judges)
    wake_workers()
    return f"{_verdicts(count)} that failed wanted again; the worker is on it."


def _judges(count: int) -> str:
    return "1 judge" if count == 1 else f"{count:,} judges"


def _verdicts(count: int) -> str:
    return "1 verdict" if count == 1 else f"{count:,} verdicts"


ACTIONS: dict[str, Callable[[Study, list[StudyJudge]], str]] = {
    "ask": _ask,
    "pause": _pause,
    "resume": _resume,
    "cancel": _cancel,
    "retry": _retry,
}
