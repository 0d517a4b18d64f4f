"""What a study has cost, and what is still to come."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from annotation.access import READERS
from annotation.models import Membership
from arbiter.analysis.figures.catalogue import make_figure
from arbiter.analysis.spending import costs, still_to_come
from arbiter.web.study.study_page import show_page, study_page


@study_page(READERS)
def show(request: HttpRequest, mine: Membership) -> HttpResponse:
    study = mine.study
    spent = costs(study)
    context: dict[str, Any] = {"tab": "costs", "costs": spent, "coming": still_to_come(study)}
    if spent["total"]["calls"]:
        context["figure"] = make_figure(study, "costs")
    return show_page(request, mine, "web/study/costs.html", context)
