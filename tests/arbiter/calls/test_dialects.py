"""What is known of each service, and how long it asks its callers to wait."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from arbiter.calls.dialects import DIALECTS, dialect, output_tokens, pause_asked, pause_in_body
from arbiter.calls.native_requests import PROTOCOLS
from arbiter.core.errors import UserError
from arbiter.simulator import profiles
from arbiter.simulator.injected_faults import RequestOutcome
from arbiter.simulator.manners import MANNERS
from arbiter.simulator.native_manners import EVERY_MANNER, NATIVE_MANNERS
from arbiter.simulator.stats import Stats

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PAGE = (Path(__file__).resolve().parents[3] / "docs" / "dialects.md").read_text(encoding="utf-8")


def test_the_simulated_provider_speaks_every_dialect():
    compatible = ["openai", "vllm", "ollama", "anthropic-compatible", "gemini-compatible"]
    assert [name for name, one in DIALECTS.items() if not one.native] == list(MANNERS) == compatible
    assert [name for name, one in DIALECTS.items() if one.native] == list(PROTOCOLS) == list(NATIVE_MANNERS)
    assert all(dialect(name).name == name for name in DIALECTS)
    with pytest.raises(UserError, match=r"no dialect 'cohere'; known are openai, vllm, "):
        dialect("cohere")


def test_the_page_describes_every_dialect_and_all_that_the_simulation_tells():
    for one in DIALECTS.values():
        assert f"## {one.title}\n" in PAGE and f"    dialect: {one.name}\n" in PAGE
        assert f"| `{one.name}` | {one.title} | `{one.token_field}` |" in PAGE
        assert f"| `{one.name}` | `http://127.0.0.1:8077{EVERY_MANNER[one.name].prefix}/v1` |" in PAGE
    named = [*Stats().as_dict(), *RequestOutcome]
    named += [
        f"sim-judge-{name}" for name, judge in profiles.JUDGES.items() if judge.thinks or judge.gullible
    ]
    assert not [name for name in named if f"`{name}`" not in PAGE]


@pytest.mark.parametrize("name", DIALECTS)
def test_the_simulation_honours_what_is_said_of_the_service(name):
    manner, said = EVERY_MANNER[name], DIALECTS[name]
    assert manner.structured == said.structured
    assert said.token_field in manner.token_fields


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after": " 2 "}, 2),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "Thu, 01 Jan 2026 12:01:30 GMT"}, 90),
        ({"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT"}, 0),
        ({"retry-after-ms": "120", "retry-after": "1"}, 0.12),
        ({"retry-after-ms": "soon", "retry-after": "1"}, 1),
        ({"retry-after": "1", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, 1),
    ],
)
def test_a_wait_in_so_many_words(headers, seconds):
    assert pause_asked(headers, 429, NOW) == pytest.approx(seconds)
    assert pause_asked(headers, 503, NOW) == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["", "soon", "nan", "inf", "1_0", "9" * 400, "Wed, 99 Foo 2026", "\u0663"])
def test_garbage_asks_for_nothing(value):
    named = {
        "retry-after": value,
        "retry-after-ms": value,
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": value,
    }
    assert pause_asked(named, 429, NOW) is None


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("1s", 1),
        ("6m0s", 360),
        ("120ms", 0.12),
        ("1h2m3.5s", 3723.5),
        ("2d", 172_800),
        ("12", 12),
        ("2026-01-01T12:00:05Z", 5),
        ("2026-01-01T12:00:05.25+00:00", 5.25),
        ("2026-01-01T12:00:05", 5),
        ("2026-01-01T11:59:00Z", 0),
        (str(int(NOW.timestamp()) + 9), 9),
    ],
)
@pytest.mark.parametrize("status", [200, 429])
@pytest.mark.parametrize("pattern", ["x-ratelimit-{}-requests", "Anthropic-Ratelimit-Tokens-{}"])
def test_a_counter_that_has_come_to_nothing(reset, seconds, status, pattern):
    headers = {pattern.format("remaining"): "0", pattern.format("reset"): reset}
    assert pause_asked(headers, status, NOW) == pytest.approx(seconds)


def test_of_several_counters_the_slowest_and_only_those_that_are_empty():
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "3s",
        "x-ratelimit-remaining-images": "1",
        "x-ratelimit-reset-images": "1h",
    }
    assert pause_asked(headers, 200, NOW) == 3
    assert (
        pause_asked({"x-ratelimit-remaining-tokens": "-1", "x-ratelimit-reset-tokens": "0"}, 200, NOW) is None
    )
    assert pause_asked({"x-ratelimit-remaining-tokens": "0"}, 200, NOW) is None


@pytest.mark.parametrize("headers", [{}, {"retry-after": "5"}])
def test_a_success_asks_for_nothing_without_an_empty_counter(headers):
    assert pause_asked(headers, 200, NOW) is None


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        ('[{"error": {"code": 429, "details": [{"@type": "x"}, {"retryDelay": "26s"}]}}]', 26),
        ('{"error": {"details": [{"retryDelay": "0.5s"}]}}', 0.5),
        ('[{"error": {"details": [{"retryDelay": "soon"}]}}]', None),
        ('[{"error": {"details": ["retryDelay"]}}]', None),
        ('{"error": "down"}', None),
        ("[]", None),
        ("null", None),
        ("<html>", None),
    ],
)
def test_a_wait_that_stands_in_the_body(raw, seconds):
    assert pause_in_body(raw) == seconds


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 20, "completion_tokens": 424, "total_tokens": 1016}, 996),
        ({"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}, 5),
        ({"prompt_tokens": 20, "completion_tokens": 5}, 5),
        ({"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 0}, 5),
        ({"prompt_tokens": "20", "completion_tokens": True}, None),
        ({}, None),
    ],
)
def test_thinking_that_only_the_total_holds_is_counted_as_written(usage, tokens):
    assert output_tokens(usage) == tokens
