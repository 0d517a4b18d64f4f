"""A study's report, to be looked at or kept."""

from typing import Any

from csp.decorators import csp_replace
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from annotation.access import readable
from judging.report.page import html, style_hash


@login_required
@require_GET
def show(request: HttpRequest, slug: str) -> Any:
    """It has its style sheet in itself, so its policy names that one by its hash; and an icon of nothing, so that none is asked for."""
    text = html(readable(request, slug))
    answer = csp_replace({"style-src": [style_hash()], "img-src": ["data:"]})(lambda _: HttpResponse(text))(
        request
    )
    if "download" in request.GET:
        answer["Content-Disposition"] = f'attachment; filename="{slug}-report.html"'
    return answer
