"""A study's judges: how far they are, what went wrong, and what their owner wants of them."""

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from annotation.access import OWNERS, READERS
from annotation.models import Membership, Study
from arbiter.core.errors import UserError
from arbiter.web.forms.fields import pressed
from arbiter.web.forms.queries import JudgingQuery
from arbiter.web.study.study_page import show_page, study_page
from judging.models import StudyJudge
from judging.panel import wanted_verdicts
from judging.panel.recent_troubles import troubles
from judging.panel.verdict_progress import progress
from judging.panel.waking import wake_workers


@study_page(READERS)
def show(request: HttpRequest, mine: Membership) -> HttpResponse:
    """Show the judges' part of the overview, which changes while they work."""
    study = mine.study
    seen = progress(study, JudgingQuery.read(request.GET)["still"])
    return show_page(request, mine, "web/study/_judges.html", {"progress": seen})


@study_page(READERS)
def errors(request: HttpRequest, mine: Membership) -> HttpResponse:
    """Show what went wrong lately with judges, which changes too, and more slowly."""
    study = mine.study
    return show_page(
        request,
        mine,
        "web/study/_troubles.html",
        {"progress": progress(study), "troubles": troubles(study)},
    )


@study_page(OWNERS, "POST")
def change_judging(request: HttpRequest, mine: Membership) -> HttpResponse:
    """Ask the judges, pause, resume or cancel them, or ask again for what failed: all of them, or one."""
    study = mine.study
    action, which = pressed(request.POST, ACTIONS)
    level = messages.SUCCESS
    try:
        said = ACTIONS[action or "ask"](study, _chosen(study, which))
    except UserError as error:
        said, level = str(error), messages.ERROR
    if not request.htmx:  # type: ignore[attr-defined]
        messages.add_message(request, level, said)
        return redirect("study", study.slug)
    context = {"progress": progress(study), "said": said, "refused": level == messages.ERROR}
    return show_page(request, mine, "web/study/_judges.html", context)


def _chosen(study: Study, which: str) -> list[StudyJudge]:
    judges = wanted_verdicts.active_judges(study)
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
        asked += wanted_verdicts.want_verdicts(study, f"{rater.name}@{rater.version}")
    wake_workers()
    if asked:
        return f"{_verdicts(asked)} asked for; the worker is on it."
    return "Every verdict has been asked for already."


def _pause(study: Study, judges: list[StudyJudge]) -> str:
    return (
        f"{_judges(wanted_verdicts.pause(judges))} paused. Calls on their way are finished; nothing else "
        "sets out."
    )


def _resume(study: Study, judges: list[StudyJudge]) -> str:
    woken = wanted_verdicts.wake_endpoints(
        [judge for judge in judges if judge.status == StudyJudge.Status.RUNNING]
    )
    count = wanted_verdicts.resume([judge for judge in judges if judge.status == StudyJudge.Status.PAUSED])
    wake_workers()
    if woken and not count:
        return "Asked again now; if the service is not ready, it says until when to wait."
    return f"{_judges(count)} resumed."


def _cancel(study: Study, judges: list[StudyJudge]) -> str:
    count = wanted_verdicts.cancel(judges)
    return (
        f"{_judges(len(judges))} cancelled; {_verdicts(count)} taken back. Calls on their way are finished."
    )


def _retry(study: Study, judges: list[StudyJudge]) -> str:
    wanted_verdicts.resume([judge for judge in judges if judge.status == StudyJudge.Status.CANCELLED])
    count = wanted_verdicts.retry_failed(judges)
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
