"""The request fields that services know, and what OpenAI asks of a strict schema."""

from typing import Any

_SHARED = {
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model",
    "n",
    "parallel_tool_calls",
    "presence_penalty",
    "reasoning_effort",
    "response_format",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
}
OPENAI_FIELDS = _SHARED | {
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "metadata",
    "modalities",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "seed",
    "service_tier",
    "store",
    "verbosity",
    "web_search_options",
}
GEMINI_FIELDS = _SHARED | {"extra_body"}

_DEEPEST = 20


def strict_problem(response_format: Any) -> str:
    """Tell what is wrong with a json_schema whose `strict` is true; empty where nothing is, or it isn't
    one."""
    named = response_format.get("json_schema") if isinstance(response_format, dict) else None
    if not isinstance(named, dict) or named.get("strict") is not True:
        return ""
    try:
        strict = _is_strict(named.get("schema"))
    except (TypeError, AttributeError):  # a list where an object should be, or the like
        strict = False
    if strict:
        return ""
    return (
        f"Invalid schema for response_format {str(named.get('name'))!r}: every object must list all of its"
        " properties in 'required' and have 'additionalProperties': false."
    )


def _is_strict(schema: Any, depth: int = 0) -> bool:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return True
    if schema.get("type") == "object" or "properties" in schema:
        properties = schema.get("properties") or {}
        whole = set(schema.get("required") or ()) == set(properties)
        if schema.get("additionalProperties") is not False or not whole:
            return False
    inner = [schema.get("items"), *(schema.get("anyOf") or ())]
    for group in ("properties", "$defs", "definitions"):
        inner += (schema.get(group) or {}).values()
    return all(_is_strict(part, depth + 1) for part in inner)
