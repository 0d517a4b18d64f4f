"""A study's items, one item's whole history, and the export."""

import tempfile
from collections.abc import Iterator
from typing import Any

from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    StreamingHttpResponse,
)

from annotation.access import READERS, Role, item_in
from annotation.models import Membership, Study
from arbiter.releases.exporting import (
    WRITERS,
    Row,
    columns,
    filename,
    json_lines,
    rows,
    table_lines,
    write_parquet,
)
from arbiter.releases.exportjob import ExportArguments
from arbiter.studies.reading.browsing import (
    CONTROLS,
    SPLITS,
    STATUSES,
    ItemFilters,
    filter_choices,
    item_page,
)
from arbiter.studies.reading.history import history
from arbiter.web.forms.queries import ExportQuery, ItemsQuery
from arbiter.web.study.job_pages import TYPES, begin, is_quick, offer
from arbiter.web.study.study_page import show_page, study_page

COLUMNS = 9  # of the items' table


@study_page(READERS)
def browse(request: HttpRequest, mine: Membership) -> HttpResponse:
    """Show the items in order, filtered and searched. A search that goes on by itself is given its next rows
    alone."""
    study = mine.study
    asked = ItemsQuery.read(request.GET)
    after, room = asked.pop("after"), asked.pop("room")
    filters = ItemFilters(**asked)
    listed = item_page(study, filters, after=after, room=room)
    context = {"tab": "items", "page": listed, "filters": filters, "columns": COLUMNS}
    if request.htmx and "room" in request.GET:  # type: ignore[attr-defined]
        return show_page(request, mine, "web/study/_items.html", context)
    context |= {
        "choices": filter_choices(study),
        "splits": SPLITS,
        "statuses": STATUSES,
        "controls": CONTROLS,
    }
    return show_page(request, mine, "web/study/items.html", context)


@study_page(READERS)
def show(request: HttpRequest, mine: Membership, key: str) -> HttpResponse:
    """Show everything that happened to one response."""
    study = mine.study
    item = item_in(study, key)
    context = {
        "tab": "items",
        "item": item,
        "history": history(item, mine.role),
    }
    return show_page(request, mine, "web/study/item.html", context)


@study_page(READERS, "GET", "POST")
def export(request: HttpRequest, mine: Membership, extension: str) -> HttpResponseBase:
    """Send the dataset as a download, at once or by a job. People's own names only for an owner who asks."""
    if f".{extension}" not in WRITERS:
        raise Http404
    query = ExportQuery.read(request.GET)
    names = query["names"] and mine.role == Role.OWNER
    asked = ExportArguments(extension, query["long"], names, query["spreadsheet"] and extension == "csv")
    if is_quick(mine.study, "export"):
        return _download(mine.study, asked)
    if request.method == "POST":
        return begin(request, mine, "export", asked, owners_only=names)
    return offer(
        request, mine, "export", asked, status=409
    )  # no file: whoever asks by a program should see that


def _download(study: Study, asked: ExportArguments) -> HttpResponseBase:
    name = filename(study, asked.extension, long=asked.long, spreadsheet=asked.spreadsheet)
    data = rows(study, long=asked.long, names=asked.names)
    response: HttpResponseBase
    if asked.extension == "parquet":
        response = FileResponse(_parquet(data, asked.long), as_attachment=True, filename=name)
    else:
        csv = asked.extension == "csv"
        lines = (
            table_lines(data, columns(asked.long), spreadsheet=asked.spreadsheet) if csv else json_lines(data)
        )
        response = StreamingHttpResponse(lines)
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Content-Type"] = TYPES[asked.extension]
    return response


def _parquet(data: Iterator[Row], long: bool) -> Any:
    """Return the dataset as a Parquet file. Its index is at its end, so it is written whole before it is
    sent."""
    file = tempfile.NamedTemporaryFile(suffix=".parquet")  # noqa: SIM115 - the response closes it, and so deletes it
    write_parquet(file, data, columns(long))
    file.seek(0)
    return file
