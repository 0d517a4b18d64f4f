"""The adjudication room: a queue, one item with its ratings side by side, and what it was once it is decided.

Until an adjudicator has decided an item, nothing here names its model, condition, run or task, or leads to a page that does.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.access import adjudicated, item_in
from annotation.adjudicating import MOST_EXTRA, adjudicate, may_settle, refer, sent_back
from annotation.humanplan import humans_of
from annotation.models import Adjudication, Item, Rater, Study
from annotation.raters import rater_of
from annotation.schemes import QUESTION
from annotation.views.signing import signed_in
from benchmark.errors import UserError
from judging.panel.record import LONGEST
from judging.settlement import disputes
from judging.settlement.disputes import KINDS, Filters
from judging.settlement.opinions import side_by_side
from judging.settlement.settling import settle_items
from judging.views.numbers import whole

PAGE = 50


def filters_of(request: HttpRequest) -> Filters:
    kind = request.GET.get("kind", "")
    if kind not in KINDS:
        raise Http404("There is no such kind of dispute.")
    return Filters(kind, whole(request, "category"), request.GET.get("language", "")[:20])


def address(name: str, slug: str, filters: Filters, *keys: str) -> str:
    """The page's, with the filters carried along."""
    given = urlencode(filters.given())
    return reverse(name, args=[slug, *keys]) + (f"?{given}" if given else "")


@login_required
@never_cache
@require_GET
def queue(request: HttpRequest, slug: str) -> HttpResponse:
    study = adjudicated(request, slug)
    filters = filters_of(request)
    found = disputes.queue(study, rater_of(signed_in(request)), filters)
    page = Paginator(found.rows, PAGE).get_page(whole(request, "page", 6) or 1)
    context = {
        "study": study, "tab": "adjudicate", "page": page, "count": len(found.rows), "filters": filters, "queue": found,
        "kinds": [(key, name) for key, (name, _) in KINDS.items()], "query": urlencode(filters.given()),
        "waiting": disputes.waiting(study), "reasons": reasons_of(list(page.object_list)) if filters.kind == "unclear" else {},
        "unlabelled": not found.rows and not study.items.filter(human_votes__gt=0).exists(),
    }  # fmt: skip
    return render(request, "adjudicate/queue.html", context)


def reasons_of(rows: Sequence[disputes.Dispute]) -> dict[int, str]:
    """Of their newest decisions, in the order they were made."""
    found = Adjudication.objects.filter(item__in=[row.pk for row in rows]).order_by("revision")
    return dict(found.values_list("item", "reason"))


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def decide(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    """One item with its ratings side by side; a decision settles it at once."""
    study = adjudicated(request, slug)
    item, by, filters, error = item_in(study, key), rater_of(signed_in(request)), filters_of(request), ""
    if request.method == "POST":
        try:
            settle_by_decision(item, by, request)
            return redirect(address("adjudicate-decided", slug, filters, key))
        except UserError as refusal:
            error = str(refusal)
    return item_page(request, item, by, filters, error)


def settle_by_decision(item: Item, by: Rater, request: HttpRequest) -> None:
    with transaction.atomic():
        adjudicate(
            item,
            by,
            request.POST.get("label", ""),
            request.POST.get("reason", ""),
            guideline_unclear="guideline_unclear" in request.POST,
            seen=_seen(request),
        )
        settle_items(item.study, [item.pk])


def _seen(request: HttpRequest) -> int | None:
    given = request.POST.get("seen", "")
    return int(given) if given.isdecimal() and len(given) < 9 else None


def item_page(request: HttpRequest, item: Item, by: Rater, filters: Filters, error: str) -> HttpResponse:
    decisions = list(item.adjudications.select_related("label").order_by("-revision"))
    is_sent_back = Item.objects.filter(sent_back(), pk=item.pk).exists()
    context = reading(item) | place_of(item, by, filters) | {
        "labels": item.study.scheme.labels.all(), "decisions": decisions, "error": error,
        "question": item.response.task.category.question or item.study.scheme.question or QUESTION,
        "seen": decisions[0].revision if decisions else 0, "own": not may_settle(item, by), "sent_back": is_sent_back,
        "referrals": item.referrals.order_by("-id"), "most_extra": MOST_EXTRA, "given": request.POST,
        "decided_by_me": any(decision.adjudicator_id == by.pk for decision in decisions),
    }  # fmt: skip
    return render(request, "adjudicate/item.html", context, status=422 if error else 200)


def reading(item: Item) -> dict[str, Any]:
    """The item as its raters read it, and what they said."""
    response, show = item.response, humans_of(item.study).show
    return {
        "study": item.study, "tab": "adjudicate", "item": item, "task": response.task, "response": response,
        "side_by_side": side_by_side(item), "longest": LONGEST, "is_cut": len(response.text) > LONGEST,
        "reasoning": response.reasoning[:LONGEST] if "reasoning" in show else "",
        "simulated": response.simulated,
    }  # fmt: skip


def place_of(item: Item, by: Rater, filters: Filters) -> dict[str, Any]:
    """Where the item stands in the queue, and where to go from it."""
    found = disputes.queue(item.study, by, filters)
    this = disputes.read(Item.objects.filter(pk=item.pk))[0]
    place = next((n for n, row in enumerate(found.rows, start=1) if row.pk == item.pk), None)
    following, slug = found.after(this), item.study.slug
    return {
        "dispute": this, "place": place, "left": len(found.rows), "query": urlencode(filters.given()),
        "next_url": address("adjudicate-item", slug, filters, following.key) if following else "",
        "queue_url": address("adjudicate", slug, filters),
    }  # fmt: skip


@login_required
@never_cache
@require_POST
def send_back(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    """More raters for the item; then the next one."""
    study = adjudicated(request, slug)
    item, by, filters = item_in(study, key), rater_of(signed_in(request)), filters_of(request)
    following = place_of(item, by, filters)["next_url"]
    extra = request.POST.get("extra", "")
    try:
        made = refer(
            item, by, request.POST.get("back", ""), int(extra) if extra.isdecimal() and len(extra) < 4 else 0
        )
    except UserError as refusal:
        return item_page(request, item, by, filters, str(refusal))
    more = f"{made.extra} more raters have" if made.extra > 1 else "one more rater has"
    messages.success(request, f"Sent back. It returns to the queue when {more} labelled it.")
    return redirect(following or address("adjudicate", slug, filters))


@login_required
@never_cache
@require_GET
def decided(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    """What the item was, to those who have decided it. Others may yet decide it again, and so don't see it."""
    study: Study = adjudicated(request, slug)
    item, by, filters = item_in(study, key), rater_of(signed_in(request)), filters_of(request)
    decision = item.adjudications.filter(adjudicator=by).select_related("label").order_by("-revision").first()
    if decision is None:
        return redirect(address("adjudicate-item", slug, filters, key))
    newest = item.adjudications.select_related("label").order_by("-revision").first()
    run = item.response.run
    context = reading(item) | place_of(item, by, filters) | {
        "decision": decision, "replaced_by": newest if newest != decision else None,
        "subject": run.subject, "condition": run.condition, "run": run,
    }  # fmt: skip
    return render(request, "adjudicate/decided.html", context)
