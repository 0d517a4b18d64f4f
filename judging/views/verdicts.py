"""A study's verdicts: browsed by judge and state, and the full record of each."""

from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotation.access import readable
from annotation.models import Study
from judging.models import StudyJudge, Verdict
from judging.panel.record import LONGEST, calls, confidence, cut, definition, find_verdict, marked, raw_of
from judging.views.numbers import whole

PAGE = 50


@login_required
@require_GET
def browse(request: HttpRequest, slug: str) -> HttpResponse:
    """In the order they were asked for, a page at a time by key. Those of replaced judges too."""
    study = readable(request, slug)
    judges = list(
        study.judges.select_related("judge__rater").order_by("judge__rater__name", "judge__rater__version")
    )
    judge, state = _filters(request, judges)
    found = _verdicts([judge] if judge else judges, state, whole(request, "after"))
    page = list(found[: PAGE + 1])
    following = page[PAGE - 1].pk if len(page) > PAGE else None
    kept = {"judge": judge.pk if judge else "", "state": state}
    context: dict[str, Any] = {
        "study": study, "tab": "verdicts", "judges": judges, "judge": judge, "state": state, "states": Verdict.State.values,
        "page": page[:PAGE], "first": urlencode(kept), "next": following and urlencode(kept | {"after": following}),
    }  # fmt: skip
    return render(request, "study/verdicts.html", context)


def _filters(request: HttpRequest, judges: list[StudyJudge]) -> tuple[StudyJudge | None, str]:
    which, state = request.GET.get("judge", ""), request.GET.get("state", "")
    judge = next((judge for judge in judges if str(judge.pk) == which), None)
    if (which and judge is None) or (state and state not in Verdict.State.values):
        raise Http404("There is no such judge or state in this study.")
    return judge, state


def _verdicts(judges: list[StudyJudge], state: str, after: int) -> QuerySet[Verdict]:
    found = Verdict.objects.filter(study_judge__in=[judge.pk for judge in judges], pk__gt=after)
    if state:
        found = found.filter(state=state)
    return found.select_related("item", "study_judge__judge__rater", "rating__label").order_by("pk")


@login_required
@require_GET
def show(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """What the judge was shown, what it answered, and what was made of it."""
    study: Study = readable(request, slug)
    verdict = find_verdict(study.pk, pk)
    if verdict is None:
        raise Http404
    rating, response = verdict.rating, verdict.item.response
    pieces, quotes = marked(response.text, rating.evidence if rating else [])
    context = {
        "study": study, "tab": "verdicts", "verdict": verdict, "judge": verdict.study_judge.judge, "rating": rating,
        "confidence": confidence(rating) if rating else "", "rationale": cut(rating.rationale if rating else ""),
        "pieces": pieces, "quotes": quotes, "longest": LONGEST, "response": response, "calls": calls(verdict),
        "template": cut(verdict.study_judge.judge.template_text), "definition": definition(verdict.study_judge.judge),
    }  # fmt: skip
    return render(request, "study/verdict.html", context)


@login_required
@require_GET
def raw(request: HttpRequest, slug: str, pk: int, attempt: int) -> HttpResponse:
    """The body of one call's answer as it came, however long, to keep or to look at elsewhere."""
    study: Study = readable(request, slug)
    verdict = find_verdict(study.pk, pk)
    body = raw_of(verdict, attempt) if verdict else None
    if body is None:
        raise Http404
    # A model wrote it: no browser is to take it for a page.
    headers = {
        "Content-Disposition": f'attachment; filename="verdict-{pk}-attempt-{attempt}.txt"',
        "X-Content-Type-Options": "nosniff",
    }
    return HttpResponse(body, content_type="text/plain; charset=utf-8", headers=headers)
