"""How people are getting on with a study: for its readers, who see raters' names only if they own it."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from annotation import studyprogress
from annotation.access import OWNERS, READERS, Role
from annotation.humanplan import humans_of
from annotation.models import Membership, Rater, Study
from annotation.nonresponse import nonresponse, served_raters
from annotation.raters import pseudonym
from arbiter.studies.setup.studydraws import draw_items
from arbiter.web.forms.queries import BeforeQuery
from arbiter.web.study.study_page import show_page, study_page


@study_page(READERS)
def show(request: HttpRequest, mine: Membership) -> HttpResponse:
    """Show how labelling goes, as far as it is quick to say; the counts by stratum and category follow by
    themselves."""
    study = mine.study
    totals = studyprogress.remembered_of(study, "totals", lambda: studyprogress.slot_totals(study))
    context: dict[str, Any] = {
        "tab": "labelling",
        "totals": totals,
        "parts": PARTS,
        "pace": studyprogress.remembered_of(
            study, "pace", lambda: studyprogress.study_pace(study, totals.slots - totals.filled)
        ),
        "draws": studyprogress.remembered_of(study, "draws", lambda: studyprogress.draw_counts(study)),
        "waiting": studyprogress.draw_waits(study),
        "able": len(served_raters(study)),
        "plan": humans_of(study),
        "unclear": studyprogress.unclear_decisions(study),
        **_flags(mine, 0),
    }
    return show_page(request, mine, "web/study/labelling.html", context)


@study_page(READERS)
def part(request: HttpRequest, mine: Membership, name: str) -> HttpResponse:
    """Show one of the page's parts; by itself a whole page, for whoever has no scripts."""
    study = mine.study
    draw = studyprogress.main_draw(study)
    if name not in PARTS:
        raise Http404
    title, count = PARTS[name]
    rows = studyprogress.remembered_of(study, name, lambda: count(study, draw)) if draw else []
    context = {"tab": "labelling", "part": name, "title": title, "rows": rows, "draw": draw}
    template = f"web/study/_{name}.html" if request.htmx else "web/study/labelling_part.html"  # type: ignore[attr-defined]
    return show_page(request, mine, template, context)


Count = Callable[[Study, Any], list[Any]]
PARTS: dict[str, tuple[str, Count]] = {
    "strata": ("By stratum", lambda study, draw: studyprogress.by_stratum(draw)),
    "categories": ("By category", lambda study, draw: studyprogress.by_category(draw)),
    "nonresponse": ("Non-response", nonresponse),
}


@study_page(READERS)
def flags(request: HttpRequest, mine: Membership) -> HttpResponse:
    """Show the ratings whose raters want somebody to look, a page at a time."""
    context = {"tab": "labelling", **_flags(mine, BeforeQuery.read(request.GET)["before"])}
    return show_page(request, mine, "web/study/flags.html", context)


def _flags(mine: Membership, before: int) -> dict[str, Any]:
    ratings = studyprogress.flagged_ratings(mine.study, before)
    page = ratings[: studyprogress.PAGE]
    more = page[-1].pk if len(ratings) > studyprogress.PAGE else None
    return {"flagged": [(rating, _name(mine, rating.rater)) for rating in page], "more_flagged": more}


def _name(mine: Membership, rater: Rater) -> str:
    return rater.name if mine.role == Role.OWNER else pseudonym(mine.study, rater)


@study_page(OWNERS, "POST", back="study-labelling")
def draw_now(request: HttpRequest, mine: Membership) -> HttpResponse:
    """Draw without waiting for judges: items they have not told apart yet count among those on which they
    split."""
    study = mine.study
    draw_items(study, now=True)
    messages.success(request, "The study's draws are made; their items can be labelled now.")
    return redirect("study-labelling", study.slug)
