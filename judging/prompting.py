"""What a judge is asked, and what its answer says. Pure: rows in, text out; text in, label out."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.crypto import salted_hmac

from annotation.models import Item, Label
from annotation.schemes import QUESTION
from benchmark.text import storable
from judging.models import Judge
from judging.prompts import DIVIDER, NEEDED, PLACEHOLDERS

PLACEHOLDER = re.compile(r"\{\{ ?(\w+) ?\}\}")
# All of the line is taken for the label: "convergence or not" is none, rather than its first word.
# Each within one line and without a choice of where to stop, so that a looping answer of a megabyte costs no more
# than its length.
LABEL_LINE = re.compile(r"^[ \t*#>-]*label[ \t*]*[:=][ \t]*(?:\r?\n)?(.+)$", re.IGNORECASE | re.MULTILINE)
REASON_LINE = re.compile(
    r"^[ \t*#>-]*(?:reason|rationale)[ \t*]*[:=][ \t]*(?:\r?\n)?(.+)$", re.IGNORECASE | re.MULTILINE
)
AROUND_LABELS = " \t\r*`\"'.#"
FENCED = re.compile(r"```(?:json)?\s*(\{.*\})\s*```", re.DOTALL)


def check_template(text: str) -> None:
    """Raises ValueError where the template names something unknown or leaves out what a judge must see."""
    named = set(PLACEHOLDER.findall(text))
    if unknown := named - PLACEHOLDERS:
        raise ValueError(
            f"unknown placeholder {sorted(unknown)[0]!r}; known are {', '.join(sorted(PLACEHOLDERS))}"
        )
    if missing := NEEDED - named:
        raise ValueError(f"the placeholder {sorted(missing)[0]!r} is missing")


def marker(judge: Judge, item: Item, repeat: int) -> str:
    """Fences the response. Nobody who writes a response can guess it, and the same prompt can be made again."""
    secret = salted_hmac(
        "arbiter.fence", f"{judge.rater.definition}:{item.response.content_hash}:{repeat}"
    ).hexdigest()
    return f"RESPONSE-{secret[:16]}"


def messages(judge: Judge, item: Item, labels: Sequence[Label], repeat: int) -> list[dict[str, str]]:
    """The prompt. Filled in one pass, so that a response that holds a placeholder stays as it is."""
    task, response = item.response.task, item.response
    fence = marker(judge, item, repeat)
    shown = task.text + (response.run.condition.prompt_suffix if judge.show_condition else "")
    values = {
        "context": task.category.context.strip() or task.category.title,
        "question": task.category.question or item.study.scheme.question or QUESTION,
        "label_keys": " | ".join(label.key for label in labels),
        "label_definitions": "\n".join(_definition(label) for label in labels),
        "marker": fence,
        "task": shown,
        "response": response.text.replace(fence, "[marker]"),
        "answer_format": _answer_format(judge, labels),
    }
    # The template is parted before it is filled: a response may hold the divider too.
    parts = judge.template_text.split(DIVIDER, 1)
    filled = [PLACEHOLDER.sub(lambda match: values[match[1]], part).strip() for part in parts]
    roles = ["system", "user"] if len(filled) > 1 else ["user"]
    return [{"role": role, "content": content} for role, content in zip(roles, filled, strict=True)]


def _definition(label: Label) -> str:
    return f"- {label.key}: {label.definition}" + (f" Example: {label.example}" if label.example else "")


def _answer_format(judge: Judge, labels: Sequence[Label]) -> str:
    keys = " | ".join(label.key for label in labels)
    if judge.json_schema:
        return (
            f"Answer with one JSON object: label (one of {keys}), confidence (your probability, from 0 to 1, that the label is right), "
            "rationale (one or two sentences), evidence (a list of short quotes, word for word from the response)."
        )
    return f"Answer in two lines and nothing else:\nLABEL: one of {keys}\nREASON: one sentence"


def answer_schema(labels: Sequence[Label]) -> dict[str, Any]:
    properties = {
        "label": {"type": "string", "enum": [label.key for label in labels]},
        "confidence": {"type": "number"},
        "rationale": {"type": "string"},
        "evidence": {"type": "array", "items": {"type": "string"}},
    }
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "rating", "strict": True, "schema": schema}}


def request(judge: Judge, item: Item, labels: Sequence[Label], repeat: int) -> dict[str, Any]:
    """The call's body. The seed is the repeat's number: it parts repeats where the service honours it."""
    body: dict[str, Any] = {
        "model": judge.model,
        "messages": messages(judge, item, labels, repeat),
        "seed": repeat,
    }
    body |= judge.parameters
    if judge.json_schema:
        body["response_format"] = answer_schema(labels)
    return body


@dataclass(frozen=True)
class Parsed:
    """A judge's answer, checked here against the scheme whatever the endpoint promised."""

    label: str
    rationale: str = ""
    confidence: float | None = None
    quotes: tuple[str, ...] = ()


def parse(text: str, keys: Sequence[str]) -> Parsed | str:
    """The answer, or why it can't be read. Never guesses a label."""
    found = _json_object(text)
    if found is not None:
        return _from_object(found, keys)
    labels = {rest.strip(AROUND_LABELS).lower() for rest in LABEL_LINE.findall(text)} - {""}
    if len(labels) != 1:
        return (
            "there is no label in the answer"
            if not labels
            else f"the answer gives several labels: {', '.join(sorted(labels))}"
        )
    label = labels.pop()
    if label not in keys:
        return f"{label[:60]!r} is no label of the scheme"
    reason = REASON_LINE.search(text)
    return Parsed(label, reason[1].strip() if reason else "")


def _json_object(text: str) -> Mapping[str, Any] | None:
    fenced = FENCED.search(text)
    for candidate in (text.strip(), fenced[1] if fenced else ""):
        try:
            found = json.loads(candidate, object_pairs_hook=_each_once)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return found
    return None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object that gives a key twice gives two answers, of which none is to be preferred."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _from_object(found: Mapping[str, Any], keys: Sequence[str]) -> Parsed | str:
    label = found.get("label")
    if not isinstance(label, str):
        return "the answer's JSON has no label"
    if label.strip().lower() not in keys:
        return f"{label[:60]!r} is no label of the scheme"
    confidence = found.get("confidence")
    sure = isinstance(confidence, (int, float)) and not isinstance(confidence, bool) and 0 <= confidence <= 1
    quotes = found.get("evidence")
    return Parsed(
        label=label.strip().lower(),
        rationale=found["rationale"] if isinstance(found.get("rationale"), str) else "",
        confidence=float(confidence) if sure and confidence is not None else None,
        quotes=tuple(q for q in quotes if isinstance(q, str) and q.strip())
        if isinstance(quotes, list)
        else (),
    )


def evidence(quotes: Sequence[str], text: str) -> list[dict[str, Any]]:
    """Each quote with its place in the text (white space may differ), or without one where it isn't there."""
    spans: list[dict[str, Any]] = []
    for quote in (storable(quote)[0] for quote in quotes):
        pattern = r"\s+".join(re.escape(word) for word in quote.split())
        match = re.search(pattern, text)
        spans.append(
            {"quote": quote, "start": match.start(), "end": match.end()}
            if match
            else {"quote": quote, "missing": True}
        )
    return spans
