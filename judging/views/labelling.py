"""How people are getting on with a study: for its readers, who see raters' names only if they own it."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from annotation import monitoring
from annotation.access import Role, owned, readable
from annotation.humanplan import humans_of
from annotation.models import Rater, Study
from annotation.nonresponse import able, nonresponse
from annotation.raters import pseudonym
from benchmark.errors import UserError
from judging.studies.applying import draw_items
from judging.views.numbers import whole


@login_required
@require_GET
def show(request: HttpRequest, slug: str) -> HttpResponse:
    """What is quick to say; the counts by stratum and category follow by themselves."""
    study = readable(request, slug)
    totals = monitoring.kept(study, "totals", lambda: monitoring.totals(study))
    context: dict[str, Any] = {
        "study": study, "tab": "labelling", "totals": totals, "parts": PARTS,
        "pace": monitoring.kept(study, "pace", lambda: monitoring.pace(study, totals.slots - totals.filled)),
        "draws": monitoring.kept(study, "draws", lambda: monitoring.draws(study)),
        "waiting": monitoring.waiting(study), "able": len(able(study)), "plan": humans_of(study),
        "unclear": monitoring.unclear(study), **_flags(study, 0),
    }  # fmt: skip
    return render(request, "study/labelling.html", context)


@login_required
@require_GET
def part(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """One of the page's parts; by itself a whole page, for whoever has no scripts."""
    study = readable(request, slug)
    draw = monitoring.main_draw(study)
    if name not in PARTS:
        raise Http404
    title, count = PARTS[name]
    rows = monitoring.kept(study, name, lambda: count(study, draw)) if draw else []
    context = {"study": study, "tab": "labelling", "part": name, "title": title, "rows": rows, "draw": draw}
    template = f"study/_{name}.html" if request.htmx else "study/labelling_part.html"  # type: ignore[attr-defined]
    return render(request, template, context)


Count = Callable[[Study, Any], list[Any]]
PARTS: dict[str, tuple[str, Count]] = {
    "strata": ("By stratum", lambda study, draw: monitoring.by_stratum(draw)),
    "categories": ("By category", lambda study, draw: monitoring.by_category(draw)),
    "nonresponse": ("Non-response", nonresponse),
}


@login_required
@require_GET
def flags(request: HttpRequest, slug: str) -> HttpResponse:
    """Ratings whose raters want somebody to look, a page at a time."""
    study = readable(request, slug)
    context = {"study": study, "tab": "labelling", **_flags(study, whole(request, "before"))}
    return render(request, "study/flags.html", context)


def _flags(study: Study, before: int) -> dict[str, Any]:
    found = monitoring.flagged(study, before)
    page = found[: monitoring.PAGE]
    more = page[-1].pk if len(found) > monitoring.PAGE else None
    return {"flagged": [(rating, _name(study, rating.rater)) for rating in page], "more_flagged": more}


def _name(study: Study, rater: Rater) -> str:
    return rater.name if study.role == Role.OWNER else pseudonym(study, rater)  # type: ignore[attr-defined]


@login_required
@require_POST
def draw_now(request: HttpRequest, slug: str) -> HttpResponse:
    """Draw without waiting for judges: items they have not told apart yet count among those on which they split."""
    study = owned(request, slug)
    try:
        draw_items(study, now=True)
        messages.success(request, "The study's draws are made; their items can be labelled now.")
    except UserError as error:
        messages.error(request, str(error))
    return redirect("study-labelling", slug)
