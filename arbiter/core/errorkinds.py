"""The kinds of errors, in one table: what pages, JSON and commands say of each, and with which status."""

import errno
import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404
from pydantic import ValidationError

from arbiter.core.errors import SeveralErrors, UserError

FULL = {errno.ENOSPC, errno.EDQUOT}
PG_FULL = "53100"
# SQLite calls these operational too, and no waiting mends them.
OUR_FAULT = ("no such ", "syntax error", "has no column", "too many SQL variables", "misuse")
SENT = "What you sent may not have been saved. "


class ErrorKind(NamedTuple):
    status: int
    title: str = "That didn't work"  # of its page
    what: str = ""  # said where the error has no words for people
    then: str = ""
    retry_after: str = ""  # seconds


ERROR_KINDS = {
    "refused": ErrorKind(422),
    "unreadable": ErrorKind(400, what="The server can't read this request."),
    "signed-out": ErrorKind(401),
    "other-person": ErrorKind(401),
    "not-ready": ErrorKind(403),
    "not-allowed": ErrorKind(403, "Not for your role", "Your role may not do this."),
    "not-found": ErrorKind(
        404, "Nothing here", "There is no such page, or it belongs to a study you are not in."
    ),
    "conflict": ErrorKind(409),
    "too-many": ErrorKind(429),
    "disk-full": ErrorKind(
        507, "The disk is full", "The server's disk is full.", "Whoever runs Arbiter has to make room."
    ),
    "database-away": ErrorKind(
        503,
        "The database can't be reached",
        "The database can't be used right now.",
        "Try again in a moment.",
        "5",
    ),
    "broken": ErrorKind(
        500,
        "Something broke",
        "The server met an error it didn't expect. What was saved before is safe.",
        "Try again; if it happens again, tell whoever runs Arbiter.",
    ),
}


@dataclass(frozen=True)
class ErrorNotice:
    """What is said of an error."""

    kind: str
    message: str

    @property
    def status(self) -> int:
        return ERROR_KINDS[self.kind].status


def notice_of(error: BaseException | None, *, sent: bool = False) -> ErrorNotice:
    """Return what to say of an error to whoever asked for a page or for JSON.

    `sent`: they had sent something to be kept.
    """
    kind = error_kind_of(error)
    _, _, what, then, _ = ERROR_KINDS[kind]
    return ErrorNotice(kind, _own_words(error) or f"{what} {SENT if sent else ''}{then}".strip())


def _own_words(error: BaseException | None) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the request'}: {first['msg']}."
    return str(error) if isinstance(error, UserError) else ""


def notice_in_a_line(error: Exception) -> str:
    """Return what a command says of an error, of several in a line each; empty where nobody can mend it
    without its traceback."""
    if isinstance(error, SeveralErrors):
        return str(error)
    if isinstance(error, UserError):
        return " ".join(str(error).split())
    if isinstance(error, DatabaseError | InterfaceError):
        return f"The database can't be used: {_first_line(error)}"
    if error_kind_of(error) == "disk-full":
        return "The disk is full; make room, then start it again."
    return ""


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    if "no such table" in text or ("relation" in text and "does not exist" in text):
        return f"it lacks tables ({text}); make them with `manage.py migrate`."
    return f"{text}."


def error_kind_of(error: BaseException | None) -> str:
    """Return the key in ERROR_KINDS of an error: of itself, or of what it came of."""
    if isinstance(error, UserError):
        return error.kind
    for types, kind in (
        (ValidationError, "refused"),
        (SuspiciousOperation | BadRequest, "unreadable"),
        (PermissionDenied, "not-allowed"),
        (Http404, "not-found"),
    ):
        if isinstance(error, types):
            return kind
    return _kind_of_trouble(error)


def _kind_of_trouble(error: BaseException | None) -> str:
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return "disk-full"
        if isinstance(error, DatabaseError | InterfaceError) and _is_full(error.__cause__):
            return "disk-full"
        if isinstance(error, OperationalError | InterfaceError):
            return "broken" if any(part in str(error) for part in OUR_FAULT) else "database-away"
        error = error.__cause__ or error.__context__
    return "broken"


def _is_full(cause: BaseException | None) -> bool:
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL or "is full" in str(cause)
    return getattr(cause, "sqlstate", "") == PG_FULL
