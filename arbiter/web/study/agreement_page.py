"""The study's Agreement tab."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from annotation.access import READERS
from annotation.models import Membership, Study
from arbiter.analysis.figures.catalogue import make_figure
from arbiter.web.forms.queries import AgreementQuery
from arbiter.web.study.study_page import show_page, study_page


@study_page(READERS)
def show(request: HttpRequest, mine: Membership) -> HttpResponse:
    from arbiter.analysis.agreement.coefficients import agreement_kept

    study = mine.study
    coefficients = agreement_kept(study)
    context: dict[str, Any] = {"tab": "agreement", "raters": coefficients["names"]}
    if coefficients["raters"] > 1:
        context |= _figures(request, study, coefficients)
    return show_page(request, mine, "web/study/agreement.html", context)


def _figures(request: HttpRequest, study: Study, coefficients: dict[str, Any]) -> dict[str, Any]:
    from arbiter.analysis.agreement.coefficients import BY, agreement_by
    from arbiter.analysis.figures.agreement import GROUPS, MEASURES, NAMES

    asked = AgreementQuery.read(request.GET)
    measure, by = asked["measure"], asked["by"]
    first, second = (
        asked[key] or coefficients["names"][place] for place, key in enumerate(("first", "second"))
    )
    pair = {"first": first, "second": second}
    wanted = not coefficients["pairs_left_out"] or asked["pairs"]
    return {
        "agreement": coefficients,
        "group_names": GROUPS,
        "measures": {key: NAMES[key] for key in MEASURES},
        "measure": measure,
        "by": by,
        "words": BY,
        **pair,
        "cautions": _cautions(agreement_by(study, by)) if by in BY else {},
        "coefficients": make_figure(study, "agreement", {}),
        "groups": make_figure(study, "agreement-by", {"by": by}),
        "pairs": make_figure(study, "agreement-pairs", {"measure": measure}) if wanted else None,
        "all_pairs": bool(wanted and coefficients["pairs_left_out"]),
        "left_out": 0 if wanted else coefficients["pairs_left_out"],
        "confusion": make_figure(study, "confusion", pair) if first != second else None,
    }


def _cautions(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return what has to be said of groups of items, each sentence with the groups it is said of."""
    from arbiter.analysis.figures.agreement import GROUPS

    said: dict[str, list[str]] = {}
    for row in rows:
        for warning in row["warnings"]:
            said.setdefault(warning, []).append(f"{row['value']}, {GROUPS[row['group']].lower()}")
    return {warning: ["Everywhere"] if len(whose) == len(rows) else whose for warning, whose in said.items()}
