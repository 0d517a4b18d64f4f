"""Who opens pages about suites themselves: superusers, and whoever owns a suite."""

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest

from annotation.suiteaccess import owned_suites
from arbiter.web.sign_in_pages import signed_in


def suites_of_owner(request: HttpRequest) -> list[str]:
    """Return the suites of whoever asks. Somebody who owns none may not be here where they are in a study,
    and is told nothing where they are in none."""
    owned = owned_suites(request.user)
    if not owned and not signed_in(request).is_superuser:
        raise PermissionDenied if signed_in(request).memberships.exists() else Http404
    return owned
