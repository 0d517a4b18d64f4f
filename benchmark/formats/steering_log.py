"""The grammar of a steering run's stdout.log: sections of <result> blocks whose inner text is not escaped.

A field's text is exactly what stands between `<tag>` and `</tag>`; the two spaces before a tag and the line
break after it are layout. As any text may itself hold tags or whole blocks, nothing is taken for layout by
one line alone: a field ends where its closing tag ends a line and the next tag in the fixed order begins the
following one, and a block ends at its closing lines only where what follows can only stand between blocks.
Numbers must then count up without a gap, and totals must agree, so that a text that imitates the layout too
well is an error, never a wrong response.
"""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmark.formats.reading import excerpt, text_lines
from benchmark.formats.records import FormatError

TAGS = (
    "task_number",
    "steering_mode",
    "task_prompt",
    "steered_prompt",
    "test_llm_thinking",
    "test_llm_response",
    "judge_decision",
    "judge_reason",
)
OPEN, CLOSE = "<result>\n", "</result>\n"
SUMMARY = "=== Run Config ===\n"
_OUTSIDE = "<result>, a section's first line or the closing summary"
_SECTION = re.compile(r"Processing benchmark: (.+) \| mode=(\S+)\n")
_NUMBER = re.compile(r"  <task_number>(\d{1,9})</task_number>\n")


@dataclass(frozen=True, slots=True)
class ResultBlock:
    line: int  # of its <result>
    section: str
    prompt: str
    steered: str
    thinking: str
    response: str
    decision: str
    decision_line: int
    reason: str


class _Lines:
    """Numbered lines that can be looked at before they are taken."""

    def __init__(self, path: Path) -> None:
        self._source = text_lines(path)
        self._ahead: deque[str] = deque()
        self.taken = 0

    def peek(self, distance: int = 0) -> str:
        """Return the line that comes after `distance` others, or "" past the end of the file."""
        while len(self._ahead) <= distance:
            _, text = next(self._source, (0, ""))
            self._ahead.append(text if text.endswith("\n") or not text else text + "\n")
        return self._ahead[distance]

    def take(self) -> str:
        text = self.peek()
        self._ahead.popleft()
        self.taken += 1
        return text


class SteeringLog:
    """One log, read once. After `blocks` is exhausted,
    `summary` holds the closing summary's lines (none: no summary)."""

    def __init__(self, path: Path, mode: str) -> None:
        self.path, self.mode = path, mode
        self.sections: dict[str, int] = {}  # stem -> line
        self.summary: list[tuple[int, str]] = []
        self._lines = _Lines(path)
        self._section, self._number, self._last_line = "", 0, 0

    def blocks(self) -> Iterator[ResultBlock]:
        self._skip_preamble()
        while text := self._lines.peek():
            if text == OPEN:
                yield self._block()
            elif section := _SECTION.fullmatch(text):
                self._open_section(section[1], section[2])
            elif text == SUMMARY:
                self._take_summary()
            elif text == "\n":
                self._lines.take()
            else:
                raise FormatError(self.path, self._lines.taken + 1, _OUTSIDE, excerpt(text.rstrip("\n")))

    def _skip_preamble(self) -> None:
        if self._lines.peek().endswith("\r\n"):
            raise FormatError(self.path, 1, "lines that end in LF", "CRLF")
        while text := self._lines.peek():
            if text == OPEN or _SECTION.fullmatch(text):
                break
            self._lines.take()
        if text == "" or text == OPEN:
            actual = "<result>" if text else "the end of the file"
            expected = "'Processing benchmark: NAME | mode=MODE' before the first block"
            raise FormatError(self.path, self._lines.taken + bool(text), expected, actual)

    def _open_section(self, stem: str, mode: str) -> None:
        self._lines.take()
        line = self._lines.taken
        if mode != self.mode:
            raise FormatError(self.path, line, f"mode={self.mode} as in config.json", f"mode={mode}")
        if stem in self.sections:
            actual = f"{excerpt(stem)} again (first on line {self.sections[stem]})"
            raise FormatError(self.path, line, "each section once", actual)
        self.sections[stem] = line
        self._section, self._number = stem, 0

    def _take_summary(self) -> None:
        while self._lines.peek():
            text = self._lines.take()
            self.summary.append((self._lines.taken, text.rstrip("\n")))

    def _block(self) -> ResultBlock:
        """Take lines to the block's end, then split them."""
        line = self._lines.taken + 1
        parts = [self._lines.take()]
        while not (_closed(parts) and self._between_blocks()):
            if self._must_have_ended(parts):
                raise self._unclosed(line, "".join(parts))
            parts.append(self._lines.take())
        self._check_number(line, parts)
        self._number, self._last_line = self._number + 1, line
        return _Splitter(self.path, line, "".join(parts)).block(self._section, self.mode)

    def _between_blocks(self) -> bool:
        """Tell whether the next lines can only stand outside a block;
        a lost <result> is then met by `blocks`."""
        following = self._lines.peek()
        return (
            following == ""
            or (following == OPEN and _NUMBER.fullmatch(self._lines.peek(1)) is not None)
            or _NUMBER.fullmatch(following) is not None
            or self._at_section()
        )

    def _at_section(self) -> bool:
        if self._lines.peek() != "\n":
            return False
        after = self._lines.peek(1)
        section = _SECTION.fullmatch(after)
        return after in ("", SUMMARY) or (section is not None and section[2] == self.mode)

    def _must_have_ended(self, parts: list[str]) -> bool:
        """Tell whether the next lines would be layout,
        had the block been closed where a closing line says so."""
        following = self._lines.peek()
        if following == OPEN:
            number = _NUMBER.fullmatch(self._lines.peek(1))
            is_next = number is not None and int(number[1]) == self._number + 2
            return is_next and (parts[-1].endswith("</judge_reason>\n") or CLOSE in parts)
        if _SECTION.fullmatch(following):
            return CLOSE in parts
        return following == "" or self._at_section()

    def _unclosed(self, line: int, text: str) -> FormatError:
        """Name the line that follows the block's closing ones and is no layout;
        else the first missing pair of tags."""
        before, closing, after = text.partition(f"</judge_reason>\n{CLOSE}")
        if closing and after.strip():
            stray = after.lstrip("\n")
            line += text.count("\n") - stray.count("\n")
            return FormatError(self.path, line, _OUTSIDE, excerpt(stray.partition("\n")[0]))
        _Splitter(self.path, line, before.partition("\n" + OPEN)[0] + "\n").check_order()
        end = f"line {self._lines.taken + 1}" if self._lines.peek() else "the end of the file"
        return FormatError(
            self.path, line, "</judge_reason> and </result> to close the block", f"none before {end}"
        )

    def _check_number(self, line: int, parts: list[str]) -> None:
        number = _NUMBER.fullmatch(parts[1])
        wanted = self._number + 1
        if number and int(number[1]) != wanted:
            before = f" (is the block on line {self._last_line} closed?)" if self._number else ""
            raise FormatError(self.path, line, f"task_number {wanted}{before}", number[1])


def _closed(parts: list[str]) -> bool:
    return parts[-1] == CLOSE and len(parts) > len(TAGS) and parts[-2].endswith("</judge_reason>\n")


class _Splitter:
    """One block's text, split into its fields."""

    def __init__(self, path: Path, line: int, text: str) -> None:
        self.path, self.line, self.text = path, line, text

    def block(self, section: str, mode: str) -> ResultBlock:
        self.check_order()
        start = self._after(f"{OPEN}  <task_number>", 0)
        start = self._after(_between("task_number", "steering_mode"), start)
        end = self._find(_between("steering_mode", "task_prompt"), start)
        if self.text[start:end] != mode:
            raise self._error(start, f"steering_mode {mode}", excerpt(self.text[start:end]))
        prompt, start = self._prompt(self._after(_between("steering_mode", "task_prompt"), start))
        steered, start = self._field("steered_prompt", start)
        thinking, start = self._field("test_llm_thinking", start)
        # A response may quote the end of a block;
        # the judge, who answers in a sentence, comes after all of it.
        response, decided = self._field("test_llm_response", start, last=True)
        decision, start = self._field("judge_decision", decided)
        reason = self.text[start : -len(f"</judge_reason>\n{CLOSE}")]
        line = self._line(decided)
        return ResultBlock(self.line, section, prompt, steered, thinking, response, decision, line, reason)

    def check_order(self) -> None:
        place = self._after(f"{OPEN}  <task_number>", 0)
        for tag, following in pairwise(TAGS):
            place = self._after(_between(tag, following), place)

    def _prompt(self, start: int) -> tuple[str, int]:
        """Return the task's text. It may itself hold tags, but the steered prompt must repeat it."""
        boundary = _between("task_prompt", "steered_prompt")
        end = self._find(boundary, start)
        if not self.text[start:end].strip():
            raise self._error(start, "a task's prompt", "an empty one")
        while end >= 0:
            prompt = self.text[start:end]
            if self.text.startswith(prompt, end + len(boundary)):
                return prompt, end + len(boundary)
            end = self.text.find(boundary, end + 1)
        raise self._error(start, "a steered prompt that starts with the task's prompt", "another text")

    def _field(self, tag: str, start: int, last: bool = False) -> tuple[str, int]:
        boundary = _between(tag, TAGS[TAGS.index(tag) + 1])
        end = self.text.rfind(boundary, start) if last else self.text.find(boundary, start)
        if end < 0:
            raise self._missing(boundary, start)
        return self.text[start:end], end + len(boundary)

    def _find(self, boundary: str, start: int) -> int:
        place = self.text.find(boundary, start)
        if place < 0:
            raise self._missing(boundary, start)
        return place

    def _after(self, boundary: str, start: int) -> int:
        return self._find(boundary, start) + len(boundary)

    def _missing(self, boundary: str, start: int) -> FormatError:
        expected = " then ".join(part.strip() for part in boundary.strip().split("\n"))
        actual = f"none in the rest of the block that starts on line {self.line}"
        return self._error(start, f"{expected} in the fixed order of tags", actual)

    def _error(self, place: int, expected: str, actual: str) -> FormatError:
        return FormatError(self.path, self._line(place), expected, actual)

    def _line(self, place: int) -> int:
        return self.line + self.text.count("\n", 0, place)


def _between(tag: str, following: str) -> str:
    return f"</{tag}>\n  <{following}>"
