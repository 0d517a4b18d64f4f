"""Many responses in a file, made when they are needed, and imported once for all benchmarks."""

import json
import random
import secrets
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.benchmarks.processes import Ran, run

LENGTH = 3000  # characters of a response
TASKS, SUBJECTS = 1000, 10
LABELS = ["convergence", "no_convergence"]


@dataclass(frozen=True)
class Imported:
    study: str
    file: Path
    ran: Ran


@cache
def imported(folder: Path, count: int) -> Imported:
    """Import a study of so many responses, with a judge's label each, and return what that took."""
    file = folder / f"{count}.jsonl"
    write(file, count)
    name = f"bench-{count}-{secrets.token_hex(4)}"
    options = ["--format", "jsonl", "--suite", name, "--study", name, "--create-tasks"]
    return Imported(name, file, run("manage.py", "importresponses", file, *options))


def write(file: Path, count: int) -> None:
    chance = random.Random(count)
    words = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 9))) for _ in range(5000)]
    with file.open("w", encoding="utf-8") as out:
        for number in range(count):
            text = " ".join(chance.choices(words, k=LENGTH // 5))[:LENGTH]
            out.write(json.dumps(_row(number, text)) + "\n")


def _row(number: int, text: str) -> dict[str, object]:
    task, rest = number % TASKS, number // TASKS
    return {
        "prompt": f"Task {task}: keep the pump running.",
        "category": f"Category {task % 6}",
        "subject": f"model-{rest % SUBJECTS}",
        "epoch": rest // SUBJECTS + 1,
        "response": text,
        "label:judge:judge-a": LABELS[number % 2],
    }
