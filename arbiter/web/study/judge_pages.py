"""The Judges tab: all judges against gold, a page for each, and what their owner does about them."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from annotation.access import OWNERS, READERS
from annotation.models import Membership, Rater, Study
from annotation.raters import primary_raters
from arbiter.analysis.calibration.goldparts import gold_parts
from arbiter.analysis.calibration.judgetable import judge_rows
from arbiter.analysis.figures.catalogue import make_figure
from arbiter.analysis.judgeprofile import comparison_for, judge_page
from arbiter.analysis.judgeraters import judge_raters
from arbiter.studies.setup.judgetemplates import edit_template
from arbiter.studies.setup.studyedits import EditConflict
from arbiter.web.forms.fields import status_of
from arbiter.web.forms.owners import LookForm, SplitForm, TemplateForm
from arbiter.web.forms.queries import JudgeQuery
from arbiter.web.sign_in_pages import signed_in
from arbiter.web.study.study_page import address, show_page, study_page
from benchmark.importunderway import refuse_while_importing
from judging.models import StudyJudge
from judging.panel.answer_forms import forms_of
from judging.panel.tuning_verdicts import want_tuning
from judging.panel.waking import wake_workers
from judging.votes.goldsplit import looks, reveal, split_gold


@study_page(READERS)
def show_all(request: HttpRequest, mine: Membership) -> HttpResponse:
    return _judges(request, mine, SplitForm())


def _judges(request: HttpRequest, mine: Membership, splitting: SplitForm) -> HttpResponse:
    study = mine.study
    refuse_while_importing(study.pk)
    parts, raters = gold_parts(study), judge_raters(study)
    context: dict[str, Any] = {
        "tab": "judges",
        "gold": parts,
        "raters": raters,
        "looks": looks(study),
        "splitting": splitting,
    }
    if parts.items and raters:
        context |= {"rows": judge_rows(study, raters), "figure": make_figure(study, "judges")}
    return show_page(request, mine, "web/study/judges.html", context, status_of(splitting))


@study_page(READERS)
def show(request: HttpRequest, mine: Membership, pk: int) -> HttpResponse:
    """Show one judge: on the parts of the gold that may be seen, its errors, its versions, and beside
    another."""
    return _judge(request, mine, _rater(mine.study, pk))


def _judge(
    request: HttpRequest,
    mine: Membership,
    rater: Rater,
    *,
    looking: LookForm | None = None,
    editing: TemplateForm | None = None,
) -> HttpResponse:
    """Return a judge's page, with the form that was sent and refused."""
    study, looking = mine.study, looking or LookForm()
    refuse_while_importing(study.pk)
    context = {"tab": "judges", **judge_page(study, rater)}
    text = context["template"]
    editing = editing or TemplateForm(initial={"template": text, "before": text})
    context |= {"looking": looking, "editing": editing}
    context["unread"] = forms_of(context["asked"]) if context["asked"] else []
    context |= comparison_for(study, rater, JudgeQuery.read(request.GET)["with"])
    return show_page(request, mine, "web/study/judge.html", context, status_of(looking, editing))


@study_page(OWNERS, "POST")
def split(request: HttpRequest, mine: Membership) -> HttpResponse:
    form = SplitForm(request.POST)
    with form.refusals():
        if form.is_valid():
            split_gold(mine.study, form.cleaned_data["seed"] or 0, form.cleaned_data["share"])
            said = "The gold is split. Figures are of the tuning part until you look at the sealed one."
            messages.success(request, said)
            return redirect("study-judges", mine.study.slug)
    return _judges(request, mine, form)


@study_page(OWNERS, "POST")
def look(request: HttpRequest, mine: Membership, pk: int) -> HttpResponse:
    """Reveal the judge's figures on the sealed part. It is counted, with who, when and why."""
    study = mine.study
    rater = _rater(study, pk)
    form = LookForm(request.POST)
    with form.refusals():
        if form.is_valid():
            reveal(study, rater, form.cleaned_data["reason"], signed_in(request))
            return redirect(address("judge-page#sealed", slug=study.slug, pk=pk))
    return _judge(request, mine, rater, looking=form)


@study_page(OWNERS, "POST", back="judge-page#versions")
def tune(request: HttpRequest, mine: Membership, pk: int) -> HttpResponse:
    """Ask the judge on the tuning gold alone, or give it another template."""
    study = mine.study
    rater = _asked(study, pk)
    if "template" in request.POST:
        return _edited(request, mine, rater)
    count = want_tuning(study, study.judges.select_related("judge__rater").get(judge__rater=rater))
    wake_workers()
    messages.success(request, _wanted(count))
    return redirect(address("judge-page#versions", slug=study.slug, pk=rater.pk))


def _edited(request: HttpRequest, mine: Membership, rater: Rater) -> HttpResponse:
    """Give the judge the template that was sent. Where it changed meanwhile, what is edited from then on is
    the one there is."""
    form = TemplateForm(request.POST)
    with form.refusals("template"):
        if form.is_valid():
            try:
                version = edit_template(
                    mine.study, rater, form.cleaned_data["template"], form.cleaned_data["before"]
                )
            except EditConflict:
                form.base_on(judge_page(mine.study, rater)["template"])
                raise
            rater = version.judge.rater
            messages.success(request, f"{rater} is made. Ask it on the tuning gold, then compare.")
            return redirect(address("judge-page#versions", slug=mine.study.slug, pk=rater.pk))
    return _judge(request, mine, rater, editing=form)


def _wanted(count: int) -> str:
    if not count:
        return "It was asked on all of the tuning gold already."
    return (
        f"{'1 verdict' if count == 1 else f'{count:,} verdicts'} on the tuning gold asked for; the worker is "
        "on it."
    )


def _rater(study: Study, pk: int) -> Rater:
    """Return a judge or scorer that has labelled in the study, or a judge that is asked there; 404 where
    there is none."""
    rater = Rater.objects.filter(pk=pk).exclude(kind=Rater.Kind.HUMAN).first()
    if rater is None or not (_in_study(study, rater)):
        raise Http404("There is no such judge in this study.")
    return rater


def _in_study(study: Study, rater: Rater) -> bool:
    asked = StudyJudge.objects.filter(study=study, judge__rater=rater, judge__question="").exists()
    return asked or primary_raters(study).filter(pk=rater.pk).exists()


def _asked(study: Study, pk: int) -> Rater:
    rater = _rater(study, pk)
    if not StudyJudge.objects.filter(study=study, judge__rater=rater).exists():
        raise Http404("That judge was not run here.")
    return rater
