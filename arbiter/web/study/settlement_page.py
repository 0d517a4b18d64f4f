"""Settlement: choosing a rule, what it came to, how far it can be believed, what people found, what
changed."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect

from annotation.access import OWNERS, READERS
from annotation.models import Membership
from arbiter.analysis.figures.catalogue import make_figure
from arbiter.analysis.settlements import COLUMNS, label_changes, settlement_state
from arbiter.core.csvfile import csv_lines
from arbiter.web.forms.fields import status_of
from arbiter.web.forms.owners import SettlingForm
from arbiter.web.sign_in_pages import signed_in
from arbiter.web.study.job_pages import begin, is_quick, unfinished
from arbiter.web.study.step_links import linked
from arbiter.web.study.study_page import show_page, study_page
from judging.models import SettlementVersion
from judging.settlement.settling import settle


@study_page(READERS)
def show(request: HttpRequest, mine: Membership) -> HttpResponse:
    return _page(request, mine)


def _page(request: HttpRequest, mine: Membership, sent: SettlingForm | None = None) -> HttpResponse:
    study = mine.study
    shown = settlement_state(study)
    version = shown["version"]
    context: dict[str, Any] = {"tab": "settlement", **shown}
    context["under_way"] = unfinished(mine, "settle")
    context["steps"] = linked(shown["steps"], study, mine.role)
    context["settling"] = form = sent or SettlingForm(initial=_as_before(version))
    if version and version.fit.get("bins"):
        context["figure"] = make_figure(study, "settlement-reliability")
    return show_page(request, mine, "web/study/settlement.html", context, status_of(form))


def _as_before(version: SettlementVersion | None) -> dict[str, Any]:
    """Return what the newest settlement was made by, as the form begins with it."""
    if version is None:
        return {}
    return {"rule": version.rule, "threshold": f"{100 * version.options.get('threshold', 0.9):g}"}


@study_page(OWNERS, "POST")
def settle_now(request: HttpRequest, mine: Membership) -> HttpResponse:
    study, form = mine.study, SettlingForm(request.POST)
    with form.refusals("rule"):
        if form.is_valid():
            asked = form.arguments()
            if not is_quick(study, "settle"):
                return begin(request, mine, "settle", asked, owners_only=True)
            result = settle(
                study,
                asked.rule,
                threshold=asked.threshold,
                audit_share=asked.audit_share,
                by=signed_in(request),
            )
            messages.success(request, _told(result))
            return redirect("study-settlement", study.slug)
    return _page(request, mine, form)


def _told(result: dict[str, Any]) -> str:
    settled, still_open = (
        f"{result[key]:,} item{'' if result[key] == 1 else 's'}" for key in ("settled", "open")
    )
    parts = [f"{settled} with a final label, {still_open} open"]
    if result["relabelled"]:
        parts.append(f"{result['relabelled']:,} changed")
    if "audit" in result:
        parts.append(f"{result['audit']['drawn']:,} drawn for the audit")
    return f"Settlement {result['version']}: {'; '.join(parts)}."


@study_page(READERS)
def changed(request: HttpRequest, mine: Membership, number: int) -> StreamingHttpResponse:
    """Send every item whose label a settlement changed, as a file."""
    study = mine.study
    version = get_object_or_404(study.settlement_versions, number=number)
    answer = StreamingHttpResponse(
        csv_lines(COLUMNS, label_changes(version)), content_type="text/csv; charset=utf-8"
    )
    answer["Content-Disposition"] = f'attachment; filename="{study.slug}-settlement-{number}-changes.csv"'
    return answer
