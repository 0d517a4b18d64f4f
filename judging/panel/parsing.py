"""What a judge's answer says, checked against the scheme whatever the endpoint promised. Pure; never a guess."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judging.models import Judge
from judging.prompts import STEPS, Template, read_template

QUOTES_AT_MOST = 100
NONE = "there is no label in the answer"
THINKING = ("<think>", "</think>")
# All of the line is taken for the label: "convergence or not" is none, rather than its first word.
# Each within one line and without a choice of where to stop, so that a looping answer of a megabyte costs no more
# than its length.
LABEL_LINE = re.compile(
    r"^[ \t*#>-]*(?:label|decision)[ \t*]*[:=][ \t]*(?:\r?\n)?(.+)$", re.IGNORECASE | re.MULTILINE
)
REASON_LINE = re.compile(
    r"^[ \t*#>-]*(?:reason|rationale)[ \t*]*[:=][ \t]*(?:\r?\n)?(.+)$", re.IGNORECASE | re.MULTILINE
)
AROUND_LABELS = " \t\r*`\"'.#"
LABEL_FIELD = re.compile(  # as in JSON, escaped or not; the key or the value stands in quotes
    r"""(?:label|decision)(?:\\?["']\s*+:\s*+(?:\\?["'])?|\s*+:\s*+\\?["'])([^"'\\\n,}]{1,80})""",
    re.IGNORECASE,
)
CLAIM = re.compile(r"\b(?:label|rating|verdict|decision|grade)\b([^.\n]{1,40})", re.IGNORECASE)
OBJECT = re.compile(r"\s*\{")
OPENING_FENCE = re.compile(r"```(?:json)?\s*+(?=\{)", re.IGNORECASE)
CLOSING_FENCE = re.compile(r"\}\s*+```")
JSON_TEXT = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Parsed:
    label: str  # a key of the scheme
    rationale: str = ""
    confidence: float | None = None
    confidence_scale: str = ""
    quotes: tuple[str, ...] = ()


def parse(judge: Judge, text: str, keys: Sequence[str]) -> Parsed | str:
    """The answer, or why it can't be read."""
    template = read_template(judge.template_text)
    offered = Offered(judge.mapping or {key: key for key in keys}, keys)
    said, problem = _after_reasoning(text)
    if problem:
        return f"{NONE}: {problem}"
    if template.answer != "lines":
        found = _json_answer(said)
        if found is not None:
            return found if isinstance(found, str) else _from_json(found, template, offered)
    if template.answer == "json":
        return f"{NONE}: it is not one JSON object"
    return _from_lines(said, offered)


class Offered:
    """The labels a judge may give, in the template's words, and what they are in the scheme."""

    def __init__(self, mapping: Mapping[str, str], keys: Sequence[str]) -> None:
        self.keys = frozenset(keys)
        self.meant = {word.lower(): key for word, key in mapping.items()}

    def key(self, word: str) -> str | None:
        """The scheme's key, if that is what the word says."""
        key = self.meant.get(word.strip().lower())
        return key if key in self.keys else None

    def claimed(self, text: str) -> set[str]:
        """Labels that a sentence about a label or a rating names soon after that word."""
        near = " ".join(CLAIM.findall(text)).lower()
        return {word for word in re.findall(r"\w[\w-]*", near) if word in self.meant}


def _after_reasoning(text: str) -> tuple[str, str]:
    """The answer without the reasoning that a service leaves before it, or what is wrong with that."""
    opening, closing = THINKING
    if not text.lstrip().startswith(opening):
        return text, ""
    _, closed, rest = text.partition(closing)
    if not closed:
        return "", "its reasoning does not end"
    if (
        closing in rest
    ):  # which of the ends is the reasoning's own, and which was quoted in it, is not to be known
        return "", "its reasoning ends twice"
    return rest, ""


@dataclass(frozen=True, slots=True)
class Object:
    fields: Mapping[str, Any]
    before: str = ""
    after: str = ""


def _json_answer(text: str) -> Object | str | None:
    """One JSON object, alone or in a fence; what is wrong with one that was begun; None where none was."""
    if OBJECT.match(text):
        return _read(text)
    opening = OPENING_FENCE.search(text)
    if not opening:
        return None
    *_, closing = [None, *CLOSING_FENCE.finditer(text, opening.end())]
    end, after = (closing.start() + 1, closing.end()) if closing else (len(text), len(text))
    found = _read(text[opening.end() : end])
    return found if isinstance(found, str) else Object(found.fields, text[: opening.start()], text[after:])


def _read(text: str) -> Object | str:
    try:
        found = json.loads(text, object_pairs_hook=_each_once)
    except Doubled:
        return f"{NONE}: its JSON gives a key twice"
    except (ValueError, RecursionError):
        return f"{NONE}: {'the JSON is not closed' if _is_open(text) else 'it is not one JSON object'}"
    return Object(found)


class Doubled(ValueError):
    pass


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object that gives a key twice gives two answers, of which none is to be preferred."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Doubled
    return found


def _is_open(text: str) -> bool:
    """Whether JSON was begun and ends too early."""
    outside = JSON_TEXT.sub("", text)
    return outside.count("{") > outside.count("}") or outside.count("[") > outside.count("]")


def _from_json(found: Object, template: Template, offered: Offered) -> Parsed | str:
    label = found.fields.get("label")
    if isinstance(label, int) and not isinstance(label, bool):
        label = str(label)
    if not isinstance(label, str):
        return "the answer's JSON has no label"
    key = offered.key(label)
    if key is None:
        return _no_label(label)
    word = label.strip().lower()
    if others := _named_beside(found, word, offered):
        return _several({word, *others})
    rationale, quotes = found.fields.get("rationale"), found.fields.get("evidence")
    confidence = _confidence(found.fields.get("confidence"), template.confidence)
    scale = {"probability": "probability", "steps": "steps3"}.get(template.confidence, "")
    return Parsed(
        label=key,
        rationale=rationale if isinstance(rationale, str) else "",
        confidence=confidence,
        confidence_scale="" if confidence is None else scale,
        quotes=_quotes(quotes) if isinstance(quotes, list) else (),
    )


def _named_beside(found: Object, label: str, offered: Offered) -> set[str]:
    """Other labels that the text around the fence gives: what stands in the fence may be a quotation, of the response's
    own rating for one. A sentence may name several, as when they are weighed, if this one is among them."""
    given: set[str] = set()
    for text in (found.before, found.after):
        claimed = offered.claimed(text)
        given |= _given(text) | (set() if label in claimed else claimed)
    return given - {label}


def _given(text: str) -> set[str]:
    found = [*LABEL_LINE.findall(text), *LABEL_FIELD.findall(text)]
    return {rest.strip(AROUND_LABELS).lower() for rest in found} - {""}


def _from_lines(text: str, offered: Offered) -> Parsed | str:
    if not LABEL_LINE.search(text):
        return NONE
    labels = _given(text)
    if len(labels) != 1:
        return _several(labels) if labels else NONE
    label = labels.pop()
    key = offered.key(label)
    if key is None:
        return _no_label(label)
    reason = REASON_LINE.search(text)
    return Parsed(key, reason[1].strip() if reason else "")


def _no_label(word: str) -> str:
    return f"{word[:60]!r} is no label of the scheme"


def _several(labels: set[str]) -> str:
    return f"the answer gives several labels: {', '.join(sorted(labels))}"


def _confidence(value: Any, scale: str) -> float | None:
    if scale == "steps":
        word = value.strip().lower() if isinstance(value, str) else ""
        return float(STEPS.index(word) + 1) if word in STEPS else None
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
    return float(value) if known and scale == "probability" else None


def _quotes(found: Sequence[Any]) -> tuple[str, ...]:
    """At most so many, as each is looked for in the response."""
    return tuple(quote for quote in found if isinstance(quote, str) and quote.strip())[:QUOTES_AT_MOST]
