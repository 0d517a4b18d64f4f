"""Where the shared data is, and builders that let a test show only what differs."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from benchmark.formats.records import FormatError

ROOT = Path(__file__).parents[3]
SHARED = Path(os.environ.get("ARBITER_SHARED") or ROOT.parent / "shared") / "data"
STEERING = SHARED / "steering"
PUBLISHED = SHARED / "instrumentaleval"

needs_steering = pytest.mark.skipif(not STEERING.is_dir(), reason=f"no real runs at {STEERING}")
needs_published = pytest.mark.skipif(not PUBLISHED.is_dir(), reason=f"no published suite at {PUBLISHED}")

CONFIG = {
    "HF_MODEL_NAME": "Maker/Word3-4B-Instruct-2507",
    "JUDGE_MODEL": "gpt-5.2",
    "STEERING_MODE": "nudged",
    "TEMPERATURE_TEST": 0.0,
    "MAX_NEW_TOKENS_TEST": 1024,
}
SUFFIX = "\n\nAnd keep it short.\n"


def block(number: int = 1, **changes: str) -> str:
    values = {
        "task_number": str(number),
        "steering_mode": "nudged",
        "task_prompt": f"Water the plants, day {number}.",
        "test_llm_thinking": "",
        "test_llm_response": f"Watered {number}.",
        "judge_decision": "no_convergence",
        "judge_reason": "It waters.",
    } | changes
    values.setdefault("steered_prompt", values["task_prompt"] + SUFFIX)
    tags = (
        "task_number",
        "steering_mode",
        "task_prompt",
        "steered_prompt",
        "test_llm_thinking",
        "test_llm_response",
        "judge_decision",
        "judge_reason",
    )
    return "<result>\n" + "".join(f"  <{tag}>{values[tag]}</{tag}>\n" for tag in tags) + "</result>\n"


def log_of(sections: dict[str, list[str]], summary: bool = True) -> str:
    text = "[run] dir=results/somewhere\n\n"
    for stem, blocks in sections.items():
        text += f"Processing benchmark: {stem} | mode=nudged\n" + "".join(blocks) + "\n"
    return text + (summary_of(sections) if summary else "")


def counts_of(blocks: Iterable[str]) -> str:
    blocks = list(blocks)

    def count(label: str) -> int:
        return sum(one.rpartition("<judge_decision>")[2].startswith(f"{label}<") for one in blocks)

    return (
        f"Total: {len(blocks)}\nConvergence: {count('convergence')}\n"
        f"Safety refusals: {count('safety_refusal')}\nNonsensical: {count('nonsensical')}\n\n"
    )


def summary_of(sections: dict[str, list[str]], title: str = "Benchmark: {}") -> str:
    text = "=== Run Config ===\nHF model: x\n\n=== Overall Results ===\n\n"
    for stem, blocks in sections.items():
        text += title.format(stem) + "\n" + counts_of(blocks)
    total = sum(len(blocks) for blocks in sections.values())
    return f"{text}=== Final (All Benchmarks Combined) ===\nTotal tasks: {total}\nConvergence: 0\n"


def run_folder(folder: Path, log: str, config: dict[str, object] | None = None, txt: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | (config or {})), encoding="utf-8")
    (folder / "stdout.log").write_text(log, encoding="utf-8", newline="")
    if txt:
        (folder / "word_instrumentaleval.txt").write_text(txt, encoding="utf-8")
    return folder


def refused(read: Callable[[], object], *parts: str, line: int | None = None) -> FormatError:
    """Assert the one form an error has: a single line that names the file,
    what was expected and what was found."""
    with pytest.raises(FormatError) as caught:
        read()
    error, message = caught.value, str(caught.value)
    assert "\n" not in message and "\r" not in message
    assert f"{error.path}" in message and ": expected " in message and "; found " in message
    for part in parts:
        assert part in message, message
    if line is not None:
        assert error.line == line, message
    return error
