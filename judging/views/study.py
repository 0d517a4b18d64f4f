"""A study's pages: overview with its actions, agreement, rates."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from annotation.access import owned, readable
from annotation.models import Gold, Study, newest
from annotation.raters import find_raters, latest_raters
from benchmark.errors import UserError
from judging.charts import THEMES, confusion_svg, rates_svg
from judging.overview import overview, rater_is_simulated
from judging.progress import progress
from judging.rates import rates
from judging.settling import settle
from judging.troubles import troubles

BY = ["subject,condition", "category", "subject,condition,category", "subject", "condition"]


@login_required
@require_GET
def show(request: HttpRequest, slug: str) -> HttpResponse:
    study = readable(request, slug)
    return render(
        request,
        "study/overview.html",
        {
            "study": study,
            "tab": "overview",
            "progress": progress(study),
            "troubles": troubles(study),
            **overview(study),
        },
    )


@login_required
@require_POST
def settle_now(request: HttpRequest, slug: str) -> HttpResponse:
    study = owned(request, slug)
    result = settle(study)
    messages.success(
        request,
        f"{result['settled']} items have a final label, {result['open']} are open; {result['changed']} changed.",
    )
    return redirect("study", slug)


@login_required
@require_GET
def agreement_page(request: HttpRequest, slug: str) -> HttpResponse:
    from judging.agreement import agreement, confusion

    study = readable(request, slug)
    raters = latest_raters(study)
    context: dict[str, Any] = {"study": study, "tab": "agreement", "raters": raters}
    if len(raters) > 1:
        context |= {"figures": agreement(study)}
        first, second = _pair(request, study)
        titles, table = confusion(study, first, second)
        context |= {
            "first": str(first),
            "second": str(second),
            "pair_query": urlencode({"first": str(first), "second": str(second)}),
            "titles": titles,
            "table": list(zip(titles, table.tolist(), strict=True)),
        }
    return render(request, "study/agreement.html", context)


def _pair(request: HttpRequest, study: Study) -> Any:
    raters = latest_raters(study)
    names = [request.GET.get("first") or str(raters[0]), request.GET.get("second") or str(raters[1])]
    try:
        return find_raters(study, names)
    except UserError as error:
        raise Http404(str(error)) from error


@login_required
@require_GET
def confusion_chart(request: HttpRequest, slug: str) -> HttpResponse:
    from judging.agreement import confusion

    study = readable(request, slug)
    if len(latest_raters(study)) < 2:
        raise Http404
    first, second = _pair(request, study)
    titles, table = confusion(study, first, second)
    names = [
        f"{rater} (simulated)" if rater_is_simulated(study, rater) else str(rater)
        for rater in (first, second)
    ]
    return svg(confusion_svg(titles, table.tolist(), names[0], names[1], _theme(request)))


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
