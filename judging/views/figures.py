"""Any figure of a study as a file: the chart (SVG, PNG), the table behind it (CSV), the sentence for a paper (text)."""

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from annotation.access import readable
from benchmark.errors import UserError
from judging.charts import THEMES
from judging.figures import Figure, make_figure

KINDS = {
    "svg": "image/svg+xml",
    "png": "image/png",
    "csv": "text/csv; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}


@login_required
@require_GET
def show(request: HttpRequest, slug: str, name: str, extension: str) -> HttpResponse:
    study = readable(request, slug)
    if extension not in KINDS:
        raise Http404("A figure is to be had as svg, png, csv or txt.")
    try:
        found = make_figure(study, name, request.GET.dict())
    except (KeyError, UserError) as error:
        raise Http404(f"There is no such figure: {error}.") from error
    answer = HttpResponse(_content(found, extension, request), content_type=KINDS[extension])
    answer["Cache-Control"] = "private, max-age=5"
    if "download" in request.GET or extension != "svg":
        answer["Content-Disposition"] = f'attachment; filename="{slug}-{name}.{extension}"'
    return answer


def _content(figure: Figure, extension: str, request: HttpRequest) -> str | bytes:
    theme = request.GET.get("theme", "light")
    theme = theme if theme in THEMES else "light"
    if extension == "svg":
        return figure.svg(theme, narrow="narrow" in request.GET)
    if extension == "png":
        return figure.png(theme)
    return figure.csv() if extension == "csv" else figure.sentence + "\n"
