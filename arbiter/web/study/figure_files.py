"""Any figure of a study as a file: the chart (SVG, PNG), the table behind it (CSV), the sentence for a paper
(text)."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse

from annotation.access import READERS
from annotation.models import Membership
from arbiter.analysis.figures.catalogue import Figure, make_figure
from arbiter.web.forms.queries import FigureQuery
from arbiter.web.study.study_page import study_page

KINDS = {
    "svg": "image/svg+xml",
    "png": "image/png",
    "csv": "text/csv; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}


@study_page(READERS)
def show(request: HttpRequest, mine: Membership, name: str, extension: str) -> HttpResponse:
    study = mine.study
    if extension not in KINDS:
        raise Http404("A figure is to be had as svg, png, csv or txt.")
    try:
        figure = make_figure(study, name, request.GET.dict())
    except KeyError as error:
        raise Http404(f"There is no such figure: {error}.") from error
    asked = FigureQuery.read(request.GET)
    answer = HttpResponse(_content(figure, extension, asked), content_type=KINDS[extension])
    answer["Cache-Control"] = "private, max-age=5"
    if asked["download"] or extension != "svg":
        answer["Content-Disposition"] = f'attachment; filename="{study.slug}-{name}.{extension}"'
    return answer


def _content(figure: Figure, extension: str, asked: dict[str, Any]) -> str | bytes:
    if extension == "svg":
        return figure.svg(asked["theme"], narrow=asked["narrow"])
    if extension == "png":
        return figure.png(asked["theme"])
    return figure.csv() if extension == "csv" else figure.sentence + "\n"
