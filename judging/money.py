"""What calls cost: prices, the cost of a call, its worst case, and what a run would take before a call is made.

Money is counted in whole picodollars, in which every list price of a token is exact: $0.40 for a million tokens is
400,000 of them a token, and ten million dollars still fit the database's integers.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.db.models import Count, Exists, OuterRef, QuerySet, prefetch_related_objects

from annotation.models import Item, LabelScheme, Study
from benchmark.batching import batches
from benchmark.commandline import ArbiterCommand
from benchmark.yamlfile import read_yaml
from judging.models import FINAL, Attempt, Budget, StudyJudge, Verdict
from judging.prompting import ask, token_limit

PICO = 10**12
PRICES = Path(__file__).parent / "prices.yaml"
DATED = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8})$")

# What a service's own chat template may add to the text it is sent: a default system prompt, marks around a message.
TOKENS_A_CALL = 256
TOKENS_A_MESSAGE = 16

BUILT = 2000  # prompts of a judge that a dry run builds; beyond that it looks at a sample
SAMPLE = 200
PAST = 100  # the calls a judge's usual token counts are taken from
ENOUGH = 20
USUAL_COMPLETION = 200
BYTES_A_TOKEN = 4
REPEATED = "Calls that are repeated, as they failed or their answer was cut off, come on top."
SUMMED = (
    "verdicts",
    "final",
    "cached",
    "calls",
    "prompt_tokens",
    "completion_tokens",
    "cost",
    "cost_at_most",
)
RELATED = ("response__task__category", "response__run__condition")  # of an item, that its prompt is made from
Cap = tuple[int, int] | None  # of calls or picodollars: the cap, and what is left of it


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


# Before a call is made


@dataclass(frozen=True, slots=True)
class Usual:
    """What a judge's calls take, from those it has made or else from experience at large."""

    tokens: int  # prompt tokens for so many bytes
    bytes: int
    completion: int
    basis: str

    def prompt_tokens(self, size: int) -> int:
        return -(-size * self.tokens // self.bytes)


@dataclass(slots=True)
class Seen:
    """Prompts that were built: how many of them are answered already, and what the others weigh."""

    cached: int = 0
    calls: int = 0
    bytes: int = 0
    worst: int = 0
    bounded: bool = True

    def add(self, other: "Seen", wanted: int) -> None:
        """Add what `wanted` prompts come to, of which the other has seen some or all."""
        seen = other.cached + other.calls
        if not seen:
            return
        calls = _share(other.calls, wanted, seen)
        self.cached, self.calls = self.cached + wanted - calls, self.calls + calls
        self.bytes += _share(other.bytes, wanted, seen)
        self.worst += _share(other.worst, wanted, seen)
        self.bounded &= other.bounded


def _share(value: int, of: int, seen: int) -> int:
    return (2 * value * of + seen) // (2 * seen)


@dataclass(slots=True)
class Forecast:
    """What is still to be asked of one judge. Money in picodollars, None where it can't be told and `reasons` say why."""

    judge: str
    verdicts: int = 0
    final: int = 0
    cached: int = 0
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: int | None = 0
    cost_at_most: int | None = 0
    reasons: list[str] = field(default_factory=list)
    basis: list[str] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        return {**asdict(self), "cost": as_dollars(self.cost), "cost_at_most": as_dollars(self.cost_at_most)}


def dry_run(study: Study, judges: Sequence[StudyJudge], limit: int | None = None) -> dict[str, Any]:
    """What asking these judges would take: calls, tokens and cost, and whether the study's caps allow it. Writes nothing."""
    forecasts: list[Forecast] = []
    items = study.items.count()
    for study_judge in judges:
        forecast = _forecast(study, study_judge, items, limit)
        forecasts.append(forecast)
        if limit is not None:
            limit -= forecast.calls + forecast.cached
    total = _total(forecasts)
    budget = Budget.objects.filter(study=study).first() or Budget()
    calls, cost = _cap(budget.max_calls, budget.calls), _cap(budget.max_cost, budget.cost)
    fits, why = _fits(calls, cost, total)
    return {
        "study": study.slug,
        "rows": [forecast.row() for forecast in forecasts],
        "total": {name: value for name, value in total.row().items() if name in SUMMED},
        "cap": {"calls": calls and calls[0], "dollars": as_dollars(cost and cost[0])},
        "left": {"calls": calls and calls[1], "dollars": as_dollars(cost and cost[1])},
        "fits": fits,
        "why": why,
    }


def _forecast(study: Study, study_judge: StudyJudge, items: int, at_most: int | None) -> Forecast:
    judge, final = study_judge.judge, _final(study_judge)
    forecast = Forecast(str(judge), verdicts=items * judge.repeats, final=sum(final.values()))
    if study_judge.status == StudyJudge.Status.PAUSED:
        forecast.basis.append("paused: nothing is asked of it until it is resumed")
        return forecast
    wanted = {repeat: max(0, items - final.get(repeat, 0)) for repeat in range(judge.repeats)}
    seen = _look(study, study_judge, _within(wanted, at_most), forecast)
    forecast.cached, forecast.calls = seen.cached, seen.calls
    if seen.calls:
        _weigh(forecast, study_judge, seen)
    return forecast


def _final(study_judge: StudyJudge) -> dict[int, int]:
    """Repeat to how many of its verdicts are final."""
    final = Verdict.objects.filter(study_judge=study_judge, state__in=FINAL).order_by()
    return dict(final.values_list("repeat").annotate(Count("pk")))


def _within(wanted: dict[int, int], at_most: int | None) -> dict[int, int]:
    """The first of them, repeat by repeat, as verdicts are made."""
    if at_most is None:
        return wanted
    kept: dict[int, int] = {}
    for repeat, count in wanted.items():
        kept[repeat] = max(0, min(count, at_most - sum(kept.values())))
    return kept


def _look(study: Study, study_judge: StudyJudge, wanted: dict[int, int], forecast: Forecast) -> Seen:
    """Build the prompts of all that is wanted, or of a sample of each repeat where that is a lot."""
    total, looked_at, whole = sum(wanted.values()), 0, Seen()
    sampled = total > BUILT
    scheme = _with_labels(study.scheme_of(study_judge.judge.question))
    for repeat, count in wanted.items():
        take = min(count, max(1, SAMPLE // len(wanted))) if sampled else count
        part = _build(study_judge, scheme, repeat, _missing(study, study_judge, repeat, sampled)[:take])
        whole.add(part, count)
        looked_at += part.cached + part.calls
    if sampled:
        forecast.basis.append(f"estimated from {looked_at:,} of {total:,} verdicts, the worst case too")
    return whole


def _with_labels(scheme: LabelScheme) -> LabelScheme:
    prefetch_related_objects([scheme], "labels")
    return scheme


def _missing(study: Study, study_judge: StudyJudge, repeat: int, sampled: bool) -> QuerySet[Item]:
    """Items without a final verdict, in the order they are asked for; for a sample in that of their keys, which are random."""
    asked = Verdict.objects.filter(item=OuterRef("pk"), study_judge=study_judge, repeat=repeat)
    items = study.items.filter(~Exists(asked.filter(state__in=FINAL))).select_related(*RELATED)
    return items.order_by("key" if sampled else "pk")


def _build(study_judge: StudyJudge, scheme: LabelScheme, repeat: int, items: QuerySet[Item]) -> Seen:
    seen, price, limit = Seen(), price_of(study_judge), token_limit(study_judge.judge)
    for batch in batches(items.iterator(chunk_size=100), 100):
        asked = [ask(study_judge.judge, item, scheme, repeat) for item in batch]
        answered = _answered([one.cache_key for one in asked])
        for one in asked:
            if one.cache_key in answered:
                seen.cached += 1
                continue
            worst = worst_case(one.request, price, limit)
            seen.calls, seen.bytes = seen.calls + 1, seen.bytes + prompt_bytes(one.request)
            seen.worst, seen.bounded = seen.worst + (worst or 0), seen.bounded and worst is not None
    return seen


def _answered(keys: Sequence[str]) -> set[str]:
    outcomes = [Attempt.Outcome.ANSWER, Attempt.Outcome.REFUSAL, Attempt.Outcome.LENGTH]
    found = Attempt.objects.filter(cache_key__in=keys, outcome__in=outcomes).order_by()
    return set(found.values_list("cache_key", flat=True).distinct())


def _weigh(forecast: Forecast, study_judge: StudyJudge, seen: Seen) -> None:
    """Turn what the prompts weigh into tokens and money."""
    judge, price, usual = study_judge.judge, price_of(study_judge), _usual(study_judge)
    limit = token_limit(judge)
    a_call = usual.completion if limit is None else min(limit, usual.completion)
    forecast.basis.append(usual.basis)
    forecast.prompt_tokens = usual.prompt_tokens(seen.bytes)
    forecast.completion_tokens = seen.calls * a_call
    forecast.cost = cost_of(price, forecast.prompt_tokens, forecast.completion_tokens)
    forecast.cost_at_most = seen.worst if seen.bounded else None
    if price is None:
        forecast.reasons.append(f"no price is known for {judge.model}; give the judge one in the study file")
    elif not seen.bounded:
        forecast.reasons.append("its parameters set no token limit, so what a call may cost has no bound")


def _usual(study_judge: StudyJudge) -> Usual:
    """From the judge's last calls, in this study or else in another; where it has made too few, from experience."""
    others = study_judge.judge.studies.exclude(pk=study_judge.pk).select_related("study")
    for one in [study_judge, *others.order_by("-calls")[:3]]:
        past = list(_past(one))
        if len(past) >= ENOUGH:
            tokens, size, completion = (sum(column) for column in zip(*past, strict=True))
            basis = f"tokens as in its last {len(past)} calls"
            return Usual(max(1, tokens), size, -(-completion // len(past)), basis)
    return Usual(
        1, BYTES_A_TOKEN, USUAL_COMPLETION,
        f"taken for granted, as it has made fewer than {ENOUGH} calls: {BYTES_A_TOKEN} bytes a prompt token, {USUAL_COMPLETION} completion tokens a call or its token limit",
    )  # fmt: skip


def _past(study_judge: StudyJudge) -> Iterator[tuple[int, int, int]]:
    """Of its last calls: prompt tokens, bytes of the prompt (built again), completion tokens."""
    judge = study_judge.judge
    counted = Attempt.objects.filter(prompt_tokens__isnull=False, completion_tokens__isnull=False)
    last = counted.filter(study_judge=study_judge).order_by("-pk").defer("raw")
    scheme = _with_labels(study_judge.study.scheme_of(judge.question))
    for attempt in last.select_related(*(f"verdict__item__{path}" for path in RELATED))[:PAST]:
        item = attempt.verdict.item
        item.study = study_judge.study
        size = prompt_bytes(ask(judge, item, scheme, attempt.verdict.repeat).request)
        yield attempt.prompt_tokens or 0, size, attempt.completion_tokens or 0


def _total(forecasts: Sequence[Forecast]) -> Forecast:
    total = Forecast("all")
    for one in forecasts:
        for name in SUMMED:
            both = [getattr(total, name), getattr(one, name)]
            setattr(total, name, None if None in both else sum(both))
    return total


def _cap(cap: int | None, spent: int) -> Cap:
    """A cap with what is left of it."""
    return None if cap is None else (cap, max(0, cap - spent))


def _fits(calls: Cap, cost: Cap, total: Forecast) -> tuple[bool | None, str]:
    """Whether the run stays within the caps; None where that depends on how long the answers are, or can't be told."""
    if calls is None and cost is None:
        return True, "the study has no cap"
    if calls and total.calls > calls[1]:
        return False, f"it takes {total.calls:,} calls, and the study's cap leaves {calls[1]:,}"
    if cost is None or not total.calls:
        return True, "it stays within the study's cap"
    if total.cost is None:
        return None, "what it costs is not known, and the study has a cap in dollars"
    left = dollars(cost[1])
    if total.cost > cost[1]:
        return False, f"it costs about {dollars(total.cost)}, and the study's cap leaves {left}"
    if total.cost_at_most is None or total.cost_at_most > cost[1]:
        return None, f"the estimate stays within the {left} the study's cap leaves, the worst case does not"
    return True, "it stays within the study's cap"


def show_dry_run(result: Mapping[str, Any]) -> None:
    """For people: a table, and the notes below it."""
    rows = list(result["rows"])
    ArbiterCommand().table([_shown(row) for row in [*rows, {"judge": "in all", **result["total"]}]])
    notes = [f"{row['judge']}: {note}." for row in rows for note in [*row["reasons"], *row["basis"]]]
    answer = {True: "Fits", False: "Does not fit", None: "May not fit"}[result["fits"]]
    for line in [*notes, REPEATED, f"{answer}: {result['why']}."]:
        print(line)


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    counts = {name.replace("_", " "): f"{value:,}" for name, value in row.items() if type(value) is int}
    money = {"cost": row["cost"], "at most": row["cost_at_most"]}
    shown = {name: None if value is None else dollars(round(value * PICO)) for name, value in money.items()}
    return {"judge": row["judge"], **counts, **shown}
