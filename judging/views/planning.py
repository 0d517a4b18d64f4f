"""A study's plan of labels, and what a study to be can show."""

from dataclasses import fields
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from annotation.access import readable
from annotation.models import Study
from benchmark.errors import UserError
from judging.figures import make_figure
from judging.nextsteps import plan_step
from judging.planning.beforehand import Expected, before
from judging.planning.budget import Asked, board_kept, plan
from judging.planning.figures import asked_from, number

ASKED = ("width", "arm", "first", "second", "estimand")
SHARES = ("rate", "against", "difference")  # per cent on the page


@login_required
@require_GET
def show(request: HttpRequest, slug: str) -> HttpResponse:
    study = readable(request, slug)
    query = {name: request.GET[name] for name in ASKED if request.GET.get(name)}
    context: dict[str, Any] = {"study": study, "tab": "plan", "query": {"width": "10", **query}}
    try:
        context |= _planned(study, asked_from(query), query)
    except UserError as refusal:
        context["refusal"] = str(refusal)
    return render(request, "study/plan.html", context)


def _planned(study: Study, asked: Asked, query: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "arms": [arm.name for arm in board_kept(study, asked.by).arms],
        "plan": plan(study, asked),
    }
    if not asked.apart:
        kept = {name: value for name, value in query.items() if name in ("width", "arm", "estimand")}
        found["figure"] = make_figure(study, "plan-widths", kept)
    return found


@login_required
@require_GET
def step(request: HttpRequest, slug: str) -> HttpResponse:
    """The overview's step that takes a while to work out; by itself, the whole plan."""
    study = readable(request, slug)
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("study-plan", slug)
    found = plan_step(study)
    return render(request, "study/_step.html", {"step": found}) if found else HttpResponse("")


@login_required
@require_GET
def beforehand(request: HttpRequest, slug: str) -> HttpResponse:
    study = readable(request, slug)
    context: dict[str, Any] = {"study": study, "tab": "plan", "expected": Expected()}
    try:
        context["expected"] = _expected(request)
        context["found"] = before(study, context["expected"])
    except UserError as refusal:
        context["refusal"] = str(refusal)
    return render(request, "study/plan_before.html", context)


def _expected(request: HttpRequest) -> Expected:
    given: dict[str, Any] = {}
    for one in fields(Expected):
        text = request.GET.get(one.name, "")
        if text:
            value = number(text, one.name.capitalize())
            whole = one.name in ("tasks", "epochs")
            given[one.name] = int(value) if whole else value / 100 if one.name in SHARES else value
    return Expected(**given)
