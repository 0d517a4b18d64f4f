"""What asking a study's judges would take, told before a call is made:
calls, tokens, money, and whether the caps allow it."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, prefetch_related_objects

from annotation.models import Item, LabelScheme, Study
from arbiter.calls.caps import cap_left, stays_within
from arbiter.calls.prices import as_dollars, cost_of, most, price_of, prompt_bytes
from arbiter.calls.usual_tokens import PAST, TAKEN_FOR_GRANTED, UsualTokens, usual_of
from arbiter.core.batching import batches
from judging.models import FINAL, Attempt, Budget, StudyJudge, Verdict
from judging.panel.prompting import ask, token_limit
from judging.panel.wanted_verdicts import CANCELLED

BUILT = 2000  # prompts of a judge that a dry run builds; beyond that it looks at a sample
SAMPLE = 200
REPEATED = (
    "Calls that are repeated, as they failed or their answer was cut off, come on top; at most holds with "
    "them."
)
SUMMED = (
    "verdicts",
    "final",
    "cached",
    "calls",
    "prompt_tokens",
    "completion_tokens",
)
MONEY = ("cost", "cost_at_most")
RELATED = ("response__task__category", "response__run__condition")  # of an item, that its prompt is made from


@dataclass(slots=True)
class BuiltPrompts:
    """Prompts that were built: how many of them are answered already, and what the others weigh."""

    cached: int = 0
    calls: int = 0
    bytes: int = 0
    worst: int = 0
    bounded: bool = True

    def add(self, other: "BuiltPrompts", wanted: int) -> None:
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
    """What is still to be asked of one judge.
    Money in picodollars, None where it can't be told and `reasons` say why."""

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
    unpriced: list[str] = field(default_factory=list)  # of a total: the judges its money leaves out

    def row(self) -> dict[str, Any]:
        row = {**asdict(self), "cost": as_dollars(self.cost), "cost_at_most": as_dollars(self.cost_at_most)}
        del row["unpriced"]
        return row


def dry_run(
    study: Study, judges: Sequence[StudyJudge], limit: int | None = None, *, retry: bool = False
) -> dict[str, Any]:
    """Return what asking these judges would take:
    calls, tokens and cost, and whether the study's caps allow it. Writes nothing.

    `retry`: failed verdicts are asked again too.
    """
    forecasts: list[Forecast] = []
    items = study.items.count()
    for study_judge in judges:
        forecast = _forecast(study, study_judge, items, limit, settled(retry))
        forecasts.append(forecast)
        if limit is not None:
            limit -= forecast.calls + forecast.cached
    total = _total(forecasts)
    budget = Budget.objects.filter(study=study).first() or Budget()
    calls, cost = cap_left(budget.max_calls, budget.calls), cap_left(budget.max_cost, budget.cost)
    fits, why = stays_within(calls, cost, total, "study")
    return {
        "study": study.slug,
        "rows": [forecast.row() for forecast in forecasts],
        "total": {name: value for name, value in total.row().items() if name in (*SUMMED, *MONEY)},
        "unpriced": total.unpriced,
        "cap": {"calls": calls and calls[0], "dollars": as_dollars(cost and cost[0])},
        "left": {"calls": calls and calls[1], "dollars": as_dollars(cost and cost[1])},
        "fits": fits,
        "why": why,
    }


def settled(retry: bool) -> Q:
    """Return the condition of verdicts that asking the judges leaves as they are. What a call had failed for
    when its judge was cancelled is asked again in any case."""
    failed = Q(state=Verdict.State.FAILED)
    return Q(state__in=FINAL) & ~(failed if retry else failed & Q(reason=CANCELLED))


def _forecast(study: Study, study_judge: StudyJudge, items: int, at_most: int | None, settled: Q) -> Forecast:
    judge, final = study_judge.judge, _final(study_judge, settled)
    forecast = Forecast(str(judge), verdicts=items * judge.repeats, final=sum(final.values()))
    if study_judge.status == StudyJudge.Status.PAUSED:
        forecast.basis.append("paused: nothing is asked of it until it is resumed")
        return forecast
    wanted = {repeat: max(0, items - final.get(repeat, 0)) for repeat in range(judge.repeats)}
    seen = _look(study, study_judge, _within(wanted, at_most), forecast, settled)
    forecast.cached, forecast.calls = seen.cached, seen.calls
    if seen.calls:
        _weigh(forecast, study_judge, seen)
    return forecast


def _final(study_judge: StudyJudge, settled: Q) -> dict[int, int]:
    """Repeat to how many of its verdicts stay as they are."""
    final = Verdict.objects.filter(settled, study_judge=study_judge).order_by()
    return dict(final.values_list("repeat").annotate(Count("pk")))


def _within(wanted: dict[int, int], at_most: int | None) -> dict[int, int]:
    """Take the first `at_most` of the wanted verdicts, repeat by repeat, as verdicts are made."""
    if at_most is None:
        return wanted
    kept: dict[int, int] = {}
    for repeat, count in wanted.items():
        kept[repeat] = max(0, min(count, at_most - sum(kept.values())))
    return kept


def _look(
    study: Study, study_judge: StudyJudge, wanted: dict[int, int], forecast: Forecast, settled: Q
) -> BuiltPrompts:
    """Build the prompts of all that is wanted, or of a sample of each repeat where that is a lot."""
    total, looked_at, whole = sum(wanted.values()), 0, BuiltPrompts()
    sampled = total > BUILT
    scheme = _with_labels(study.scheme_of(study_judge.judge.question))
    for repeat, count in wanted.items():
        take = min(count, max(1, SAMPLE // len(wanted))) if sampled else count
        missing = _missing(study, study_judge, repeat, settled)
        # A sample in the order of the keys, which are random; else as they are asked for.
        part = _build(study_judge, scheme, repeat, missing.order_by("key" if sampled else "pk")[:take])
        whole.add(part, count)
        looked_at += part.cached + part.calls
    if sampled:
        forecast.basis.append(f"estimated from {looked_at:,} of {total:,} verdicts, the worst case too")
    return whole


def _with_labels(scheme: LabelScheme) -> LabelScheme:
    prefetch_related_objects([scheme], "labels")
    return scheme


def _missing(study: Study, study_judge: StudyJudge, repeat: int, settled: Q) -> QuerySet[Item]:
    """Return the items that the judge is to be asked about in this repeat."""
    asked = Verdict.objects.filter(item=OuterRef("pk"), study_judge=study_judge, repeat=repeat)
    return study.items.filter(~Exists(asked.filter(settled))).select_related(*RELATED)


def _build(study_judge: StudyJudge, scheme: LabelScheme, repeat: int, items: QuerySet[Item]) -> BuiltPrompts:
    seen, price, limit = BuiltPrompts(), price_of(study_judge), token_limit(study_judge.judge)
    for batch in batches(items.iterator(chunk_size=100), 100):
        asked = [ask(study_judge.judge, item, scheme, repeat) for item in batch]
        answered = _answered([one.cache_key for one in asked])
        for one in asked:
            if one.cache_key in answered:
                seen.cached += 1
                continue
            worst = most(one.request, price, limit)
            seen.calls, seen.bytes = seen.calls + 1, seen.bytes + prompt_bytes(one.request)
            seen.worst, seen.bounded = seen.worst + (worst or 0), seen.bounded and worst is not None
    return seen


def _answered(keys: Sequence[str]) -> set[str]:
    outcomes = [Attempt.Outcome.ANSWER, Attempt.Outcome.REFUSAL, Attempt.Outcome.LENGTH]
    answers = Attempt.objects.filter(cache_key__in=keys, outcome__in=outcomes).order_by()
    return set(answers.values_list("cache_key", flat=True).distinct())


def _weigh(forecast: Forecast, study_judge: StudyJudge, seen: BuiltPrompts) -> None:
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


def _usual(study_judge: StudyJudge) -> UsualTokens:
    """Return what a call usually takes, from the judge's last calls, in this study or else in another; where
    it has made too few, from experience."""
    others = study_judge.judge.studies.exclude(pk=study_judge.pk).select_related("study")
    for one in [study_judge, *others.order_by("-calls")[:3]]:
        if usual := usual_of(list(_past(one))):
            return usual
    return TAKEN_FOR_GRANTED


def _past(study_judge: StudyJudge) -> Iterator[tuple[int, int, int]]:
    """Yield of each of the judge's last calls:
    prompt tokens, bytes of the prompt (built again), completion tokens."""
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
    """Add forecasts up. The total's money is of the judges whose price is known; None where no price is."""
    total = Forecast("all")
    for name in SUMMED:
        setattr(total, name, sum(getattr(one, name) for one in forecasts))
    priced = [one for one in forecasts if one.cost is not None]
    for name in MONEY:
        known = [getattr(one, name) for one in priced]
        setattr(total, name, sum(known) if None not in known and (priced or not forecasts) else None)
    total.unpriced = [one.judge for one in forecasts if one.cost is None]
    return total


def of_the_priced(unpriced: Sequence[str]) -> str:
    return f"the money is of the judges whose price is known, so not of {', '.join(unpriced)}"
