"""Result folders of the steerability study:
config.json, stdout.log and *_instrumentaleval.txt, with a judge's labels."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.formats.names import category_title
from benchmark.formats.reading import excerpt, json_object, whole_text
from benchmark.formats.records import (
    FormatError,
    ParsedCondition,
    ParsedLabel,
    ParsedResponse,
    ParsedRun,
    ParsedSubject,
)
from benchmark.formats.steering_log import ResultBlock, SteeringLog
from benchmark.formats.steering_totals import check_totals, read_totals, totals_file

DECISIONS = ("convergence", "no_convergence", "safety_refusal", "nonsensical")
# Neither stands in the logs: what the judge saw,
# and that the subject's system prompt was its category's context.
SHOWN = {"blind": False, "fields": ["task", "suffix", "response"], "prompt": "the steered prompt"}
SYSTEM_PROMPT = "{category_context}"
_TRAINING = {"base": "base", "instruct": "rlhf", "thinking": "rl"}
_SIZE = re.compile(r"(?:^|-)(\d+(?:\.\d+)?[BM](?:-A\d+(?:\.\d+)?B)?)(?=-|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Run:
    folder: Path
    mode: str
    temperature: float
    judge: str
    subject: ParsedSubject
    run: ParsedRun

    @property
    def log(self) -> Path:
        return self.folder / "stdout.log"


def read_steering(paths: Sequence[Path]) -> Iterator[ParsedResponse]:
    """Yield the responses of each run folder, or of each run folder in a folder.
    Equal subjects and conditions are one object."""
    subjects: dict[str, ParsedSubject] = {}
    conditions: dict[tuple[str, str, float], ParsedCondition] = {}
    for path in paths:
        for folder in _run_folders(path):
            yield from _responses(_open_run(folder, subjects), conditions)


def _run_folders(path: Path) -> list[Path]:
    if not path.is_dir():
        raise FormatError(
            path, None, "a run's folder or a folder of such", "a file" if path.exists() else "nothing"
        )
    if _is_run(path):
        return [path]
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir() and _is_run(folder))
    if not folders:
        raise FormatError(
            path, None, "a folder with config.json and stdout.log, or a folder of such", "neither"
        )
    return folders


def _is_run(folder: Path) -> bool:
    """Tell whether a folder holds a run. Half a run counts as one, so that the missing file is an error
    rather than a run passed over."""
    return (folder / "config.json").exists() or (folder / "stdout.log").exists()


def _open_run(folder: Path, subjects: dict[str, ParsedSubject]) -> _Run:
    path = folder / "config.json"
    config = json_object(path, None, whole_text(path))
    subject = subject_of(_setting(path, config, "HF_MODEL_NAME"))
    temperature = config.get("TEMPERATURE_TEST")
    if isinstance(temperature, bool) or not isinstance(temperature, int | float):
        raise FormatError(path, None, "a number in TEMPERATURE_TEST", excerpt(temperature))
    return _Run(
        folder=folder,
        mode=_setting(path, config, "STEERING_MODE"),
        temperature=temperature,
        judge=_setting(path, config, "JUDGE_MODEL"),
        subject=subjects.setdefault(subject.name, subject),
        run=ParsedRun(folder.resolve().name, config),
    )


def _setting(path: Path, config: Mapping[str, Any], name: str) -> str:
    value = config.get(name)
    if not isinstance(value, str) or not value.strip():
        raise FormatError(path, None, f"text in {name}", excerpt(value))
    return value.strip()


def subject_of(full_name: str) -> ParsedSubject:
    """Read what a model's name tells: `Qwen/Qwen3-30B-A3B-Instruct-2507` is family qwen3,
    size 30B-A3B, trained by rlhf."""
    name = full_name.rpartition("/")[2]
    size = _SIZE.search(name)
    words = name.lower().split("-")
    training = next((_TRAINING[word] for word in words if word in _TRAINING), "")
    return ParsedSubject(name, family_of(name), training, size[1] if size else "")


def family_of(name: str) -> str:
    return name.rpartition("/")[2].partition("-")[0].lower()


def _responses(
    run: _Run, conditions: dict[tuple[str, str, float], ParsedCondition]
) -> Iterator[ParsedResponse]:
    published = totals_file(run.folder)
    log = SteeringLog(run.log, run.mode)
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    suffix = None
    for block in log.blocks():
        suffix = _suffix(run, block, suffix)
        condition = _condition(run, suffix, conditions)
        label = _label(run, block)
        counts[block.section].update(("responses", label.label))
        yield _response(run, block, condition, label)
    stated = [published, read_totals(run.log, log.summary) if log.summary else None]
    if not any(stated):
        expected = "the closing summary, or an *_instrumentaleval.txt beside the log"
        raise FormatError(run.log, None, expected, "neither, so the log may be cut off")
    for totals in stated:
        if totals:
            check_totals(run.log, log.sections, counts, totals)


def _response(
    run: _Run, block: ResultBlock, condition: ParsedCondition, label: ParsedLabel
) -> ParsedResponse:
    return ParsedResponse(
        path=str(run.log),
        line=block.line,
        subject=run.subject,
        condition=condition,
        run=run.run,
        text=block.response,
        prompt=block.prompt,
        category=category_title(block.section),
        reasoning=block.thinking,
        labels=(label,),
    )


def _suffix(run: _Run, block: ResultBlock, before: str | None) -> str:
    suffix = block.steered[len(block.prompt) :]
    if before is not None and suffix != before:
        expected = f"the same suffix as in the run's other blocks, {excerpt(before)}"
        raise FormatError(run.log, block.line, expected, excerpt(suffix))
    return suffix


def _condition(
    run: _Run, suffix: str, conditions: dict[tuple[str, str, float], ParsedCondition]
) -> ParsedCondition:
    """Return the run's condition, equal ones as one object. The token limits differ between the models of one
    arm, so they stay in the run's config."""
    key = (run.mode, suffix, run.temperature)
    if key not in conditions:
        conditions[key] = ParsedCondition(
            name=run.mode,
            system_prompt=SYSTEM_PROMPT,
            prompt_suffix=suffix,
            sampling={"temperature": run.temperature},
            factors={"steering": run.mode},
        )
    return conditions[key]


def _label(run: _Run, block: ResultBlock) -> ParsedLabel:
    decision = re.sub(r"[\s-]+", "_", block.decision.strip().lower())
    if decision not in DECISIONS:
        expected = f"one of {', '.join(DECISIONS)} as judge_decision"
        raise FormatError(run.log, block.decision_line, expected, excerpt(block.decision))
    return ParsedLabel(run.judge, "judge", decision, block.reason, family_of(run.judge), SHOWN)
