"""Services that keep to Anthropic's Messages API and to Gemini's generateContent, as docs/dialects.md has
them: they refuse what these refuse, and answer the rest with what a test wants."""

import json
import re
from collections.abc import Callable
from typing import Any

from tests.arbiter.calls.services import HttpAnswer

Reply = Callable[[dict[str, Any]], HttpAnswer]
Service = Callable[[dict[str, str], dict[str, Any]], HttpAnswer]
KEY = "a-key-of-the-native-service"
JSON = {"Content-Type": "application/json"}
MESSAGES_FIELDS = {
    "cache_control",
    "max_tokens",
    "messages",
    "metadata",
    "model",
    "output_config",
    "service_tier",
    "stop_sequences",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
}
CONTENT_FIELDS = {
    "cachedContent",
    "contents",
    "generationConfig",
    "safetySettings",
    "systemInstruction",
    "toolConfig",
    "tools",
}
CONFIG_FIELDS = {
    "candidateCount",
    "frequencyPenalty",
    "logprobs",
    "maxOutputTokens",
    "presencePenalty",
    "responseJsonSchema",
    "responseLogprobs",
    "responseMimeType",
    "responseSchema",
    "seed",
    "stopSequences",
    "temperature",
    "thinkingConfig",
    "topK",
    "topP",
}


def answer(body: Any, status: int = 200, **headers: str) -> HttpAnswer:
    return status, JSON | headers, json.dumps(body).encode()


def anthropic_error(status: int, kind: str, message: str, **headers: str) -> HttpAnswer:
    error = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    return answer(error, status, **headers)


def gemini_error(code: int, status: str, message: str, *details: dict[str, Any]) -> HttpAnswer:
    error = {"code": code, "message": message, "status": status}
    return answer({"error": error | ({"details": list(details)} if details else {})}, code)


def message(*content: dict[str, Any], stop_reason: str | None = "end_turn", **more: Any) -> dict[str, Any]:
    """Return a message of Anthropic's."""
    usage = {"input_tokens": 12, "output_tokens": 7}
    about = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5-20251001"}
    ended = {"stop_reason": stop_reason, "stop_sequence": None}
    return {**about, "content": list(content), **ended, "usage": usage, **more}


def candidate(*parts: dict[str, Any], finish: str = "STOP", **more: Any) -> dict[str, Any]:
    """Return a response of Gemini's with one candidate; without parts its content has a role alone."""
    content = {"role": "model"} | ({"parts": list(parts)} if parts else {})
    usage = {"promptTokenCount": 12, "candidatesTokenCount": 7, "totalTokenCount": 19}
    about = {"modelVersion": "gemini-2.5-flash", "responseId": "resp-1"}
    first = {"content": content, "finishReason": finish, "index": 0, **more}
    return {"candidates": [first], "usageMetadata": usage, **about}


def anthropic_service(reply: Reply) -> Service:
    """Make a service of the Messages API that answers what it takes with `reply`."""

    def serve(headers: dict[str, str], body: dict[str, Any]) -> HttpAnswer:
        if headers[":path"] != "/v1/messages":
            return anthropic_error(404, "not_found_error", f"Not found: {headers[':path']}")
        if headers.get("X-Api-Key") != KEY or "Authorization" in headers:
            return anthropic_error(401, "authentication_error", "invalid x-api-key")
        if problem := _wrong_message(headers, body):
            return anthropic_error(400, "invalid_request_error", problem)
        return reply(body)

    return serve


def _wrong_message(headers: dict[str, str], body: dict[str, Any]) -> str:
    if headers.get("Anthropic-Version") != "2023-06-01":
        return "anthropic-version: header is required"
    for field in ("model", "max_tokens", "messages"):
        if field not in body:
            return f"{field}: Field required"
    if unknown := sorted(set(body) - MESSAGES_FIELDS):
        return f"{unknown[0]}: Extra inputs are not permitted"
    if wrong := [turn["role"] for turn in body["messages"] if turn["role"] not in ("user", "assistant")]:
        return f'messages: Unexpected role "{wrong[0]}"'
    output = body.get("output_config", {}).get("format")
    if output and "maxLength" in json.dumps(output["schema"]):
        return "output_config.format.schema: For 'string' type, property 'maxLength' is not supported"
    return ""


def gemini_service(reply: Reply) -> Service:
    """Make a service of generateContent that answers what it takes with `reply`."""

    def serve(headers: dict[str, str], body: dict[str, Any]) -> HttpAnswer:
        if not re.fullmatch(r"/v1/models/[\w.-]+:generateContent", headers[":path"]):
            return gemini_error(404, "NOT_FOUND", f"Not found: {headers[':path']}")
        if headers.get("X-Goog-Api-Key") != KEY or "Authorization" in headers:
            info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
            return gemini_error(400, "INVALID_ARGUMENT", "API key not valid.", info)
        unknown = sorted(set(body) - CONTENT_FIELDS)
        unknown += sorted(set(body.get("generationConfig", {})) - CONFIG_FIELDS)
        if unknown:
            said = f'Invalid JSON payload received. Unknown name "{unknown[0]}": Cannot find field.'
            return gemini_error(400, "INVALID_ARGUMENT", said)
        if wrong := [turn["role"] for turn in body["contents"] if turn["role"] not in ("user", "model")]:
            return gemini_error(400, "INVALID_ARGUMENT", f"Please use a valid role, not {wrong[0]}.")
        return reply(body)

    return serve
