"""What calls cost: prices, the cost of a call, and its worst case.

Money is counted in whole picodollars, in which every list price of a token is exact: $0.40 for a million tokens is
400,000 of them a token, and ten million dollars still fit the database's integers.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmark.yamlfile import read_yaml
from judging.models import StudyJudge

PICO = 10**12
PRICES = Path(__file__).parent / "prices.yaml"
DATED = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8})$")

# What a service's own chat template may add to the text it is sent: a default system prompt, marks around a message.
TOKENS_A_CALL = 256
TOKENS_A_MESSAGE = 16


@dataclass(frozen=True, slots=True)
class Price:
    """Picodollars a token."""

    input: int
    output: int


def per_token(dollars_per_million: float) -> int:
    """Exact for prices with up to six decimals; one with more is rounded up, so that a cap still holds."""
    exact = Decimal(repr(dollars_per_million)) * 10**6
    return int(exact.to_integral_value(ROUND_CEILING))


def dollars(pico: int) -> str:
    """For people: cents from a dollar on, below that four places, and never $0.00 for what does cost something."""
    if pico < 0:
        return f"-{dollars(-pico)}"
    if 0 < pico < PICO // 10_000:
        return "<$0.0001"
    amount = Decimal(pico) / PICO
    if amount >= 1:
        return f"${amount.quantize(Decimal('0.01'), ROUND_HALF_UP):,}"
    cents, rest = f"{amount.quantize(Decimal('0.0001'), ROUND_HALF_UP):.4f}".split(".")
    return f"${cents}.{rest[:2]}{rest[2:].rstrip('0')}"


def as_dollars(pico: int | None) -> float | None:
    return None if pico is None else pico / PICO


def listed_price(base_url: str, model: str) -> Price | None:
    """The list price of a known service's model. A dated name has its undated name's price, unless it has one itself."""
    models = _listed().get(urlsplit(base_url).hostname or "", {})
    name = model.removeprefix("models/")  # as Gemini lists its models
    return models.get(name) or models.get(DATED.sub("", name))


@cache
def _listed() -> dict[str, dict[str, Price]]:
    document, _ = read_yaml(PRICES)
    return {
        host: {
            name: Price(per_token(price["input"]), per_token(price["output"]))
            for name, price in service["models"].items()
        }
        for host, service in document["services"].items()
    }


def price_of(study_judge: StudyJudge) -> Price | None:
    if study_judge.input_price is None or study_judge.output_price is None:
        return None
    return Price(study_judge.input_price, study_judge.output_price)


def cost_of(price: Price | None, prompt_tokens: int | None, completion_tokens: int | None) -> int | None:
    """None where the price isn't known, or the count of tokens that aren't free."""
    if price is None:
        return None
    if (price.input and prompt_tokens is None) or (price.output and completion_tokens is None):
        return None
    return price.input * (prompt_tokens or 0) + price.output * (completion_tokens or 0)


def worst_case(request: Mapping[str, Any], price: Price | None, limit: int | None) -> int | None:
    """What one call may cost at most, in picodollars; None where that has no bound.

    A token of text stands for a byte or more, so a prompt has no more tokens than bytes, but for what the service adds.
    """
    if price is None or (price.output and (limit is None or limit < 1)):
        return None
    added = TOKENS_A_CALL + TOKENS_A_MESSAGE * len(request["messages"])
    return price.input * (prompt_bytes(request) + added) + price.output * (limit or 0)


def prompt_bytes(request: Mapping[str, Any]) -> int:
    """Bytes of all that may become part of the prompt: the messages, and whatever else is sent, as a schema."""
    rest = {key: value for key, value in request.items() if key not in ("messages", "model")}
    texts = [message["content"] for message in request["messages"]]
    return sum(_bytes(text) for text in [*texts, json.dumps(rest, ensure_ascii=False)])


def _bytes(text: Any) -> int:
    if not isinstance(text, str):
        text = json.dumps(text, ensure_ascii=False)
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
