"""Hand-made bodies of every dialect's services and of what stands before them, each with the right value: as
a response that is collected, and as a judge's answer."""

import json

import pytest
from django.utils import timezone

from arbiter.calls.answers import Completion, read_answer
from arbiter.calls.client import Call
from arbiter.calls.dialects import DIALECTS
from arbiter.calls.faults import Fault
from benchmark.collection.response_outcomes import outcome_of_call
from judging.panel.parsing import Unread, parse
from tests.arbiter.calls.native_services import candidate, message
from tests.judging import questions

KEYS = ["convergence", "no_convergence", "safety_refusal", "nonsensical"]
SAID = "LABEL: convergence"
LABEL = "convergence"
DONE, FAILED = "done", "failed"


def text(value):
    return {"type": "text", "text": value}


def body(content=SAID, finish="stop", choice=None, **message):
    said = {"role": "assistant", "content": content, **message}
    return {"choices": [{"index": 0, "message": said, "finish_reason": finish, **(choice or {})}]}


def without_message(finish):
    return {"choices": [{"index": 0, "finish_reason": finish}]}


def error(message, **more):
    return {"error": {"message": message, **more}}


AZURE = error(
    "The response was filtered.",
    code="content_filter",
    status=400,
    param="prompt",
    innererror={
        "code": "ResponsibleAIPolicyViolation",
        "content_filter_result": {"hate": {"filtered": True}},
    },
)
# dialect, name: the body; state, text, reasoning and ending as a response; label, form, "refused" or the
# failure as a judge's.
CASES = {
    # OpenAI, Azure, LiteLLM, OpenRouter
    ("openai", "plain"): (body(), (DONE, SAID, "", ""), LABEL),
    ("openai", "parts"): (body([text("LABEL: conv"), text("ergence")]), (DONE, SAID, "", ""), LABEL),
    ("openai", "output_text"): (body([{"type": "output_text", "text": SAID}]), (DONE, SAID, "", ""), LABEL),
    ("openai", "refusal"): (body(None, refusal="I can't."), (DONE, "I can't.", "", "refused"), "refused"),
    ("openai", "refusal part"): (
        body([{"type": "refusal", "refusal": "I can't."}]), (DONE, "I can't.", "", "refused"), "refused",
    ),
    ("openai", "null"): (body(None), (FAILED, "", "", ""), "not_json"),
    ("openai", "empty"): (body(""), (DONE, "", "", "empty"), "empty"),
    ("openai", "empty, no reason"): (body("", None), (FAILED, "", "", ""), "not_json"),
    ("openai", "cut off"): (
        body("LABEL: conv", "length"), (DONE, "LABEL: conv", "", "cut_off"), "not_in_scheme",
    ),
    ("openai", "all thinking"): (body("", "length"), (FAILED, "", "", "cut_off"), "empty"),
    ("openai", "a tool"): (
        body(None, "tool_calls", tool_calls=[{"function": {"name": "f"}}]), (FAILED, "", "", ""), "rejected",
    ),
    ("openai", "an image"): (body([text(SAID), {"type": "image_url"}]), (FAILED, "", "", ""), "not_json"),
    ("openai", "Azure's filter"): (AZURE, (DONE, "", "", "refused"), "refused"),
    ("openai", "Azure's, half way"): (
        body("LABEL: c", "content_filter"), (DONE, "LABEL: c", "", "refused"), "refused",
    ),
    ("openai", "flagged prompt"): (
        error("Your prompt was flagged as potentially violating our usage policy.", code="invalid_prompt"),
        (DONE, "", "", "refused"), "refused",
    ),
    ("openai", "LiteLLM's filter"): (
        error("litellm.ContentPolicyViolationError: blocked", type=None, code="400"),
        (DONE, "", "", "refused"), "refused",
    ),
    ("openai", "LiteLLM's blocks"): (
        body(
            reasoning_content="Hm.",
            thinking_blocks=[{"type": "thinking", "thinking": "Hm.", "signature": "s"}],
        ),
        (DONE, SAID, "Hm.", ""), LABEL,
    ),
    ("openai", "OpenRouter's details"): (
        body(reasoning=None, reasoning_details=[
            {"type": "reasoning.text", "text": "H"}, {"type": "reasoning.encrypted", "data": "x"},
            {"type": "reasoning.summary", "summary": "m."},
        ]),
        (DONE, SAID, "Hm.", ""), LABEL,
    ),
    ("openai", "OpenRouter's moderation"): (
        error("It requires moderation.", code=403, metadata={"reasons": ["violence"], "flagged_input": "x"}),
        (DONE, "", "", "refused"), "refused",
    ),
    ("openai", "OpenRouter's error in a choice"): (
        body("LABEL: conv", "error", {"error": {"code": 502, "message": "Provider returned error"}}),
        (FAILED, "", "", ""), "server_error",
    ),
    ("openai", "OpenRouter's 429 in 200"): (
        error("Slow down.", code=429), (FAILED, "", "", ""), "rate_limited",
    ),
    ("openai", "no credits"): (error("Insufficient credits.", code=402), (FAILED, "", "", ""), "rejected"),
    ("openai", "an error beside"): (
        body() | error("Upstream died.", code=500), (FAILED, "", "", ""), "server_error",
    ),
    # vLLM, and DeepSeek, Mistral and others that are served like it
    ("vllm", "reasoning"): (body(reasoning="Hm."), (DONE, SAID, "Hm.", ""), LABEL),
    ("vllm", "both names"): (body(reasoning="Hm.", reasoning_content="Hm."), (DONE, SAID, "Hm.", ""), LABEL),
    ("vllm", "tags"): (
        body(f"<think>\nno_convergence\n</think>\n\n{SAID}"), (DONE, SAID, "no_convergence", ""), LABEL,
    ),
    ("vllm", "the end alone"): (
        body(f"no_convergence\n</think>\n\n{SAID}"), (DONE, SAID, "no_convergence", ""), LABEL,
    ),
    ("vllm", "no end"): (
        body(f"<think>{SAID}", "length"), (FAILED, "", SAID, "cut_off"), "unfinished_reasoning",
    ),
    ("vllm", "no end, though it stopped"): (
        body(f"<think>{SAID}"), (FAILED, "", SAID, "cut_off"), "unfinished_reasoning",
    ),
    ("vllm", "only reasoning"): (body(None, reasoning=SAID), (FAILED, "", SAID, ""), "only_reasoning"),
    ("vllm", "null, cut off"): (
        body(None, "length", reasoning="Hm"), (FAILED, "", "Hm", "cut_off"), "only_reasoning",
    ),
    ("vllm", "channels"): (
        body("<|channel|>analysis<|message|>Hm.<|end|>"
             f"<|start|>assistant<|channel|>final<|message|>{SAID}<|return|>"),
        (DONE, SAID, "Hm.", ""), LABEL,
    ),
    ("vllm", "aborted"): (body("LABEL: conv", "abort"), (FAILED, "", "", ""), "server_error"),
    ("vllm", "older error"): (
        {"object": "error", "message": "Too long.", "type": "BadRequestError", "code": 400},
        (FAILED, "", "", ""), "rejected",
    ),
    ("vllm", "detail"): (
        {"detail": [
            {"loc": ["body", "seed"], "msg": "extra fields not permitted", "type": "value_error.invalid"},
        ]},
        (FAILED, "", "", ""), "rejected",
    ),
    ("vllm", "Mistral's chunks"): (
        body([{"type": "thinking", "thinking": [text("Hm.")]}, text(SAID)]), (DONE, SAID, "Hm.", ""), LABEL,
    ),
    ("vllm", "Mistral's limit"): (
        body("LABEL: c", "model_length"), (DONE, "LABEL: c", "", "cut_off"), "not_in_scheme",
    ),
    ("vllm", "Mistral's tags"): (body(f"[THINK]Hm.[/THINK]{SAID}"), (DONE, SAID, "Hm.", ""), LABEL),
    ("vllm", "DeepSeek, interrupted"): (
        body("LABEL: convergence", "insufficient_system_resource"), (FAILED, "", "", ""), "server_error",
    ),
    # Ollama
    ("ollama", "plain"): (body(), (DONE, SAID, "", ""), LABEL),
    ("ollama", "reasoning"): (body(reasoning="Hm."), (DONE, SAID, "Hm.", ""), LABEL),
    ("ollama", "thinking"): (body(thinking="Hm."), (DONE, SAID, "Hm.", ""), LABEL),
    ("ollama", "tags"): (body(f"<think>\n\n</think>\n\n{SAID}"), (DONE, SAID, "", ""), LABEL),
    ("ollama", "Granite's tags"): (body(f"<thinking>Hm.</thinking>\n{SAID}"), (DONE, SAID, "Hm.", ""), LABEL),
    ("ollama", "thinking to the limit"): (
        body("", "length", reasoning="Hm"), (FAILED, "", "Hm", "cut_off"), "only_reasoning",
    ),
    ("ollama", "loaded only"): (body("", "load"), (FAILED, "", "", ""), "server_error"),
    ("ollama", "unloaded"): (body("", "unload"), (FAILED, "", "", ""), "server_error"),
    ("ollama", "an error in words"): (
        {"error": "model runner has unexpectedly stopped"}, (FAILED, "", "", ""), "server_error",
    ),
    ("ollama", "chat token"): (body(f"{SAID}<|im_end|>"), (DONE, f"{SAID}<|im_end|>", "", ""), LABEL),
    ("ollama", "talk about tags"): (
        body(f"It never writes `</think>`.\n{SAID}"),
        (DONE, f"It never writes `</think>`.\n{SAID}", "", ""), LABEL,
    ),
    ("ollama", "blank"): (body(" \n"), (DONE, " \n", "", "empty"), "empty"),
    # Anthropic, and what translates its own API
    ("anthropic-compatible", "plain"): (body(), (DONE, SAID, "", ""), LABEL),
    ("anthropic-compatible", "end_turn"): (body(finish="end_turn"), (DONE, SAID, "", ""), LABEL),
    ("anthropic-compatible", "max_tokens"): (
        body("LABEL: c", "max_tokens"), (DONE, "LABEL: c", "", "cut_off"), "not_in_scheme",
    ),
    ("anthropic-compatible", "context window"): (
        body("LABEL: c", "model_context_window_exceeded"), (DONE, "LABEL: c", "", "cut_off"), "not_in_scheme",
    ),
    ("anthropic-compatible", "refusal"): (body("", "refusal"), (DONE, "", "", "refused"), "refused"),
    ("anthropic-compatible", "filter"): (body("", "content_filter"), (DONE, "", "", "refused"), "refused"),
    ("anthropic-compatible", "blocks"): (
        body([{"type": "thinking", "thinking": "Hm.", "signature": "s"}, text(SAID)]),
        (DONE, SAID, "Hm.", ""), LABEL,
    ),
    ("anthropic-compatible", "redacted"): (
        body([{"type": "redacted_thinking", "data": "xyz"}, text(SAID)]), (DONE, SAID, "", ""), LABEL,
    ),
    ("anthropic-compatible", "a tool's part"): (
        body([{"type": "tool_use", "name": "f"}], "tool_use"), (FAILED, "", "", ""), "not_json",
    ),
    ("anthropic-compatible", "only thinking"): (
        body([{"type": "thinking", "thinking": SAID}], "end_turn"), (FAILED, "", SAID, ""), "only_reasoning",
    ),
    ("anthropic-compatible", "overloaded in 200"): (
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        (FAILED, "", "", ""), "server_error",
    ),
    ("anthropic-compatible", "wrong in 200"): (
        {"type": "error", "error": {"type": "invalid_request_error", "message": "No."}},
        (FAILED, "", "", ""), "rejected",
    ),
    # Gemini
    ("gemini-compatible", "plain"): (body(), (DONE, SAID, "", ""), LABEL),
    ("gemini-compatible", "thoughts in tags"): (
        body(f"<thought>Hm.</thought>{SAID}"), (DONE, SAID, "Hm.", ""), LABEL,
    ),
    ("gemini-compatible", "thought parts"): (
        body([{"text": "Hm.", "thought": True}, {"text": SAID}]), (DONE, SAID, "Hm.", ""), LABEL,
    ),
    ("gemini-compatible", "MAX_TOKENS"): (
        body("LABEL: c", "MAX_TOKENS"), (DONE, "LABEL: c", "", "cut_off"), "not_in_scheme",
    ),
    ("gemini-compatible", "no message, length"): (
        without_message("length"), (FAILED, "", "", "cut_off"), "empty",
    ),
    ("gemini-compatible", "no message, filter"): (
        without_message("content_filter: PROHIBITED_CONTENT"), (DONE, "", "", "refused"), "refused",
    ),
    ("gemini-compatible", "no message, stop"): (without_message("stop"), (FAILED, "", "", ""), "not_json"),
    ("gemini-compatible", "SAFETY"): (body(None, "SAFETY"), (DONE, "", "", "refused"), "refused"),
    ("gemini-compatible", "RECITATION"): (
        body("LABEL: c", "RECITATION"), (DONE, "LABEL: c", "", "refused"), "refused",
    ),
    ("gemini-compatible", "blocked prompt"): (
        {"promptFeedback": {"blockReason": "SAFETY"}}, (DONE, "", "", "refused"), "refused",
    ),
    ("gemini-compatible", "a list of errors"): (
        [{"error": {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}}],
        (FAILED, "", "", ""), "server_error",
    ),
    ("gemini-compatible", "exhausted"): (
        [{"error": {"message": "Quota.", "status": "RESOURCE_EXHAUSTED"}}],
        (FAILED, "", "", ""), "rate_limited",
    ),
    ("gemini-compatible", "a function gone wrong"): (
        body(None, "MALFORMED_FUNCTION_CALL"), (FAILED, "", "", ""), "server_error",
    ),
    # Anthropic's Messages API
    ("anthropic", "plain"): (message(text(SAID)), (DONE, SAID, "", ""), LABEL),
    ("anthropic", "two texts"): (message(text("LABEL: conv"), text("ergence")), (DONE, SAID, "", ""), LABEL),
    ("anthropic", "thinking"): (
        message({"type": "thinking", "thinking": "Hm.", "signature": "s"}, text(SAID)),
        (DONE, SAID, "Hm.", ""), LABEL,
    ),
    ("anthropic", "redacted"): (
        message({"type": "redacted_thinking", "data": "xyz"}, text(SAID)), (DONE, SAID, "", ""), LABEL,
    ),
    ("anthropic", "max_tokens"): (
        message(text("LABEL: c"), stop_reason="max_tokens"),
        (DONE, "LABEL: c", "", "cut_off"), "not_in_scheme",
    ),
    ("anthropic", "all thinking"): (
        message({"type": "thinking", "thinking": "Hm."}, stop_reason="max_tokens"),
        (FAILED, "", "Hm.", "cut_off"), "only_reasoning",
    ),
    ("anthropic", "only thinking"): (
        message({"type": "thinking", "thinking": SAID}), (FAILED, "", SAID, ""), "only_reasoning",
    ),
    ("anthropic", "refusal"): (message(stop_reason="refusal"), (DONE, "", "", "refused"), "refused"),
    ("anthropic", "refusal, half way"): (
        message(text("LABEL: c"), stop_reason="refusal"), (DONE, "LABEL: c", "", "refused"), "refused",
    ),
    ("anthropic", "nothing"): (message(), (FAILED, "", "", ""), "not_json"),
    ("anthropic", "a tool"): (
        message({"type": "tool_use", "name": "f"}, stop_reason="tool_use"), (FAILED, "", "", ""), "rejected",
    ),
    # Gemini's generateContent
    ("gemini", "plain"): (candidate({"text": SAID}), (DONE, SAID, "", ""), LABEL),
    ("gemini", "two texts"): (
        candidate({"text": "LABEL: conv"}, {"text": "ergence"}), (DONE, SAID, "", ""), LABEL,
    ),
    ("gemini", "thoughts"): (
        candidate({"text": "Hm.", "thought": True}, {"text": SAID}), (DONE, SAID, "Hm.", ""), LABEL,
    ),
    ("gemini", "a signature"): (
        candidate({"text": SAID}, {"thoughtSignature": "x"}), (DONE, SAID, "", ""), LABEL,
    ),
    ("gemini", "MAX_TOKENS"): (
        candidate({"text": "LABEL: c"}, finish="MAX_TOKENS"),
        (DONE, "LABEL: c", "", "cut_off"), "not_in_scheme",
    ),
    ("gemini", "all thinking"): (
        candidate({"text": "Hm.", "thought": True}, finish="MAX_TOKENS"),
        (FAILED, "", "Hm.", "cut_off"), "only_reasoning",
    ),
    ("gemini", "only thinking"): (
        candidate({"text": SAID, "thought": True}), (FAILED, "", SAID, ""), "only_reasoning",
    ),
    ("gemini", "SAFETY"): (candidate(finish="SAFETY"), (DONE, "", "", "refused"), "refused"),
    ("gemini", "PROHIBITED_CONTENT"): (
        candidate(finish="PROHIBITED_CONTENT"), (DONE, "", "", "refused"), "refused",
    ),
    ("gemini", "blocked prompt"): (
        {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 5}},
        (DONE, "", "", "refused"), "refused",
    ),
    ("gemini", "nothing"): (candidate(), (FAILED, "", "", ""), "not_json"),
    ("gemini", "no candidate"): ({"candidates": []}, (FAILED, "", "", ""), "not_json"),
}  # fmt: skip


def call_of(answer, raw):
    if isinstance(answer, Fault):
        return Call(answer.outcome, timezone.now(), 0.1, raw=raw, error=answer.error, status=200)
    return Call(answer.outcome, timezone.now(), 0.1, raw=raw, answer=answer, status=200)


@pytest.mark.parametrize(("dialect", "name"), CASES)
def test_a_body_is_a_response_with_the_right_value(dialect, name):
    said, (state, words, reasoning, ending), _ = CASES[dialect, name]
    raw = json.dumps(said)
    stored = outcome_of_call(call_of(read_answer(raw), raw))
    read = stored["state"], stored["text"], stored["reasoning"], str(stored["ending"])
    assert read == (state, words, reasoning, ending)
    if state == FAILED:
        assert stored["raw"] == raw and stored["error"]


@pytest.mark.parametrize(("dialect", "name"), CASES)
def test_a_body_is_a_judges_answer_with_the_right_value(dialect, name):
    said, _, right = CASES[dialect, name]
    answer = read_answer(json.dumps(said))
    if isinstance(answer, Fault):
        assert answer.outcome == right and answer.error
        return
    if answer.refused:
        assert (answer.outcome, right) == ("refusal", "refused")
        return
    parsed = parse(questions.judge(), answer, KEYS)
    assert right == (parsed.form if isinstance(parsed, Unread) else parsed.label)


def test_there_are_ten_of_each_dialect():
    for dialect in DIALECTS:
        assert sum(one == dialect for one, _ in CASES) >= 10


@pytest.mark.parametrize("kind", ["", "video", "input_audio", "reference", None, 7])
@pytest.mark.parametrize("rest", [[], [text("Well.")]])
def test_no_content_in_parts_is_an_empty_response(kind, rest):
    answer = read_answer(json.dumps(body([*rest, {"type": kind, "data": "x"}])))
    assert isinstance(answer, Fault) and "unknown kind" in answer.error


@pytest.mark.parametrize(
    "part", [{"type": "text"}, {"type": "text", "text": None}, {"type": "text", "text": 5}, 5, [], True]
)
def test_a_part_that_holds_no_text_is_no_empty_text(part):
    assert isinstance(read_answer(json.dumps(body([part]))), Fault)


def test_what_the_service_says_of_itself_is_kept():
    said = body() | {
        "model": "gpt-x-2026",
        "id": "chatcmpl-1",
        "system_fingerprint": "fp_1",
        "usage": {"prompt_tokens": 3},
    }
    answer = read_answer("\ufeff" + json.dumps(said))
    assert isinstance(answer, Completion)
    assert (answer.model, answer.id, answer.fingerprint, answer.prompt_tokens) == (
        "gpt-x-2026",
        "chatcmpl-1",
        "fp_1",
        3,
    )
    assert outcome_of_call(call_of(answer, ""))["returned_model"] == "gpt-x-2026"
    odd = read_answer(json.dumps(body() | {"model": 7, "id": None, "system_fingerprint": "x\x00" * 500}))
    assert (odd.model, odd.id) == ("", "") and len(odd.fingerprint) == 200


def test_a_filters_words_are_never_the_models():
    stored = outcome_of_call(call_of(read_answer(json.dumps(AZURE)), ""))
    assert (stored["text"], stored["error"], stored["ending"]) == (
        "",
        "The response was filtered.",
        "refused",
    )


def test_a_providers_own_words_are_told():
    said = error(
        "Provider returned error", code=502, metadata={"raw": "CUDA out of memory", "provider_name": "P"}
    )
    assert read_answer(json.dumps(said)) == Fault(
        "server_error", "Provider returned error (CUDA out of memory)"
    )


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (error("Content Exists Risk", type="invalid_request_error", code="invalid_request_error"), "refusal"),
        (error("Filtered.", code="content_management_policy"), "refusal"),
        (error({"error": "Violated guardrail policy"}, code="400"), "refusal"),
        (
            error(
                "Provider returned error", code=400, metadata={"raw": '{"error": {"code": "content_filter"}}'}
            ),
            "refusal",
        ),
        (
            error("Provider returned error", code=400, metadata={"raw": '{"error": {"code": 429}}'}),
            "rejected",
        ),
        ({"statusCode": 429, "message": "Rate limit is exceeded."}, "rate_limited"),
        (error("Full.", type="service_tier_capacity_exceeded", code="3505"), "rate_limited"),
        (error("None of that name.", code="DeploymentNotFound"), "rejected"),
        (error("Too large.", type="request_too_large"), "rejected"),
        ({**body(), "error": {"code": 0, "message": ""}}, "answer"),
        ({**body(), "error": {"code": 502, "message": ""}}, "server_error"),
        (body(choice={"error": {"code": None, "message": ""}}), "answer"),
        (body(choice={"native_finish_reason": "max_tokens"}), "length"),
        (body(choice={"native_finish_reason": "refusal"}), "refusal"),
        (body("", choice={"native_finish_reason": "SAFETY"}), "refusal"),
        (body(finish="length", choice={"native_finish_reason": "stop"}), "length"),
        (body(finish="FinishReason.MAX_TOKENS"), "length"),
    ],
)
def test_what_a_service_says_beside_or_instead_of_an_answer(said, outcome):
    answer = read_answer(json.dumps(said))
    assert answer.outcome == outcome, answer


def test_a_raw_line_break_in_a_body_is_one():
    raw = '{"choices": [{"message": {"content": "one\ntwo"}, "finish_reason": "stop"}]}'
    assert read_answer(raw).text == "one\ntwo"
