"""Prices, costs and worst cases."""

import re
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from arbiter.calls.answers import Completion
from arbiter.calls.dialects import cost_in_headers
from arbiter.calls.engine import ATTEMPTS
from arbiter.calls.prices import (
    PICO,
    PRICES,
    TRIES,
    Price,
    as_dollars,
    cost_of,
    cost_told,
    dollars,
    larger_budget,
    listed_price,
    most,
    per_token,
    prompt_bytes,
    worst_case,
)

CHEAP = Price(400_000, 1_600_000)  # 0.4 and 1.6 dollars for a million tokens
OPENAI = "https://api.openai.com/v1"

# Amounts


@pytest.mark.parametrize(
    ("price", "pico"),
    [
        (0.4, 400_000),
        (2, 2_000_000),
        (0.15, 150_000),
        (0.000001, 1),
        (1.1, 1_100_000),
        (0, 0),
        (0.075, 75_000),
    ],
)
def test_a_token_costs_whole_picodollars(price, pico):
    assert per_token(price) == pico


def test_more_decimals_than_a_picodollar_has_are_rounded_up():
    assert per_token(0.0000001) == 1


@given(st.integers(0, 10**12))
def test_every_price_with_six_decimals_is_exact(millionths):
    assert per_token(float(f"{millionths // 10**6}.{millionths % 10**6:06}")) == millionths


@pytest.mark.parametrize(
    ("pico", "shown"),
    [
        (0, "$0.00"),
        (1, "<$0.0001"),
        (PICO // 10_000 - 1, "<$0.0001"),
        (PICO // 10_000, "$0.0001"),
        (12_300_000_000, "$0.0123"),
        (PICO // 2, "$0.50"),
        (120_000_000_000, "$0.12"),
        (999_960_000_000, "$1.00"),
        (12_340_000_000_000, "$12.34"),
        (1_234_567 * PICO, "$1,234,567.00"),
        (-PICO, "-$1.00"),
    ],
)
def test_dollars_for_people(pico, shown):
    assert dollars(pico) == shown


@given(st.integers(1, 10**19))
def test_what_costs_something_never_looks_free(pico):
    shown = dollars(pico)
    assert "e" not in shown.lower()
    assert re.search(r"[1-9]", shown)


def test_dollars_for_documents():
    assert (as_dollars(12_300_000_000), as_dollars(0), as_dollars(None)) == (0.0123, 0.0, None)


# Prices


def test_list_prices():
    assert listed_price(OPENAI, "gpt-4.1-mini") == CHEAP
    assert listed_price("https://API.OpenAI.com/v1/", "gpt-4.1-mini") == CHEAP
    assert listed_price("https://api.anthropic.com/v1/", "claude-haiku-4-5") == Price(1_000_000, 5_000_000)


@pytest.mark.parametrize(
    ("base_url", "dated", "name"),
    [
        (OPENAI, "gpt-4.1-2025-04-14", "gpt-4.1"),
        (OPENAI, "gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("https://api.anthropic.com/v1", "claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        (
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "models/gemini-2.5-flash",
            "gemini-2.5-flash",
        ),
    ],
)
def test_a_dated_name_has_its_undated_names_price(base_url, dated, name):
    assert listed_price(base_url, dated) == listed_price(base_url, name) is not None


def test_a_dated_name_may_have_a_price_of_its_own():
    assert listed_price(OPENAI, "gpt-4o-2024-05-13") == Price(5_000_000, 15_000_000)
    assert listed_price(OPENAI, "gpt-4o") == Price(2_500_000, 10_000_000)


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4.1-ultra",
        "gpt-4.10",
        "gpt-4",
        "gpt-4.1-2025",
        "ft:gpt-4.1:me::1",
        "gpt-5.4",
        "GPT-4.1",
        "",
        "claude-haiku-4-5",
    ],
)
def test_an_unknown_model_has_no_price(model):
    assert listed_price(OPENAI, model) is None


@pytest.mark.parametrize(
    "base_url",
    [
        "http://127.0.0.1:8001/v1",
        "https://proxy.example/api.openai.com/v1",
        "https://api.openai.com.example/v1",
        "nonsense",
        "",
    ],
)
def test_an_unknown_service_has_no_prices(base_url):
    assert listed_price(base_url, "gpt-4.1") is None


def test_the_table_says_where_and_when_each_price_was_read():
    services = yaml.safe_load(PRICES.read_text(encoding="utf-8"))["services"]
    assert set(services) == {"api.openai.com", "api.anthropic.com", "generativelanguage.googleapis.com"}
    for host, service in services.items():
        assert service["source"].startswith("https://") and isinstance(service["read"], date), host
        for model, price in service["models"].items():
            assert 0 < price["input"] < price["output"] <= 1000, model
            assert listed_price(f"https://{host}/v1", model) is not None


# Costs


def test_the_cost_of_a_call():
    assert cost_of(CHEAP, 1000, 100) == 400_000_000 + 160_000_000
    assert cost_of(None, 1000, 100) is None
    assert cost_of(CHEAP, None, 100) is cost_of(CHEAP, 100, None) is None


def test_tokens_that_are_free_need_not_be_counted():
    assert cost_of(Price(0, 0), None, None) == 0
    assert cost_of(Price(400_000, 0), 1000, None) == 400_000_000
    assert cost_of(Price(0, 400_000), None, 1000) == 400_000_000


def request(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def test_the_worst_case_of_a_call():
    free_prompt = Price(0, 1_600_000)
    assert worst_case(request("hi"), free_prompt, 500) == 500 * 1_600_000
    assert worst_case(request("hi"), None, 500) is None
    assert worst_case(request("hi"), CHEAP, None) is None
    assert worst_case(request("hi"), CHEAP, -1) is None
    assert worst_case(request("hi"), Price(400_000, 0), None) > 0


@given(st.text())
def test_a_prompt_has_no_more_tokens_than_bytes(text):
    size = prompt_bytes(request(text))
    assert size >= len(text.encode("utf-8", "surrogatepass"))
    assert worst_case(request(text), Price(1, 0), None) >= size


def test_the_prompts_size_counts_whatever_is_sent_along():
    plain = prompt_bytes(request("hi"))
    schema = {"type": "json_schema", "json_schema": {"name": "rating", "schema": {"enum": ["é" * 100]}}}
    assert prompt_bytes(request("hi", response_format=schema)) >= plain + 200
    assert prompt_bytes(request([{"type": "text", "text": "x" * 50}])) >= plain + 48


# What services tell


@pytest.mark.parametrize(
    ("usage", "cached"),
    [
        # OpenAI, OpenRouter, vLLM
        ({"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 64}}, 64),
        ({"prompt_tokens": 100, "prompt_tokens_details": None}, None),
        # DeepSeek
        ({"prompt_tokens": 100, "prompt_cache_hit_tokens": 80, "prompt_cache_miss_tokens": 20}, 80),
        # Anthropic
        ({"prompt_tokens": 100, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 0}, 90),
        ({"input_tokens": 100, "input_tokens_details": {"cached_tokens": 7}}, 7),
        ({"prompt_tokens": 100, "cached_tokens": 11}, 11),  # Moonshot
        ({"prompt_tokens": 100, "cached_tokens": "11"}, None),
        ({"prompt_tokens": 100, "cached_tokens": -1}, None),
        ({}, None),
    ],
)
def test_cached_tokens_by_every_name(usage, cached):
    assert Completion(usage=usage).cached_tokens == cached


def test_cached_tokens_have_a_price_of_their_own():
    price = Price(400_000, 1_600_000, 100_000)
    assert cost_of(price, 100, 10, 64) == 36 * 400_000 + 64 * 100_000 + 10 * 1_600_000
    assert cost_of(CHEAP, 100, 10, 64) == cost_of(CHEAP, 100, 10)  # not known: as any other
    assert cost_of(price, 100, 10, 500) == 100 * 100_000 + 10 * 1_600_000  # no more than there are


@pytest.mark.parametrize(
    ("usage", "header", "pico"),
    [
        ({"cost": 0.0123}, None, 12_300_000_000),  # OpenRouter
        ({"cost": {"total_cost": 0.006}}, None, 6_000_000_000),  # Perplexity
        ({"estimated_cost": 1e-7}, None, 100_000),  # DeepInfra
        ({}, "0.00021", 210_000_000),  # LiteLLM's header
        ({"cost": 0.5}, "0.25", PICO // 2),
        ({"cost": 1e-13}, None, 1),  # rounded up
        ({"cost": "free"}, None, None),
        ({"cost": True}, "nan", None),
        ({"cost": -1}, "-1", None),
        ({"cost": 1e300}, "Infinity", None),
        ({}, "", None),
    ],
)
def test_what_a_service_says_a_call_cost(usage, header, pico):
    told = cost_in_headers({"X-LiteLLM-Response-Cost": header} if header is not None else {})
    assert cost_told(Completion(usage=usage), told, CHEAP) == pico
    assert cost_told(Completion(usage=usage), told, None) == pico


def test_a_zero_says_nothing_where_the_judge_has_a_price():
    assert cost_told(Completion(usage={"cost": 0}), None, CHEAP) is None
    assert cost_told(Completion(usage={"cost": 0}), None, Price(0, 0)) == 0
    assert cost_told(Completion(), Decimal(0), None) == 0


def test_the_most_that_a_verdict_may_cost_holds_for_every_way_it_may_go():
    """Every run of calls that the engine can make for one verdict: failures that may be billed before and
    after an answer that was cut off."""
    assert TRIES == ATTEMPTS
    request = {"model": "m", "messages": [{"role": "user", "content": "Well?"}]}
    for limit in (10, 100, 1000, 5000):
        first = worst_case(request, CHEAP, limit)
        second = worst_case(request, CHEAP, larger_budget(limit))
        ways = [before * first for before in range(ATTEMPTS + 1)]
        ways += [
            (before + 1) * first + after * second
            for before in range(ATTEMPTS)
            for after in range(ATTEMPTS - before + 1)
        ]
        assert most(request, CHEAP, limit) == max(ways)
    assert most(request, CHEAP, None) is None and most(request, None, 10) is None
    assert most(request, Price(10, 0), None) == (TRIES + 1) * worst_case(request, Price(10, 0), None)
