"""The study's Agreement tab."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotation.access import readable
from annotation.models import Study
from benchmark.errors import UserError
from judging.figures import Figure, make_figure


@login_required
@require_GET
def show(request: HttpRequest, slug: str) -> HttpResponse:
    from judging.agreement.coefficients import agreement_kept

    study = readable(request, slug)
    found = agreement_kept(study)
    context: dict[str, Any] = {"study": study, "tab": "agreement", "raters": found["names"]}
    if found["raters"] > 1:
        context |= _figures(request, study, found)
    return render(request, "study/agreement.html", context)


def _figures(request: HttpRequest, study: Study, found: dict[str, Any]) -> dict[str, Any]:
    from judging.agreement.coefficients import BY, agreement_by
    from judging.agreement.figures import GROUPS, MEASURES, NAMES

    measure = request.GET.get("measure", "kappa")
    by = request.GET.get("by", "category")
    first, second = (
        request.GET.get(key) or found["names"][place] for place, key in enumerate(("first", "second"))
    )
    pair = {"first": first, "second": second}
    return {
        "found": found,
        "group_names": GROUPS,
        "measures": {key: NAMES[key] for key in MEASURES},
        "measure": measure,
        "by": by,
        "words": BY,
        **pair,
        "cautions": _cautions(agreement_by(study, by)) if by in BY else {},
        "coefficients": _figure(study, "agreement", {}),
        "groups": _figure(study, "agreement-by", {"by": by}),
        "pairs": _figure(study, "agreement-pairs", {"measure": measure}),
        "confusion": _figure(study, "confusion", pair) if first != second else None,
    }


def _cautions(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    """What has to be said of groups of items, and of which."""
    from judging.agreement.figures import GROUPS

    said: dict[str, list[str]] = {}
    for row in rows:
        for warning in row["warnings"]:
            said.setdefault(warning, []).append(f"{row['value']}, {GROUPS[row['group']].lower()}")
    return {warning: ["Everywhere"] if len(whose) == len(rows) else whose for warning, whose in said.items()}


def _figure(study: Study, name: str, query: dict[str, str]) -> Figure:
    try:
        return make_figure(study, name, query)
    except UserError as error:
        raise Http404(str(error)) from error
