"""What every page of a study begins and ends with: who may open it, what is said of a refusal, what its
template is given."""

from collections.abc import Callable, Collection, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from csp.decorators import csp_replace
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from annotation.access import membership_in
from annotation.models import Membership
from arbiter.core.errorkinds import notice_of
from arbiter.core.errors import UserError
from arbiter.web.error_answers import answer, speaks_json
from benchmark.importunderway import ImportUnderWay

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, Membership, P], HttpResponseBase]


def study_page(
    roles: Collection[str], *methods: str, back: str = "", status: int = 404
) -> Callable[[View[P]], Callable[..., HttpResponseBase]]:
    """Make a view a page of a study (by GET, unless said otherwise), for its members in one of the roles.

    The view is given the membership of whoever asks, with the study. A stranger gets 404, a member in none of
    the roles 403. What the view refuses is said as a message on the page named `back` (`name#part`), or alone
    on a page, with the status, where its kind has no truer one."""

    def decorate(view: View[P]) -> Callable[..., HttpResponseBase]:
        @login_required
        @require_http_methods(list(methods) or ["GET"])
        @wraps(view)
        def checked(request: HttpRequest, slug: str, **named: Any) -> HttpResponseBase:
            mine = membership_in(request, slug, roles)
            try:
                return view(request, mine, **named)  # type: ignore[call-arg]
            except UserError as error:
                if not back:
                    return _refused(request, mine, error, status)
                messages.error(request, notice_of(error).message)
                return redirect(address(back, slug=slug, **named))

        return checked

    return decorate


def _refused(request: HttpRequest, mine: Membership, error: UserError, status: int) -> HttpResponse:
    if isinstance(error, ImportUnderWay) and not speaks_json(request):
        told = notice_of(error)
        return show_page(request, mine, "web/study/importing.html", {"message": told.message}, told.status)
    return answer(request, error, status if error.kind == UserError.kind else 0)


def address(page: str, **named: Any) -> str:
    """Return where a page is that is named as `name`, or as `name#part`."""
    name, number_sign, part = page.partition("#")
    return reverse(name, kwargs=named) + number_sign + part


def show_page(
    request: HttpRequest, mine: Membership, template: str, context: Mapping[str, Any], status: int = 200
) -> HttpResponse:
    """Render a study's page, which also needs to know the study and the reader's role in it."""
    context = {"study": mine.study, "role": mine.role, **context}
    return render(request, template, context, status=status)


def with_own_style(request: HttpRequest, answer: HttpResponseBase, style: str) -> HttpResponseBase:
    """Give an answer that has its style sheet and pictures in itself the policy that lets them be, the sheet
    by its hash."""
    allowed = csp_replace({"style-src": [style], "img-src": ["data:"]})
    allowed_answer: HttpResponseBase = allowed(lambda _: answer)(request)
    return allowed_answer
