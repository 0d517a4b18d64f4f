"""What a study has cost, and what is still to come."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotation.access import readable
from judging.costs import costs, still_to_come
from judging.figures import make_figure


@login_required
@require_GET
def show(request: HttpRequest, slug: str) -> HttpResponse:
    study = readable(request, slug)
    found = costs(study)
    context = {"study": study, "tab": "costs", "costs": found, "coming": still_to_come(study)}
    if found["total"]["calls"]:
        context["figure"] = make_figure(study, "costs")
    return render(request, "study/costs.html", context)
