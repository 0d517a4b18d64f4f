"""A study's overview with its actions."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotation.access import readable
from judging.nextsteps import next_steps
from judging.overview import overview
from judging.panel.progress import progress
from judging.panel.troubles import troubles


@login_required
@require_GET
def show(request: HttpRequest, slug: str) -> HttpResponse:
    study = readable(request, slug)
    found, judges = overview(study), progress(study)
    steps = next_steps(study, found, judges)
    context = {
        "study": study,
        "tab": "overview",
        "progress": judges,
        "troubles": troubles(study),
        "steps": steps,
    }
    return render(request, "study/overview.html", context | found)
