"""The endpoints at which models are asked, and describing one. For superusers: where keys go is theirs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from arbiter.core.errors import UserError
from arbiter.core.jobkinds import ask_for_job
from arbiter.core.models import Job
from arbiter.web.forms.endpoints import CheckForm, EndpointForm
from arbiter.web.forms.fields import status_of
from arbiter.web.sign_in_pages import signed_in
from benchmark.endpoint_checks import KIND, EndpointCheckArguments, latest_checks
from benchmark.endpoints import EndpointMistake, update_endpoint
from benchmark.models import Endpoint, EndpointCheck
from judging.panel.asked_models import models_asked_at

PATIENCE = timedelta(seconds=5)  # that a check may wait for a worker, before the page says that none is there
P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def superusers_page(*methods: str) -> Callable[[View[P]], Callable[..., HttpResponse]]:
    """Make a view a page for superusers. Who is in a study is refused; for anybody else there is none."""

    def decorate(view: View[P]) -> Callable[..., HttpResponse]:
        @login_required
        @require_http_methods(list(methods))
        @wraps(view)
        def checked(request: HttpRequest, *args: P.args, **named: P.kwargs) -> HttpResponse:
            user = signed_in(request)
            if not user.is_superuser:
                raise PermissionDenied if user.memberships.exists() else Http404
            return view(request, *args, **named)

        return checked

    return decorate


@superusers_page("GET")
def show_all(request: HttpRequest) -> HttpResponse:
    rows = [(endpoint, latest_checks(endpoint)) for endpoint in Endpoint.objects.all()]
    return render(request, "web/endpoints/list.html", {"rows": rows})


@superusers_page("GET", "POST")
def make(request: HttpRequest) -> HttpResponse:
    form = EndpointForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and (saved := _saved(form)):
        messages.success(request, f"Endpoint {saved.name} is there now. Check it before much is asked of it.")
        return redirect("endpoint", saved.name)
    return render(request, "web/endpoints/new.html", {"form": form}, status=status_of(form))


@superusers_page("GET", "POST")
def show(request: HttpRequest, name: str) -> HttpResponse:
    """Show an endpoint, or save what was typed of it."""
    endpoint = get_object_or_404(Endpoint, name=name)
    sent = request.method == "POST"
    form = EndpointForm(request.POST if sent else None, endpoint=endpoint)
    if sent and _saved(form, endpoint):
        messages.success(request, "Saved. Calls that set out from now on go by it.")
        return redirect("endpoint", name)
    context = {"endpoint": endpoint, "form": form, "checking": _checking(endpoint)}
    return render(request, "web/endpoints/endpoint.html", context, status=status_of(form))


@dataclass(frozen=True)
class Checking:
    """How far an endpoint's checks are, as its page shows it."""

    endpoint: Endpoint
    models: list[str]  # that are asked there
    checks: list[EndpointCheck]  # the last of each model
    job: Job | None  # one that is not done yet, else the last where that failed
    unattended: bool

    @property
    def poll(self) -> bool:
        return self.job is not None and self.job.unfinished


def _checking(endpoint: Endpoint) -> Checking:
    last = Job.objects.filter(kind=KIND, arguments__endpoint=endpoint.name).order_by("-pk").first()
    job = last if last and (last.unfinished or last.state == Job.State.FAILED) else None
    waited = job is not None and job.state == Job.State.OPEN and timezone.now() - job.created_at > PATIENCE
    checks = latest_checks(endpoint)
    models = list(dict.fromkeys([*models_asked_at(endpoint), *(check.model for check in checks)]))
    return Checking(endpoint, models, checks, job, waited)


@superusers_page("GET")
def checks(request: HttpRequest, name: str) -> HttpResponse:
    """Show what checks found, which changes while one is under way."""
    checking = _checking(get_object_or_404(Endpoint, name=name))
    return render(request, "web/endpoints/_checks.html", {"checking": checking})


@superusers_page("POST")
def check(request: HttpRequest, name: str) -> HttpResponse:
    """Ask for a check of a model at the endpoint, which a worker makes."""
    endpoint = get_object_or_404(Endpoint, name=name)
    form = CheckForm(request.POST)
    if form.is_valid():
        asked = EndpointCheckArguments(endpoint.name, form.cleaned_data["model"])
        try:
            ask_for_job(KIND, asked, study=None, by=signed_in(request))
        except UserError as refusal:
            messages.error(request, str(refusal))
    else:
        messages.error(request, "Name the model that is to be checked.")
    return redirect(f"{reverse('endpoint', args=[name])}#checks")


def _saved(form: EndpointForm, endpoint: Endpoint | None = None) -> Endpoint | None:
    """Save what was typed; None where something is wrong with it, which the form then says."""
    if not form.is_valid():
        return None
    name = endpoint.name if endpoint else form.cleaned_data["name"]
    if endpoint is None and Endpoint.objects.filter(name=name).exists():
        form.add_error("name", f"There is an endpoint {name!r} already.")
        return None
    try:
        return update_endpoint(name, form.changes())
    except EndpointMistake as mistake:
        form.place(mistake)
        return None
