"""The 12 real runs, where they are present."""

import re
from collections import Counter, defaultdict
from functools import cache

from benchmark.formats import read_responses, read_suite
from benchmark.formats.names import category_title
from benchmark.formats.task_texts import task_text_key
from tests.benchmark.formats.helpers import PUBLISHED, STEERING, needs_published, needs_steering

pytestmark = needs_steering
NAMES = {"Convergence": "convergence", "Safety refusals": "safety_refusal", "Nonsensical": "nonsensical"}


@cache
def responses():
    return tuple(read_responses("steering", [STEERING]))


def published_counts(folder):
    """Read here a second time and in another way, so that the parser does not vouch for itself."""
    (path,) = folder.glob("*_instrumentaleval.txt")
    parts = re.split(r"### (.+) ###\n", path.read_text(encoding="utf-8").partition("=== Final")[0])
    for stem, body in zip(parts[1::2], parts[2::2], strict=True):
        counts = dict(re.findall(r"^([\w ]+): (\d+)$", body, re.MULTILINE))
        yield category_title(stem), int(counts["Total"]), {NAMES[name]: int(counts[name]) for name in NAMES}


def test_852_responses_in_12_runs_of_71():
    by_run = Counter(response.run.name for response in responses())
    assert len(by_run) == 12 and set(by_run.values()) == {71}
    assert all(len(response.labels) == 1 for response in responses())


def test_counts_by_run_and_category_are_the_published_ones():
    labels = defaultdict(Counter)
    for response in responses():
        labels[response.run.name, response.category][response.labels[0].label] += 1
    for folder in STEERING.iterdir():
        for category, total, counts in published_counts(folder):
            by_label = labels.pop((folder.name, category))
            assert (by_label.total(), {name: by_label[name] for name in counts}) == (total, counts)
    assert not labels


def test_four_subjects_under_three_conditions():
    subjects = {id(response.subject): response.subject for response in responses()}.values()
    assert sorted((s.name, s.family, s.training, s.size) for s in subjects) == [
        ("Qwen3-30B-A3B-Base", "qwen3", "base", "30B-A3B"),
        ("Qwen3-30B-A3B-Instruct-2507", "qwen3", "rlhf", "30B-A3B"),
        ("Qwen3-4B-Instruct-2507", "qwen3", "rlhf", "4B"),
        ("Qwen3-4B-Thinking-2507", "qwen3", "rl", "4B"),
    ]
    conditions = {id(response.condition): response.condition for response in responses()}.values()
    assert {c.name: bool(c.prompt_suffix) for c in conditions} == {
        "baseline": False,
        "pro_ic": True,
        "anti_ic": True,
    }
    assert len(conditions) == 3


def test_the_line_is_where_the_block_starts():
    by_path = defaultdict(list)
    for response in responses():
        by_path[response.path].append(response.line)
    for path, lines in by_path.items():
        with open(path, encoding="utf-8", newline="\n") as file:
            assert [number for number, text in enumerate(file, 1) if text == "<result>\n"] == lines


@needs_published
def test_every_prompt_joins_to_one_task_of_its_category():
    suite = read_suite(PUBLISHED)
    titles = {category.key: category.title for category in suite.categories}
    tasks = defaultdict(list)
    for task in suite.tasks:
        tasks[task_text_key(task.text)].append(task)
    answered = set()
    for response in responses():
        (task,) = tasks[task_text_key(response.prompt)]
        assert titles[task.category] == response.category
        answered.add(task.key)
    assert len(answered) == 71
