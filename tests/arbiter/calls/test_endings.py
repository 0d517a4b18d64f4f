"""How an answer ended, by whatever word a service gives for it."""

import importlib

import pytest
from django.apps import apps

from arbiter.calls.endings import ending_of, meaning
from benchmark.models import Response
from tests import builders


@pytest.mark.parametrize(
    ("words", "means"),
    [
        (("stop", "STOP", "end_turn", "eos", "eos_token", "FINISH_REASON_STOP", "endTurn", " stop "), "stop"),
        (
            (
                "length",
                "max_tokens",
                "MAX_TOKENS",
                "FINISH_REASON_MAX_TOKENS",
                "model_length",
                "max_output_tokens",
                "maxTokens",
                "max-tokens",
                "incomplete: max_output_tokens",
                "model_context_window_exceeded",
                "token_limit",
            ),
            "length",
        ),
        (
            (
                "content_filter",
                "content_filter: PROHIBITED_CONTENT",
                "SAFETY",
                "RECITATION",
                "refusal",
                "content-filter",
                "guardrail_intervened",
                "incomplete: content_filter",
                "sensitive",
                "contentFiltered",
                "ERROR_TOXIC",
            ),
            "filter",
        ),
        (("tool_calls", "function_call"), "tool"),
        (("FinishReason.MAX_TOKENS", "truncation", "max_tokens_reached", "output_limit"), "length"),
        (("MODEL_ARMOR", "filtered", "safety_filter", "unsafe"), "filter"),
        (("overloaded", "exception", "internal_server_error", "preempted"), "error"),
        (("error", "ERROR", "abort", "insufficient_system_resource", "network_error", "cancelled"), "error"),
        (("", "other", "OTHER", "lengthy", "no stop", "x" * 1000, ": stop", "null"), ""),
    ],
)
def test_each_services_word_is_read(words, means):
    assert {word: meaning(word) for word in words} == dict.fromkeys(words, means)


@pytest.mark.parametrize(
    ("text", "finish_reason", "more", "ending"),
    [
        ("Well.", "stop", {}, ""),
        ("Well.", "", {}, ""),
        ("Well.", "odd", {}, ""),
        ("We", "MAX_TOKENS", {}, "cut_off"),
        ("", "max_tokens", {}, "cut_off"),
        ("", "stop", {"unfinished": True}, "cut_off"),
        ("", "stop", {}, "empty"),
        (" \n", "stop", {}, "empty"),
        ("", "", {}, "empty"),
        ("", "SAFETY", {}, "refused"),
        ("I can't.", "stop", {"refused": True}, "refused"),
        ("We", "content_filter", {}, "refused"),
    ],
)
def test_how_a_response_ended(text, finish_reason, more, ending):
    assert ending_of(text, finish_reason, **more) == ending
    assert ending in Response.Ending.values


@pytest.mark.engine
@pytest.mark.django_db
def test_responses_that_were_there_get_their_ending():
    suite = builders.suite(tasks=5)
    said = [("Well.", "stop"), ("We", "MAX_TOKENS"), ("", "stop"), ("", "SAFETY"), ("x", "")]
    made = [
        builders.response(builders.run(suite), task, text=text, finish_reason=reason)
        for task, (text, reason) in zip(suite.tasks.all(), said, strict=True)
    ]
    importlib.import_module("benchmark.migrations.0003_how_answers_ended").fill(apps, None)
    endings = dict(Response.objects.values_list("pk", "ending"))
    assert [endings[one.pk] for one in made] == ["", "cut_off", "empty", "refused", ""]
