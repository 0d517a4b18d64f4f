"""The raters' page and what it talks to. Nothing it sends tells the subject model, another label, gold, or
what an item is for: an item is known to it by its serving's key, and holds the task's own text, the response,
and what the study shows beside."""

from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Literal

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from annotation import guidelines, routing, submitting
from annotation.access import labelling_in
from annotation.desk import Desk, purpose_of
from annotation.earlierlabels import DECIDED, decided_since
from annotation.enrolments import enrolled_with_role, enrolment_for
from annotation.humanplan import humans_of
from annotation.models import Enrolment, Serving, Study
from annotation.raterprogress import rater_pace, refresh, shown_progress
from annotation.raters import pseudonym
from annotation.training import passed
from arbiter.core.errorkinds import notice_of as told_of
from arbiter.core.errors import UserError
from arbiter.core.text import digest, storable
from arbiter.web.error_answers import in_json
from arbiter.web.forms.labels import ConsentForm
from arbiter.web.label.item_payload import guidelines_for_page, items_for_page, scheme_for_page
from arbiter.web.sign_in_pages import signed_in

Key = Annotated[str, StringConstraints(pattern=r"^[a-z2-7]{12}$")]
LabelKey = Annotated[str, StringConstraints(max_length=60, pattern=r"^[A-Za-z0-9_-]*$")]
QuestionName = Annotated[str, StringConstraints(max_length=80, pattern=r"^[A-Za-z0-9_-]+$")]
KeyName = Annotated[str, StringConstraints(max_length=20, pattern=r"^[^\x00-\x1f]*$")]
View = Callable[..., HttpResponse]
OTHER_PERSON = "Somebody else has signed in in this browser. Sign in as yourself again; nothing is lost."


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EvidenceSpan(Body):
    start: int
    end: int


class Draft(Body):
    label: LabelKey = ""
    confidence: Literal[1, 2, 3] | None = None
    note: str = Field("", max_length=submitting.LONGEST_NOTE)
    evidence: list[EvidenceSpan] = Field([], max_length=submitting.MOST_EVIDENCE)
    answers: dict[QuestionName, LabelKey] = {}
    flagged: bool = False


class Wanting(Body):
    """How many items the page would like to hold, and those it holds."""

    want: int = Field(default=1, ge=0, le=routing.AHEAD)
    have: list[Key] = Field(default=[], max_length=4 * routing.AHEAD)


class Submitted(Draft, Wanting):
    key: Key
    submission: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{8,40}$")]
    base: int = Field(0, ge=0, lt=2**30)
    active_seconds: float | None = Field(None, ge=0, le=86_400)


class Skipped(Wanting):
    key: Key
    reason: str = Field(max_length=2000)


class Drafted(Body):
    """A draft, and when it was made by the browser's clock, which then knows the newer of its own and
    ours."""

    key: Key
    draft: Draft
    at: int = Field(0, ge=0)


class HeldKeys(Body):
    keys: list[Key] = Field(max_length=4 * routing.AHEAD)


class Preferences(Body):
    """How somebody likes their keys; the page knows the actions."""

    keys: dict[KeyName, KeyName] = Field({}, max_length=40)
    single_keys: bool = True
    auto_advance: bool = False


def desk_for(request: HttpRequest, slug: str) -> Desk:
    """Return where the person who asks labels in the study. Raises PermissionDenied or Http404 for those who
    don't."""
    if before := enrolled_with_role(slug, signed_in(request)):
        mine, role = before
        study = mine.study
    else:
        member = labelling_in(request, slug)
        study, role = member.study, member.role
        mine = enrolment_for(study, signed_in(request))
    return Desk(study, mine.rater, mine, purpose_of(role), role)


def consent_hash(study: Study) -> str:
    return digest(humans_of(study).consent_text())


def answering(view: View, *, gated: bool = True) -> View:
    """Make a view one that the raters' page talks to: whoever is signed out or not ready is told so in JSON,
    and so is every refusal. `gated`: nothing is answered before consent and training."""

    @wraps(view)
    @never_cache
    def checked(request: HttpRequest, slug: str, *given: Any, **named: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return in_json("signed-out", "You have been signed out. Sign in again; nothing is lost.")
        try:
            desk = desk_for(request, slug)
        except PermissionDenied:
            return in_json(
                "not-allowed",
                "Only the study's raters and experts label here, and its owner where the study file says so.",
            )
        except Http404:
            return in_json("not-found", "You are in no such study.")
        named_rater = request.headers.get("X-Arbiter-Rater")
        if named_rater and named_rater != pseudonym(desk.study, desk.rater):
            return in_json("other-person", OTHER_PERSON)
        if gated and waits_for(desk):
            return in_json("not-ready", "Open the study's page again: there is something to read first.")
        try:
            return view(request, desk, *given, **named)
        except (ValidationError, UserError) as error:
            said = told_of(error)
            return in_json(said.kind, said.message)
        except Http404:
            return in_json("not-found", "No such response has been given to you.")

    return checked


def taking(view: View) -> View:
    """Make a view one that takes what was done with items given before, as `answering` does, but whatever
    there is to read by now: else a label would be stuck in its browser."""
    return answering(view, gated=False)


def waits_for(desk: Desk) -> str:
    """Return the name of the page that comes before the first item: consent, then training; empty where the
    rater may label."""
    mine = desk.enrolment
    if mine.consented_at is None or mine.consent_hash != consent_hash(desk.study):
        return "label-consent"
    return "" if passed(desk) else "label-training"


# Pages


@login_required
@require_GET
@never_cache
def workspace(request: HttpRequest, slug: str) -> HttpResponse:
    desk = desk_for(request, slug)
    if first := waits_for(desk):
        return redirect(first, slug)
    context = {"study": desk.study, "desk": start(desk), "as_owner": bool(desk.by)}
    return render(request, "web/label/page.html", context)


@login_required
@never_cache
def consent(request: HttpRequest, slug: str) -> HttpResponse:
    """Show what a rater should know before the first item, and keep their consent. A text that changed is
    asked for again."""
    desk = desk_for(request, slug)
    if request.method == "POST" and ConsentForm.read(request.POST)["text"] == consent_hash(desk.study):
        Enrolment.objects.filter(pk=desk.enrolment.pk).update(
            consented_at=timezone.now(), consent_hash=consent_hash(desk.study)
        )
        return redirect("label", slug)
    plan = humans_of(desk.study)
    context = {
        "study": desk.study,
        "text": guidelines.formatted(plan.consent_text()),
        "training": plan.training and not passed(desk),
        "hash": consent_hash(desk.study),
        "agreed": waits_for(desk) != "label-consent",
        "as_owner": bool(desk.by),
    }
    return render(request, "web/label/consent.html", context)


def start(desk: Desk) -> dict[str, Any]:
    """Return all that the raters' page is made from: the scheme, where to send things, and the first
    items."""
    study, plan = desk.study, humans_of(desk.study)
    urls = {
        name: reverse(f"label-{name}", args=[study.slug])
        for name in ("next", "submit", "skip", "draft", "keep", "last", "preferences", "guidelines", "mine")
    }
    keyed = {name: reverse(f"label-{name}", args=[study.slug, "KEY"]) for name in ("formatted", "answered")}
    return {
        "study": {"title": study.title, "slug": study.slug},
        "rater": pseudonym(study, desk.rater),
        "scheme": scheme_for_page(study.scheme),
        "questions": [
            {"name": one.name, **scheme_for_page(one.scheme)}
            for one in study.questions.select_related("scheme")
        ],
        "urls": urls | keyed,
        "ahead": routing.AHEAD,
        "show": plan.show,
        "preferences": desk.enrolment.preferences,
        "guidelines": guidelines_for_page(study),
        "break_after": plan.break_after,
        "pace": rater_pace(desk),
        **more(desk, Wanting(want=routing.AHEAD)),
    }


# What the page talks to


@require_POST
@answering
def following(request: HttpRequest, desk: Desk) -> HttpResponse:
    return JsonResponse(more(desk, Wanting.model_validate_json(request.body)))


@require_POST
@taking
def submit(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Write the label, then send what comes next in the same answer. The label is written whatever becomes of
    the rest."""
    sent = Submitted.model_validate_json(request.body)
    serving = serving_of(desk, sent.key)
    try:
        rating = submitting.submit(serving, submission_in(serving, sent))
    except submitting.Conflict as error:  # with what to build on, should the rater want to replace it
        serving.refresh_from_db(fields=["revision"])
        return in_json(error.kind, str(error), revision=serving.revision)
    saved = {
        "key": serving.key,
        "submission": sent.submission,
        "revision": rating.revision,
        "surplus": rating.surplus,
    }
    return JsonResponse({"saved": saved, **more(desk, sent)})


def submission_in(serving: Serving, sent: Submitted) -> submitting.Submission:
    return submitting.Submission(
        key=f"{serving.key}.{sent.submission}",
        label=sent.label,
        base=sent.base,
        rationale=sent.note.strip(),
        confidence=None if sent.confidence is None else float(sent.confidence),
        answers=sent.answers,
        evidence=[span.model_dump() for span in sent.evidence],
        flagged=sent.flagged,
        active_seconds=sent.active_seconds,
    )


@require_POST
@taking
def skip(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Give the item back with a reason, then send the next one."""
    sent = Skipped.model_validate_json(request.body)
    serving = serving_of(desk, sent.key)
    routing.skip(serving, sent.reason)
    return JsonResponse({"skipped": serving.key, **more(desk, sent)})


@require_POST
@taking
def draft(request: HttpRequest, desk: Desk) -> HttpResponse:
    sent = Drafted.model_validate_json(request.body)
    kept = sent.draft.model_dump() | {"at": sent.at}
    kept["note"], _ = storable(kept["note"])
    submitting.keep_draft(serving_of(desk, sent.key), kept)
    return JsonResponse({"kept": sent.key})


@require_POST
@taking
def keep(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Renew the leases of what the page holds, and answer with the keys whose places have gone to others.
    Their labels would be kept as extras."""
    keys = HeldKeys.model_validate_json(request.body).keys
    return JsonResponse(
        {"lost": routing.renew(routing.open_servings(desk.study, desk.rater, keys), desk.rater)}
    )


@require_GET
@answering
def last(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Answer with the rater's last label, to be changed: what is sent for it becomes a new revision."""
    serving = submitting.last_answered(desk.study, desk.rater)
    if serving is None:
        return in_json("refused", "You have labelled nothing yet that could be reopened.")
    if decided_since(serving):
        return in_json("refused", DECIDED)
    return JsonResponse(
        {"item": items_for_page(desk.study, [serving])[0] | {"answer": submitting.answer_in(serving)}}
    )


@require_GET
@answering
def formatted(request: HttpRequest, desk: Desk, key: str) -> HttpResponse:
    serving = serving_of(desk, key)
    return JsonResponse({"html": guidelines.formatted(serving.item.response.text)})


@require_GET
@answering
def current_guidelines(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Answer with the guidelines, asked for when an answer names another version than the page has: what a
    rater is shown says which one it was."""
    return JsonResponse({"guidelines": guidelines_for_page(desk.study)})


@require_POST
@answering
def preferences(request: HttpRequest, desk: Desk) -> HttpResponse:
    chosen = Preferences.model_validate_json(request.body).model_dump()
    Enrolment.objects.filter(pk=desk.enrolment.pk).update(preferences=chosen)
    return JsonResponse({"preferences": chosen})


def serving_of(desk: Desk, key: str) -> Serving:
    """Return a serving of this very rater: what was not served to them can't be labelled, skipped or read."""
    served = Serving.objects.select_related("item__response").only(*NEEDED)
    serving = get_object_or_404(served, key=key, study=desk.study, rater=desk.rater)
    serving.study, serving.rater, serving.item.study = desk.study, desk.rater, desk.study
    serving.shown = serving.shown | desk.by  # who became the owner since, labels as one
    return serving


# Of an item what its label depends on, and what the page shows; a response's raw answer may be long.
NEEDED = (
    "key",
    "study",
    "item",
    "rater",
    "purpose",
    "ordinal",
    "shown",
    "draft",
    "revision",
    "served_at",
    "answered_at",
    "item__study",
    "item__response__text",
)


def more(desk: Desk, wanting: Wanting) -> dict[str, Any]:
    """Return what the rater holds that the page doesn't know of yet, claiming more where it holds too
    little."""
    refresh(desk)  # what was just sent counts towards a cap
    servings = routing.held(desk) if waits_for(desk) else routing.serve(desk, wanting.want)
    new = [serving for serving in servings if serving.key not in wanting.have]
    now = shown_progress(desk)
    return {
        "items": items_for_page(desk.study, new),
        "held": [serving.key for serving in servings],
        "progress": {"done": now.done, "left": now.left},
        "paused": desk.enrolment.paused,
        "guidelines_version": desk.guidelines,
    }
