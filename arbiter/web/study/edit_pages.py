"""Making and editing a study in the browser, and its file to take away."""

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from annotation.access import OWNERS, may_make_studies
from annotation.guidelines import formatted
from annotation.humanplan import CONSENT
from annotation.models import Membership, Study
from annotation.suiteaccess import usable_suites
from arbiter.core.errors import UserError
from arbiter.studies.setup.applying import Applied
from arbiter.studies.setup.editchecks import end_of_names
from arbiter.studies.setup.studydocument import (
    as_file,
    as_yaml,
    document,
    explained,
    spec_from_document,
    spec_from_text,
    version_of,
)
from arbiter.studies.setup.studyedits import EditConflict, differences, preview_edit, save_edit
from arbiter.studies.setup.studyfile import StudySpec
from arbiter.studies.setup.studyform import StudyForm
from arbiter.web.sign_in_pages import signed_in
from arbiter.web.study.study_page import study_page
from benchmark.models import Suite
from benchmark.suites import get_suite


@login_required
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Show the form of a new study; first which suite, where there are several: its responses are what there
    is to choose from."""
    if not may_make_studies(request.user):
        if request.user.memberships.exists():  # type: ignore[union-attr]
            raise PermissionDenied
        raise Http404
    suites = usable_suites(request.user)
    chosen = request.GET.get("suite") or (suites[0] if len(suites) == 1 else "")
    if chosen not in suites:
        return render(request, "web/study/new.html", {"suites": suites})
    base = {"study": "", "title": "", "suite": chosen, "humans": {}}
    return _edit(request, None, base, get_suite(chosen))


@study_page(OWNERS, "GET", "POST", status=409)
def edit(request: HttpRequest, mine: Membership) -> HttpResponse:
    study = mine.study
    base = document(study)
    return _edit(request, study, base, _suite(request, study, base["suite"]), role=mine.role)


def _suite(request: HttpRequest, study: Study, name: str) -> Suite | None:
    """Return the suite of that name; None where the study may no longer choose from it: what else lies in it
    is not told."""
    usable = name.partition("@")[0] in usable_suites(request.user, study)
    return get_suite(name) if usable else None


@study_page(OWNERS, status=409)
def download(request: HttpRequest, mine: Membership) -> HttpResponse:
    study = mine.study
    name = {"Content-Disposition": f'attachment; filename="{study.slug}.yaml"'}
    return HttpResponse(as_file(study), content_type="application/yaml; charset=utf-8", headers=name)


def _edit(
    request: HttpRequest, study: Study | None, base: Mapping[str, Any], suite: Suite | None, role: str = ""
) -> HttpResponse:
    posted = request.POST if request.method == "POST" else None
    as_text = posted is not None and posted.get("as") == "file"
    end = "" if study else end_of_names(signed_in(request))
    form = StudyForm(base, suite, None if as_text else posted, new=study is None, end=end)
    before = as_yaml(base)
    text = posted.get("text", "").replace("\r\n", "\n") if posted and as_text else before
    page: dict[str, Any] = {
        "study": study,
        "role": role,
        "tab": "edit",
        "form": form,
        "text": text,
        "suite": suite,
        "consent": CONSENT,
        "version": posted.get("version", "") if posted else version_of(study) if study else "",
        "as_text": as_text,
        "layout": "web/study/base.html" if study else "web/base.html",
    }
    if posted is not None:
        spec: StudySpec | None = None
        try:
            spec = _spec(form, text if as_text else None, study)
            if spec and posted.get("do") == "save":
                return _saved(request, save_edit(spec, signed_in(request), study, posted.get("version", "")))
            if spec:
                page["trial"] = preview_edit(spec, signed_in(request), study)
        except EditConflict as error:  # from here on it is the study as it is now that is edited
            page["changed"] = str(error)
            page["version"] = version_of(study) if study else ""
        except UserError as error:
            _tell(page, error)
        if spec:
            page["differences"] = differences(
                before, as_yaml(spec.model_dump(mode="json", exclude_defaults=True))
            )
    page["preview"] = formatted(str(form["guidelines"].value() or ""))
    return render(request, "web/study/edit.html", page)


def _spec(form: StudyForm, text: str | None, study: Study | None) -> StudySpec | None:
    """Return the study that was sent; None where the form itself refused something, which stands beside its
    field then."""
    if text is not None:
        return spec_from_text(text, study)
    return spec_from_document(form.document(), study) if form.is_valid() else None


def _tell(page: dict[str, Any], error: UserError) -> None:
    """Put an error beside the field it is about; of the file, at its head with the line."""
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
