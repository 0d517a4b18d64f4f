"""All there is to know about one verdict:
what its judge was shown, what it said, and what was made of that."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from django.db.models import Q

from annotation.models import LabelScheme, Rating
from arbiter.calls.dialects import DIALECTS
from arbiter.calls.native_requests import PROTOCOLS
from arbiter.calls.record_texts import LONGEST, AnswerTexts, CutText, answer_texts, cut
from arbiter.core.text import storable
from judging.models import Attempt, Judge, Verdict
from judging.panel.prompting import ask, probability_of
from judging.prompts import STEPS

PROBABILITY_WORDS = {
    "logprobs": "over labels, from the logprobs of its answer's tokens",
    "stated": "as it states it",
    "none": "none is taken",
}
PROMPT_FIELDS = {"messages", "system", "contents", "systemInstruction"}  # shown as messages


class PromptMessage(NamedTuple):
    role: str
    content: CutText


class TextPiece(NamedTuple):
    """Of a text: as it is, or marked, with the numbers of the quotes it belongs to
    and of those that begin here."""

    text: str
    quotes: tuple[int, ...] = ()
    begins: tuple[int, ...] = ()


@dataclass(frozen=True)
class MarkedQuote:
    number: int
    text: str
    missing: bool
    beyond: bool = False  # what the page shows of the response


@dataclass(frozen=True)
class AttemptRecord:
    """One attempt, with the request that was put together again for it."""

    attempt: Attempt
    number: int
    messages: Sequence[PromptMessage]
    request: CutText  # what goes with the messages, as JSON
    exact: bool  # byte for byte what was sent
    problem: str  # why it can't be put together any more
    answer: AnswerTexts
    is_source: bool  # the verdict's outcome was read from it
    of_another: Verdict | None  # whose attempt it is, where the verdict was answered from an earlier call


def find_verdict(study_id: int, pk: int) -> Verdict | None:
    related = (
        "item__study",
        "item__response__task__category",
        "item__response__run__condition",
        "study_judge__judge__rater",
        "study_judge__judge__endpoint",
        "study_judge__study__scheme",
        "rating__label",
        "answer__verdict__study_judge",
    )
    return Verdict.objects.filter(study_judge__study=study_id).select_related(*related).filter(pk=pk).first()


def calls(verdict: Verdict) -> list[AttemptRecord]:
    """Return the verdict's calls in the order they were made;
    first the one of another verdict that this one was answered from."""
    attempts = list(verdict.attempts.order_by("pk"))
    borrowed = verdict.answer if verdict.answer and verdict.answer.verdict_id != verdict.pk else None
    scheme = _scheme(verdict)
    first = [_call(verdict, borrowed, 0, scheme)] if borrowed else []
    return first + [
        _call(verdict, attempt, number, scheme) for number, attempt in enumerate(attempts, start=1)
    ]


def _scheme(verdict: Verdict) -> LabelScheme:
    scheme = verdict.study_judge.study.scheme_of(verdict.study_judge.judge.question)
    return LabelScheme.objects.prefetch_related("labels").get(pk=scheme.pk)


def _call(verdict: Verdict, attempt: Attempt, number: int, scheme: LabelScheme) -> AttemptRecord:
    from arbiter.calls.client import body_hash  # loads the library that calls are made with

    judge, messages, request, exact, problem = verdict.study_judge.judge, [], cut(""), False, ""
    try:
        asked = ask(
            judge, verdict.item, scheme, verdict.repeat, marker=attempt.marker, max_tokens=attempt.max_tokens
        )
    except (ValueError, LookupError) as error:  # a template that an earlier version read otherwise
        problem = str(error)
    else:
        messages = [
            PromptMessage(one["role"], cut(_words(one["content"]))) for one in asked.request["messages"]
        ]
        request = cut(storable(json.dumps(_rest(judge, asked.request), indent=2, ensure_ascii=False))[0])
        exact = body_hash(asked.request) == attempt.request_hash
    return AttemptRecord(
        attempt,
        number,
        messages,
        request,
        exact,
        problem,
        answer_texts(attempt),
        verdict.answer_id == attempt.pk,
        attempt.verdict if attempt.verdict_id != verdict.pk else None,
    )


def _rest(judge: Judge, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what goes with the messages in a call's body, as the judge's dialect has it."""
    native = PROTOCOLS.get(judge.dialect)
    body = native.call(request).body if native else request
    return {name: value for name, value in body.items() if name not in PROMPT_FIELDS}


def raw_of(verdict: Verdict, attempt: int) -> str | None:
    """Return the body as it came of one of the calls that the verdict's record shows;
    None where it is none of them."""
    attempts = Attempt.objects.filter(Q(verdict=verdict) | Q(pk=verdict.answer_id), pk=attempt)
    return attempts.values_list("raw", flat=True).first()


def _words(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def marked(text: str, evidence: Sequence[Mapping[str, Any]]) -> tuple[list[TextPiece], list[MarkedQuote]]:
    """Cut what is shown of the text into pieces, marked where a quote stands;
    and number the quotes. Quotes may overlap."""
    shown = text[:LONGEST]
    quotes: list[MarkedQuote] = []
    spans: list[tuple[int, int, int]] = []
    for number, quote in enumerate(evidence, start=1):
        start, end = quote.get("start"), quote.get("end")
        placed = isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(text)
        beyond = isinstance(start, int) and placed and start >= len(shown)
        quotes.append(MarkedQuote(number, str(quote.get("quote", "")), not placed, beyond))
        if isinstance(start, int) and isinstance(end, int) and placed and not beyond:
            spans.append((start, min(end, len(shown)), number))
    edges = sorted({0, len(shown)}.union(*(span[:2] for span in spans)))
    pieces = []
    for start, end in pairwise(edges):
        over = [(number, first) for first, last, number in spans if first <= start and end <= last]
        begins = tuple(number for number, first in over if first == start)
        pieces.append(TextPiece(shown[start:end], tuple(number for number, _ in over), begins))
    return pieces, quotes


def confidence(rating: Rating) -> str:
    """Return a rating's confidence with its scale: a figure says little without one."""
    value = rating.confidence
    if value is None:
        return "not given"
    if rating.confidence_scale == "steps3" and value in (1, 2, 3):
        return f"{STEPS[int(value) - 1]} (step {int(value)} of 3)"
    return f"{value:g} (a probability)" if rating.confidence_scale == "probability" else f"{value:g}"


def definition(judge: Judge) -> list[tuple[str, str]]:
    """Return what makes the judge this exact version, but its template."""
    order = judge.get_label_order_display() + (
        f", seed {judge.label_seed}" if judge.label_order == "permuted" else ""
    )
    family = judge.rater.family
    facts = [
        ("Judge", f"{judge.rater.name}, version {judge.rater.version}"),
        ("Model", judge.model + (f" ({family})" if family else "")),
        (
            "Endpoint",
            f"{judge.endpoint.name} at {judge.endpoint.base_url}, {DIALECTS[judge.dialect].title}'s dialect",
        ),
        ("Answers in", "a JSON schema" if judge.json_schema else "what its template asks for"),
        ("Question", judge.question or "the study's primary one"),
        ("Template", judge.template_name),
        ("Parameters", json.dumps(judge.parameters, ensure_ascii=False) if judge.parameters else "none"),
        ("Label order", order),
        ("Repeats", str(judge.repeats)),
        ("Probability", PROBABILITY_WORDS[probability_of(judge)]),
        (
            "Shown",
            "the task's own text and the condition's prompt suffix after it, without its system prompt"
            if judge.show_condition
            else "the task's own text: blind",
        ),
    ]
    if judge.mapping:
        facts.append(("Mapping", json.dumps(judge.mapping, ensure_ascii=False)))
    return facts
