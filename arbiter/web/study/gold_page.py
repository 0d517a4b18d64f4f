"""A study's gold: how much there is and how it came, its items, and the owner's ways to more of it."""

import tempfile
from pathlib import Path
from typing import Any

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from annotation.access import OWNERS, READERS, Role
from annotation.goldfile import import_gold
from annotation.goldlabels import gold_counts, gold_page, promote
from annotation.models import Gold, Membership, Study
from annotation.raters import pseudonym
from arbiter.core.errors import UserError
from arbiter.web.forms.fields import status_of
from arbiter.web.forms.owners import GoldFileForm, PromotionForm
from arbiter.web.forms.queries import AfterQuery
from arbiter.web.study.study_page import show_page, study_page
from benchmark.formats.records import FormatError

PAGE = 50
LARGEST = 20 * 1024 * 1024  # bytes of an upload; the command takes any
ORIGINS = {
    "single": "one expert",
    "consensus": "consensus",
    "adjudicated": "adjudicated",
    "imported": "imported",
}


@study_page(READERS)
def show(request: HttpRequest, mine: Membership) -> HttpResponse:
    return _page(request, mine)


def _page(
    request: HttpRequest,
    mine: Membership,
    *,
    promoting: PromotionForm | None = None,
    importing: GoldFileForm | None = None,
) -> HttpResponse:
    study, promoting = mine.study, promoting or PromotionForm()
    importing = importing or GoldFileForm(draws=_draws(study))
    counts = gold_counts(study)
    rows = counts["rows"]
    labels = list(study.scheme.labels.all())
    after = AfterQuery.read(request.GET)["after"]
    labels_of_items = gold_page(study, after, PAGE + 1)
    context = {
        "tab": "gold",
        "total": sum(row["items"] for row in rows),
        "labels": [(label.title, _sum(rows, label=label.key)) for label in labels],
        "ways": _ways(rows, [label.key for label in labels]),
        "coverage": counts["coverage"],
        "page": [(gold, ORIGINS[gold.origin], _author(mine, gold)) for gold in labels_of_items[:PAGE]],
        "following": labels_of_items[PAGE - 1].item_id if len(labels_of_items) > PAGE else None,
        "after": after,
        "promoting": promoting,
        "importing": importing,
    }
    return show_page(request, mine, "web/study/gold.html", context, status_of(promoting, importing))


def _draws(study: Study) -> list[str]:
    return list(study.draws.order_by("name").values_list("name", flat=True))


def _sum(rows: list[dict[str, Any]], **where: Any) -> int:
    return sum(row["items"] for row in rows if all(row[name] == value for name, value in where.items()))


def _ways(rows: list[dict[str, Any]], labels: list[str]) -> list[dict[str, Any]]:
    """Return a row for each way gold came, with its items by label."""
    ways = dict.fromkeys((row["origin"], row["draw"], row["stratum"]) for row in rows)
    table = []
    for origin, draw, stratum in ways:
        where = {"origin": origin, "draw": draw, "stratum": stratum}
        counts = [_sum(rows, **where, label=label) for label in labels]
        table.append({**where, "origin": ORIGINS[origin], "counts": counts, "items": _sum(rows, **where)})
    return table


def _author(mine: Membership, gold: Gold) -> str:
    if gold.author is None:
        return ""
    return str(gold.author) if mine.role == Role.OWNER else pseudonym(mine.study, gold.author)


@study_page(OWNERS, "POST")
def promote_now(request: HttpRequest, mine: Membership) -> HttpResponse:
    form = PromotionForm(request.POST)
    with form.refusals("source"):
        if form.is_valid():
            asked = form.cleaned_data
            counts = promote(mine.study, asked["source"], minimum=asked["min"] or 2, replace=asked["replace"])
            messages.success(request, _told(counts))
            return redirect("study-gold", mine.study.slug)
    return _page(request, mine, promoting=form)


def _told(counts: dict[str, Any]) -> str:
    """Return what a promotion or an import did, in a sentence."""
    parts = [f"{counts['written']} gold label{'' if counts['written'] == 1 else 's'} written"]
    for key, words in [
        ("unchanged", "there already"),
        ("kept", "left as they are, for what an expert, an import or a decision says there"),
        ("withdrawn", "withdrawn, as their raters now differ"),
    ]:
        if counts.get(key):
            parts.append(f"{counts[key]} {words}")
    if counts.get("kept_at"):
        parts[-1] += (
            f" ({', '.join(counts['kept_at'])}{', ...' if counts['kept'] > len(counts['kept_at']) else ''})"
        )
    return f"{', '.join(parts)}."


@study_page(OWNERS, "POST")
def import_file(request: HttpRequest, mine: Membership) -> HttpResponse:
    study = mine.study
    form = GoldFileForm(request.POST, request.FILES, draws=_draws(study))
    with form.refusals("file"):
        if form.is_valid():
            messages.success(request, _told(_imported(study, **form.cleaned_data)))
            return redirect("study-gold", study.slug)
    return _page(request, mine, importing=form)


def _imported(study: Study, file: "UploadedFile[Any]", draw: str) -> dict[str, Any]:
    """Import a file and return what came of it. A refusal names the file as its owner does."""
    name = Path(file.name or "upload").name
    if (file.size or 0) > LARGEST:
        raise UserError(
            f"{name} is larger than {LARGEST // 1024**2} MB; import it with `manage.py gold import "
            f"{study.slug} FILE`."
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"gold{Path(name).suffix.lower()[:10]}"
        path.write_bytes(b"".join(file.chunks()))
        try:
            return import_gold(study, path, draw)
        except FormatError as error:
            raise FormatError(name, error.line, error.expected, error.actual) from error
