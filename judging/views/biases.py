"""How a study's judges lean."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotation.access import readable


@login_required
@require_GET
def show(request: HttpRequest, slug: str) -> HttpResponse:
    from judging.biases.report import report
    from judging.figures import make_figure

    study = readable(request, slug)
    made = report(study)
    context = {"study": study, "tab": "judges", "report": made, "findings": made.findings}
    if made.tests:
        context["figure"] = make_figure(study, "biases")
    return render(request, "study/biases.html", context)
