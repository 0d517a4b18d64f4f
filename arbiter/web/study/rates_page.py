"""The Rates tab."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from annotation.access import READERS
from annotation.models import Membership, Study
from arbiter.analysis.figures.catalogue import make_figure
from arbiter.analysis.rates.differences import cautions_of, offered_differences, offered_pairs
from arbiter.analysis.rates.estimates import estimates
from arbiter.analysis.rates.rateview import (
    BY,
    DESIGNED,
    OF,
    RateView,
    rate_sources,
    rate_view,
    raw_beside,
    refusals_by_estimator,
    source_label,
)
from arbiter.analysis.responseoutcomes import ENDED
from arbiter.web.forms.queries import RatesQuery
from arbiter.web.study.study_page import show_page, study_page
from benchmark.importunderway import refuse_while_importing


@study_page(READERS)
def show(request: HttpRequest, mine: Membership) -> HttpResponse:
    study = mine.study
    refuse_while_importing(study.pk)
    context: dict[str, Any] = {"tab": "rates", "groupings": BY, "denominators": OF}
    if view := rate_view(study, request.GET):
        context |= _shown(study, view, RatesQuery.read(request.GET)["compare"])
    return show_page(request, mine, "web/study/rates.html", context)


def _shown(study: Study, view: RateView, compare: str) -> dict[str, Any]:
    rates = estimates(study, view.spec)
    beside = raw_beside(view, rates)
    figure = make_figure(study, "rates", view.query)
    pairs = offered_pairs(rates)
    gaps = [one.document() for one in offered_differences(rates, compare)]
    compared_word = (compare or (pairs or [""])[0]).partition("=")[0]
    return {
        "view": view,
        "sources": rate_sources(study),
        "rates": rates,
        "label": source_label(view.source),
        "designed": view.source in DESIGNED,
        "beside": source_label(beside.source or beside.estimator) if beside else "",
        "figure": figure,
        "rows": figure.rows,
        "ended": [column for column in figure.columns if column.key in ENDED],
        "under": any("rate_under" in row for row in figure.rows),
        "pairs": pairs,
        "compare": compare,
        "differences": gaps,
        "cautions": cautions_of(gaps, view.by),
        "within": [word for word in view.by if word != compared_word],
        "allowed": _grouped(refusals_by_estimator(study)) if rates.design else [],
    }


def _grouped(why_not: dict[str, str]) -> list[tuple[list[str], str]]:
    """Return the estimators by the reason they are not allowed for; those without one together."""
    reasons = dict.fromkeys(why_not.values())
    return [
        ([DESIGNED[name] for name, why in why_not.items() if why == reason], reason) for reason in reasons
    ]
