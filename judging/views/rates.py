"""The Rates tab."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotation.access import readable
from annotation.models import Study
from benchmark.errors import UserError
from judging.figures import make_figure
from judging.rates.estimates import estimates
from judging.rates.page import (
    BY,
    DESIGNED,
    OF,
    View,
    allowed,
    differences,
    label_of,
    offered_pairs,
    raw_beside,
    sources,
    view_of,
)


@login_required
@require_GET
def show(request: HttpRequest, slug: str) -> HttpResponse:
    study = readable(request, slug)
    context: dict[str, Any] = {"study": study, "tab": "rates", "groupings": BY, "denominators": OF}
    try:
        view = view_of(study, request.GET)
        if view:
            context |= _shown(study, view, request.GET.get("compare", ""))
    except UserError as error:
        raise Http404(str(error)) from error
    return render(request, "study/rates.html", context)


def _shown(study: Study, view: View, compare: str) -> dict[str, Any]:
    found = estimates(study, view.asked)
    beside = raw_beside(view, found)
    figure = make_figure(study, "rates", view.query)
    pairs = offered_pairs(found)
    compared_word = (compare or (pairs or [""])[0]).partition("=")[0]
    return {
        "view": view,
        "sources": sources(study),
        "found": found,
        "label": label_of(view.source),
        "designed": view.source in DESIGNED,
        "beside": label_of(beside.source or beside.estimator) if beside else "",
        "figure": figure,
        "rows": figure.rows,
        "under": any("rate_under" in row for row in figure.rows),
        "pairs": pairs,
        "compare": compare,
        "differences": [one.document() for one in differences(found, compare)],
        "within": [word for word in view.by if word != compared_word],
        "allowed": _grouped(allowed(study)) if found.design else [],
    }


def _grouped(found: dict[str, str]) -> list[tuple[list[str], str]]:
    """Estimators by the reason they are not allowed for; those without one together."""
    reasons = dict.fromkeys(found.values())
    return [([DESIGNED[name] for name, why in found.items() if why == reason], reason) for reason in reasons]
