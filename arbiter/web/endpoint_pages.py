"""The endpoints at which models are asked, and describing one. For superusers: where keys go is theirs."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from arbiter.web.forms.endpoints import EndpointForm
from arbiter.web.forms.fields import status_of
from arbiter.web.sign_in_pages import signed_in
from benchmark.endpoints import EndpointMistake, update_endpoint
from benchmark.models import Endpoint

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
    return render(request, "web/endpoints/list.html", {"endpoints": Endpoint.objects.all()})


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
    context = {"endpoint": endpoint, "form": form}
    return render(request, "web/endpoints/endpoint.html", context, status=status_of(form))


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
