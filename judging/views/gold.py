"""A study's gold: how much there is and how it came, its items, and the owner's ways to more of it."""

import tempfile
from pathlib import Path
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from annotation.access import Role, owned, readable
from annotation.goldfile import import_gold
from annotation.golding import counted, listed, promote
from annotation.models import Gold, Study
from annotation.raters import pseudonym
from benchmark.errors import UserError
from benchmark.formats.records import FormatError
from judging.views.numbers import whole

PAGE = 50
LARGEST = 20 * 1024 * 1024  # bytes of an upload; the command takes any
ORIGINS = {
    "single": "one expert", "consensus": "consensus", "adjudicated": "adjudicated", "imported": "imported",
}  # fmt: skip


@login_required
@require_GET
def show(request: HttpRequest, slug: str) -> HttpResponse:
    study = readable(request, slug)
    counts = counted(study)
    rows = counts["rows"]
    labels = list(study.scheme.labels.all())
    found = listed(study, whole(request, "after"), PAGE + 1)
    context = {
        "study": study,
        "tab": "gold",
        "total": sum(row["items"] for row in rows),
        "labels": [(label.title, _sum(rows, label=label.key)) for label in labels],
        "ways": _ways(rows, [label.key for label in labels]),
        "coverage": counts["coverage"],
        "page": [(gold, ORIGINS[gold.origin], _author(study, gold)) for gold in found[:PAGE]],
        "following": found[PAGE - 1].item_id if len(found) > PAGE else None,
        "draws": study.draws.order_by("name"),
    }
    return render(request, "study/gold.html", context)


def _sum(rows: list[dict[str, Any]], **where: Any) -> int:
    return sum(row["items"] for row in rows if all(row[name] == value for name, value in where.items()))


def _ways(rows: list[dict[str, Any]], labels: list[str]) -> list[dict[str, Any]]:
    """A row for each way gold came, with its items by label."""
    ways = dict.fromkeys((row["origin"], row["draw"], row["stratum"]) for row in rows)
    found = []
    for origin, draw, stratum in ways:
        where = {"origin": origin, "draw": draw, "stratum": stratum}
        counts = [_sum(rows, **where, label=label) for label in labels]
        found.append({**where, "origin": ORIGINS[origin], "counts": counts, "items": _sum(rows, **where)})
    return found


def _author(study: Study, gold: Gold) -> str:
    if gold.author is None:
        return ""
    return str(gold.author) if study.role == Role.OWNER else pseudonym(study, gold.author)  # type: ignore[attr-defined]


@login_required
@require_POST
def promote_now(request: HttpRequest, slug: str) -> HttpResponse:
    study = owned(request, slug)
    given = request.POST.get("min", "2")
    minimum = int(given) if given.isdecimal() and 0 < len(given) < 4 else 0
    try:
        if minimum < 1:
            raise UserError("How many raters have to agree is a whole number from 1.")
        found = promote(
            study, request.POST.get("source", ""), minimum=minimum, replace="replace" in request.POST
        )
    except UserError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _told(found))
    return redirect("study-gold", slug)


def _told(found: dict[str, Any]) -> str:
    """What a promotion or an import did, in a sentence."""
    parts = [f"{found['written']} gold label{'' if found['written'] == 1 else 's'} written"]
    for key, words in [
        ("unchanged", "there already"), ("kept", "of an expert, an import or a decision left as they are"),
        ("withdrawn", "withdrawn, as their raters now differ"),
    ]:  # fmt: skip
        if found.get(key):
            parts.append(f"{found[key]} {words}")
    return f"{', '.join(parts)}."


@login_required
@require_POST
def import_file(request: HttpRequest, slug: str) -> HttpResponse:
    study = owned(request, slug)
    sent = request.FILES.get("file")
    try:
        if not isinstance(sent, UploadedFile):
            raise UserError("Choose a CSV or JSONL file first.")
        messages.success(request, _told(_imported(study, sent, request.POST.get("draw", ""))))
    except UserError as error:
        messages.error(request, str(error))
    return redirect("study-gold", slug)


def _imported(study: Study, sent: Any, draw: str) -> dict[str, Any]:
    """What is refused is told by the name the file has at its owner's."""
    name = Path(sent.name or "upload").name
    if (sent.size or 0) > LARGEST:
        raise UserError(
            f"{name} is larger than {LARGEST // 1024**2} MB; import it with `manage.py gold import {study.slug} FILE`."
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"gold{Path(name).suffix.lower()[:10]}"
        path.write_bytes(b"".join(sent.chunks()))
        try:
            return import_gold(study, path, draw)
        except FormatError as error:
            raise UserError(str(error).replace(str(path), name)) from error
