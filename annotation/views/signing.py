"""Signing in, by password or by a link; joining a study by invitation."""

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import UserCreationForm
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from annotation.access import (
    accept_invitation,
    from_this_machine,
    may_make_studies,
    spend_link,
    usable_link,
    use_link,
)
from annotation.models import Membership, Study
from benchmark.errors import UserError

BACKEND = "django.contrib.auth.backends.ModelBackend"


class NewPerson(UserCreationForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ["username"]


@login_required
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """The studies one is in, and what one is there for."""
    if request.user.is_superuser:
        rows = [(study, Membership.Role.OWNER.value) for study in Study.objects.all()]
    else:
        found = Membership.objects.filter(user=request.user.pk).select_related("study")
        rows = [(membership.study, membership.role) for membership in found]
    return render(request, "home.html", {"rows": rows, "may_make": may_make_studies(request.user)})


@require_GET
def sign_in_by_link(request: HttpRequest, token: str) -> HttpResponse:
    """Works once, before it expires, and only straight from this machine."""
    if not from_this_machine(request):
        spend_link(token)
        return refusal(request, "Sign-in links work only on the machine Arbiter runs on.", 403)
    try:
        link = usable_link(token)
        if link.user is None:
            return redirect("invitation", token)
        use_link(link)
    except UserError as error:
        return refusal(request, str(error), 410)
    login(request, link.user, backend=BACKEND)
    return redirect("home")


@require_http_methods(["GET", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Join as whoever is signed in, or make an account on the way."""
    try:
        link = usable_link(token)
    except UserError as error:
        return refusal(request, str(error), 410)
    if link.study is None:
        return redirect("sign-in-link", token)
    form = None if request.user.is_authenticated else NewPerson(request.POST or None)
    if request.method == "POST" and (form is None or form.is_valid()):
        try:
            with transaction.atomic():  # a link that was just used leaves no account behind
                user = form.save() if form else signed_in(request)
                study = accept_invitation(link, user)
        except UserError as error:
            return refusal(request, str(error), 410)
        if form:
            login(request, user, backend=BACKEND)
        messages.success(request, f"You have joined {study.title}.")
        return redirect("home")
    return render(request, "invitation.html", {"link": link, "form": form})


def signed_in(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def refusal(request: HttpRequest, message: str, status: int) -> HttpResponse:
    return render(request, "refusal.html", {"message": message}, status=status)
