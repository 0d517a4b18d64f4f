"""What a chat completion's body becomes in Anthropic's and in Gemini's own protocol."""

from copy import deepcopy

import pytest

from arbiter.calls.native_requests import ANTHROPIC_LIMIT, NativeCall, anthropic_call, gemini_call

SCHEMA = {"type": "object", "properties": {"label": {"type": "string"}}, "required": ["label"]}
FORM = {"type": "json_schema", "json_schema": {"name": "rating", "strict": True, "schema": SCHEMA}}
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Which?"},
    {"role": "assistant", "content": "This."},
    {"role": "user", "content": [{"type": "text", "text": "Su"}, {"type": "text", "text": "re?"}]},
    {"role": "developer", "content": [{"type": "text", "text": "In English."}]},
]
REQUEST = {
    "model": "m-1",
    "messages": MESSAGES,
    "max_completion_tokens": 800,
    "temperature": 0,
    "top_p": 0.5,
    "stop": "END",
    "response_format": FORM,
    "reasoning_effort": "low",
}
HI = {"model": "m-1", "messages": [{"role": "user", "content": "Hi."}]}


def test_a_call_of_the_messages_api():
    assert anthropic_call(REQUEST) == NativeCall(
        "/messages",
        {
            "model": "m-1",
            "system": "Be brief.\n\nIn English.",
            "messages": MESSAGES[1:4],
            "max_tokens": 800,
            "temperature": 0,
            "top_p": 0.5,
            "stop_sequences": ["END"],
            "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"},
        },
    )


def test_a_call_of_generate_content():
    assert gemini_call(REQUEST | {"seed": 3}) == NativeCall(
        "/models/m-1:generateContent",
        {
            "systemInstruction": {"parts": [{"text": "Be brief.\n\nIn English."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "Which?"}]},
                {"role": "model", "parts": [{"text": "This."}]},
                {"role": "user", "parts": [{"text": "Su"}, {"text": "re?"}]},
            ],
            "generationConfig": {
                "maxOutputTokens": 800,
                "temperature": 0,
                "topP": 0.5,
                "seed": 3,
                "stopSequences": ["END"],
                "responseMimeType": "application/json",
                "responseJsonSchema": SCHEMA,
                "thinkingConfig": {"thinkingLevel": "low"},
            },
        },
    )


def test_a_short_call_says_no_more_than_it_must():
    turns = HI["messages"]
    assert anthropic_call(HI).body == {"model": "m-1", "max_tokens": ANTHROPIC_LIMIT, "messages": turns}
    assert gemini_call(HI).body == {"contents": [{"role": "user", "parts": [{"text": "Hi."}]}]}


def test_a_studys_own_parameters_go_where_the_service_has_them():
    thinking = {"type": "enabled", "budget_tokens": 2000}
    sent = anthropic_call({**REQUEST, "thinking": thinking, "output_config": {"effort": "max"}, "top_k": 5})
    assert (sent.body["thinking"], sent.body["top_k"]) == (thinking, 5)
    assert sent.body["output_config"] == {
        "format": {"type": "json_schema", "schema": SCHEMA},
        "effort": "max",
    }
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    own = {"thinkingConfig": {"includeThoughts": True}, "safetySettings": safety, "top_k": 5}
    sent = gemini_call({**REQUEST, **own, "generationConfig": {"responseLogprobs": True, "temperature": 1}})
    config = sent.body["generationConfig"]
    assert sent.body["safetySettings"] == safety
    assert config["thinkingConfig"] == {"thinkingLevel": "low", "includeThoughts": True}
    assert (config["topK"], config["responseLogprobs"], config["temperature"]) == (5, True, 1)


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-2.5-flash", "/models/gemini-2.5-flash:generateContent"),
        ("models/gemini-2.5-flash", "/models/gemini-2.5-flash:generateContent"),
        ("tunedModels/mine", "/tunedModels/mine:generateContent"),
        ("a model?key=x", "/models/a%20model%3Fkey%3Dx:generateContent"),
    ],
)
def test_geminis_model_stands_in_the_path(model, path):
    assert gemini_call({**HI, "model": model}).path == path


def test_what_was_asked_is_left_as_it_is():
    before = deepcopy(REQUEST)
    anthropic_call(REQUEST)
    gemini_call(REQUEST)
    assert before == REQUEST
