"""Who may use which suite: for superusers, of all suites, and for a suite's owner, of that one."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from annotation.models import SuiteAccess
from annotation.suiteaccess import access_to, grant, revoke, somebody_known_to
from arbiter.web.forms.fields import status_of
from arbiter.web.forms.owners import AccessForm, SuiteQuery, SuiteUserForm
from arbiter.web.sign_in_pages import signed_in
from arbiter.web.suite_owners import suites_of_owner


@login_required
@require_GET
def show(request: HttpRequest) -> HttpResponse:
    return _page(request, suites_of_owner(request))


def _page(request: HttpRequest, owned: list[str], sent: SuiteUserForm | None = None) -> HttpResponse:
    """Return the page of the suites, with the form that was sent in its suite's place."""
    rows = list(access_to(owned))
    forms = {slug: SuiteUserForm(slug=slug) for slug in owned} | ({sent.slug: sent} if sent else {})
    suites = [(slug, [row for row in rows if row.suite == slug], forms[slug]) for slug in owned]
    return render(request, "web/suites.html", {"suites": suites}, status=status_of(*forms.values()))


@login_required
@require_POST
def give(request: HttpRequest) -> HttpResponse:
    owned, slug = suites_of_owner(request), SuiteQuery.read(request.POST)["suite"]
    if slug not in owned:
        messages.error(request, f"There is no suite {slug[:80]!r} that you own.")
        return redirect("suites")
    form = SuiteUserForm(request.POST, slug=slug)
    with form.refusals("username"):
        if form.is_valid():
            messages.success(request, _granted(slug, form.cleaned_data, signed_in(request)))
            return redirect("suites")
    return _page(request, owned, form)


def _granted(slug: str, asked: dict[str, Any], by: User) -> str:
    """Let somebody use the suite, or own it, and return what to say of it."""
    user = somebody_known_to(by, asked["username"])
    if not grant(slug, user, owner=asked["owner"], by=by):
        return "That was so already."
    return f"{user.get_username()} {'owns' if asked['owner'] else 'may use'} {slug} now."


@login_required
@require_POST
def take(request: HttpRequest) -> HttpResponse:
    """End somebody's or a study's use of a suite. A suite may be left without an owner: superusers remain."""
    owned, pk = suites_of_owner(request), AccessForm.read(request.POST)["access"]
    row = SuiteAccess.objects.filter(pk=pk, suite__in=owned).first()
    if row:
        revoke(row)
        messages.success(request, f"{row.suite}: ended. What a study has already stays.")
    else:
        messages.error(request, "There is no such access to a suite of yours; it may have ended meanwhile.")
    return redirect("suites")
