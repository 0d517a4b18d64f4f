"""A form that comes from an older page: after signing in again elsewhere, or after having been signed out. It
is not taken, and nothing that was typed is lost: the page shows it, and sends it again where it surely came
from a page of ours."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render, resolve_url
from django.utils.cache import add_never_cache_headers
from django.utils.http import url_has_allowed_host_and_scheme

from arbiter.web.error_answers import in_json

TOKEN = "csrfmiddlewaretoken"  # noqa: S105 - a field's name
SECRET = ("password", "secret")
FOREIGN = "Origin checking failed"
OLD = "This page is older than your present sign-in. Reload it; nothing is lost."
View = Callable[[HttpRequest], HttpResponseBase]


def expired(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form whose token no longer holds."""
    if request.content_type == "application/json":
        return in_json("signed-out", OLD, 403)
    foreign = reason.startswith(FOREIGN)
    # Browsers name the page's origin with every form, and Django has compared it by now; where none is named,
    # the form may be anybody's, and is not sent again on a click.
    ours = not foreign and request.headers.get("Origin", "null") != "null"
    return _page(request, foreign=foreign, may_send=ours)


def keeps_what_was_typed(get_response: View) -> View:
    """Return an answerer that gives back what was typed where a form met the sign-in page because its sender
    has been signed out."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        turned_away = request.method == "POST" and response.status_code == 302 and _to_sign_in(response)
        if turned_away and not request.user.is_authenticated and any(value for _, value in _fields(request)):
            return _page(request, foreign=False, may_send=True)
        return response

    return answer


def _to_sign_in(response: HttpResponseBase) -> bool:
    return response.headers.get("Location", "").startswith(f"{resolve_url('sign-in')}?")


def _page(request: HttpRequest, *, foreign: bool, may_send: bool) -> HttpResponse:
    fields = [] if foreign else _fields(request)
    secret = any(word in name.lower() for name in request.POST for word in SECRET)
    context: dict[str, Any] = {
        "foreign": foreign,
        "secret": secret,
        "files": bool(request.FILES),
        "back": _back(request),
        "fields": fields,
        "may_send": may_send and bool(fields) and not secret and not request.FILES,
        "typed": [(name.replace("_", " ").capitalize(), value) for name, value in fields if _is_text(value)],
    }
    response = render(request, "web/stale.html", context, status=403)
    response.headers["HX-Refresh"] = "true"  # a part of a page can't show this: the whole is loaded anew
    add_never_cache_headers(response)
    return response


def _fields(request: HttpRequest) -> list[tuple[str, str]]:
    """Return what was sent, as names and values, without tokens and secrets."""
    return [
        (name, value)
        for name, values in request.POST.lists()
        if name != TOKEN and not any(word in name.lower() for word in SECRET)
        for value in values
    ]


def _is_text(value: str) -> bool:
    """Tell whether somebody typed a value, rather than chose it."""
    return any(space in value.strip() for space in " \n")


def _back(request: HttpRequest) -> str:
    """Return the address of the page that the form was on, if it is one of ours; empty otherwise."""
    came = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(came, {request.get_host()}):
        return ""
    parts = urlsplit(came)
    back = f"{parts.path}?{parts.query}" if parts.query else parts.path
    # `//elsewhere`, a page of ours as far as its address went, would be another site's as a link.
    return back if url_has_allowed_host_and_scheme(back, None) else ""
