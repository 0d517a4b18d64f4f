"""Checking endpoints, keeping what was found, and what of it later calls go by."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from arbiter.calls.checkitems import CHECKED, CheckItem
from arbiter.calls.findings import findings_of, noted
from arbiter.core.errors import UserError
from arbiter.core.jobkinds import JobKind
from arbiter.core.jobworkers import RunningJob
from benchmark.endpoints import endpoint_named
from benchmark.models import Endpoint, EndpointCheck

KIND = "endpoint-check"
LONGEST_MODEL = 200


def check_endpoint(
    endpoint: Endpoint, model: str, said: Callable[[CheckItem], None] = lambda item: None
) -> EndpointCheck:
    """Check what a model takes at the endpoint, and keep what was found. Calls go by it where a completion
    came; else what was known before holds."""
    from arbiter.calls.checking import check  # loads the library that calls are made with

    if not model or len(model) > LONGEST_MODEL or not model.isprintable():
        raise UserError(f"A check needs a model's name, of 1 to {LONGEST_MODEL} characters.")
    report = check(endpoint.service, model, said)
    with transaction.atomic():
        row = EndpointCheck.objects.create(
            endpoint=endpoint,
            model=model,
            base_url=endpoint.base_url,
            dialect=endpoint.dialect,
            answered=report.answered,
            items=[asdict(item) for item in report.items],
            calls=report.calls,
            seconds=round(report.seconds, 3),
            simulated=report.simulated,
        )
        if report.answered:
            # Another check of another model may be noting what it found.
            now = Endpoint.objects.select_for_update().get(pk=endpoint.pk)
            before = findings_of(now.found, endpoint.base_url, endpoint.dialect, model)
            findings = report.findings(before, timezone.now().isoformat(timespec="seconds"))
            now.found = {**now.found, model: noted(findings, endpoint.base_url, endpoint.dialect)}
            now.save(update_fields=["found"])
    return row


def latest_checks(endpoint: Endpoint) -> list[EndpointCheck]:
    """Return the last check of each model, the newest first."""
    last: dict[str, EndpointCheck] = {}
    for row in endpoint.checks.order_by("-id")[:200].select_related("endpoint"):
        last.setdefault(row.model, row)
    return list(last.values())


def told(check: EndpointCheck) -> dict[str, Any]:
    """Return a check as commands tell it."""
    return {
        "endpoint": check.endpoint.name,
        "model": check.model,
        "answered": check.answered,
        "checked_at": check.checked_at.isoformat(timespec="seconds"),
        "calls": check.calls,
        "seconds": check.seconds,
        "simulated": check.simulated,
        "found": [{"what": item.what, "state": item.state, "said": item.said} for item in check.found_items],
    }


@dataclass(frozen=True)
class EndpointCheckArguments:
    """Which model is to be checked where."""

    endpoint: str
    model: str

    def __str__(self) -> str:
        return f"{self.model} at {self.endpoint}"


def work(arguments: EndpointCheckArguments, running: RunningJob) -> dict[str, Any]:
    seen: list[CheckItem] = []

    def said(item: CheckItem) -> None:
        seen.append(item)
        running(len(seen), CHECKED, item.title)

    running(0, CHECKED)
    check = check_endpoint(endpoint_named(arguments.endpoint), arguments.model, said)
    return {"check": check.pk, "answered": check.answered}


ENDPOINT_CHECK = JobKind(KIND, "Endpoint check", EndpointCheckArguments, work, makes_file=False)
