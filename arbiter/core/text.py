"""Text as it may be stored: PostgreSQL refuses NUL, UTF-8 lone surrogates; both are escaped, reversibly."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

# A backslash that already stands before what looks like one of our escapes is escaped itself,
# else unescaping would turn a response's own "\u0000" into a NUL.
_NEEDS_ESCAPE = re.compile("[\x00\ud800-\udfff]|\\\\(?=u(?:0000|005c|d[89a-f][0-9a-f]{2}))")
_UNSTORABLE_IN_JSON = re.compile(r"(?<!\\)(?:\\\\)*\\u0000|[\ud800-\udfff]")
_ESCAPED = re.compile(r"\\u(0000|005c|d[89a-f][0-9a-f]{2})")


def how_many(number: int, noun: str) -> str:
    """Say how many: `1 item`, `1,200 items`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def storable(text: str) -> tuple[str, bool]:
    """Return the text with NULs and lone surrogates as `\\u0000` and `\\udXXX`, and whether any were."""
    [stored], escaped = storable_together([text])
    return stored, escaped


def storable_together(texts: Sequence[str]) -> tuple[list[str], bool]:
    """Escape all texts where one has to be: they share one flag, by which `original` unescapes them."""
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
    """Tell whether every database takes it as JSON: no NaN, infinities, NULs or lone surrogates."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return not _UNSTORABLE_IN_JSON.search(text)


def original(text: str, escaped: bool) -> str:
    """Undo `storable`."""
    return _ESCAPED.sub(lambda m: chr(int(m[1], 16)), text) if escaped else text


def folded(name: str) -> str:
    """Return the form in which names and keys are compared.

    It is without case and outer white space, and composed (NFC), so that two spellings of an accent are one.
    """
    if name.isascii():
        return name.strip().lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold()).strip()


def digest(*parts: str) -> str:
    """Return SHA-256 over the parts. Lengths go in too, so that ("ab", "c") and ("a", "bc") differ."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        total.update(len(data).to_bytes(8, "big"))
        total.update(data)
    return total.hexdigest()
