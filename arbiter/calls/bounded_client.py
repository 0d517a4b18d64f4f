"""An HTTP client that reads an answer up to a limit and not a byte past it, however small it came packed."""

from contextlib import aclosing
from typing import Any

import httpx2
import openai

KEPT = 100_000  # bytes of an answer that is too long
PACKED = {"content-encoding", "content-length", "transfer-encoding"}


class TooLong(Exception):
    """An answer goes on past the limit; what there is of its beginning, and the status it came with."""

    def __init__(self, limit: int, status: int, beginning: bytes) -> None:
        super().__init__(f"the answer is longer than {limit / 2**20:g} MB")
        self.status, self.beginning = status, beginning


class BoundedClient(openai.DefaultAsyncHttpxClient):
    def __init__(self, limit: int, **options: Any) -> None:
        super().__init__(**options)
        self.limit = limit

    async def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        response = await super().send(request, stream=True, **options)
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

    async def _read(self, response: httpx2.Response) -> bytes:
        """Unpack the body piece by piece: a few bytes may stand for gigabytes."""
        content = bytearray()
        async with aclosing(response.aiter_bytes()) as pieces:
            async for piece in pieces:
                content += piece
                if len(content) > self.limit:
                    raise TooLong(self.limit, response.status_code, bytes(content[:KEPT]))
        return bytes(content)
