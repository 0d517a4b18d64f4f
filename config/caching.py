"""Who may keep a copy of an answer: of what is somebody's own, nobody; static files never come this far."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import add_never_cache_headers

View = Callable[[HttpRequest], HttpResponseBase]


def private_pages(get_response: View) -> View:
    """Forbid keeping every page, download and error whose view said nothing else: shared
    machines and proxies keep none.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if not response.has_header("Cache-Control"):
            add_never_cache_headers(response)
        return response

    return answer
