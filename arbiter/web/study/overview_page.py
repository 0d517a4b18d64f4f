"""A study's overview with its actions."""

from django.http import HttpRequest, HttpResponse

from annotation.access import READERS
from annotation.models import Membership
from arbiter.analysis.overview import overview
from arbiter.studies.reading.nextsteps import next_steps
from arbiter.web.study.step_links import linked
from arbiter.web.study.study_page import show_page, study_page
from judging.panel.recent_troubles import troubles
from judging.panel.verdict_progress import progress


@study_page(READERS)
def show(request: HttpRequest, mine: Membership) -> HttpResponse:
    study = mine.study
    figures, judges = overview(study), progress(study)
    steps = linked(next_steps(study, figures, judges), study, mine.role)
    context = {
        "tab": "overview",
        "progress": judges,
        "troubles": troubles(study),
        "steps": steps,
    }
    return show_page(request, mine, "web/study/overview.html", context | figures)
