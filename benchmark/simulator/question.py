"""The part of a chat completion request that the simulated models read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.simulator.text_index import plain


class BadRequest(Exception):
    """The request is not one that a provider would answer; the message says what is wrong."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class Question:
    model: str
    messages: tuple[tuple[str, str], ...]  # (role, text)
    seed: str  # the request's, as text; 0 where it has none
    response_format: Mapping[str, Any]

    def text(self, *roles: str) -> str:
        """The messages' text, of these roles or of all."""
        return "\n".join(text for role, text in self.messages if not roles or role in roles)


def parse_question(body: bytes) -> Question:
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The request body is not JSON: {error}") from error
    if not isinstance(request, dict):
        raise BadRequest("The request body must be a JSON object.")
    model = request.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("The request must name a model.", "model")
    if request.get("stream"):
        raise BadRequest("The simulated provider doesn't stream: leave stream out.", "stream")
    seed = request.get("seed")
    return Question(model, _messages(request), "0" if seed is None else str(seed), _format(request))


def _messages(request: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("The request must have a list of messages that is not empty.", "messages")
    return tuple(_message(message, number) for number, message in enumerate(messages))


def _message(message: object, number: int) -> tuple[str, str]:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise BadRequest("A message must be an object with a role.", f"messages[{number}]")
    content = message.get("content")
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        content = "\n".join(part for part in parts if isinstance(part, str))
    if not isinstance(content, str | None):
        raise BadRequest("A message's content must be text.", f"messages[{number}].content")
    return message["role"], plain(content or "")


def _format(request: Mapping[str, Any]) -> Mapping[str, Any]:
    wanted = request.get("response_format") or {}
    if not isinstance(wanted, dict):
        raise BadRequest("response_format must be an object.", "response_format")
    if wanted.get("type") == "json_schema":
        named = wanted.get("json_schema")
        if not isinstance(named, dict) or not isinstance(named.get("schema"), dict):
            raise BadRequest("A json_schema needs a schema.", "response_format.json_schema.schema")
    return wanted
