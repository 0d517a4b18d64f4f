"""A study's items, one item's whole history, adjudication, and the export."""

import tempfile
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import OuterRef, Subquery
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from annotation.access import Role, adjudicated, item_in, readable
from annotation.adjudicating import adjudicate
from annotation.models import Item, Rater, Study, newest
from annotation.raters import rater_of
from annotation.views.signing import signed_in
from benchmark.errors import UserError
from judging.exporting import columns, csv_lines, json_lines, rows, write_parquet
from judging.models import Settlement
from judging.overview import disputes
from judging.settling import settle_items
from judging.views.numbers import whole

PAGE = 50


@login_required
@require_GET
def browse(request: HttpRequest, slug: str) -> HttpResponse:
    """Items in order, a page at a time by key."""
    study = readable(request, slug)
    final = newest(Settlement.objects.filter(item=OuterRef("pk")))
    found = (
        study.items.filter(pk__gt=whole(request, "after"))
        .select_related("response__task__category", "response__run__subject", "response__run__condition")
        .annotate(
            settled=Subquery(final.values("label__title")[:1]),
            rule=Subquery(final.values("rule")[:1]),
            by_simulation=Subquery(final.values("simulated")[:1]),
        )
        .defer("response__text", "response__reasoning", "response__task__text")
        .order_by("pk")[: PAGE + 1]
    )
    page = list(found)
    following = page[PAGE - 1].pk if len(page) > PAGE else None
    return render(
        request,
        "study/items.html",
        {"study": study, "tab": "items", "page": page[:PAGE], "following": following},
    )


@login_required
@require_GET
def show(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    """Everything that happened to one response."""
    study = readable(request, slug)
    item = item_in(study, key)
    context = {
        "study": study,
        "tab": "items",
        "item": item,
        "ratings": item.ratings.select_related("rater", "label").order_by("rater__name", "id"),
        "verdicts": item.verdicts.select_related("study_judge__judge__rater")
        .prefetch_related("attempts")
        .order_by("study_judge__judge__rater__name", "repeat"),
        "settlements": item.settlements.select_related("label").order_by("-revision"),
        "adjudications": item.adjudications.select_related("label", "adjudicator").order_by("-revision"),
        "failures": item.scorer_failures.select_related("scorer__rater").order_by(
            "scorer__rater__name", "id"
        ),
        "golds": item.golds.select_related("label").order_by("-revision"),
    }
    return render(request, "study/item.html", context)


@login_required
@require_GET
def queue(request: HttpRequest, slug: str) -> HttpResponse:
    study = adjudicated(request, slug)
    waiting = disputes(study).select_related("response__task__category")
    return render(
        request,
        "adjudicate/queue.html",
        {"study": study, "tab": "adjudicate", "waiting": waiting[:PAGE], "count": waiting.count()},
    )


@login_required
@require_http_methods(["GET", "POST"])
def decide(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    """One item with its ratings side by side, its raters masked; model and condition stay hidden."""
    study = adjudicated(request, slug)
    item = item_in(study, key)
    error = ""
    if request.method == "POST":
        try:
            adjudicate(
                item,
                rater_of(signed_in(request)),
                request.POST.get("label", ""),
                request.POST.get("reason", ""),
            )
            settle_items(study, [item.pk])
            following = disputes(study).first()
            return (
                redirect("adjudicate-item", slug, following.key)
                if following
                else redirect("adjudicate", slug)
            )
        except UserError as refusal:
            error = str(refusal)
    context = {
        "study": study, "tab": "adjudicate", "item": item, "ratings": masked(item), "labels": study.scheme.labels.all(),
        "decisions": item.adjudications.select_related("label").order_by("-revision"), "error": error,
        "left": disputes(study).count(), "chosen": request.POST.get("label", ""), "reason": request.POST.get("reason", ""),
    }  # fmt: skip
    return render(request, "adjudicate/item.html", context, status=422 if error else 200)


def masked(item: Item) -> list[dict[str, Any]]:
    """The item's votes under names that tell nothing: Rater A, Judge 1."""
    people, programs = iter("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), iter(range(1, 1000))
    found = []
    for rating in item.ratings.votes().select_related("rater", "label").order_by("rater__kind", "id"):
        human = rating.rater.kind == Rater.Kind.HUMAN
        found.append(
            {"name": f"Rater {next(people, '…')}" if human else f"Judge {next(programs)}", "rating": rating}
        )
    return found


FORMATS = {
    "jsonl": "application/jsonl",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}


@login_required
@require_GET
def export(request: HttpRequest, slug: str, extension: str) -> HttpResponseBase:
    """The dataset as a download. People's own names only for an owner who asks."""
    study = readable(request, slug)
    if extension not in FORMATS:
        raise Http404
    long = "long" in request.GET
    names = "names" in request.GET and study.role == Role.OWNER  # type: ignore[attr-defined]
    filename = f"{study.slug}{'-ratings' if long else ''}.{extension}"
    data = rows(study, long=long, names=names)
    response: HttpResponseBase
    if extension == "parquet":
        response = FileResponse(_parquet(study, long, names), as_attachment=True, filename=filename)
    else:
        lines = csv_lines(data, columns(long)) if extension == "csv" else json_lines(data)
        response = StreamingHttpResponse(lines)
        response.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    response.headers["Content-Type"] = FORMATS[extension]
    return response


def _parquet(study: Study, long: bool, names: bool) -> Any:
    """A Parquet file's index is at its end, so it is written whole before it is sent."""
    file = tempfile.NamedTemporaryFile(suffix=".parquet")  # noqa: SIM115 - the response closes it, and so deletes it
    write_parquet(file, rows(study, long=long, names=names), columns(long))
    file.seek(0)
    return file
