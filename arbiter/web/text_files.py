"""Texts that models wrote, sent as files."""

from django.http import HttpResponse


def text_to_keep(text: str, name: str) -> HttpResponse:
    """Return a text as a file. A model wrote it: no browser is to take it for a page."""
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
    }
    return HttpResponse(text, content_type="text/plain; charset=utf-8", headers=headers)
