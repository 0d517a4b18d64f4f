"""A study's items, one item's whole history, and the export."""

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
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotation.access import Role, item_in, readable
from annotation.models import Study, newest
from judging.exporting import columns, csv_lines, json_lines, rows, write_parquet
from judging.models import Settlement
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
