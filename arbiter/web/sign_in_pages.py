"""Signing in, by password or by a link; joining a study by invitation."""

from collections.abc import Callable
from functools import wraps

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from annotation.access import (
    accept_invitation,
    from_this_machine,
    may_label,
    may_make_studies,
    spend_link,
    usable_link,
    use_link,
)
from annotation.models import AccessLink, Membership, Study
from annotation.suiteaccess import owned_suites
from arbiter.core.errors import UserError
from arbiter.studies.reading.worklist import seer
from arbiter.web import throttle
from arbiter.web.error_answers import on_a_page
from arbiter.web.forms.accounts import NewPerson

View = Callable[[HttpRequest, str], HttpResponse]
BACKEND = "django.contrib.auth.backends.ModelBackend"


@login_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show the studies one is in, and what one is there for."""
    if request.user.is_superuser:
        rows = [(study, Membership.Role.OWNER.value) for study in Study.objects.all()]
    else:
        memberships = Membership.objects.filter(user=request.user.pk).select_related("study")
        rows = [(membership.study, membership.role) for membership in memberships]
    context = {
        "rows": [(study, role, may_label(study, role)) for study, role in rows],
        "may_make": may_make_studies(request.user),
        "owns_suites": bool(owned_suites(request.user)),
        "sees_work": not seer(request.user).nothing,
    }
    return render(request, "web/home.html", context)


def by_link(view: View) -> View:
    """Make a view the page of a link, for whoever has it: one that is none, or used, is told so."""

    @wraps(view)
    def checked(request: HttpRequest, token: str) -> HttpResponse:
        try:
            return view(request, token)
        except throttle.TooMany as error:
            return throttle.refused(request, error)
        except UserError as error:
            return useless(request, error)

    return require_http_methods(["GET", "HEAD", "POST"])(checked)


@by_link
def sign_in_by_link(request: HttpRequest, token: str) -> HttpResponse:
    """Sign in whom a link is for: once, before it expires, and only straight from this machine. Its page's
    button spends it, and nothing else does: whatever looks through mails and logs for links opens them
    too."""
    if not from_this_machine(request):
        if request.method == "POST":  # somebody meant it, and a proxy has it in its log now
            spend_link(token)
        return on_a_page(request, "Sign-in links work only on the machine Arbiter runs on.", 403)
    link = usable_link(token)
    if link.user is None:
        return redirect("invitation", token)
    if request.method != "POST":
        return render(request, "web/sign_in_link.html", {"link": link})
    use_link(link)
    login(request, link.user, backend=BACKEND)
    return redirect("home")


@by_link
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Join as whoever is signed in, or make an account on the way."""
    link = usable_link(token)
    if link.study is None:
        return redirect("sign-in-link", token)
    form = None if request.user.is_authenticated else NewPerson(request.POST or None)
    if request.method == "POST" and (form is None or form.is_valid()):
        return _joined(request, link, form)
    return render(request, "web/invitation.html", {"link": link, "form": form})


def _joined(request: HttpRequest, link: AccessLink, form: NewPerson | None) -> HttpResponse:
    if form:
        with throttle.hashing():  # before the transaction: what waits for its place holds no lock
            form.hash_password()
    with transaction.atomic():  # a link that was just used leaves no account behind
        user = form.save() if form else signed_in(request)
        study = accept_invitation(link, user)
    if form:
        throttle.Trying(request, user.get_username()).remember()
        login(request, user, backend=BACKEND)
    messages.success(request, f"You have joined {study.title}.")
    return redirect("home")


def useless(request: HttpRequest, error: UserError) -> HttpResponse:
    """Say that a link is none, or used: at most so often to whoever goes on trying others."""
    try:
        throttle.count_wrong_link(request)
    except throttle.TooMany as too_many:
        return throttle.refused(request, too_many)
    return on_a_page(request, str(error), 410)


def signed_in(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
