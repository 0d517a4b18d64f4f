"""All there is to know about one verdict: what its judge was shown, what it said, and what was made of that."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from django.db.models import Q

from annotation.models import LabelScheme, Rating
from benchmark.dialects import DIALECTS
from benchmark.text import storable
from judging.models import Attempt, Judge, Verdict
from judging.panel.prompting import ask
from judging.prompts import STEPS

LONGEST = 200_000  # characters of a text that a page shows


class Text(NamedTuple):
    """What a page shows of a text, and how long it is."""

    shown: str
    length: int

    @property
    def is_cut(self) -> bool:
        return self.length > len(self.shown)


def cut(text: str) -> Text:
    return Text(text[:LONGEST], len(text))


class Message(NamedTuple):
    role: str
    content: Text


class Piece(NamedTuple):
    """Of a text: as it is, or marked, with the numbers of the quotes it belongs to and of those that begin here."""

    text: str
    quotes: tuple[int, ...] = ()
    begins: tuple[int, ...] = ()


@dataclass(frozen=True)
class Quote:
    number: int
    text: str
    missing: bool
    beyond: bool = False  # what the page shows of the response


@dataclass(frozen=True)
class Answer:
    """What an attempt brought: the model's words, then the body around them."""

    text: Text
    reasoning: Text
    body: str  # formatted, where it is JSON and not too long for that
    raw: Text


@dataclass(frozen=True)
class Call:
    """One attempt, with the request that was put together again for it."""

    attempt: Attempt
    number: int
    messages: Sequence[Message]
    request: Text  # what goes with the messages, as JSON
    exact: bool  # byte for byte what was sent
    problem: str  # why it can't be put together any more
    answer: Answer
    is_source: bool  # the verdict's outcome was read from it
    of_another: Verdict | None  # whose attempt it is, where the verdict was answered from an earlier call


def find_verdict(study_id: int, pk: int) -> Verdict | None:
    related = (
        "item__study", "item__response__task__category", "item__response__run__condition",
        "study_judge__judge__rater", "study_judge__judge__endpoint", "study_judge__study__scheme",
        "rating__label", "answer__verdict__study_judge",
    )  # fmt: skip
    return Verdict.objects.filter(study_judge__study=study_id).select_related(*related).filter(pk=pk).first()


def calls(verdict: Verdict) -> list[Call]:
    """In the order they were made; first the one of another verdict that this one was answered from."""
    attempts = list(verdict.attempts.order_by("pk"))
    borrowed = verdict.answer if verdict.answer and verdict.answer.verdict_id != verdict.pk else None
    scheme = _scheme(verdict)
    found = [_call(verdict, borrowed, 0, scheme)] if borrowed else []
    return found + [
        _call(verdict, attempt, number, scheme) for number, attempt in enumerate(attempts, start=1)
    ]


def _scheme(verdict: Verdict) -> LabelScheme:
    scheme = verdict.study_judge.study.scheme_of(verdict.study_judge.judge.question)
    return LabelScheme.objects.prefetch_related("labels").get(pk=scheme.pk)


def _call(verdict: Verdict, attempt: Attempt, number: int, scheme: LabelScheme) -> Call:
    from benchmark.client import body_hash  # loads the library that calls are made with

    judge, messages, request, exact, problem = verdict.study_judge.judge, [], cut(""), False, ""
    try:
        asked = ask(
            judge, verdict.item, scheme, verdict.repeat, marker=attempt.marker, max_tokens=attempt.max_tokens
        )
    except (ValueError, LookupError) as error:  # a template that an earlier version read otherwise
        problem = str(error)
    else:
        messages = [Message(one["role"], cut(_words(one["content"]))) for one in asked.request["messages"]]
        rest = {name: value for name, value in asked.request.items() if name != "messages"}
        request = cut(storable(json.dumps(rest, indent=2, ensure_ascii=False))[0])
        exact = body_hash(asked.request) == attempt.request_hash
    return Call(
        attempt, number, messages, request, exact, problem, read(attempt), verdict.answer_id == attempt.pk,
        attempt.verdict if attempt.verdict_id != verdict.pk else None,
    )  # fmt: skip


def read(attempt: Attempt) -> Answer:
    from benchmark.client import read_answer

    answer = read_answer(attempt.raw)
    said = answer.text or answer.refusal if answer else ""
    return Answer(
        text=cut(formatted(said) or storable(said)[0]),
        reasoning=cut(storable(answer.reasoning)[0] if answer else ""),
        body=formatted(attempt.raw),
        raw=cut(attempt.raw),
    )


def raw_of(verdict: Verdict, attempt: int) -> str | None:
    """The body as it came, of one of the calls that its record shows."""
    found = Attempt.objects.filter(Q(verdict=verdict) | Q(pk=verdict.answer_id), pk=attempt)
    return found.values_list("raw", flat=True).first()


def _words(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def formatted(text: str) -> str:
    """JSON spread over lines; empty where the text is no object or list, or one too deep or too long."""
    if len(text) > LONGEST:
        return ""
    try:
        found = json.loads(text)
        return _spread(found) if isinstance(found, (dict, list)) else ""
    except (ValueError, RecursionError):
        return ""


def _spread(document: Any) -> str:
    """An escape in it may stand for half a character, which no page could be sent with."""
    pieces, size = [], 0
    for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(document):
        pieces.append(piece)
        if (size := size + len(piece)) > LONGEST:  # where it is deep, the indents are most of it
            return ""
    return storable("".join(pieces))[0]


def marked(text: str, evidence: Sequence[Mapping[str, Any]]) -> tuple[list[Piece], list[Quote]]:
    """What is shown of the text in pieces, marked where a quote stands; and the quotes, numbered. Quotes may overlap."""
    shown = text[:LONGEST]
    quotes: list[Quote] = []
    spans: list[tuple[int, int, int]] = []
    for number, quote in enumerate(evidence, start=1):
        start, end = quote.get("start"), quote.get("end")
        placed = isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(text)
        beyond = isinstance(start, int) and placed and start >= len(shown)
        quotes.append(Quote(number, str(quote.get("quote", "")), not placed, beyond))
        if isinstance(start, int) and isinstance(end, int) and placed and not beyond:
            spans.append((start, min(end, len(shown)), number))
    edges = sorted({0, len(shown)}.union(*(span[:2] for span in spans)))
    pieces = []
    for start, end in pairwise(edges):
        over = [(number, first) for first, last, number in spans if first <= start and end <= last]
        begins = tuple(number for number, first in over if first == start)
        pieces.append(Piece(shown[start:end], tuple(number for number, _ in over), begins))
    return pieces, quotes


def confidence(rating: Rating) -> str:
    """With its scale: a figure says little without one."""
    value = rating.confidence
    if value is None:
        return "not given"
    if rating.confidence_scale == "steps3" and value in (1, 2, 3):
        return f"{STEPS[int(value) - 1]} (step {int(value)} of 3)"
    return f"{value:g} (a probability)" if rating.confidence_scale == "probability" else f"{value:g}"


def definition(judge: Judge) -> list[tuple[str, str]]:
    """What makes the judge this exact version, but its template."""
    order = judge.get_label_order_display() + (
        f", seed {judge.label_seed}" if judge.label_order == "permuted" else ""
    )
    family = judge.rater.family
    found = [
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
        (
            "Shown",
            "the task's own text and the condition's prompt suffix after it, without its system prompt"
            if judge.show_condition
            else "the task's own text: blind",
        ),
    ]
    if judge.mapping:
        found.append(("Mapping", json.dumps(judge.mapping, ensure_ascii=False)))
    return found
