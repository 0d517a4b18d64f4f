"""A study's items, one item's whole history, and the export."""

import tempfile
from typing import Any

from django.contrib.auth.decorators import login_required
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
from annotation.models import Study
from judging.browsing import CONTROLS, SPLITS, STATUSES, Filters, choices, page
from judging.exporting import columns, csv_lines, json_lines, rows, write_parquet
from judging.history import history
from judging.views.numbers import whole

COLUMNS = 9  # of the items' table


@login_required
@require_GET
def browse(request: HttpRequest, slug: str) -> HttpResponse:
    """Items in order, filtered and searched. A search that goes on by itself is given its next rows alone."""
    study = readable(request, slug)
    filters = Filters.of(request.GET)
    found = page(study, filters, after=whole(request, "after"), room=whole(request, "room", 2))
    context = {"study": study, "tab": "items", "page": found, "filters": filters, "columns": COLUMNS}
    if request.htmx and "room" in request.GET:  # type: ignore[attr-defined]
        return render(request, "study/_items.html", context)
    context |= {"choices": choices(study), "splits": SPLITS, "statuses": STATUSES, "controls": CONTROLS}
    return render(request, "study/items.html", context)


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
        "history": history(item, study.role),  # type: ignore[attr-defined]
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
