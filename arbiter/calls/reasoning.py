"""A model's reasoning, told apart from its answer where both come in one text. Pure; never a guess.

What counts as reasoning, and what is only talk about its marks, is told in docs/dialects.md.
"""

import re
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Within one line and of bounded length, so that a looping answer of a megabyte costs no more than its length.
TAG = re.compile(
    r"""
    <(?P<closed>/?)(?P<name>think|thinking|reasoning|thought|seed:think)(?:\s[^<>\n]{0,100})?>
    | \[(?P<bracket>/?)THINK\]
    | ◁(?P<triangle>/?)think▷
    | <\|(?P<token>START|END)_THINKING\|>
    """,
    re.VERBOSE | re.IGNORECASE,
)
TAG_BEGINS = "<[◁"  # most texts have none, which is found a hundred times faster
# Further names by which a model marks what it only thinks to itself: no label of a judge's is taken from
# within them.
ASIDE = re.compile(
    r"""
    <(?P<closed>/?)(?P<name>think|thinking|reasoning|thought|thoughts|seed:think|inner_thoughts?
    |antthinking|scratch_?pad|reflection|analysis)(?:\s[^<>\n]{0,100})?>
    | \[(?P<bracket>/?)THINK\]
    | ◁(?P<triangle>/?)think▷
    | <\|(?P<token>START|END)_THINKING\|>
    """,
    re.VERBOSE | re.IGNORECASE,
)
INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060\u00ad"
BLANK = re.compile(rf"[\s{INVISIBLE}]*")
FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
JSON_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+("|\\?\Z)|[{}\[\]]', re.DOTALL)
JSON_BEGINS = re.compile(r"(?:```\w*\s*)?[{\[]")
ANSWER_BEGINS = re.compile(
    rf"{JSON_BEGINS.pattern}|(?:LABEL|DECISION)[ \t]*:[ \t]*[\w-]+[ \t]*\r?$", re.IGNORECASE | re.MULTILINE
)
QUOTES = {'""', "''", "“”", "‘’", "«»"}
SENTENCE_ENDS = tuple('.!?…:;"”)]}*')
GOES_ON = re.compile(r"[ \t]+[a-z]")  # after a word in the midst of a sentence
POINTED = re.compile(r"[,.;:)!?](?:\s|\Z)")
NEAR = 200  # characters of a line that are looked at, on either side of a mark
# gpt-oss: messages, each in a channel, of which `final` alone is the answer.
CHANNEL = re.compile(r"<\|channel\|>\s*(\w++)[^<]{0,200}(?:<\|constrain\|>[^<]{0,100})?<\|message\|>")
CHANNEL_BEGINS = re.compile(r"(?:<\|start\|>\s*assistant\s*)?<\|channel\|>")
FINAL_BEGINS = re.compile(r"(?:<\|end\|>\s*)?<\|start\|>\s*assistant\s*<\|channel\|>\s*final\b")
MESSAGE_ENDS = re.compile(r"<\|(?:end|return|call|start|channel)\|>")


@dataclass(frozen=True, slots=True)
class Split:
    answer: str
    reasoning: str = ""
    unfinished: bool = False  # it has no end, so there is no answer
    # It ends more than once, or after what is an answer by itself: where, is not to be known.
    doubtful: bool = False


class Marks:
    """The marks of reasoning in a text, each with what is asked of it."""

    def __init__(self, text: str, kinds: re.Pattern[str] = TAG) -> None:
        self.text = text
        self.all = list(kinds.finditer(text))
        self.fences = [mark.start() for mark in FENCE.finditer(text)]
        # A block of code that is not closed is none.
        self.fenced = len(self.fences) // 2 * 2

    def ends(self, kind: str) -> list[re.Match[str]]:
        """Return closing marks of the kind: those that are not quoted, or where all are, all."""
        ends = [mark for mark in self.all if closes(mark) and kind_of_mark(mark) == kind]
        return [mark for mark in ends if not self.quoted(mark)] or ends

    def quoted(self, mark: re.Match[str]) -> bool:
        """Tell whether the mark stands in code or between quotation marks."""
        place = bisect(self.fences, mark.start())
        if place % 2 and place < self.fenced:
            return True
        line, rest = self.around(mark)
        if line.count("`") % 2 and "`" in rest:
            return True
        return bool(line) and bool(rest) and line[-1] + rest[0] in QUOTES

    def mentioned(self, mark: re.Match[str]) -> bool:
        """Tell whether a sentence goes on over the mark, as one that is about such marks does."""
        line, rest = self.around(mark)
        said = line.rstrip()
        if not said or line == said:
            return False
        return bool(POINTED.match(rest) or (GOES_ON.match(rest) and not said.endswith(SENTENCE_ENDS)))

    def around(self, mark: re.Match[str]) -> tuple[str, str]:
        """Return what stands before and after the mark on its line."""
        before = self.text[max(0, mark.start() - NEAR) : mark.start()]
        after = self.text[mark.end() : mark.end() + NEAR]
        return before.rpartition("\n")[2], after.partition("\n")[0]


def closes(mark: re.Match[str]) -> bool:
    slashed = "/" in (mark["closed"], mark["bracket"], mark["triangle"])
    return slashed or (mark["token"] or "").upper() == "END"


def kind_of_mark(mark: re.Match[str]) -> str:
    return (mark["name"] or ("token" if mark["token"] else mark[0][0])).lower()


def split(text: str) -> Split:
    """Split a text into answer and reasoning before it. A text without any stays, to the character."""
    if "<|channel|>" in text and (messages := _channels(text)):
        return messages
    if not any(begins in text for begins in TAG_BEGINS) or not TAG.search(text):
        return Split(text)
    marks = Marks(text)
    parts, start, unfinished = _opened(marks)
    if unfinished:
        return Split("", _joined(parts), unfinished=True)
    ends = _lone_ends(marks, start)
    # After what is an answer by itself an end may be the reasoning's, or be quoted together with what
    # follows.
    doubtful = len(ends) > 1 or bool(ends and (parts or ANSWER_BEGINS.match(text, _begins(text, start))))
    if ends:  # where it may end twice, what may be reasoning is shown to nobody
        parts.append(text[start : ends[-1].start()])
        start = _begins(text, ends[-1].end())
    return Split(text[start:], _joined(parts), doubtful=doubtful) if parts else Split(text)


def without_asides(text: str) -> str:
    """Return an answer without the reasoning in its midst that begins a line.

    Only to look for a label in: what is taken out may be quoted.
    """
    marks = Marks(text, ASIDE)
    if not marks.all or JSON_BEGINS.match(text, _begins(text, 0)):
        return text
    kept, start, kind = "", 0, ""
    for mark in marks.all:
        if marks.quoted(mark):
            continue
        if not kind and not closes(mark) and not marks.around(mark)[0].strip():
            kept, kind = kept + text[start : mark.start()], kind_of_mark(mark)
        elif kind and closes(mark) and kind_of_mark(mark) == kind:
            start, kind = mark.end(), ""
    return kept if kind else kept + text[start:]


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(part.strip() for part in parts if part.strip())


def _begins(text: str, start: int) -> int:
    """Return where the next word begins: past white space and what can't be seen."""
    blank = BLANK.match(text, start)
    return blank.end() if blank else start


def _opened(marks: Marks) -> tuple[list[str], int, bool]:
    """Return reasoning between marks at the very start, by stretch; where it ends; whether it has no end."""
    text = marks.text
    parts: list[str] = []
    ends: dict[str, Iterator[re.Match[str]]] = {}
    start = _begins(text, 0)
    while (opening := TAG.match(text, start)) and not closes(opening):
        kind = kind_of_mark(opening)
        if kind not in ends:
            ends[kind] = iter(marks.ends(kind))
        end = next((mark for mark in ends[kind] if mark.start() >= opening.end()), None)
        if end is None:
            return [*parts, text[opening.end() :]], len(text), True
        parts.append(text[opening.end() : end.start()])
        start = _begins(text, end.end())
    return parts, start if parts else 0, False


def _lone_ends(marks: Marks, start: int) -> list[re.Match[str]]:
    """Return closing marks that no opening one comes before: a service or a template had taken it."""
    ends: list[re.Match[str]] = []
    opened: set[str] = set()
    start = max(start, _after_json(marks.text, _begins(marks.text, start)))
    for mark in marks.all:
        if mark.start() < start or marks.quoted(mark) or marks.mentioned(mark):
            continue
        if not closes(mark):
            opened.add(kind_of_mark(mark))
        elif kind_of_mark(mark) not in opened:
            ends.append(mark)
        else:
            opened.discard(kind_of_mark(mark))
    return ends


def _after_json(text: str, start: int) -> int:
    """Return where JSON ends that the text begins with there, as a mark within its texts is quoted.

    That is the end of the text where it is not closed; the start where there is none.
    """
    begin = JSON_BEGINS.match(text, start)
    depth = 0
    for token in JSON_TOKEN.finditer(text, begin.end() - 1) if begin else ():
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(token[0], 0)
        if depth == 0:
            return token.end()
        if token[1] is not None and token[1] != '"':
            break
    return len(text) if begin else start


def _channels(text: str) -> Split | None:
    """Split gpt-oss's messages, where the text begins with one, or where one is marked as the answer."""
    start = _begins(text, 0)
    lone = None
    if not CHANNEL_BEGINS.match(text, start):
        lone = FINAL_BEGINS.search(text)
        if lone is None or Marks(text).quoted(lone):
            return None
        start = lone.start()
    reasoning = [text[:start]] if lone else []
    finals: list[str] = []
    for header in CHANNEL.finditer(text, start):
        end = MESSAGE_ENDS.search(text, header.end())
        said = text[header.end() : end.start() if end else len(text)]
        (finals if header[1].lower() == "final" else reasoning).append(said)
    if not finals:
        return Split("", _joined(reasoning) or text[start:], unfinished=True)
    return Split("\n\n".join(said.strip() for said in finals), _joined(reasoning))
