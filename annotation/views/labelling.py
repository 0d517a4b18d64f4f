"""The raters' page. What it sends holds the task's own text and the response, under an opaque key, and nothing else of them."""

import secrets
from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.crypto import constant_time_compare, salted_hmac
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation import routing
from annotation.access import item_in, labelled
from annotation.models import Assignment, Item, Rater, Rating, Study
from annotation.raters import rater_of
from annotation.schemes import QUESTION
from annotation.views.signing import signed_in
from benchmark.errors import UserError

CONFIDENCE = {"1": 1.0, "2": 2.0, "3": 3.0}
LONGEST_ACTIVE = 24 * 3600.0


@login_required
@require_GET
@never_cache
def workspace(request: HttpRequest, slug: str) -> HttpResponse:
    study = labelled(request, slug)
    return _next(request, study, rater_of(signed_in(request)))


@login_required
@require_POST
def submit(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    """Write the label, then send the next item in the same answer."""

    def write(item: Item, rater: Rater) -> Rating:
        return routing.submit(item, rater, _submission(request, item, rater), _shown(item.study))

    return _act(request, slug, key, write)


@login_required
@require_POST
def skip(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    """Give the item back with a reason, then send the next one."""

    def give_back(item: Item, rater: Rater) -> None:
        _require_served(request, item, rater)
        routing.skip(item, rater, request.POST.get("reason", ""))

    return _act(request, slug, key, give_back)


def _act(
    request: HttpRequest, slug: str, key: str, act: Callable[[Item, Rater], Rating | None]
) -> HttpResponse:
    study = labelled(request, slug)
    rater = rater_of(signed_in(request))
    try:
        saved = act(item_in(study, key), rater)
    except UserError as error:
        return HttpResponse(str(error), status=422, content_type="text/plain; charset=utf-8")
    return _next(request, study, rater, saved)


@login_required
@require_POST
def keep(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    """The page's heartbeat: 204 while the place is the rater's, 409 once it has gone to somebody else."""
    study = labelled(request, slug)
    rater = rater_of(signed_in(request))
    own = Assignment.objects.filter(item__study=study, item__key=key, rater=rater).first()
    return HttpResponse(status=204 if own and routing.renew(own, rater) else 409)


def serving_key(item: Item, rater: Rater) -> str:
    """A submission's idempotency key, which also proves that this item was served to this rater."""
    nonce = secrets.token_urlsafe(12)
    return f"{nonce}.{_seal(nonce, item, rater)}"


def _seal(nonce: str, item: Item, rater: Rater) -> str:
    return salted_hmac("arbiter.serving", f"{nonce}:{item.key}:{rater.pk}").hexdigest()[:32]


def _require_served(request: HttpRequest, item: Item, rater: Rater) -> str:
    """The key the page was served with. Without one, raters could label whatever item's key they have come to see."""
    key = request.POST.get("submission", "")
    nonce, _, seal = key.partition(".")
    if not constant_time_compare(seal, _seal(nonce, item, rater)):
        raise UserError("The page is out of date, and nothing was saved: reload it.")
    return key


def _submission(request: HttpRequest, item: Item, rater: Rater) -> routing.Submission:
    label = request.POST.get("label", "")
    if not label:
        raise UserError("Choose a label first.")
    key = _require_served(request, item, rater)
    return routing.Submission(
        key=key,
        label=label,
        confidence=CONFIDENCE.get(request.POST.get("confidence", "")),
        rationale=request.POST.get("note", "").strip(),
        active_seconds=_seconds(request.POST.get("active_seconds", "")),
    )


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= LONGEST_ACTIVE else None


def _shown(study: Study) -> dict[str, Any]:
    return {
        "blind": True,
        "fields": ["category", "category question", "task", "response"],
        "scheme": str(study.scheme),
    }


def _next(request: HttpRequest, study: Study, rater: Rater, saved: Rating | None = None) -> HttpResponse:
    """The next item: as a fragment for htmx, as a page otherwise."""
    if request.method == "POST" and not request.htmx:  # type: ignore[attr-defined]
        return redirect("label", study.slug)
    assignment = routing.next_assignment(study, rater)
    context: dict[str, Any] = {"study": study, "progress": routing.progress(study, rater), "saved": saved}
    if assignment:
        context |= _item_context(item_in(study, assignment.item.key), rater)
    template = "label/_item.html" if request.htmx else "label/page.html"  # type: ignore[attr-defined]
    return render(request, template, context)


def _item_context(item: Item, rater: Rater) -> dict[str, Any]:
    task, response = item.response.task, item.response
    return {
        "key": item.key,
        "question": task.category.question or item.study.scheme.question or QUESTION,
        "category": task.category.title,
        "task_text": task.text,
        "response_text": response.text,
        "labels": list(item.study.scheme.labels.all()),
        "submission": serving_key(item, rater),
    }
