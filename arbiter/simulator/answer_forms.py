"""The form of an answer where no schema rules it: what the prompt asks for, outside the response it shows."""

import json
import re
from typing import Any

from arbiter.simulator.schemas import ROLES, SimulatedVerdict

_JSON_ASKED = re.compile(r"\b(?:one|a|single) (?:\w+ )?JSON object\b", re.IGNORECASE)
_NAME = re.compile(r"\b(?:" + "|".join(ROLES) + r")\b")
_WORDS = re.compile(
    r"\bconfidence\b.{0,120}?\blow\b.{0,30}?\bmedium\b.{0,30}?\bhigh\b", re.IGNORECASE | re.DOTALL
)
_LINE_ASKED = re.compile(r"^[ \t]*(LABEL|DECISION|REASON|RATIONALE|CONFIDENCE):", re.MULTILINE)
_LINES = {"LABEL": "label", "DECISION": "label", "REASON": "rationale", "RATIONALE": "rationale"}
_USUAL = ("label", "rationale", "confidence", "evidence")


def write(verdict: SimulatedVerdict, asked: str, *, fences: bool = False) -> str:
    """Write the verdict as JSON, or as lines such as DECISION and REASON, in the prompt's order."""
    if at := _JSON_ASKED.search(asked):
        text = json.dumps(_as_object(verdict, asked[at.end() :]), ensure_ascii=False)
        return f"```json\n{text}\n```" if fences else text
    named = list(dict.fromkeys(_LINE_ASKED.findall(asked)))
    if not {"LABEL", "DECISION"} & set(named):
        named = ["LABEL", "REASON"]
    elif not {"REASON", "RATIONALE"} & set(named):
        named.append("REASON")
    words = _in_words(asked)
    said = _said(verdict, words=words)
    return "\n".join(f"{name}: {said[_LINES.get(name, 'confidence')]}" for name in named)


def _as_object(verdict: SimulatedVerdict, format_: str) -> dict[str, Any]:
    """Return the verdict under the fields that the prompt names after "JSON object", one for each role.

    Where it names none for the label, they are the usual four.
    """
    fields: dict[str, str] = {}
    for name in _NAME.findall(format_):
        fields.setdefault(ROLES[name], name)
    said = _said(verdict, words=_in_words(format_))
    if "label" not in fields:
        return {role: said[role] for role in _USUAL}
    return {name: said[role] for role, name in fields.items()}


def _said(verdict: SimulatedVerdict, *, words: bool) -> dict[str, Any]:
    return {
        "label": verdict.label,
        "rationale": verdict.rationale,
        "confidence": in_words(verdict.confidence) if words else verdict.confidence,
        "evidence": list(verdict.evidence),
    }


def _in_words(asked: str) -> bool:
    return bool(_WORDS.search(asked))


def in_words(confidence: float) -> str:
    return ("low", "medium", "high")[min(int(confidence * 3), 2)]
