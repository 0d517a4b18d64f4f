"""What stands around a label and means nothing: emphasis, brackets, LaTeX, quotation marks, invisible
characters, a chat's own tokens. Pure. What could turn a label into its opposite, or into a question, is never
taken off."""

import re
import unicodedata
from typing import Literal

INVISIBLE = (
    "\ufeff\u200b\u200c\u200d\u200e\u200f\u2060\u00ad\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    "\u034f\u061c\u180e\u2061\u2062\u2063\u2064\ufe0e\ufe0f\x00\x7f"
)
SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
# One character for one, so that a place in the one text is the same place in the other.
PLAIN = {
    **dict.fromkeys(map(ord, SPACES), " "),
    **dict.fromkeys(map(ord, INVISIBLE), " "),
    **dict.fromkeys(map(ord, "\u2028\u2029\x85"), "\n"),
    **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},
    ord("\ufe55"): ":",
    ord("\ufe13"): ":",
    ord("\ua789"): ":",
    ord("\u2236"): ":",
}
HIDDEN = dict.fromkeys(map(ord, INVISIBLE))
# Not ~, which strikes through in pairs, nor - ! ¬, which may deny, nor ?, which asks.
AROUND = " \t\r\n*`\"'.,;:#$[](){}<>|“”‘’„‚«»‹›「」『』【】〈〉《》"
LATEX = re.compile(
    r"\\+(?:boxed|fbox|mbox|text\w{0,8}|math\w{0,8}|emph|underline|bold\w{0,8}|displaystyle)\s*\{(.*)\}",
    re.DOTALL,
)
LATEX_SIGNS = re.compile(r"\\+[()\[\]]|\\+displaystyle\b")
# Those that only show or name what they hold: <s>, <del> or <not> say the opposite.
HTML = re.compile(
    r"<(b|i|u|em|strong|code|tt|kbd|pre|span|p|div|mark|ins|big|small|font|h[1-6]"
    r"|label|final_label|decision|answer|final_answer|final|output|result)(?:\s[^<>]{0,80})?>(.*)</\1\s*>",
    re.DOTALL | re.IGNORECASE,
)
STRUCK = re.compile(r"<(?:s|del|strike)\b", re.IGNORECASE)
DENIED = "<>≤≥=.,"  # before a number
ESCAPED = re.compile(r"\\+(?=[_\-*])")
CHAT = r"(?:<[|｜][\w▁|｜ ]{1,40}[|｜]>|</?s>|<(?:end_of_turn|eos|eot|bos|pad)>|\[/INST\]|\[/?(?:EOS|BOS)\])"
LAST = re.compile(rf"{CHAT}\Z")
LONGEST_TOKEN = 64
LEADING = re.compile(
    r"\A\s*(?:<[|｜](?:im_start|start_header_id|start)[|｜]>\s*assistant(?:<[|｜]end_header_id[|｜]>)?"
    r"|<\|START_RESPONSE\|>|<s>)\s*"
)
LONGEST = 200  # characters that a label may take with all its decoration


def without_tokens(text: str) -> str:
    """Strip an answer of the tokens of a chat that a server left around it."""
    end, begun = len(text), LEADING.match(text)
    while token := LAST.search(text, max(0, end - LONGEST_TOKEN), end):
        end = token.start()
        while end and text[end - 1].isspace():
            end -= 1
    return text[begun.end() if begun else 0 : end]


def plain(text: str) -> str:
    """Put plain spaces, line ends and colons for odd ones into a text, each in the same place."""
    return text.translate(PLAIN)


def undecorated(word: str) -> str:
    """Strip a label of all its decoration, and return it in the form in which labels are compared."""
    if len(word) > LONGEST or STRUCK.search(word):
        return word.strip().lower()
    word = compared(word)
    whole, before = word, None
    while word != before:
        before = word
        word = _stripped(without_tokens(word)) if not LATEX.search(word) else _in_latex(word)
        if inside := HTML.fullmatch(before.strip()):
            word = inside[2]
        word = ESCAPED.sub("", LATEX_SIGNS.sub("", word)).strip()
    word = " ".join(word.split())
    return whole.strip() if word.isdecimal() and _is_less_than_it_says(whole, word) else word


def compared(word: str) -> str:
    """Return a word in the form in which labels are compared: without capitals, invisible characters and what
    only looks otherwise. A ² or a ① is no 2 and no 1."""
    shown = word.translate(HIDDEN)
    if shown.isascii():
        return shown.lower()
    odd = any(one.isnumeric() and not one.isdecimal() for one in set(shown))
    form: Literal["NFC", "NFKC"] = "NFC" if odd else "NFKC"
    return unicodedata.normalize(form, unicodedata.normalize(form, shown).casefold())


def _stripped(word: str) -> str:
    """Strip a word of the signs around it. A `_` at its end alone belongs to it: `convergence_` may be
    another label that was cut off."""
    word = word.strip(AROUND).rstrip("!。").strip(AROUND)
    if word.startswith("_"):
        word = word.strip(AROUND + "_")
    return word


def _is_less_than_it_says(whole: str, number: str) -> bool:
    """Tell whether what stands before a number makes another one of it: <2, .2."""
    before = whole.partition(number)[0].rstrip()
    if before.endswith("<") and ">" in whole:
        return False
    return before.endswith(tuple(DENIED))


def _in_latex(word: str) -> str:
    """Return what LaTeX's braces hold, where nothing stands beside them; else the word itself."""
    bare = LATEX_SIGNS.sub("", word).strip(" \t\r\n*_`\"'.,;:$")
    inside = LATEX.fullmatch(bare)
    return inside[1] if inside else bare
