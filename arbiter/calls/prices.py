"""What calls cost: prices, the cost of a call, and its worst case.

Money is counted in whole picodollars, in which every list price of a token is exact: $0.40 for a million
tokens is 400,000 of them a token, and ten million dollars still fit the database's integers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from arbiter.core.yamlfile import read_yaml

if TYPE_CHECKING:
    from arbiter.calls.answers import Completion

PICO = 10**12
PRICES = Path(__file__).parent / "prices.yaml"
DATED = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8})$")

# What a service's own chat template may add to the text it is sent: a default system prompt, marks around a
# message.
TOKENS_A_CALL = 256
TRIES = 5  # as arbiter.calls.engine.ATTEMPTS, which can't be had without the library that calls are made with
LARGER = 4  # times the token budget that ended before the answer did
SMALLEST_BUDGET, LARGEST_BUDGET = 1024, 2**31 - 1
LARGEST_COST = 10**17  # picodollars of one call, that a service may be believed
TOKENS_A_MESSAGE = 16


@dataclass(frozen=True, slots=True)
class Price:
    """A price in picodollars a token."""

    input: int
    output: int
    cached: int | None = None  # of a prompt token that the service had cached; else as any other


def per_token(dollars_per_million: float) -> int:
    """Return a token's price, exact up to six decimals; one with more is rounded up, so that a cap holds."""
    exact = Decimal(repr(dollars_per_million)) * 10**6
    return int(exact.to_integral_value(ROUND_CEILING))


def dollars(pico: int) -> str:
    """Write an amount for people: cents from a dollar on, four places below, never $0.00 for a cost."""
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


class PricedRow(Protocol):
    """A row that holds the price of what is asked there."""

    input_price: int | None
    output_price: int | None
    cached_price: int | None


def price_of(row: PricedRow) -> Price | None:
    """Return what tokens cost where the row says so; None where nobody said."""
    if row.input_price is None or row.output_price is None:
        return None
    return Price(row.input_price, row.output_price, row.cached_price)


def price_columns(price: Price | None) -> dict[str, int | None]:
    """Return a price under the names that a row has for it."""
    if price is None:
        return {"input_price": None, "output_price": None, "cached_price": None}
    return {"input_price": price.input, "output_price": price.output, "cached_price": price.cached}


def listed_price(base_url: str, model: str) -> Price | None:
    """Return a known service's list price of a model; a dated name without one has its undated name's."""
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


def cost_of(
    price: Price | None,
    prompt_tokens: int | None,
    completion_tokens: int | None,
    cached_tokens: int | None = None,
) -> int | None:
    """Return what a call cost; None where the price isn't known, or the count of tokens that aren't free.

    Cached tokens are prompt tokens.
    """
    if price is None:
        return None
    if (price.input and prompt_tokens is None) or (price.output and completion_tokens is None):
        return None
    cached = min(cached_tokens or 0, prompt_tokens or 0)
    discount = cached * (price.input - (price.input if price.cached is None else price.cached))
    return price.input * (prompt_tokens or 0) - discount + price.output * (completion_tokens or 0)


def cost_told(answer: Completion | None, header: Decimal | None, price: Price | None) -> int | None:
    """Return the picodollars that the service says a call cost; None where it says nothing to be taken.

    What stands beside the answer's tokens goes before a gateway's header. A gateway that does not know a
    model's price may say 0 for it, so a 0 says nothing where the judge has a price.
    """
    said = answer.cost if answer is not None and answer.cost is not None else header
    if said is None or (said == 0 and price is not None and (price.input or price.output)):
        return None
    pico = int((said * PICO).to_integral_value(ROUND_CEILING))
    return pico if pico < LARGEST_COST else None


def larger_budget(used: int) -> int:
    """Return the second call's token limit, for an answer that a limit (or that many tokens) cut off."""
    return min(max(SMALLEST_BUDGET, LARGER * used), LARGEST_BUDGET)


def worst_case(request: Mapping[str, Any], price: Price | None, limit: int | None) -> int | None:
    """Return what one call may cost at most, in picodollars; None where that has no bound.

    A token of text stands for a byte or more, so a prompt has no more tokens than bytes, but for what the
    service adds.
    """
    if price is None or (price.output and (limit is None or limit < 1)):
        return None
    added = TOKENS_A_CALL + TOKENS_A_MESSAGE * len(request["messages"])
    return price.input * (prompt_bytes(request) + added) + price.output * (limit or 0)


def most(request: Mapping[str, Any], price: Price | None, limit: int | None) -> int | None:
    """Return what all calls for one verdict may cost at most; None where that has no bound.

    The first call is cut off, and is asked again with a larger limit; that call ends without an answer as
    often as it is repeated, each time perhaps billed. Nothing that a verdict can go through in one run costs
    more. (A larger limit never costs less, so failures before the first answer are fewer failures after it.)
    """
    first = worst_case(request, price, limit)
    second = worst_case(request, price, limit and larger_budget(limit))
    return None if first is None or second is None else first + TRIES * second


def prompt_bytes(request: Mapping[str, Any]) -> int:
    """Count the bytes of all that may become part of the prompt: the messages, a schema, whatever is sent."""
    rest = {key: value for key, value in request.items() if key not in ("messages", "model")}
    texts = [message["content"] for message in request["messages"]]
    return sum(_bytes(text) for text in [*texts, json.dumps(rest, ensure_ascii=False)])


def _bytes(text: Any) -> int:
    if not isinstance(text, str):
        text = json.dumps(text, ensure_ascii=False)
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
