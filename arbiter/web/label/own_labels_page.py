"""A rater's page of their own earlier labels, and what the workspace asks for to open one of them."""

from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from annotation.desk import Desk
from annotation.earlierlabels import GONE, LabelFilters, page_of, why_not
from annotation.submitting import answer_in
from arbiter.web.error_answers import in_json
from arbiter.web.forms.queries import OwnLabelsQuery
from arbiter.web.label.item_payload import items_for_page
from arbiter.web.label.workspace import answering, desk_for, serving_of, waits_for


@login_required
@require_GET
@never_cache
def mine(request: HttpRequest, slug: str) -> HttpResponse:
    desk = desk_for(request, slug)
    if first := waits_for(desk):
        return redirect(first, slug)
    asked = OwnLabelsQuery.read(request.GET)
    after = asked.pop("after")
    filters = LabelFilters(**asked)
    rows, on = page_of(desk, filters, after)
    context = {
        "study": desk.study,
        "rows": rows,
        "filters": filters,
        "labels": desk.study.scheme.labels.all(),
        "first": not after,
        "query": urlencode(filters.given()),
        "on": urlencode(filters.given() | {"after": on}) if on else "",
    }
    return render(request, "web/label/mine.html", context)


@require_GET
@answering
def answered(request: HttpRequest, desk: Desk, key: str) -> HttpResponse:
    """Answer with one of the rater's labels, to be changed: what is sent for it becomes a new revision."""
    serving = serving_of(desk, key)
    if reason := GONE if serving.revision == 0 else why_not(desk, serving):
        return in_json("refused", reason)
    item = items_for_page(desk.study, [serving])[0]
    return JsonResponse({"item": item | {"draft": None, "answer": answer_in(serving)}})
