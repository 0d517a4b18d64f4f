"""Settlement: choosing a rule, what it came to, how far it can be believed, what people found, what changed."""

import csv
import io
from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from annotation.access import owned, readable
from annotation.views.signing import signed_in
from benchmark.errors import UserError
from judging.figures import make_figure
from judging.settlement.page import COLUMNS, changes, page
from judging.settlement.rules import RULES
from judging.settlement.settling import settle

CHOICES = [
    ("majority", "Majority: the label most voters give"),
    ("unanimous", "Unanimous: only where all voters agree"),
    ("weighted", "Weighted: voters count as they do on gold"),
    ("model", "Model: a calibrated posterior, high enough"),
]


@login_required
@require_GET
def show(request: HttpRequest, slug: str) -> HttpResponse:
    study = readable(request, slug)
    found = page(study)
    version = found["version"]
    context: dict[str, Any] = {"study": study, "tab": "settlement", "choices": CHOICES, **found}
    context["rule"] = version.rule if version else "majority"
    context["threshold"] = 100 * (version.options.get("threshold", 0.9) if version else 0.9)
    if version and version.fit.get("bins"):
        context["figure"] = make_figure(study, "settlement-reliability")
    return render(request, "study/settlement.html", context)


@login_required
@require_POST
def settle_now(request: HttpRequest, slug: str) -> HttpResponse:
    study = owned(request, slug)
    rule = request.POST.get("rule", RULES[1])
    try:
        threshold = _percent(request, "threshold", "90", "The threshold")
        share = _percent(request, "audit", "0", "The audit share")
        result = settle(study, rule, threshold=threshold, audit_share=share, by=signed_in(request))
    except UserError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _told(result))
    return redirect("study-settlement", slug)


def _percent(request: HttpRequest, name: str, default: str, what: str) -> float:
    given = request.POST.get(name, default).strip().replace(",", ".") or default
    try:
        return float(given) / 100
    except ValueError as error:
        raise UserError(f"{what} is a number of per cent, not {given[:20]!r}.") from error


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


@login_required
@require_GET
def changed(request: HttpRequest, slug: str, number: int) -> StreamingHttpResponse:
    """Every item whose label a settlement changed, as a file."""
    study = readable(request, slug)
    version = get_object_or_404(study.settlement_versions, number=number)
    answer = StreamingHttpResponse(_lines(changes(version)), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{slug}-settlement-{number}-changes.csv"'
    return answer


def _lines(rows: Iterator[tuple[Any, ...]]) -> Iterator[str]:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_safe(value) for value in row])
        if out.tell() > 32_000:
            yield out.getvalue()
            out.seek(0)
            out.truncate()
    yield out.getvalue()


def _safe(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula gets an apostrophe before it."""
    risky = isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r")
    return f"'{value}" if risky else value
