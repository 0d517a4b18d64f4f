"""Making and editing a study in the browser, and its file to take away."""

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from annotation.access import may_make_studies, owned
from annotation.guidelines import formatted
from annotation.humanplan import CONSENT
from annotation.models import Study
from annotation.views.signing import refusal, signed_in
from benchmark.errors import UserError
from benchmark.models import Suite
from benchmark.suites import get_suite
from judging.studies.applying import Applied
from judging.studies.editing import (
    Changed,
    as_file,
    as_yaml,
    differences,
    document,
    explained,
    save,
    spec_from_document,
    spec_from_text,
    trial,
    version_of,
)
from judging.studies.file import StudySpec
from judging.studies.form import StudyForm


@login_required
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Which suite first, where there are several: its responses are what there is to choose from."""
    if not may_make_studies(request.user):
        if request.user.memberships.exists():  # type: ignore[union-attr]
            raise PermissionDenied
        raise Http404
    suites = list(dict.fromkeys(Suite.objects.order_by("slug").values_list("slug", flat=True)))
    chosen = request.GET.get("suite") or (suites[0] if len(suites) == 1 else "")
    if chosen not in suites:
        return render(request, "study/new.html", {"suites": suites})
    base = {"study": "", "title": "", "suite": chosen, "humans": {}}
    return _edit(request, None, base, get_suite(chosen))


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, slug: str) -> HttpResponse:
    study = owned(request, slug)
    try:
        base = document(study)
        suite = get_suite(base["suite"])
    except UserError as error:
        return refusal(request, str(error), 409)
    return _edit(request, study, base, suite)


@login_required
@require_GET
def download(request: HttpRequest, slug: str) -> HttpResponse:
    study = owned(request, slug)
    try:
        text = as_file(study)
    except UserError as error:
        return refusal(request, str(error), 409)
    name = {"Content-Disposition": f'attachment; filename="{study.slug}.yaml"'}
    return HttpResponse(text, content_type="application/yaml; charset=utf-8", headers=name)


def _edit(request: HttpRequest, study: Study | None, base: Mapping[str, Any], suite: Suite) -> HttpResponse:
    posted = request.POST if request.method == "POST" else None
    as_text = posted is not None and posted.get("as") == "file"
    form = StudyForm(base, suite, None if as_text else posted, new=study is None)
    before = as_yaml(base)
    text = posted.get("text", "").replace("\r\n", "\n") if posted and as_text else before
    page: dict[str, Any] = {
        "study": study, "tab": "edit", "form": form, "text": text, "suite": suite, "consent": CONSENT,
        "version": posted.get("version", "") if posted else version_of(study) if study else "", "as_text": as_text,
        "layout": "study/base.html" if study else "base.html",
    }  # fmt: skip
    if posted is not None:
        spec: StudySpec | None = None
        try:
            spec = _spec(form, text if as_text else None, study)
            if spec and posted.get("do") == "save":
                return _saved(request, save(spec, signed_in(request), study, posted.get("version", "")))
            if spec:
                page["trial"] = trial(spec, signed_in(request), study)
        except Changed as error:  # from here on it is the study as it is now that is edited
            page["changed"] = str(error)
            page["version"] = version_of(study) if study else ""
        except UserError as error:
            _tell(page, error)
        if spec:
            page["differences"] = differences(
                before, as_yaml(spec.model_dump(mode="json", exclude_defaults=True))
            )
    page["preview"] = formatted(str(form["guidelines"].value() or ""))
    return render(request, "study/edit.html", page)


def _spec(form: StudyForm, text: str | None, study: Study | None) -> StudySpec | None:
    """None where the form itself refused something, which stands beside its field then."""
    if text is not None:
        return spec_from_text(text, study)
    return spec_from_document(form.document(), study) if form.is_valid() else None


def _tell(page: dict[str, Any], error: UserError) -> None:
    """Beside the field it is about; of the file, at its head with the line."""
    if page["as_text"]:
        page["mistake"] = explained(error, page["text"])[1]
    else:
        page["form"].place(*explained(error))


def _saved(request: HttpRequest, applied: Applied) -> HttpResponse:
    count = applied.items_added
    items = (
        "No items were added."
        if not count
        else "1 item was added."
        if count == 1
        else f"{count:,} items were added."
    )
    messages.success(request, f"{'Made' if applied.created else 'Saved'}. {items}")
    for reason in applied.waiting:
        messages.info(request, reason)
    return redirect("study" if applied.created else "study-edit", applied.study.slug)
