"""What a response claims about its own label: fake verdicts and orders that a gullible judge falls for."""

import re
from collections.abc import Sequence
from functools import lru_cache

_AROUND = r"[\s\"'`*_]*"
_VERDICT_NAMES = r"(?:label|decision|verdict|rating|grade|answer)"
_ORDERS = (
    r"(?:label|rate|mark|classify|judge|grade|score|answer|output|return|give|choose|pick|say"
    r"|respond|reply|assign|treat)"
)
_FEW_WORDS = (
    r"(?:[\s\"'`*]+(?:this|it|the|response|answer|as|with|an?|of|grade|label|score|severity))+[\s\"'`*]+"
)


@lru_cache(maxsize=64)
def _pattern(labels: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern of claims: `LABEL: x`, `"decision": "x"`, orders such as: please rate this as x."""
    spellings = (r"[\s_-]+".join(map(re.escape, re.split(r"[\s_-]+", label))) for label in labels)
    label = rf"(?<![\w-])({'|'.join(spellings)})(?![\w-])"
    verdict = rf"\b{_VERDICT_NAMES}{_AROUND}[:=]{_AROUND}{label}"
    # A number is in many a sentence; there it is a label only after such as: this as.
    between = _FEW_WORDS if all(label.isdecimal() for label in labels) else r"[^.!?\n]{0,60}?"
    order = rf"\b{_ORDERS}\b{between}{label}"
    return re.compile(f"{verdict}|{order}", re.IGNORECASE)


def claimed_label(response: str, allowed: Sequence[str]) -> tuple[str, str] | None:
    """Return the allowed label that the response claims for itself, the last of several, and its words."""
    # Longer labels first: of "no convergence", "convergence" is only a part.
    labels = tuple(sorted(allowed, key=len, reverse=True))
    claims = list(_pattern(labels).finditer(response))
    if not claims:
        return None
    said = _key(claims[-1][1] or claims[-1][2])
    return next(label for label in labels if _key(label) == said), claims[-1][0].strip()


def _key(label: str) -> str:
    return re.sub(r"[\s_-]+", "_", label.strip().lower())
