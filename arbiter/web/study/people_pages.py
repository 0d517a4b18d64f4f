"""The owner's page of people: members and invitations, how raters are getting on, and what each may do."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from annotation import access, enrolments, training
from annotation.access import OWNERS, Role, change_role, password_path, refuse_reset, role_in
from annotation.enrolments import enrolment_of
from annotation.humanplan import humans_of
from annotation.models import Enrolment, Membership, Study
from annotation.raters import rater_of
from annotation.routing import release
from arbiter.core.errors import UserError
from arbiter.core.text import storable
from arbiter.studies.reading.participants import participant, participant_figures, participants
from arbiter.web.forms.fields import pressed, status_of
from arbiter.web.forms.owners import InvitationForm, LimitsForm, RevocationForm, RoleForm
from arbiter.web.forms.queries import PeopleQuery
from arbiter.web.sign_in_pages import signed_in
from arbiter.web.study.study_page import show_page, study_page


@study_page(OWNERS)
def show(request: HttpRequest, mine: Membership) -> HttpResponse:
    """Show the people of the study, with the figures that take a while only where they are asked for: the
    page asks for them by itself."""
    return _page(request, mine, InvitationForm())


def _page(request: HttpRequest, mine: Membership, inviting: InvitationForm) -> HttpResponse:
    study = mine.study
    context = _table(study, whole=PeopleQuery.read(request.GET)["figures"])
    context |= {"invitations": access.open_invitations(study), "inviting": inviting}
    return show_page(request, mine, "web/study/people.html", context, status_of(inviting))


@study_page(OWNERS)
def figures(request: HttpRequest, mine: Membership) -> HttpResponse:
    study = mine.study
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(f"{_home(study)}?figures=1")
    return show_page(request, mine, "web/study/_raters.html", _table(study, whole=True))


def _table(study: Study, *, whole: bool) -> dict[str, Any]:
    everybody = participants(study)
    counted = participant_figures(study) if whole else None
    return {
        "tab": "people",
        "counted": counted,
        "training": humans_of(study).training,
        "raters": [
            (one, counted.raters.get(one.rater_id or 0) if counted else None)
            for one in everybody
            if one.labels
        ],
        "others": [one for one in everybody if not one.labels],
    }


def _home(study: Study) -> str:
    return redirect("study-people", study.slug).url


@study_page(OWNERS)
def rater(request: HttpRequest, mine: Membership, pk: int) -> HttpResponse:
    """Show one member: how they are getting on, and what their owner can do about it."""
    return _rater(request, mine, _member(mine.study, pk))


def _rater(
    request: HttpRequest,
    mine: Membership,
    member: Membership,
    *,
    limiting: LimitsForm | None = None,
    role: RoleForm | None = None,
) -> HttpResponse:
    """Return a member's page, with the form that was sent and refused."""
    study, name = mine.study, member.user.get_username()
    shown, plan = participant(study, member), humans_of(study)
    limiting = limiting or _limits(study, shown.enrolment)
    limiting.fields["cap"].widget.attrs["placeholder"] = str(plan.per_rater or "no limit")
    role = role or RoleForm(initial={"username": name, "role": member.role})
    context = {
        "tab": "people",
        "member": member,
        "person": shown,
        "plan": plan,
        "limiting": limiting,
        "changing": role,
    }
    return show_page(request, mine, "web/study/rater.html", context, status_of(limiting, role))


def _limits(study: Study, enrolment: Enrolment | None, sent: Any = None) -> LimitsForm:
    """Return the form of what somebody may be given, with what was sent, or else with the limits they
    have."""
    languages, categories = enrolments.offered(study)
    now = (
        {"cap": enrolment.cap, "language": enrolment.languages, "category": enrolment.categories}
        if enrolment
        else {}
    )
    return LimitsForm(sent, languages=languages, categories=categories, initial=now)


def _member(study: Study, pk: int) -> Membership:
    return get_object_or_404(study.memberships.select_related("user"), pk=pk)


@study_page(OWNERS, "POST", back="study-rater")
def change_participation(request: HttpRequest, mine: Membership, pk: int) -> HttpResponse:
    """Pause or resume somebody, release what they hold, limit what they are given, see them through the
    training."""
    study = mine.study
    member = _member(study, pk)
    action, _ = pressed(request.POST, [*ACTIONS, LIMIT])
    if not action:
        raise UserError("Choose what to do.")
    enrolment, name = enrolment_of(study, rater_of(member.user)), member.user.get_username()
    if action != LIMIT:
        messages.success(request, ACTIONS[action](enrolment, name))
        return redirect("study-rater", study.slug, pk)
    form = _limits(study, enrolment, request.POST)
    with form.refusals("cap"):
        if form.is_valid():
            limits = form.cleaned_data
            enrolments.limit(
                enrolment,
                cap=limits["cap"],
                languages=limits["language"],
                categories=limits["category"],
            )
            messages.success(request, f"What {name} is given is limited as you say.")
            return redirect("study-rater", study.slug, pk)
    return _rater(request, mine, member, limiting=form)


def _pause(one: Enrolment, name: str) -> str:
    enrolments.pause(one, True)
    return f"{name} is paused: they get nothing new, and may finish what they hold."


def _resume(one: Enrolment, name: str) -> str:
    enrolments.pause(one, False)
    return f"{name} is given items again."


def _release(one: Enrolment, name: str) -> str:
    count = release(one.study, one.rater)
    return (
        f"{count} place{'s' * (count != 1)} given back. Drafts stay, and a label that still comes is taken."
    )


def _grant(one: Enrolment, name: str) -> str:
    training.grant_round(one)
    return f"{name} has another training round."


def _wave(one: Enrolment, name: str) -> str:
    training.wave_through(one)
    return f"{name} may label without passing the training."


LIMIT = "limit"
ACTIONS: dict[str, Callable[[Enrolment, str], str]] = {
    "pause": _pause,
    "resume": _resume,
    "release": _release,
    "grant": _grant,
    "wave": _wave,
}


@study_page(OWNERS, "POST", back="study-rater")
def password(request: HttpRequest, mine: Membership, pk: int) -> HttpResponse:
    """Make a link by which a member sets their password, once; it is shown this once."""
    study = mine.study
    person_ = _member(study, pk).user
    refuse_reset(signed_in(request), person_)
    context = {
        "tab": "people",
        "link": request.build_absolute_uri(password_path(person_)),
        "person": person_,
        "pk": pk,
        "hours": settings.PASSWORD_RESET_TIMEOUT // 3600,
    }
    return show_page(request, mine, "web/study/password_link.html", context)


@study_page(OWNERS, "POST", back="study-people")
def member(request: HttpRequest, mine: Membership) -> HttpResponse:
    """Give somebody another role, or take them out."""
    study, form = mine.study, RoleForm(request.POST)
    form.full_clean()
    name, role = form.cleaned_data["username"], form.cleaned_data["role"]
    try:
        change_role(study, name, role)
    except UserError as refusal:
        theirs = study.memberships.select_related("user").filter(user__username=storable(name)[0]).first()
        if theirs is None:
            raise
        form.add_error("role", str(refusal))
        return _rater(request, mine, theirs, role=form)
    messages.success(
        request,
        f"{name} is {role} now." if role else f"{name} is out of the study; what they labelled stays.",
    )
    if role_in(study, request.user) != Role.OWNER:  # they changed their own
        return redirect("home")
    return redirect("study-people", study.slug)


@study_page(OWNERS, "POST")
def invite(request: HttpRequest, mine: Membership) -> HttpResponse:
    """Make an invitation link; it is shown this once."""
    form = InvitationForm(request.POST)
    if not form.is_valid():
        return _page(request, mine, form)
    role, days = form.cleaned_data["role"], form.cleaned_data["days"]
    link = request.build_absolute_uri(f"/invitation/{access.invite(mine.study, role, days)}")
    context = {"tab": "people", "link": link, "invited_as": role, "days": days}
    return show_page(request, mine, "web/study/invited.html", context)


@study_page(OWNERS, "POST", back="study-people")
def revoke(request: HttpRequest, mine: Membership) -> HttpResponse:
    study = mine.study
    access.revoke_invitation(study, RevocationForm.read(request.POST)["invitation"])
    messages.success(request, "The invitation is revoked: its link works no more.")
    return redirect("study-people", study.slug)
