"""The manners of Anthropic's Messages API and Gemini's generateContent. Sources: docs/dialects.md."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from arbiter.simulator.chat_request import BadRequest, read_request
from arbiter.simulator.logprobs import as_gemini
from arbiter.simulator.manners import FINGERPRINT, MANNERS, Anthropic, ErrorReply, Gemini, Manner, Reply

MESSAGES_FIELDS = {
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


class NativeAnthropic(Anthropic):
    name, called = "anthropic", "/messages"
    structured = details_thinking = True
    efforts = ("low", "medium", "high", "xhigh", "max")
    token_fields = ("max_tokens",)

    def fields(self, body: bytes, model: str) -> dict[str, Any]:
        fields = read_request(body)
        if unknown := sorted(set(fields) - MESSAGES_FIELDS):
            raise BadRequest(f"{unknown[0]}: Extra inputs are not permitted")
        if "max_tokens" not in fields:
            raise BadRequest("max_tokens: Field required")
        output = _object(fields.pop("output_config", None))
        system = [{"role": "system", "content": fields.pop("system")}] if "system" in fields else []
        turns = fields["messages"] if isinstance(fields.get("messages"), list) else []
        form = _object(output.get("format")).get("schema")
        return fields | {"messages": system + turns, **_asked(form, output.get("effort"))}

    def error(self, problem: ErrorReply) -> tuple[int, Any]:
        status, body = super().error(problem)
        error = {name: body["error"][name] for name in ("type", "message")}
        return status, {"type": "error", "error": error, "request_id": "req_simulated"}

    def completion(self, reply: Reply) -> dict[str, Any]:
        """Return a message; a filter leaves it empty."""
        content = (
            [{"type": "thinking", "thinking": reply.thoughts, "signature": "s"}] if reply.thoughts else []
        )
        if reply.content and not reply.refused:
            content.append({"type": "text", "text": reply.content})
        reason = "refusal" if reply.refused else {"length": "max_tokens"}.get(reply.finish, "end_turn")
        written = reply.content_tokens + (reply.thinking or 0)
        usage: dict[str, Any] = {"input_tokens": reply.prompt_tokens, "output_tokens": written}
        if reply.thinking is not None:
            usage["output_tokens_details"] = {"thinking_tokens": reply.thinking}
        return {
            "id": reply.id,
            "type": "message",
            "role": "assistant",
            "model": reply.model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": usage,
            "system_fingerprint": FINGERPRINT,
        }


class NativeGemini(Gemini):
    name, called = "gemini", "/models/{model}:generateContent"
    seeded = structured = details_thinking = True
    token_fields = ("max_tokens",)

    def fields(self, body: bytes, model: str) -> dict[str, Any]:
        said = _json(body)
        config = _object(said.get("generationConfig"))
        if unknown := sorted(set(config) - CONFIG_FIELDS):
            raise BadRequest(
                f"Invalid JSON payload received. Unknown name \"{unknown[0]}\" at 'generation_config': "
                "Cannot find field."
            )
        system = _object(said.get("systemInstruction"))
        turns = said["contents"] if isinstance(said.get("contents"), list) else []
        messages = [{"role": "system", "content": system.get("parts")}] if system else []
        messages += [{"role": turn.get("role"), "content": turn.get("parts")} for turn in map(_object, turns)]
        effort = _object(config.get("thinkingConfig")).get("thinkingLevel")
        limits = {"max_tokens": config["maxOutputTokens"]} if "maxOutputTokens" in config else {}
        seed = {"seed": config["seed"]} if "seed" in config else {}
        asked = _asked(config.get("responseJsonSchema"), effort)
        wanted = {"logprobs": config.get("responseLogprobs"), "top_logprobs": config.get("logprobs")}
        return {"model": model, "messages": messages, **limits, **seed, **asked, **wanted}

    def models(self, names: Sequence[str], created: int) -> dict[str, Any]:
        about = {"supportedGenerationMethods": ["generateContent"]}
        return {"models": [{"name": f"models/{name}", **about} for name in names]}

    def logprobs(self, reply: Reply) -> dict[str, Any]:
        if reply.refused or reply.top_logprobs is None:
            return {}
        return {"logprobsResult": as_gemini(reply.tokens, reply.top_logprobs)}

    def check(self, fields: Mapping[str, Any], *, thinks: bool) -> None:
        """Accept what `fields` has read: it has looked for fields that nobody knows."""

    def error(self, problem: ErrorReply) -> tuple[int, Any]:
        status, body = super().error(problem)
        return status, body[0]

    def completion(self, reply: Reply) -> dict[str, Any]:
        """Return a response with one candidate, which has no parts where its filter struck."""
        parts: list[dict[str, Any]] = [{"text": reply.thoughts, "thought": True}] if reply.thoughts else []
        if reply.content and not reply.refused:
            parts.append({"text": reply.content})
        reason = "PROHIBITED_CONTENT" if reply.refused else {"length": "MAX_TOKENS"}.get(reply.finish, "STOP")
        usage = {"promptTokenCount": reply.prompt_tokens, "candidatesTokenCount": reply.content_tokens}
        usage |= {"thoughtsTokenCount": reply.thinking} if reply.thinking is not None else {}
        content = {"role": "model"} | ({"parts": parts} if parts else {})
        return {
            "candidates": [{"content": content, "finishReason": reason, "index": 0, **self.logprobs(reply)}],
            "usageMetadata": usage | {"totalTokenCount": sum(usage.values())},
            "modelVersion": reply.model,
            "responseId": reply.id,
            "system_fingerprint": FINGERPRINT,
        }


def _asked(schema: Any, effort: Any) -> dict[str, Any]:
    """Return a schema and an effort as a chat completion's body has them, where there are any."""
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    asked: dict[str, Any] = {"response_format": form} if schema is not None else {}
    return asked | ({"reasoning_effort": effort} if effort is not None else {})


def _json(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The request body is not JSON: {error}") from error
    if not isinstance(said, dict):
        raise BadRequest("The request body must be a JSON object.")
    return said


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


NATIVE_MANNERS: Mapping[str, Manner] = {manner.name: manner for manner in (NativeAnthropic(), NativeGemini())}
EVERY_MANNER: Mapping[str, Manner] = {**MANNERS, **NATIVE_MANNERS}
