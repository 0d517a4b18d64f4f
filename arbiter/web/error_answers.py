"""Errors as the web tells them: for people a page, for whoever speaks JSON the one shape of an error, with a
true status."""

import sys
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views import defaults

from arbiter.core.errorkinds import ERROR_KINDS, notice_of


def speaks_json(request: HttpRequest) -> bool:
    """Tell whether a page's module, htmx or a program asks: what it could do with a page of HTML is harm."""
    accepted = request.headers.get("Accept", "")
    if request.content_type == "application/json" or request.headers.get("HX-Request"):
        return True
    return "json" in accepted and "text/html" not in accepted


def in_json(kind: str, message: str, status: int = 0, **more: Any) -> JsonResponse:
    """Return the one shape of an error: what kind it is, for the page, and a sentence, for the person."""
    return JsonResponse({"kind": kind, "error": message, **more}, status=status or ERROR_KINDS[kind].status)


def on_a_page(request: HttpRequest, message: str, status: int) -> HttpResponse:
    return render(request, "web/refusal.html", {"message": message}, status=status)


def answer(request: HttpRequest, error: Exception, status: int = 0) -> HttpResponse:
    """Tell of an error that a view raised; with a status that says more than that of its kind."""
    said = notice_of(error)
    if speaks_json(request):
        return in_json(said.kind, said.message, status)
    return on_a_page(request, said.message, status or said.status)


# Those that no view answered


def broken(request: HttpRequest) -> HttpResponse:
    """Answer an error that no view answered, as Django's handler500: called while the error is being handled.
    Uses no database, as that may be what is broken."""
    reads = request.method in ("GET", "HEAD")
    said = notice_of(sys.exc_info()[1], sent=not reads)
    kind = ERROR_KINDS[said.kind]
    if speaks_json(request):
        response: HttpResponse = in_json(said.kind, said.message)
    else:
        page = render_to_string(
            "web/trouble.html", {"title": kind.title, "message": said.message, "again": reads}
        )
        response = HttpResponse(page, status=kind.status)
    if kind.retry_after:
        response.headers["Retry-After"] = kind.retry_after
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if speaks_json(request):
        return in_json("refused", ERROR_KINDS["unreadable"].what, ERROR_KINDS["unreadable"].status)
    return defaults.bad_request(request, exception)


def forbidden(request: HttpRequest, exception: Any = None) -> HttpResponse:
    if speaks_json(request):
        return in_json("not-allowed", ERROR_KINDS["not-allowed"].what)
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Any = None) -> HttpResponse:
    if speaks_json(request):
        return in_json("not-found", ERROR_KINDS["not-found"].what)
    return defaults.page_not_found(request, exception)
