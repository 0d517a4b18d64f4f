"""Text as it may be stored: PostgreSQL refuses NUL and UTF-8 refuses lone surrogates, so both are escaped, reversibly."""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

# A backslash that already stands before what looks like one of our escapes is escaped itself,
# else unescaping would turn a response's own "\u0000" into a NUL.
_NEEDS_ESCAPE = re.compile("[\x00\ud800-\udfff]|\\\\(?=u(?:0000|005c|d[89a-f][0-9a-f]{2}))")
_UNSTORABLE_IN_JSON = re.compile(r"(?<!\\)(?:\\\\)*\\u0000|[\ud800-\udfff]")
_ESCAPED = re.compile(r"\\u(0000|005c|d[89a-f][0-9a-f]{2})")


def storable(text: str) -> tuple[str, bool]:
    """The text with NULs and lone surrogates written as `\\u0000` and `\\udXXX`, and whether any were."""
    [stored], escaped = storable_together([text])
    return stored, escaped


def storable_together(texts: Sequence[str]) -> tuple[list[str], bool]:
    """Texts that share one flag: where one has to be escaped all are, else `original` would unescape what never was."""
    if not any(_unstorable(text) for text in texts):
        return list(texts), False
    return [_NEEDS_ESCAPE.sub(lambda m: f"\\u{ord(m[0]):04x}", text) for text in texts], True


def _unstorable(text: str) -> bool:
    if "\x00" in text:
        return True
    try:
        text.encode()  # ten times faster than to look for surrogates with a regular expression
    except UnicodeEncodeError:
        return True
    return False


def storable_json(value: Any) -> bool:
    """Whether every database takes it as JSON: plain values without NaN, infinities, NULs and lone surrogates."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return not _UNSTORABLE_IN_JSON.search(text)


def original(text: str, escaped: bool) -> str:
    """Undo `storable`."""
    return _ESCAPED.sub(lambda m: chr(int(m[1], 16)), text) if escaped else text


def digest(*parts: str) -> str:
    """SHA-256 over the parts; lengths go in too, so that ("ab", "c") and ("a", "bc") differ."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        total.update(len(data).to_bytes(8, "big"))
        total.update(data)
    return total.hexdigest()
