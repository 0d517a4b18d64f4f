"""Connections to a service: chat completions through openai's library, native protocols over plain HTTP."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

import httpx2
import openai

from arbiter.calls.native_requests import PROTOCOLS, NativeProtocol

CALLED = "/chat/completions"  # added to an endpoint's base_url


class Pool(Protocol):
    async def post(self, request: Mapping[str, Any]) -> httpx2.Response: ...

    async def models(self) -> httpx2.Response: ...

    async def close(self) -> None: ...


def pool_of(dialect: str, base_url: str, key: str, http: httpx2.AsyncClient) -> Pool:
    """Return a pool of connections on which calls are made as the dialect has them."""
    native = PROTOCOLS.get(dialect)
    return NativePool(native, base_url, key, http) if native else ChatPool(base_url, key, http)


class ChatPool:
    """Posts chat completions with openai's library."""

    def __init__(self, base_url: str, key: str, http: httpx2.AsyncClient) -> None:
        self.library = openai.AsyncOpenAI(
            base_url=base_url, api_key=key, max_retries=0, timeout=http.timeout, http_client=http
        )

    async def post(self, request: Mapping[str, Any]) -> httpx2.Response:
        # Not `chat.completions.create`: it takes no parameters that only some services know, and
        # reads the answer into objects that nobody needs before its text is stored.
        return await self.library.post(CALLED, cast_to=httpx2.Response, body=dict(request))

    async def models(self) -> httpx2.Response:
        return await self.library.get("/models", cast_to=httpx2.Response)

    async def close(self) -> None:
        await self.library.close()


class NativePool:
    """Posts calls in a service's own protocol.

    It fails as openai's library does, so that one reading of failures serves both.
    """

    def __init__(self, protocol: NativeProtocol, base_url: str, key: str, http: httpx2.AsyncClient) -> None:
        self.protocol, self.base_url, self.http = protocol, base_url.rstrip("/"), http
        self.headers = {"Content-Type": "application/json", "Accept": "application/json"}
        self.headers |= protocol.headers(key)

    async def post(self, request: Mapping[str, Any]) -> httpx2.Response:
        """Make one call, and return its answer; raise an APIError of openai's where there is none."""
        call = self.protocol.call(request)
        body = json.dumps(call.body).encode()
        return await self._sent(
            self.http.build_request("POST", self.base_url + call.path, content=body, headers=self.headers)
        )

    async def models(self) -> httpx2.Response:
        url = self.base_url + self.protocol.models
        return await self._sent(self.http.build_request("GET", url, headers=self.headers))

    async def _sent(self, sent: httpx2.Request) -> httpx2.Response:
        try:
            response = await self.http.send(sent)
        except httpx2.TimeoutException as error:
            raise openai.APITimeoutError(request=sent) from error
        except httpx2.RequestError as error:
            raise openai.APIConnectionError(request=sent) from error
        if not response.is_success:
            raise openai.APIStatusError("no answer", response=response, body=None)
        return response

    async def close(self) -> None:
        await self.http.aclose()
