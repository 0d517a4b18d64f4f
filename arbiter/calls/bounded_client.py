"""An HTTP client that reads an answer up to a limit and not a byte past it, however small it came packed."""

from contextlib import aclosing
from typing import Any

import httpx2
import openai

from arbiter.calls.connecting import Connection

KEPT = 100_000  # bytes of an answer that is too long
KEY_HEADERS = {"authorization", "x-api-key", "x-goog-api-key"}
PACKED = {"content-encoding", "content-length", "transfer-encoding"}


class TooLong(Exception):
    """An answer goes on past the limit; what there is of its beginning, and the status it came with."""

    def __init__(self, limit: int, status: int, beginning: bytes) -> None:
        super().__init__(f"the answer is longer than {limit / 2**20:g} MB")
        self.status, self.beginning = status, beginning


class BoundedClient(openai.DefaultAsyncHttpxClient):
    """Reads answers up to a limit, and sends with every request what goes with all calls to its endpoint."""

    def __init__(self, limit: int, connection: Connection, **options: Any) -> None:
        # A redirect would be further calls that nobody counted, perhaps to somebody else.
        super().__init__(
            follow_redirects=False,
            verify=connection.trusted or True,
            proxy=connection.proxy or None,
            **options,
        )
        self.limit, self.connection = limit, connection

    async def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        response = await super().send(self._with_secrets(request), stream=True, **options)
        if stream:
            return response
        try:
            content = await self._read(response)
        finally:
            await response.aclose()
        headers = [
            (name, value) for name, value in response.headers.multi_items() if name.lower() not in PACKED
        ]
        return httpx2.Response(
            response.status_code,
            headers=headers,
            content=content,
            request=request,
            extensions=response.extensions,
        )

    def _with_secrets(self, request: httpx2.Request) -> httpx2.Request:
        """Return the request as it is sent. The library is never given what is secret in it, so that it can't
        tell it to a log."""
        connection = self.connection
        if not (connection.headers or connection.query):
            return request
        headers = httpx2.Headers(request.headers)
        if connection.without_key:
            for name in KEY_HEADERS & headers.keys():
                del headers[name]
        for name, value in connection.headers.items():
            headers[name] = value
        url = request.url.copy_merge_params(dict(connection.query)) if connection.query else request.url
        return httpx2.Request(
            request.method, url, headers=headers, stream=request.stream, extensions=request.extensions
        )

    async def _read(self, response: httpx2.Response) -> bytes:
        """Unpack the body piece by piece: a few bytes may stand for gigabytes."""
        content = bytearray()
        async with aclosing(response.aiter_bytes()) as pieces:
            async for piece in pieces:
                content += piece
                if len(content) > self.limit:
                    raise TooLong(self.limit, response.status_code, bytes(content[:KEPT]))
        return bytes(content)
