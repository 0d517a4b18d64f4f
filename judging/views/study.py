"""A study's pages: overview with its actions, rates."""

from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotation.access import readable
from annotation.models import Gold, Study, newest
from annotation.raters import latest_raters
from judging.charts import THEMES, rates_svg
from judging.nextsteps import next_steps
from judging.overview import overview
from judging.progress import progress
from judging.rates import rates
from judging.troubles import troubles

BY = ["subject,condition", "category", "subject,condition,category", "subject", "condition"]


@login_required
@require_GET
def show(request: HttpRequest, slug: str) -> HttpResponse:
    study = readable(request, slug)
    found, judges = overview(study), progress(study)
    steps = next_steps(study, found, judges)
    context = {"study": study, "tab": "overview", "progress": judges, "troubles": troubles(study), "steps": steps}
    return render(request, "study/overview.html", context | found)


@login_required
@require_GET
def rates_page(request: HttpRequest, slug: str) -> HttpResponse:
    study = readable(request, slug)
    sources = _sources(study)
    source, by = _choice(request, sources)
    context: dict[str, Any] = {
        "study": study,
        "tab": "rates",
        "sources": sources,
        "source": source,
        "by": by,
        "groupings": BY,
    }
    if source:
        context |= rates(study, source, by.split(","))
        context |= {"words": by.split(","), "chart_query": urlencode({"source": source, "by": by})}
    return render(request, "study/rates.html", context)


@login_required
@require_GET
def rates_chart(request: HttpRequest, slug: str) -> HttpResponse:
    study = readable(request, slug)
    source, by = _choice(request, _sources(study))
    if not source:
        raise Http404
    words = by.split(",")
    found = rates(study, source, words)
    return svg(rates_svg(found["rows"], words, _theme(request), simulated=found["simulated"]))


def _sources(study: Study) -> list[str]:
    """The sources there are labels of, the most settled first."""
    from judging.models import Settlement

    found = [str(rater) for rater in latest_raters(study)]
    if found:
        found.insert(0, "majority")
    if newest(Gold.objects.filter(item__study=study)).exists():
        found.insert(0, "gold")
    if Settlement.objects.filter(item__study=study, label__isnull=False).exists():
        found.insert(0, "settled")
    return found


def _choice(request: HttpRequest, sources: list[str]) -> tuple[str, str]:
    source = request.GET.get("source") or (sources[0] if sources else "")
    by = request.GET.get("by") or BY[0]
    if (sources and source not in sources) or by not in BY:
        raise Http404("There is no such source or grouping.")
    return source, by


def _theme(request: HttpRequest) -> str:
    theme = request.GET.get("theme", "light")
    return theme if theme in THEMES else "light"


def svg(text: str) -> HttpResponse:
    return HttpResponse(text, content_type="image/svg+xml", headers={"Cache-Control": "private, max-age=5"})
