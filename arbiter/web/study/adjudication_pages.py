"""The adjudication room: a queue, one item with its ratings side by side, and what it was once it is decided.

Until an adjudicator has decided an item, nothing here names its model, condition, run or task, or leads to a
page that does.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache

from annotation.access import ADJUDICATORS, item_in
from annotation.adjudication import adjudicate, may_settle, refer, sent_back
from annotation.humanplan import humans_of
from annotation.models import Adjudication, Item, Membership, Rater
from annotation.raters import rater_of
from annotation.schemes import QUESTION
from arbiter.calls.record_texts import LONGEST
from arbiter.studies.reading.opinions import side_by_side
from arbiter.web.forms.fields import status_of
from arbiter.web.forms.labels import DecisionForm, ReferralForm, SeenQuery
from arbiter.web.forms.queries import DisputesQuery
from arbiter.web.sign_in_pages import signed_in
from arbiter.web.study.study_page import show_page, study_page
from judging.settlement import disputes
from judging.settlement.disputes import KINDS, DisputeFilters
from judging.settlement.settling import settle_items

PAGE = 50


def filters_of(request: HttpRequest) -> DisputeFilters:
    asked = DisputesQuery.read(request.GET)
    return DisputeFilters(asked["kind"], asked["category"], asked["language"])


def filtered_address(name: str, slug: str, filters: DisputeFilters, *keys: str) -> str:
    """Return a page's address, with the filters carried along."""
    query = urlencode(filters.given())
    return reverse(name, args=[slug, *keys]) + (f"?{query}" if query else "")


@never_cache
@study_page(ADJUDICATORS)
def queue(request: HttpRequest, mine: Membership) -> HttpResponse:
    study = mine.study
    filters = filters_of(request)
    disputed = disputes.queue(study, rater_of(signed_in(request)), filters)
    page = Paginator(disputed.rows, PAGE).get_page(DisputesQuery.read(request.GET)["page"])
    context = {
        "tab": "adjudicate",
        "page": page,
        "count": len(disputed.rows),
        "filters": filters,
        "queue": disputed,
        "kinds": [(key, name) for key, (name, _) in KINDS.items()],
        "query": urlencode(filters.given()),
        "waiting": disputes.count_waiting(study),
        "reasons": reasons_of(list(page.object_list)) if filters.kind == "unclear" else {},
        "unlabelled": not disputed.rows and not study.items.filter(human_votes__gt=0).exists(),
    }
    return show_page(request, mine, "web/adjudicate/queue.html", context)


def reasons_of(rows: Sequence[disputes.Dispute]) -> dict[int, str]:
    """Return the reasons of the items' newest decisions, by item."""
    decisions = Adjudication.objects.filter(item__in=[row.pk for row in rows]).newest()
    return dict(decisions.values_list("item", "reason"))


@never_cache
@study_page(ADJUDICATORS, "GET", "POST")
def decide(request: HttpRequest, mine: Membership, key: str) -> HttpResponse:
    """Show one item with its ratings side by side, and take the decision, which settles it at once."""
    study = mine.study
    item, by, filters = item_in(study, key), rater_of(signed_in(request)), filters_of(request)
    form = DecisionForm(request.POST if request.method == "POST" else None)
    with form.refusals():
        if form.is_valid():
            settle_by_decision(item, by, form.cleaned_data, SeenQuery.read(request.POST)["seen"])
            return redirect(filtered_address("adjudicate-decided", study.slug, filters, key))
    return item_page(request, mine, item, by, filters, deciding=form)


def settle_by_decision(item: Item, by: Rater, said: dict[str, Any], seen: int | None) -> None:
    with transaction.atomic():
        adjudicate(
            item, by, said["label"], said["reason"], guideline_unclear=said["guideline_unclear"], seen=seen
        )
        settle_items(item.study, [item.pk])


def item_page(
    request: HttpRequest,
    mine: Membership,
    item: Item,
    by: Rater,
    filters: DisputeFilters,
    *,
    deciding: DecisionForm | None = None,
    referring: ReferralForm | None = None,
) -> HttpResponse:
    deciding, referring = deciding or DecisionForm(), referring or ReferralForm()
    decisions = list(item.adjudications.select_related("label").history().reverse())
    is_sent_back = Item.objects.filter(sent_back(), pk=item.pk).exists()
    context = (
        reading(item)
        | place_of(item, by, filters)
        | {
            "labels": item.study.scheme.labels.all(),
            "decisions": decisions,
            "deciding": deciding,
            "referring": referring,
            "question": item.response.task.category.question or item.study.scheme.question or QUESTION,
            "seen": decisions[0].revision if decisions else 0,
            "own": not may_settle(item, by),
            "sent_back": is_sent_back,
            "referrals": item.referrals.order_by("-id"),
            "decided_by_me": any(decision.adjudicator_id == by.pk for decision in decisions),
        }
    )
    return show_page(
        request, mine, "web/adjudicate/item.html", context, status=status_of(deciding, referring)
    )


def reading(item: Item) -> dict[str, Any]:
    """Return what a page shows of an item: as its raters read it, and what they said."""
    response, show = item.response, humans_of(item.study).show
    return {
        "tab": "adjudicate",
        "item": item,
        "task": response.task,
        "response": response,
        "side_by_side": side_by_side(item),
        "longest": LONGEST,
        "is_cut": len(response.text) > LONGEST,
        "reasoning": response.reasoning[:LONGEST] if "reasoning" in show else "",
        "simulated": response.simulated,
    }


def place_of(item: Item, by: Rater, filters: DisputeFilters) -> dict[str, Any]:
    """Return where the item stands in the queue, and where to go from it."""
    disputed = disputes.queue(item.study, by, filters)
    this = disputes.read_disputes(Item.objects.filter(pk=item.pk))[0]
    place = next((n for n, row in enumerate(disputed.rows, start=1) if row.pk == item.pk), None)
    following, slug = disputed.after(this), item.study.slug
    return {
        "dispute": this,
        "place": place,
        "left": len(disputed.rows),
        "query": urlencode(filters.given()),
        "next_url": filtered_address("adjudicate-item", slug, filters, following.key) if following else "",
        "queue_url": filtered_address("adjudicate", slug, filters),
    }


@never_cache
@study_page(ADJUDICATORS, "POST")
def send_back(request: HttpRequest, mine: Membership, key: str) -> HttpResponse:
    """Ask for more raters for the item, and lead to the next one."""
    study = mine.study
    item, by, filters = item_in(study, key), rater_of(signed_in(request)), filters_of(request)
    following = place_of(item, by, filters)["next_url"]
    form = ReferralForm(request.POST)
    with form.refusals():
        if form.is_valid():
            referral = refer(item, by, form.cleaned_data["back"], form.cleaned_data["extra"])
            more = f"{referral.extra} more raters have" if referral.extra > 1 else "one more rater has"
            messages.success(request, f"Sent back. It returns to the queue when {more} labelled it.")
            return redirect(following or filtered_address("adjudicate", study.slug, filters))
    return item_page(request, mine, item, by, filters, referring=form)


@never_cache
@study_page(ADJUDICATORS)
def decided(request: HttpRequest, mine: Membership, key: str) -> HttpResponse:
    """Show what the item was, to those who have decided it. Others may yet decide it again, and so don't see
    it."""
    study = mine.study
    item, by, filters = item_in(study, key), rater_of(signed_in(request)), filters_of(request)
    decision = item.adjudications.filter(adjudicator=by).select_related("label").history().last()
    if decision is None:
        return redirect(filtered_address("adjudicate-item", study.slug, filters, key))
    newest = item.adjudications.select_related("label").history().last()
    run = item.response.run
    context = (
        reading(item)
        | place_of(item, by, filters)
        | {
            "decision": decision,
            "replaced_by": newest if newest != decision else None,
            "subject": run.subject,
            "condition": run.condition,
            "run": run,
        }
    )
    return show_page(request, mine, "web/adjudicate/decided.html", context)
