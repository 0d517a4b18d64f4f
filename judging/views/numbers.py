"""Numbers from an address, which anybody may have written."""

from django.http import HttpRequest

DIGITS = 18  # what any key of a row has at most


def whole(request: HttpRequest, name: str, digits: int = DIGITS) -> int:
    """0 where it is none, or a longer one."""
    given = request.GET.get(name, "")
    return int(given) if given.isdecimal() and len(given) <= digits else 0
