"""A study's verdicts: browsed by judge and state, and the full record of each."""

from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse

from annotation.access import READERS
from annotation.models import Membership
from arbiter.calls.record_texts import LONGEST, cut
from arbiter.web.forms.queries import VerdictsQuery
from arbiter.web.study.study_page import show_page, study_page
from arbiter.web.text_files import text_to_keep
from judging.models import StudyJudge, Verdict
from judging.panel.verdict_record import (
    calls,
    confidence,
    definition,
    find_verdict,
    marked,
    raw_of,
)

PAGE = 50


@study_page(READERS)
def browse(request: HttpRequest, mine: Membership) -> HttpResponse:
    """Show verdicts in the order they were asked for, a page at a time by key; those of replaced judges
    too."""
    study = mine.study
    judges = list(
        study.judges.select_related("judge__rater").order_by("judge__rater__name", "judge__rater__version")
    )
    asked = VerdictsQuery.read(request.GET, judges=judges)
    judge = next((judge for judge in judges if str(judge.pk) == asked["judge"]), None)
    state = asked["state"]
    verdicts = _verdicts([judge] if judge else judges, state, asked["after"])
    page = list(verdicts[: PAGE + 1])
    following = page[PAGE - 1].pk if len(page) > PAGE else None
    kept = {"judge": judge.pk if judge else "", "state": state}
    context: dict[str, Any] = {
        "tab": "verdicts",
        "judges": judges,
        "judge": judge,
        "state": state,
        "states": Verdict.State.values,
        "page": page[:PAGE],
        "first": urlencode(kept),
        "next": following and urlencode(kept | {"after": following}),
    }
    return show_page(request, mine, "web/study/verdicts.html", context)


def _verdicts(judges: list[StudyJudge], state: str, after: int) -> QuerySet[Verdict]:
    verdicts = Verdict.objects.filter(study_judge__in=[judge.pk for judge in judges], pk__gt=after)
    if state:
        verdicts = verdicts.filter(state=state)
    return verdicts.select_related("item", "study_judge__judge__rater", "rating__label").order_by("pk")


@study_page(READERS)
def show(request: HttpRequest, mine: Membership, pk: int) -> HttpResponse:
    """Show what the judge was shown, what it answered, and what was made of it."""
    study = mine.study
    verdict = find_verdict(study.pk, pk)
    if verdict is None:
        raise Http404
    rating, response = verdict.rating, verdict.item.response
    pieces, quotes = marked(response.text, rating.evidence if rating else [])
    context = {
        "tab": "verdicts",
        "verdict": verdict,
        "judge": verdict.study_judge.judge,
        "rating": rating,
        "confidence": confidence(rating) if rating else "",
        "rationale": cut(rating.rationale if rating else ""),
        "pieces": pieces,
        "quotes": quotes,
        "longest": LONGEST,
        "response": response,
        "calls": calls(verdict),
        "template": cut(verdict.study_judge.judge.template_text),
        "definition": definition(verdict.study_judge.judge),
    }
    return show_page(request, mine, "web/study/verdict.html", context)


@study_page(READERS)
def raw(request: HttpRequest, mine: Membership, pk: int, attempt: int) -> HttpResponse:
    """Send the body of one call's answer as it came, however long, to keep or to look at elsewhere."""
    study = mine.study
    verdict = find_verdict(study.pk, pk)
    body = raw_of(verdict, attempt) if verdict else None
    if body is None:
        raise Http404
    return text_to_keep(body, f"verdict-{pk}-attempt-{attempt}.txt")
