"""A study's plan of labels, and what a study to be can show."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from annotation.access import READERS
from annotation.models import Membership, Study
from arbiter.analysis.figures.catalogue import make_figure
from arbiter.analysis.planning.labelplan import label_plan, sampling_frame_kept
from arbiter.analysis.planning.planspec import PlanSpec, plan_spec_from
from arbiter.analysis.planning.poweranalysis import power_analysis
from arbiter.studies.reading.nextsteps import plan_step
from arbiter.web.forms.queries import ExpectedForm, PlanForm
from arbiter.web.study.step_links import linked
from arbiter.web.study.study_page import show_page, study_page


@study_page(READERS)
def show(request: HttpRequest, mine: Membership) -> HttpResponse:
    study = mine.study
    form = PlanForm.asked(request.GET)
    context: dict[str, Any] = {"tab": "plan", "query": form.data, "form": form}
    with form.refusals():
        if form.is_valid():
            context |= _planned(study, plan_spec_from(form.query), form.query)
    return show_page(request, mine, "web/study/plan.html", context)


def _planned(study: Study, asked: PlanSpec, query: dict[str, str]) -> dict[str, Any]:
    context: dict[str, Any] = {
        "arms": [arm.name for arm in sampling_frame_kept(study, asked.by).arms],
        "plan": label_plan(study, asked),
    }
    if not asked.apart:
        kept = {name: value for name, value in query.items() if name in ("width", "arm", "estimand")}
        context["figure"] = make_figure(study, "plan-widths", kept)
    return context


@study_page(READERS)
def step(request: HttpRequest, mine: Membership) -> HttpResponse:
    """Show the overview's step that takes a while to work out; by itself, lead to the whole plan."""
    study = mine.study
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("study-plan", study.slug)
    step = plan_step(study)
    if step is None:
        return HttpResponse("")
    [shown] = linked([step], study, mine.role)
    return show_page(request, mine, "web/study/_step.html", {"step": shown})


@study_page(READERS)
def beforehand(request: HttpRequest, mine: Membership) -> HttpResponse:
    study = mine.study
    form = ExpectedForm.asked(request.GET)
    context: dict[str, Any] = {"tab": "plan", "form": form}
    with form.refusals():
        if form.is_valid():
            context["power"] = power = power_analysis(study, form.expected())
            form.fill(tasks=power["tasks"], epochs=power["epochs"])
    return show_page(request, mine, "web/study/plan_before.html", context)
