"""A study's report, to be looked at or kept."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from annotation.access import READERS
from annotation.models import Membership
from arbiter.analysis.report.studyreport import report_html, style_hash
from arbiter.analysis.reportjob import ReportArguments
from arbiter.web.forms.queries import FileQuery
from arbiter.web.study.job_pages import begin, is_quick, offer
from arbiter.web.study.study_page import study_page, with_own_style


@study_page(READERS, "GET", "POST")
def show(request: HttpRequest, mine: Membership) -> Any:
    """Show the report, at once or by a job. It has an icon of nothing, so that none is asked for."""
    if not is_quick(mine.study, "report"):
        asked = ReportArguments()
        if request.method == "POST":
            return begin(request, mine, "report", asked)
        return offer(request, mine, "report", asked, status=200)
    answer = with_own_style(request, HttpResponse(report_html(mine.study)), style_hash())
    if FileQuery.read(request.GET)["download"]:
        answer["Content-Disposition"] = f'attachment; filename="{mine.study.slug}-report.html"'
    return answer
