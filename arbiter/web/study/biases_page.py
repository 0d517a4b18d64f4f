"""How a study's judges lean."""

from django.http import HttpRequest, HttpResponse

from annotation.access import READERS
from annotation.models import Membership
from arbiter.web.study.study_page import show_page, study_page


@study_page(READERS)
def show(request: HttpRequest, mine: Membership) -> HttpResponse:
    from arbiter.analysis.biases.biasreport import bias_report
    from arbiter.analysis.figures.catalogue import make_figure

    study = mine.study
    report = bias_report(study)
    context = {"tab": "judges", "report": report, "findings": report.findings}
    if report.tests:
        context["figure"] = make_figure(study, "biases")
    return show_page(request, mine, "web/study/biases.html", context)
