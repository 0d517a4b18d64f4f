"""Work on one study: its jobs, its judges, and the collections of its suites."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from annotation.access import READERS
from annotation.models import Membership
from arbiter.studies.reading.worklist import Worklist, seer, worklist
from arbiter.web.study.study_page import show_page, study_page
from arbiter.web.work_pages import changed


@study_page(READERS)
def show(request: HttpRequest, mine: Membership) -> HttpResponse:
    context = {"work": _work(request, mine), "tab": "work"}
    return show_page(request, mine, "web/work/study.html", context)


@study_page(READERS)
def progress(request: HttpRequest, mine: Membership) -> HttpResponse:
    """Show how far it is, which changes all the time."""
    return show_page(request, mine, "web/work/_work.html", {"work": _work(request, mine)})


@study_page(READERS, "POST")
def change(request: HttpRequest, mine: Membership) -> HttpResponse:
    said, refused = changed(request, _work(request, mine))
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("study-work", mine.study.slug)
    context = {"work": _work(request, mine), "said": said, "refused": refused}
    return show_page(request, mine, "web/work/_work.html", context)


def _work(request: HttpRequest, mine: Membership) -> Worklist:
    return worklist(seer(request.user), mine.study)
