"""What a judge's answer says, checked against the scheme whatever the endpoint promised. Pure; never a
guess."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from arbiter.calls.answers import Completion
from arbiter.calls.reasoning import without_asides
from judging.models import Judge
from judging.panel.answer_objects import Region, regions
from judging.panel.decoration import compared, plain, undecorated, without_tokens
from judging.prompts import STEPS, Template, read_template

QUOTES_AT_MOST = 100
NONE = "there is no label in the answer"
# The kinds of answers that give no label, each with its title.
FORMS = {
    "no_label": "no label",
    "two_labels": "two labels",
    "not_in_scheme": "not in the scheme",
    "not_json": "not JSON",
    "cut_json": "JSON cut off",
    "broken_json": "broken JSON",
    "two_objects": "a second object, or a key twice",
    "unfinished_reasoning": "unfinished reasoning",
    "reasoning_twice": "reasoning that ends twice",
    "only_reasoning": "only reasoning",
    "empty": "empty answer",
}
# All of the line is taken for the label: "convergence or not" is none, rather than its first word. Each
# within one line and without a choice of where to stop, so that a looping answer of a megabyte costs no more
# than its length.
BEFORE = r"^[ \t*#>_`•\-]*(?:[0-9]{1,2}[.)][ \t*_]*)?(?:(?:my|the|your|final|overall)[ \t]+){0,3}"
# After the colon or a dash, or on the next line that is not empty; under a heading, with or without a colon.
AFTER = (
    r"[ \t*_`]*(?:[:=][ \t]*|[ \t](?:[-–—→]|->)[ \t]+|(?=\r?\n))"
    r"(?:[*_` \t]*\r?\n(?:[ \t=\-]*\r?\n){0,3}(?:[ \t]*[-•][ \t]+)?)?(.+)$"
)
LABEL_LINE = re.compile(rf"{BEFORE}(?:label|decision){AFTER}", re.IGNORECASE | re.MULTILINE)
REASON_LINE = re.compile(rf"{BEFORE}(?:reason|rationale){AFTER}", re.IGNORECASE | re.MULTILINE)
LABEL_TAG = re.compile(r"<(label|final_label|decision)>([^<>]{1,200})</\1>", re.IGNORECASE)
# Other words that a judge may give a second label under. They give none by themselves.
OTHER_LINE = re.compile(
    rf"{BEFORE}(?:answer|verdict|rating|grade|score|class(?:ification)?|category|conclusion|judge?ment"
    r"|assessment|correction|correct(?:ed)? label"
    r"|(?:initial|first|second|new|corrected|revised|proposed|alternative) (?:label|decision))"
    rf"{AFTER}",
    re.IGNORECASE | re.MULTILINE,
)
REASON_FOLLOWS = re.compile(  # looked for once a run of signs, and not from each of them on
    r"(?<![ \t*_,.;–—-])[ \t*_,.;–—-]*+\b(?:reason|rationale)[ \t*_]*:.*\Z", re.IGNORECASE
)
BOXED = re.compile(r"(?<!\\)(\\++(?:boxed|fbox)\s*\{(?:[^{}\n]|\{[^{}\n]*\}){1,200}\})")
LABEL_FIELD = re.compile(  # as in JSON, escaped or not; the key or the value stands in quotes
    r"""(?:label|decision)(?:\\?["']\s*+:\s*+(?:\\?["'])?|\s*+:\s*+\\?["'])([^"'\\\n,}]{1,80})""",
    re.IGNORECASE,
)
CLAIM = re.compile(r"\b(?:label|rating|verdict|decision|grade)\b([^.\n]{1,40})", re.IGNORECASE)
TURN = re.compile(
    r"\b(?:actually|on (?:second thought|reflection)|correction|wait|instead|rather|scratch that"
    r"|changed? my mind|take (?:that|it) back"
    r"|revis\w+|should (?:be|have been)|must be|on balance)\b",
    re.IGNORECASE,
)
FENCE_BEFORE = re.compile(r"```[ \t]*(?:json\w*)?\s*\Z", re.IGNORECASE)
NEAR = 200  # characters before an object that are looked at
LABEL_FIELDS = ("label", "final label", "decision")
OTHER_FIELD = re.compile(
    r"(?:label|decision|verdict|rating|grade|score|answer|class|classification|category|final|conclusion"
    r"|correction)\Z"
)
GOES_ON = re.compile(r"[\"'*`)\]]*\s+\w")
SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(frozen=True, slots=True)
class Parsed:
    label: str  # a key of the scheme
    rationale: str = ""
    confidence: float | None = None
    confidence_scale: str = ""
    quotes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unread:
    """An answer without one clear label: its form, of FORMS, and why, in a sentence."""

    form: str
    why: str


def parse(judge: Judge, answer: Completion, keys: Sequence[str]) -> Parsed | Unread:
    """Read an answer's label and what goes with it, or say why it can't be read."""
    if hidden := _hidden(answer):
        return hidden
    template = read_template(judge.template_text)
    offered = Offered(judge.mapping or {key: key for key in keys}, keys)
    text = without_tokens(without_asides(answer.text).rstrip())
    if template.answer != "lines":
        parsed = _from_objects(text, template, offered)
        if parsed is not None:
            return parsed
    if template.answer == "json":
        return Unread("not_json", f"{NONE}: it is not one JSON object")
    return _from_lines(text, offered)


class Offered:
    """The labels a judge may give, in the template's words, and what they are in the scheme."""

    def __init__(self, mapping: Mapping[str, str], keys: Sequence[str]) -> None:
        self.keys = frozenset(keys)
        self.meant = {compared(word): key for word, key in mapping.items()}
        longest_first = sorted(self.meant, key=len, reverse=True)
        self.words = re.compile("|".join(_standing_alone(word) for word in longest_first))

    def word(self, said: str) -> str:
        """Return the word that is said, without a `_` at its end that can't be part of a longer label."""
        word = undecorated(said)
        cut_off = any(other.startswith(word) for other in self.meant)
        return word if cut_off else word.rstrip("_")

    def key(self, word: str) -> str | None:
        """Return the scheme's key, if that is what the word says; else None."""
        key = self.meant.get(self.word(word))
        return key if key in self.keys else None

    def in_order(self, text: str) -> list[str]:
        """List the labels that a text names, in its order."""
        return self.words.findall(compared(text)) if self.meant else []

    def named(self, text: str) -> set[str]:
        return set(self.in_order(text))

    def claimed(self, text: str) -> set[str]:
        """Return the labels that a sentence about a label or a rating names soon after that word."""
        return self.named(" ".join(CLAIM.findall(text)))


def _standing_alone(word: str) -> str:
    """Return a pattern for the label where it is no part of a longer word;
    some scripts have no spaces between theirs."""
    if not word.isascii():
        return re.escape(word)
    return rf"(?<![\w-]){re.escape(word)}(?![\w-])"


def _hidden(answer: Completion) -> Unread | None:
    """Say why there is no answer that a label could stand in; None where there is one."""
    if answer.unfinished:
        return Unread("unfinished_reasoning", f"{NONE}: its reasoning does not end")
    if answer.doubtful:  # which end is its own, and which was quoted in it, is not to be known
        return Unread("reasoning_twice", f"{NONE}: its reasoning ends twice")
    if answer.text.strip():
        return None
    if answer.silent or answer.reasoning:
        return Unread("only_reasoning", f"{NONE}: there is only reasoning")
    return Unread("empty", NONE)


def _from_objects(text: str, template: Template, offered: Offered) -> Parsed | Unread | None:
    """Read the answer from the one object of JSON that gives a label;
    say why none does, where one was begun; None where none was."""
    objects = list(regions(text))
    giving = [
        region for region in objects if region.fields and any(name in region.fields for name in LABEL_FIELDS)
    ]
    if any(region.doubled for region in objects):
        return Unread("two_objects", f"{NONE}: its JSON gives a key twice")
    if len(giving) > 1:
        words = {word for region in giving for word in _words(region)}
        if len(words) > 1:
            return _several(words)
        return Unread("two_objects", f"{NONE}: it is not one JSON object, but {len(giving)}")
    meant = _meant(text, objects)
    begun = next((region for region in meant if region.fields is None), None)
    if begun:
        what = "it is not one JSON object" if begun.closed else "the JSON is not closed"
        return Unread("broken_json" if begun.closed else "cut_json", f"{NONE}: {what}")
    if giving:
        return _from_object(giving[0], text, template, offered)
    if any(region.fields is not None for region in meant):
        return Unread("no_label", "the answer's JSON has no label")
    return None


def _meant(text: str, objects: Sequence[Region]) -> list[Region]:
    """Return the regions that were meant as the answer, rather than quoted in one:
    they begin it or a fence, or give a label."""
    flat = plain(text)
    begins = len(flat) - len(flat.lstrip(" \t\r\n["))
    return [region for region in objects if region.start <= begins or _is_meant(flat, region)]


def _is_meant(flat: str, region: Region) -> bool:
    """Tell whether a region follows a fence or gives a label. Little of what stands before is looked at:
    there may be nearly as many objects as characters."""
    near = flat[max(0, region.start - NEAR) : region.start]
    said = flat[region.start : region.end]
    return bool(FENCE_BEFORE.search(near)) or bool(LABEL_FIELD.search(said))


def _from_object(region: Region, text: str, template: Template, offered: Offered) -> Parsed | Unread:
    fields, words = region.fields or {}, _words(region)
    if not words or "" in words:
        return Unread("no_label", "the answer's JSON has no label")
    if others := _named_beside(text[: region.start], text[region.end :], words, offered):
        return _several(words | others)
    words |= _given_by_others(fields, words, offered)
    if len(words) > 1:
        return _several(words)
    [word] = words
    key = offered.key(word)
    if key is None:
        return _no_label(word)
    rationale, quotes = fields.get("rationale"), fields.get("evidence")
    confidence = _confidence(fields.get("confidence"), template.confidence)
    scale = {"probability": "probability", "steps": "steps3"}.get(template.confidence, "")
    return Parsed(
        label=key,
        rationale=rationale if isinstance(rationale, str) else "",
        confidence=confidence,
        confidence_scale="" if confidence is None else scale,
        quotes=_quotes(quotes) if isinstance(quotes, list) else (),
    )


def _words(region: Region) -> set[str]:
    """Return the words that a region gives for a label; an empty word for what is none at all."""
    said = [region.fields[name] for name in LABEL_FIELDS if name in region.fields] if region.fields else []
    return {
        undecorated(str(label)) if isinstance(label, str | int) and not isinstance(label, bool) else ""
        for label in said
    }


def _given_by_others(fields: Mapping[str, Any], labels: set[str], offered: Offered) -> set[str]:
    """Return other labels that further fields of an object give, or objects within it:
    a `verdict`, a `corrected_label`."""
    others: set[str] = set()
    for name, value in fields.items():
        if isinstance(value, Mapping):
            others |= _given_by_others(value, labels, offered)
        elif OTHER_FIELD.search(name) and type(value) in (str, int):
            others |= {offered.word(str(value))} & offered.meant.keys()
    return others - labels


def _named_beside(before: str, after: str, labels: set[str], offered: Offered) -> set[str]:
    """Return other labels that the text around an object gives: what stands in it may be a quotation, of the
    response's own rating for one, or be taken back. A sentence may name several, as when they are weighed, if
    this one is among them."""
    labels_given: set[str] = set()
    for text in (before, after):
        claimed = offered.claimed(text)
        labels_given |= _given(text) | (set() if labels & claimed else claimed)
    named = offered.in_order(after)
    if not labels & set(named):
        turned = TURN.search(after)
        labels_given |= {word for word in named if turned or _is_odd(word)}
    return (labels_given | _given_under_others(before + after, offered) | _turned_to(after, offered)) - labels


def _turned_to(text: str, offered: Offered) -> set[str]:
    """Return the labels that a text comes to where it takes something back:
    of each sentence that does, the last one there."""
    turned_to = set()
    for sentence in SENTENCE.split(compared(text)) if offered.meant else ():
        named = list(offered.words.finditer(sentence)) if TURN.search(sentence) else []
        # A plain word or number is one where the sentence does not go on: it may count something else.
        ends = [word for word in named if _is_odd(word[0]) or not GOES_ON.match(sentence, word.end())]
        turned_to |= {word[0] for word in ends[-1:]}
    return turned_to


def _is_odd(word: str) -> bool:
    """Tell whether a label is none that also stands in a sentence as a plain word or number."""
    return not (word.isascii() and word.isalnum())


def _given(text: str) -> set[str]:
    """Return what the text gives for a label, in lines, fields of JSON, tags and LaTeX's boxes."""
    flat = plain(text)
    # By its place, as an invisible character that is a space in the one text is nothing in the label.
    said = [REASON_FOLLOWS.sub("", text[line.start(1) : line.end(1)]) for line in LABEL_LINE.finditer(flat)]
    tagged = [label for _, label in LABEL_TAG.findall(text)]
    labels = [*said, *tagged, *LABEL_FIELD.findall(flat), *BOXED.findall(text)]
    return {undecorated(label) for label in labels} - {""}


def _given_under_others(text: str, offered: Offered) -> set[str]:
    """Return labels of the scheme that stand
    as a line's whole rest under another word than the label's: `Final answer: x`."""
    flat = plain(text)
    lines = (text[line.start(1) : line.end(1)] for line in OTHER_LINE.finditer(flat))
    return {offered.word(REASON_FOLLOWS.sub("", rest)) for rest in lines} & offered.meant.keys()


def _from_lines(text: str, offered: Offered) -> Parsed | Unread:
    flat = plain(text)
    begins = LABEL_LINE.search(flat) or LABEL_TAG.search(text) or BOXED.search(text)
    labels = {offered.word(said) for said in _given(text)} if begins else set()
    if len(labels) != 1:
        return _several(labels) if labels else Unread("no_label", NONE)
    label = labels.pop()
    key = offered.key(label)
    if key is None:
        return _no_label(label)
    if others := _others_beside_lines(text, flat, label, offered):
        return _several({label, *others})
    reason = REASON_LINE.search(flat)
    return Parsed(key, text[reason.start(1) : reason.end(1)].strip() if reason else "")


def _others_beside_lines(text: str, flat: str, label: str, offered: Offered) -> set[str]:
    """Return other labels that lines give without the label's word: under another one, as a line of their own
    below the label, or where the label is taken back. The reason's own line may weigh as many as it likes."""
    line = LABEL_LINE.search(flat)
    after = text[line.end() :] if line else ""
    rest = REASON_LINE.sub("", plain(after))
    alone = {offered.word(one.strip(" \t-•")) for one in rest.splitlines()} & offered.meant.keys()
    return (_given_under_others(text, offered) | alone | _turned_to(rest, offered)) - {label}


def _no_label(word: str) -> Unread:
    return Unread("not_in_scheme", f"{word[:60]!r} is no label of the scheme")


def _several(labels: set[str]) -> Unread:
    said = sorted(label[:60] for label in labels)
    return Unread("two_labels", f"the answer gives several labels: {', '.join(said)}")


def _confidence(value: Any, scale: str) -> float | None:
    if scale == "steps":
        word = value.strip().lower() if isinstance(value, str) else ""
        return float(STEPS.index(word) + 1) if word in STEPS else None
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
    return float(value) if known and scale == "probability" else None


def _quotes(evidence: Sequence[Any]) -> tuple[str, ...]:
    """Return the texts among an answer's quotes, at most so many, as each is looked for in the response."""
    return tuple(quote for quote in evidence if isinstance(quote, str) and quote.strip())[:QUOTES_AT_MOST]
