"""Work: all that goes on in this installation, and what is over lately, for whoever may see any of it."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from arbiter.core.errors import UserError
from arbiter.core.jobkinds import cancel_job
from arbiter.studies.reading.worklist import WorkItem, Worklist, WorkSeer, seer, worklist
from arbiter.web import collection_pages
from arbiter.web.forms.fields import pressed
from arbiter.web.sign_in_pages import signed_in
from arbiter.web.study import judging_controls
from judging.panel.wanted_verdicts import active_judges

ACTIONS = ("pause", "resume", "cancel")


def _seer(request: HttpRequest) -> WorkSeer:
    """Return whoever asks. Whoever may see nothing may not be here where they are in a study, and is told
    nothing where they are in none."""
    by = seer(request.user)
    if by.nothing:
        raise PermissionDenied if signed_in(request).memberships.exists() else Http404
    return by


@login_required
@require_GET
def show(request: HttpRequest) -> HttpResponse:
    return render(request, "web/work/page.html", {"work": worklist(_seer(request))})


@login_required
@require_GET
def progress(request: HttpRequest) -> HttpResponse:
    """Show how far all of it is, which changes all the time."""
    return render(request, "web/work/_work.html", {"work": worklist(_seer(request))})


@login_required
@require_POST
def change(request: HttpRequest) -> HttpResponse:
    by = _seer(request)
    said, refused = changed(request, worklist(by))
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("work")
    context = {"work": worklist(by), "said": said, "refused": refused}
    return render(request, "web/work/_work.html", context)


def changed(request: HttpRequest, work: Worklist) -> tuple[str, bool]:
    """Pause, resume or cancel what was pressed; return what is to be said of it, and whether it was
    refused."""
    action, key = pressed(request.POST, ACTIONS)
    item = next((one for one in work.under_way if one.key == key), None)
    if item is None or not getattr(item, f"{action}s", False):
        return "Nothing was changed: it is over by now, or not yours to change.", True
    try:
        return f"{item.title}: {CHANGES[item.kind](item, action)}", False
    except UserError as error:
        return str(error), True


def _change_job(item: WorkItem, action: str) -> str:
    cancel_job(item.of)
    return "cancelled; a worker that is at it stops within two seconds."


def _change_judges(item: WorkItem, action: str) -> str:
    return _lower(judging_controls.ACTIONS[action](item.of, active_judges(item.of)))


def _change_collection(item: WorkItem, action: str) -> str:
    return _lower(collection_pages.ACTIONS[action](item.of))


def _lower(said: str) -> str:
    return f"{said[0].lower()}{said[1:]}"


CHANGES: dict[str, Callable[[WorkItem, str], Any]] = {
    "job": _change_job,
    "judges": _change_judges,
    "collection": _change_collection,
    "plan": _change_collection,
}
