"""Sessions of Django's database kind whose keys are stored hashed, so that a copy of the database signs
nobody in.

They end after a set time without use. Use moves their end by an UPDATE of that alone, at most once a minute:
nothing that another request of the same person writes meanwhile is overwritten, and a session that was ended
meanwhile stays ended.
"""

import time
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.http import http_date

from arbiter.core.text import digest

RENEWED_AFTER = timedelta(minutes=1)


def kept(key: str) -> str:
    """Return what is stored of a session's key: 160 bits of its hash, as the column is 40 long. Keys are
    random, so it takes no salt."""
    return digest("session", key)[:40]


class SessionStore(DatabaseStore):
    """Every way to its row goes by `kept`; what it tells others, the cookie among them, is the key itself."""

    expires: datetime | None = None  # known once it was read from the database

    def _found(self, row: Any) -> Any:
        if row is None:
            self._session_key = None
        else:
            self.expires = row.expire_date
        return row

    def _row(self) -> Any:
        return self.model.objects.filter(session_key=kept(self.session_key or ""))

    def _get_session_from_db(self) -> Any:
        return self._found(self._row().filter(expire_date__gt=timezone.now()).first())

    async def _aget_session_from_db(self) -> Any:
        return self._found(await self._row().filter(expire_date__gt=timezone.now()).afirst())

    def exists(self, session_key: str) -> bool:
        return super().exists(kept(session_key))

    async def aexists(self, session_key: str) -> bool:
        return await super().aexists(kept(session_key))

    def create_model_instance(self, data: Any) -> Any:
        return self._hashed(super().create_model_instance(data))

    async def acreate_model_instance(self, data: Any) -> Any:
        return self._hashed(await super().acreate_model_instance(data))

    @staticmethod
    def _hashed(row: Any) -> Any:
        row.session_key = kept(row.session_key)
        return row

    def delete(self, session_key: str | None = None) -> None:
        if key := session_key or self.session_key:
            super().delete(kept(key))

    async def adelete(self, session_key: str | None = None) -> None:
        if key := session_key or self.session_key:
            await super().adelete(kept(key))

    def renew(self) -> bool:
        """Move its end, where it was last moved long enough ago; whether it was."""
        now = timezone.now()
        until = now + timedelta(seconds=self.get_expiry_age())
        if self.expires is None or until - self.expires < RENEWED_AFTER:
            return False
        return bool(self._row().filter(expire_date__gt=now).update(expire_date=until))


class IdleSessions(SessionMiddleware):
    """Django's own, which also keeps a session that is in use from ending. What pages ask for by themselves
    is no use."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response = super().process_response(request, response)
        session, match = request.session, request.resolver_match
        used = session.accessed and not (match and match.url_name in settings.ASKED_BY_PAGES)
        if used and not session.modified and response.status_code < 500 and session.renew():  # type: ignore[attr-defined]
            _send_cookie(response, session.session_key, session.get_expiry_age())
        return response


def _send_cookie(response: HttpResponse, key: str | None, age: int) -> None:
    response.set_cookie(
        settings.SESSION_COOKIE_NAME,
        key or "",
        max_age=age,
        expires=http_date(time.time() + age),
        domain=settings.SESSION_COOKIE_DOMAIN,
        path=settings.SESSION_COOKIE_PATH,
        secure=settings.SESSION_COOKIE_SECURE or False,
        httponly=settings.SESSION_COOKIE_HTTPONLY or False,
        samesite=settings.SESSION_COOKIE_SAMESITE,  # type: ignore[arg-type]
    )
