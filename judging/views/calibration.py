"""The Judges tab: all judges against gold, a page for each, and what their owner does about them."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from annotation.access import owned, readable
from annotation.models import Rater, Study
from annotation.raters import primary_raters
from benchmark.errors import UserError
from judging.calibration.against_gold import judge_raters
from judging.calibration.calibrating import gold_parts, rows
from judging.calibration.goldsplit import looks, reveal, split_gold
from judging.calibration.page import comparison_for, judge_page
from judging.figures import make_figure
from judging.models import StudyJudge
from judging.panel.tuning import edit_template, want_tuning
from judging.panel.waking import wake_workers
from judging.views.numbers import whole


@login_required
@require_GET
def show_all(request: HttpRequest, slug: str) -> HttpResponse:
    study = readable(request, slug)
    parts, raters = gold_parts(study), judge_raters(study)
    context: dict[str, Any] = {
        "study": study, "tab": "judges", "gold": parts, "raters": raters, "looks": looks(study),
    }  # fmt: skip
    if parts.items and raters:
        context |= {"rows": rows(study, raters), "figure": make_figure(study, "judges")}
    return render(request, "study/judges.html", context)


@login_required
@require_GET
def show(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One judge: on the parts of the gold that may be seen, its errors, its versions, and beside another."""
    study = readable(request, slug)
    rater = _rater(study, pk)
    context = {"study": study, "tab": "judges", **judge_page(study, rater)}
    try:
        context |= comparison_for(study, rater, whole(request, "with"))
    except UserError as error:
        raise Http404(str(error)) from error
    return render(request, "study/judge.html", context)


@login_required
@require_POST
def split(request: HttpRequest, slug: str) -> HttpResponse:
    study = owned(request, slug)
    try:
        share, seed = float(request.POST.get("share", "0.5")), int(request.POST.get("seed", "0") or 0)
        split_gold(study, seed if abs(seed) < 2**62 else 0, share)
    except ValueError:
        messages.error(request, "The share and the seed must be numbers.")
    except UserError as error:
        messages.error(request, str(error))
    else:
        messages.success(
            request, "The gold is split. Figures are of the tuning part until you look at the sealed one."
        )
    return redirect("study-judges", slug)


@login_required
@require_POST
def look(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Reveal the judge's figures on the sealed part. It is counted, with who, when and why."""
    study = owned(request, slug)
    rater = _rater(study, pk)
    try:
        reveal(study, rater, request.POST.get("reason", ""), request.user)  # type: ignore[arg-type]
    except UserError as error:
        messages.error(request, str(error))
    return _to(study, rater, "sealed")


@login_required
@require_POST
def tune(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Ask the judge on the tuning gold alone, or give it another template."""
    study = owned(request, slug)
    rater = _asked(study, pk)
    try:
        if "template" in request.POST:
            made = edit_template(study, rater, request.POST["template"], request.POST.get("before", ""))
            rater = made.judge.rater
            messages.success(request, f"{rater} is made. Ask it on the tuning gold, then compare.")
        else:
            count = want_tuning(study, study.judges.select_related("judge__rater").get(judge__rater=rater))
            wake_workers()
            messages.success(request, _wanted(count))
    except UserError as error:
        messages.error(request, str(error))
    return _to(study, rater, "versions")


def _wanted(count: int) -> str:
    if not count:
        return "It was asked on all of the tuning gold already."
    return f"{'1 verdict' if count == 1 else f'{count:,} verdicts'} on the tuning gold asked for; the worker is on it."


def _rater(study: Study, pk: int) -> Rater:
    """A judge or scorer that has labelled here, or a judge that is asked."""
    found = Rater.objects.filter(pk=pk).exclude(kind=Rater.Kind.HUMAN).first()
    if found is None or not (_in_study(study, found)):
        raise Http404("There is no such judge in this study.")
    return found


def _in_study(study: Study, rater: Rater) -> bool:
    asked = StudyJudge.objects.filter(study=study, judge__rater=rater, judge__question="").exists()
    return asked or primary_raters(study).filter(pk=rater.pk).exists()


def _asked(study: Study, pk: int) -> Rater:
    rater = _rater(study, pk)
    if not StudyJudge.objects.filter(study=study, judge__rater=rater).exists():
        raise Http404("That judge was not run here.")
    return rater


def _to(study: Study, rater: Rater, part: str) -> HttpResponseRedirect:
    return redirect(reverse("judge-page", args=[study.slug, rater.pk]) + f"#{part}")
