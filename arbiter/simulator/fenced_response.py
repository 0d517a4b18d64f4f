"""Where a judge's prompt has the response: between two lines that hold one marker's name and no more."""

import re
from typing import NamedTuple

_MARKER = "RESPONSE-"
_MARKER_LINE = re.compile(r"\W*(?:(?:begin|start|end)\b\W*)?(RESPONSE-[0-9a-f]{8,64})\W*", re.IGNORECASE)


class TextSpan(NamedTuple):
    start: int
    end: int


def fenced(prompt: str) -> TextSpan | None:
    """Return what stands between the first such line and the last one of its marker, without the space."""
    lines = _marker_lines(prompt)
    if not lines or lines[0][0] != lines[-1][0] or len(lines) < 2:
        return None
    start, end = lines[0][2] + 1, lines[-1][1]
    inside = prompt[start:end]
    bare = inside.strip()
    start += len(inside) - len(inside.lstrip())
    return TextSpan(start, start + len(bare))


def marker(prompt: str) -> str:
    """Return the name of the fence's marker; empty where there is no fence."""
    lines = _marker_lines(prompt)
    return lines[0][0] if lines else ""


def _marker_lines(prompt: str) -> list[tuple[str, int, int]]:
    """Return (marker, start, end) of each marker's line. Plain text is searched first: far cheaper."""
    lines = []
    at = prompt.find(_MARKER)
    while at >= 0:
        start, end = prompt.rfind("\n", 0, at) + 1, prompt.find("\n", at)
        end = len(prompt) if end < 0 else end
        if match := _MARKER_LINE.fullmatch(prompt, start, end):
            lines.append((match[1], start, end))
        at = prompt.find(_MARKER, end)
    return lines
