"""Collections of responses, and plans of several: for superusers, all of them, and for a suite's owner, those
of that suite."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from arbiter.calls.record_texts import cut
from arbiter.web.forms.fields import pressed
from arbiter.web.forms.queries import JudgingQuery, ResponsesQuery
from arbiter.web.suite_owners import suites_of_owner
from arbiter.web.text_files import text_to_keep
from benchmark.collection import wanted_responses
from benchmark.collection.collect_progress import (
    CollectingProgress,
    collection_progress,
    collections_of,
    plan_progress,
)
from benchmark.collection.collect_troubles import collection_troubles
from benchmark.collection.collected_runs import not_sent
from benchmark.collection.response_record import asked_of, calls_for, find_response, raw_answer
from benchmark.collection.waking_collectors import wake_collectors
from benchmark.collection.wanted_responses import Collecting
from benchmark.models import Collection, CollectionPlan, Response

PAGE = 50
MILLION = 10**6
RELATED = ("plan__suite", "run__suite", "run__subject", "run__condition", "run__endpoint")
P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, Collection, P], HttpResponse]
PlanView = Callable[[HttpRequest, CollectionPlan], HttpResponse]


def collection_page(method: str = "GET") -> Callable[[View[P]], Callable[..., HttpResponse]]:
    """Make a view a page of a collection, for superusers and the owners of its suite; for anybody else there
    is none."""

    def decorate(view: View[P]) -> Callable[..., HttpResponse]:
        @login_required
        @require_http_methods([method])
        @wraps(view)
        def checked(request: HttpRequest, collection: int, **named: Any) -> HttpResponse:
            mine = Collection.objects.filter(run__suite__slug__in=suites_of_owner(request))
            found = mine.select_related(*RELATED).filter(pk=collection).first()
            if found is None:
                raise Http404
            return view(request, found, **named)  # type: ignore[call-arg]

        return checked

    return decorate


def plan_page(method: str = "GET") -> Callable[[PlanView], Callable[..., HttpResponse]]:
    """Make a view a page of a plan, for the same people."""

    def decorate(view: PlanView) -> Callable[..., HttpResponse]:
        @login_required
        @require_http_methods([method])
        @wraps(view)
        def checked(request: HttpRequest, plan: int) -> HttpResponse:
            mine = CollectionPlan.objects.filter(suite__slug__in=suites_of_owner(request))
            found = mine.select_related("suite").filter(pk=plan).first()
            if found is None:
                raise Http404
            return view(request, found)

        return checked

    return decorate


@login_required
@require_GET
def show_all(request: HttpRequest) -> HttpResponse:
    rows = collections_of(suites_of_owner(request))
    return render(request, "web/collections/list.html", {"rows": rows})


@collection_page()
def show(request: HttpRequest, collection: Collection) -> HttpResponse:
    sampling = collection.run.condition.sampling
    context = {
        "collection": collection,
        "progress": collection_progress(collection),
        "troubles": collection_troubles(collection),
        "sampling": json.dumps(sampling, ensure_ascii=False) if sampling else "",
        "not_sent": not_sent(collection.run),
        "million": _for_a_million(collection),
    }
    return render(request, "web/collections/collection.html", context)


def _for_a_million(collection: Collection) -> dict[str, int | None]:
    """Return what a million tokens cost, of each kind."""
    names = ("input", "output", "cached")
    prices = {name: getattr(collection, f"{name}_price") for name in names}
    return {name: None if price is None else price * MILLION for name, price in prices.items()}


@collection_page()
def progress(request: HttpRequest, collection: Collection) -> HttpResponse:
    """Show how far the collection is, which changes while it is worked on."""
    seen = collection_progress(collection, JudgingQuery.read(request.GET)["still"])
    return render(request, "web/collections/_progress.html", {"progress": seen})


@collection_page()
def errors(request: HttpRequest, collection: Collection) -> HttpResponse:
    """Show what went wrong lately, which changes too, and more slowly."""
    return _errors(request, collection_progress(collection))


@collection_page("POST")
def change(request: HttpRequest, collection: Collection) -> HttpResponse:
    """Pause, resume or cancel the collection, or ask again for what failed. Of an arm, lead to its plan."""
    if collection.plan:
        messages.error(
            request, f"Nothing was changed: it is an arm of {collection.plan}, changed as one here."
        )
        return redirect("collection-plan", collection.plan.pk)
    return _change(request, collection, lambda: collection_progress(collection), "collection")


@plan_page()
def show_plan(request: HttpRequest, plan: CollectionPlan) -> HttpResponse:
    context = {"plan": plan, "progress": plan_progress(plan), "troubles": collection_troubles(plan)}
    return render(request, "web/collections/plan.html", context)


@plan_page()
def plan_progress_part(request: HttpRequest, plan: CollectionPlan) -> HttpResponse:
    """Show how far the plan and its arms are, which changes while they are worked on."""
    seen = plan_progress(plan, JudgingQuery.read(request.GET)["still"])
    return render(request, "web/collections/_progress.html", {"progress": seen})


@plan_page()
def plan_errors(request: HttpRequest, plan: CollectionPlan) -> HttpResponse:
    return _errors(request, plan_progress(plan))


@plan_page("POST")
def change_plan(request: HttpRequest, plan: CollectionPlan) -> HttpResponse:
    """Pause, resume or cancel the plan, or ask again for what failed in any arm."""
    return _change(request, plan, lambda: plan_progress(plan), "collection-plan")


def _errors(request: HttpRequest, progress: CollectingProgress) -> HttpResponse:
    context = {"progress": progress, "troubles": collection_troubles(progress.of)}
    return render(request, "web/collections/_troubles.html", context)


def _change(
    request: HttpRequest, of: Collecting, look: Callable[[], CollectingProgress], page: str
) -> HttpResponse:
    action, _ = pressed(request.POST, ACTIONS)
    said = ACTIONS[action](of) if action else ""
    if not request.htmx:  # type: ignore[attr-defined]
        if said:
            messages.success(request, said)
        return redirect(page, of.pk)
    of.refresh_from_db()
    return render(request, "web/collections/_progress.html", {"progress": look(), "said": said})


def _pause(of: Collecting) -> str:
    wanted_responses.pause(of)
    return "Paused. Calls on their way are finished; nothing else sets out."


def _resume(of: Collecting) -> str:
    wanted_responses.resume(of)
    wake_collectors()
    return "Resumed; a worker that runs takes it up."


def _cancel(of: Collecting) -> str:
    count = wanted_responses.cancel(of)
    return f"Cancelled; {_responses(count)} taken back. Calls on their way are finished."


def _retry(of: Collecting) -> str:
    wanted_responses.uncancel(of)
    count = wanted_responses.retry_failed(of)
    wake_collectors()
    return f"{_responses(count)} that failed wanted again; a worker that runs takes them up."


def _responses(count: int) -> str:
    return "1 response" if count == 1 else f"{count:,} responses"


ACTIONS: dict[str, Callable[[Collecting], str]] = {
    "pause": _pause,
    "resume": _resume,
    "cancel": _cancel,
    "retry": _retry,
}


@collection_page()
def responses(request: HttpRequest, collection: Collection) -> HttpResponse:
    """Show responses in the order in which they are asked for, a page at a time by key."""
    asked = ResponsesQuery.read(request.GET)
    rows = Response.objects.filter(run=collection.run_id, pk__gt=asked["after"])
    rows = rows.filter(state=asked["state"]) if asked["state"] else rows
    page = list(rows.select_related("task").order_by("pk")[: PAGE + 1])
    kept = {"state": asked["state"]}
    context = {
        "collection": collection,
        "state": asked["state"],
        "states": Response.State.values,
        "page": page[:PAGE],
        "first": urlencode(kept),
        "next": len(page) > PAGE and urlencode(kept | {"after": page[PAGE - 1].pk}),
    }
    return render(request, "web/collections/responses.html", context)


@collection_page()
def response(request: HttpRequest, collection: Collection, response: int) -> HttpResponse:
    """Show a response with every call that was made for it."""
    found = _found(collection, response)
    asked = asked_of(found)
    context = {
        "collection": collection,
        "response": found,
        "text": cut(found.text),
        "reasoning": cut(found.reasoning),
        "asked": asked,
        "calls": calls_for(found, asked),
    }
    return render(request, "web/collections/response.html", context)


@collection_page()
def raw(request: HttpRequest, collection: Collection, response: int, attempt: int) -> HttpResponse:
    """Send the body of one call's answer as it came, however long, to keep or to look at elsewhere."""
    body = raw_answer(_found(collection, response), attempt)
    if body is None:
        raise Http404
    return text_to_keep(body, f"response-{response}-attempt-{attempt}.txt")


def _found(collection: Collection, pk: int) -> Response:
    found = find_response(collection, pk)
    if found is None:
        raise Http404
    return found
