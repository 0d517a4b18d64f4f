"""What the simulated judges know: the intended label of each sample response and of each simulated answer."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import benchmark
from arbiter.core.text import storable
from arbiter.core.yamlfile import NOT_YAML, YamlError, load
from arbiter.simulator.fenced_response import TextSpan, fenced
from arbiter.simulator.text_index import TextIndex
from benchmark.formats.records import FormatError
from benchmark.formats.suite_yaml import SUITE_FILES

SUITE = Path(benchmark.__file__).parent / "builtin" / "suite"
_GENERIC = Path(__file__).with_name("generic.yaml")

# Simulated answers end in a line of this form, so that no two are the same text.
_REFERENCE = re.compile(r"\n\nReference: [0-9a-f]{4}-[0-9a-f]{4}\b")


def reference_line(code: str) -> str:
    """Return what is put after a generic text; `code` is eight hexadecimal digits."""
    return f"\n\nReference: {code[:4]}-{code[4:]}"


class KnownLabel(NamedTuple):
    label: str
    evidence: str = ""
    generic: bool = False


class ResponseMatch(NamedTuple):
    text: str
    start: int
    end: int
    known: KnownLabel


class KnownTask(NamedTuple):
    control: bool
    label: str  # of the sample response
    response: str


class Knowledge:
    def __init__(self) -> None:
        self.responses: TextIndex[KnownLabel] = TextIndex()
        self.tasks: TextIndex[KnownTask] = TextIndex()
        self.contexts: list[str] = []  # what the suite tells about its categories
        self.generic: dict[str, list[str]] = {}

    @classmethod
    def load(cls, labels: Path | None = None, suite: Path = SUITE) -> "Knowledge":
        """Load the suite's samples (where there are any), the generic texts, and a labels file over both."""
        known = cls()
        for path in sorted(suite.glob("*.yaml")):
            if path.name not in SUITE_FILES:
                known._learn_suite_file(path)
        known._learn_generic(_parse_yaml(_GENERIC))
        if labels:
            known._learn_labels(labels)
        return known

    def find_response(self, prompt: str) -> ResponseMatch | None:
        """Find the response inside a judge's prompt (`plain`), wherever the template put it.

        Of several it is the last one, since examples come before the case; a very short text ("No.") may be a
        line of the template by chance and comes after all others.
        """
        if (span := fenced(prompt)) and (whole := self._find_whole(prompt, span)):
            return whole
        matches = self.responses.find(prompt)
        if not matches:
            return None
        best = max(matches, key=lambda match: (len(match.text) >= 12, match.end))
        end = best.end
        if best.value.generic and (reference := _REFERENCE.match(prompt, end)):
            end = reference.end()
        return ResponseMatch(prompt[best.start : end], best.start, end, best.value)

    def _find_whole(self, prompt: str, span: TextSpan) -> ResponseMatch | None:
        """Find a fenced response known as a whole: one look-up, where reading every line takes many."""
        text = prompt[span.start : span.end]
        if (known := self.responses.get(text)) is not None:
            return ResponseMatch(text, *span, known)
        reference = _REFERENCE.search(text)
        if reference and reference.end() == len(text):
            known = self.responses.get(text[: reference.start()])
            return ResponseMatch(text, *span, known) if known and known.generic else None
        return None

    def _learn_response(self, text: str, known: KnownLabel) -> None:
        self.responses.add(text, known)
        escaped, changed = storable(text)
        if changed:
            self.responses.add(escaped, known)

    def _learn_suite_file(self, path: Path) -> None:
        document = _parse_yaml(path)
        try:
            self.contexts.append(str(document["category"].get("context") or "").strip())
            for task in document["tasks"]:
                self._learn_task(task)
        except (KeyError, TypeError, AttributeError) as error:
            raise FormatError(path, None, "a category and tasks with samples", repr(error)) from error

    def _learn_task(self, task: Mapping[str, Any]) -> None:
        sample = task["sample"]
        self._learn_response(
            sample["response"], KnownLabel(sample["label"], evidence=str(sample.get("evidence") or ""))
        )
        self.tasks.add(
            task["text"], KnownTask(bool(task.get("control")), sample["label"], sample["response"].strip())
        )

    def _learn_generic(self, texts: Mapping[str, list[str]]) -> None:
        self.generic = {label: [text.strip() for text in several] for label, several in texts.items()}
        for label, several in self.generic.items():
            for text in several:
                self.responses.add(text, KnownLabel(label, generic=True))

    def _learn_labels(self, path: Path) -> None:
        shared: dict[str, KnownLabel] = {}  # one object a label, not one a line
        for text, label in _read_labels(path):
            self._learn_response(text, shared.setdefault(label, KnownLabel(label)))


def _parse_yaml(path: Path) -> Any:
    try:
        return load(path.read_text(encoding="utf-8"))
    except YamlError as error:
        raise FormatError(path, error.line, "YAML", error.said.removeprefix(NOT_YAML)) from error
    except UnicodeDecodeError as error:
        raise FormatError(path, None, "UTF-8", f"byte {error.start}") from error


def _read_labels(path: Path) -> Iterator[tuple[str, str]]:
    wanted = 'a JSON object with the texts "response" and "label"'
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise FormatError(path, number, wanted, str(error)) from error
                if not (
                    isinstance(row, dict) and _is_text(row.get("response")) and _is_text(row.get("label"))
                ):
                    raise FormatError(path, number, wanted, line[:80].decode(errors="replace").strip())
                yield row["response"], row["label"].strip().lower()
    except OSError as error:
        raise FormatError(path, None, "a file that can be read", error.strerror or str(error)) from error


def _is_text(value: object) -> bool:
    return isinstance(value, str)
