"""The training round, an example at a time, and the rater's own page. Forms alone: they work without
scripts."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation import training
from annotation.desk import Desk
from annotation.raterfigures import own_figures
from annotation.schemes import QUESTION
from annotation.training import Answered, Round
from arbiter.core.errors import UserError
from arbiter.web.forms.labels import TrainingAnswerForm
from arbiter.web.forms.queries import TrainingQuery
from arbiter.web.label.workspace import desk_for, waits_for


@login_required
@require_GET
@never_cache
def show(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the next example; with `?seen=N` what became of an answer; after the last one, the score."""
    desk = desk_for(request, slug)
    now = training.round_of(desk.enrolment)
    if waits_for(desk) == "label-consent":
        return redirect("label-consent", slug)
    if now is None or (training.passed(desk) and not now.finished):
        return redirect("label", slug)
    seen = now.row(TrainingQuery.read(request.GET)["seen"])
    if seen and seen.answer:
        return render(request, "web/label/training.html", feedback(desk, now, seen))
    if now.next:
        return render(request, "web/label/training.html", question(desk, now, now.next))
    context = {
        "study": desk.study,
        "round": now,
        "labels": training.label_titles(desk.study),
        "trained": training.passed(desk),
    }
    return render(request, "web/label/trained.html", context)


@login_required
@require_POST
@never_cache
def take_answer(request: HttpRequest, slug: str) -> HttpResponse:
    """Keep the answer, then show what became of it. One that was given before stays, and is what is shown."""
    desk = desk_for(request, slug)
    now = training.round_of(desk.enrolment)
    if waits_for(desk) == "label-consent" or now is None:
        return redirect("label-training", slug)
    sent = TrainingAnswerForm.read(request.POST)
    round, number = sent["round"], sent["number"]
    row = now.row(number) if round == now.number else None
    if row is None:  # a page of an earlier round
        return redirect("label-training", slug)
    try:
        training.answer(desk.enrolment, round, number, sent["label"])
    except UserError as error:
        return render(
            request, "web/label/training.html", question(desk, now, row) | {"error": str(error)}, status=422
        )
    return redirect(f"{reverse('label-training', args=[slug])}?seen={number}")


@login_required
@require_POST
@never_cache
def again(request: HttpRequest, slug: str) -> HttpResponse:
    """Lead on from the score: into the workspace, or to the next round."""
    desk = desk_for(request, slug)
    if training.enter(desk.enrolment):
        return redirect("label", slug)
    training.try_again(desk.enrolment)
    return redirect("label-training", slug)


@login_required
@require_GET
@never_cache
def me(request: HttpRequest, slug: str) -> HttpResponse:
    desk = desk_for(request, slug)
    if first := waits_for(desk):
        return redirect(first, slug)
    return render(request, "web/label/me.html", {"study": desk.study, **own_figures(desk)})


def question(desk: Desk, now: Round, row: Answered) -> dict[str, Any]:
    return {
        "study": desk.study,
        "round": now,
        "row": row,
        "labels": desk.study.scheme.labels.all(),
        "question": row.example.question or desk.study.scheme.question or QUESTION,
    }


def feedback(desk: Desk, now: Round, row: Answered) -> dict[str, Any]:
    assert row.answer is not None
    named = training.label_titles(desk.study)
    return question(desk, now, row) | {
        "given": named.get(row.answer.label_key, row.answer.label_key),
        "gold": named.get(row.example.label, row.example.label),
        "pieces": row.example.pieces(),
    }
