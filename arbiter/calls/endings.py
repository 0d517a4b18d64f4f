"""How an answer ended, by whatever word a service has for it: one vocabulary for calls and imports. Pure."""

import re
from functools import lru_cache
from typing import Literal

Meaning = Literal["stop", "length", "filter", "tool", "error", ""]

STOP = {
    "stop",
    "stopped",
    "stop_sequence",
    "stop_token",
    "stop_string",
    "end_turn",
    "end",
    "eos",
    "eos_token",
    "eos_id",
    "end_of_sequence",
    "complete",
    "completed",
    "finished",
    "done",
    "success",
}
LENGTH = {
    "length",
    "max_tokens",
    "max_token",
    "max_output_tokens",
    "max_completion_tokens",
    "max_new_tokens",
    "max_length",
    "max_gen_len",
    "model_length",
    "token_limit",
    "tokens_limit",
    "length_limit",
    "length_capped",
    "context_length",
    "context_length_exceeded",
    "context_window",
    "model_context_window_exceeded",
    "context_window_exceeded",
    "error_limit",
    "time_limit",
    "max_time",
    "incomplete",
    "truncated",
    "truncation",
    "limit",
    "output_limit",
    "output_length",
    "max_tokens_reached",
    "max_tokens_exceeded",
    "too_long",
}
FILTER = {
    "content_filter",
    "content_filtered",
    "content_filtering",
    "safety",
    "image_safety",
    "recitation",
    "blocklist",
    "blocked",
    "prohibited_content",
    "spii",
    "refusal",
    "refused",
    "guardrail_intervened",
    "guardrails",
    "error_toxic",
    "safety_filter",
    "filter",
    "filtered",
    "moderated",
    "unsafe",
    "toxic",
    "model_armor",
    "sensitive",
    "moderation",
    "content_moderation",
    "content_policy_violation",
    "policy_violation",
}
TOOL = {"tool_calls", "tool_call", "tool_use", "function_call", "pause_turn"}
ERROR = {
    "error",
    "errored",
    "failed",
    "failure",
    "abort",
    "aborted",
    "cancelled",
    "canceled",
    "interrupted",
    "timeout",
    "network_error",
    "server_error",
    "internal_error",
    "internal_server_error",
    "exception",
    "overloaded",
    "engine_overloaded",
    "preempted",
    "malformed_model_output",
    "malformed_tool_use",
    "insufficient_system_resource",
    "malformed_function_call",
    "unexpected_tool_call",
    "malformed_response",
    "load",
    "unload",
}
WORDS: dict[str, Meaning] = {
    **dict.fromkeys(STOP, "stop"),
    **dict.fromkeys(LENGTH, "length"),
    **dict.fromkeys(FILTER, "filter"),
    **dict.fromkeys(TOOL, "tool"),
    **dict.fromkeys(ERROR, "error"),
}
PREFIX = re.compile(r"^(?:finish_?reason|stop_?reason)[_.]+")
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


@lru_cache(maxsize=1024)
def meaning(finish_reason: str) -> Meaning:
    """Return what a service's own word for the end of an answer means; empty where it is none that is known.

    Some say more after a colon, before which the word itself stands: `content_filter: PROHIBITED_CONTENT`,
    `incomplete: max_output_tokens`.
    """
    word = re.sub(r"[\s-]+", "_", CAMEL.sub("_", finish_reason.strip()).lower())
    first, _, more = PREFIX.sub("", word).partition(":")
    if first == "incomplete" and more.strip("_") in WORDS:
        return WORDS[more.strip("_")]
    if first.startswith("content_filter"):
        return "filter"
    return WORDS.get(first.strip("_"), "")


def ending_of(text: str, finish_reason: str, *, refused: bool = False, unfinished: bool = False) -> str:
    """Return how a response ended, as `Response.Ending` has it; `unfinished`: its reasoning has no end."""
    said = meaning(finish_reason)
    if refused or said == "filter":
        return "refused"
    if unfinished or said == "length":
        return "cut_off"
    return "" if text.strip() else "empty"
