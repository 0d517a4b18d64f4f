"""The owner's page of people: members and invitations, how raters are getting on, and what each may do."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from annotation import enrolling, training
from annotation.access import Role, change_role, owned, role_in
from annotation.desk import enrolment_of
from annotation.humanplan import humans_of
from annotation.models import Enrolment, Membership, Study
from annotation.raters import rater_of
from annotation.routing import release
from benchmark.errors import UserError
from judging.people import figures as count_figures
from judging.people import people, person

DAYS = 7  # that an invitation is open, unless said otherwise


@login_required
@require_GET
def show(request: HttpRequest, slug: str) -> HttpResponse:
    """With the figures that take a while only where they are asked for: the page asks for them by itself."""
    study = owned(request, slug)
    context = _table(study, whole="figures" in request.GET) | {
        "roles": Membership.Role.choices, "invitations": enrolling.open_invitations(study), "days": DAYS,
        "most_days": enrolling.MOST_DAYS,
    }  # fmt: skip
    return render(request, "study/people.html", context)


@login_required
@require_GET
def figures(request: HttpRequest, slug: str) -> HttpResponse:
    study = owned(request, slug)
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(f"{_home(study)}?figures=1")
    return render(request, "study/_raters.html", _table(study, whole=True))


def _table(study: Study, *, whole: bool) -> dict[str, Any]:
    found = people(study)
    counted = count_figures(study) if whole else None
    return {
        "study": study, "tab": "people", "counted": counted, "training": humans_of(study).training,
        "raters": [(one, counted.raters.get(one.rater_id or 0) if counted else None) for one in found if one.labels],
        "others": [one for one in found if not one.labels],
    }  # fmt: skip


def _home(study: Study) -> str:
    return redirect("study-people", study.slug).url


@login_required
@require_GET
def rater(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One member: how they are getting on, and what their owner can do about it."""
    study = owned(request, slug)
    return render(request, "study/rater.html", _rater(study, _member(study, pk)))


def _rater(study: Study, member: Membership) -> dict[str, Any]:
    languages, categories = enrolling.offered(study)
    return {
        "study": study, "tab": "people", "member": member, "person": person(study, member), "plan": humans_of(study),
        "languages": languages, "categories": categories, "roles": Membership.Role.choices,
    }  # fmt: skip


def _member(study: Study, pk: int) -> Membership:
    return get_object_or_404(study.memberships.select_related("user"), pk=pk)


@login_required
@require_POST
def change(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Pause or resume somebody, release what they hold, limit what they are given, see them through the training."""
    study = owned(request, slug)
    member = _member(study, pk)
    action = next((name for name in ACTIONS if name in request.POST), "")
    try:
        if not action:
            raise UserError("Choose what to do.")
        enrolment = enrolment_of(study, rater_of(member.user))
        messages.success(request, ACTIONS[action](request, enrolment, member.user.get_username()))
    except UserError as error:
        messages.error(request, str(error))
    return redirect("study-rater", slug, pk)


def _pause(request: HttpRequest, one: Enrolment, name: str) -> str:
    enrolling.pause(one, True)
    return f"{name} is paused: they get nothing new, and may finish what they hold."


def _resume(request: HttpRequest, one: Enrolment, name: str) -> str:
    enrolling.pause(one, False)
    return f"{name} is given items again."


def _release(request: HttpRequest, one: Enrolment, name: str) -> str:
    count = release(one.study, one.rater)
    return (
        f"{count} place{'s' * (count != 1)} given back. Drafts stay, and a label that still comes is taken."
    )


def _limit(request: HttpRequest, one: Enrolment, name: str) -> str:
    given = request.POST.get("cap", "").strip()
    if given and not (given.isdecimal() and len(given) < 10):
        raise UserError(f"The most items somebody may label is a whole number, or empty; not {given[:40]!r}.")
    enrolling.limit(
        one, cap=int(given) if given else None, languages=request.POST.getlist("language"),
        categories=request.POST.getlist("category"),
    )  # fmt: skip
    return f"What {name} is given is limited as you say."


def _grant(request: HttpRequest, one: Enrolment, name: str) -> str:
    training.grant_round(one)
    return f"{name} has another training round."


def _wave(request: HttpRequest, one: Enrolment, name: str) -> str:
    training.wave_through(one)
    return f"{name} may label without passing the training."


ACTIONS: dict[str, Callable[[HttpRequest, Enrolment, str], str]] = {
    "pause": _pause,
    "resume": _resume,
    "release": _release,
    "limit": _limit,
    "grant": _grant,
    "wave": _wave,
}


@login_required
@require_POST
def member(request: HttpRequest, slug: str) -> HttpResponse:
    """Give somebody another role, or take them out."""
    study = owned(request, slug)
    name, role = request.POST.get("username", ""), request.POST.get("role", "")
    try:
        change_role(study, name, role)
        messages.success(
            request,
            f"{name} is {role} now." if role else f"{name} is out of the study; what they labelled stays.",
        )
    except UserError as error:
        messages.error(request, str(error))
    if role_in(study, request.user) != Role.OWNER:  # they changed their own
        return redirect("home")
    return redirect("study-people", slug)


@login_required
@require_POST
def invite(request: HttpRequest, slug: str) -> HttpResponse:
    """Make an invitation link; it is shown this once."""
    study = owned(request, slug)
    role, days = request.POST.get("role", ""), request.POST.get("days", str(DAYS))
    try:
        token = enrolling.invite(study, role, int(days) if days.isdecimal() and len(days) < 5 else 0)
    except UserError as error:
        messages.error(request, str(error))
        return redirect("study-people", slug)
    link = request.build_absolute_uri(f"/invitation/{token}")
    context = {"study": study, "tab": "people", "link": link, "role": role, "days": int(days)}
    return render(request, "study/invited.html", context)


@login_required
@require_POST
def revoke(request: HttpRequest, slug: str) -> HttpResponse:
    study = owned(request, slug)
    which = request.POST.get("invitation", "")
    try:
        enrolling.revoke(study, int(which) if which.isdecimal() and len(which) < 18 else 0)
        messages.success(request, "The invitation is revoked: its link works no more.")
    except UserError as error:
        messages.error(request, str(error))
    return redirect("study-people", slug)
