"""How a response that quotes its task is joined to that task."""

import unicodedata


def task_text_key(text: str) -> str:
    """Return the normal form of a task's text, by which a response that quotes it is joined to it: composed
    (NFC), line breaks as LF, no white space around it, all else to the character.

    The logs lost the space that one published task ends in; nothing else differs between them and the suite.
    """
    composed = text if text.isascii() else unicodedata.normalize("NFC", text)
    return composed.replace("\r\n", "\n").replace("\r", "\n").strip()
