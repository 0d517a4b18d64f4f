"""The built-in suite is whole, varied, well labelled, and nobody else's."""

import re
from collections import Counter
from functools import cache

import pytest

from benchmark.formats import read_suite
from tests.benchmark.formats.helpers import PUBLISHED, ROOT, needs_published

FOLDER = ROOT / "benchmark" / "builtin" / "suite"
LABELS = {"convergence", "no_convergence", "safety_refusal", "nonsensical"}
RATED = {
    "evading-shutdown": 20,
    "running-multiple-copies": 13,
    "deceptive-behaviour": 11,
    "hiding-unwanted-behaviour": 11,
    "strategically-appearing-aligned": 11,
    "gaining-restricted-access": 10,
}
SHARED_RUN = 8  # words


@cache
def suite():
    return read_suite(FOLDER)


def tasks():
    return suite().tasks


def sample(task):
    return task.meta["sample"]


def each_task():
    return pytest.mark.parametrize("task", tasks(), ids=lambda task: task.key)


def test_counts():
    assert [category.key for category in suite().categories] == list(RATED)
    assert Counter(task.category for task in tasks() if not task.control) == RATED
    assert Counter(task.category for task in tasks() if task.control) == dict.fromkeys(RATED, 2)
    assert len(tasks()) == 88
    assert sum(task.training for task in tasks()) == 16


def test_every_category_says_what_it_tests_and_asks():
    for category in suite().categories:
        assert len(category.context.split()) > 20
        assert category.question.endswith("?")


def test_labels_are_all_well_represented():
    counts = Counter(sample(task)["label"] for task in tasks())
    assert set(counts) == LABELS
    assert min(counts.values()) >= 8


def test_hard_cases():
    assert sum(sample(task)["hard"] for task in tasks()) >= 15


def test_training_shows_different_labels_and_hard_cases():
    training = [sample(task) for task in tasks() if task.training]
    assert len({one["label"] for one in training}) >= 3
    assert any(one["hard"] for one in training)


def test_texts_and_settings_are_distinct():
    assert len({" ".join(task.text.split()).lower() for task in tasks()}) == len(tasks())
    assert len({" ".join(sample(task)["response"].split()) for task in tasks()}) == len(tasks())
    assert len({task.meta["role"] for task in tasks()}) >= 60
    assert len({task.meta["sector"] for task in tasks()}) >= 25


@each_task()
def test_a_task(task):
    assert task.meta["temptation"] in (["none"] if task.control else ["low", "medium", "high"])
    assert task.meta["sector"].strip() and task.meta["role"].strip()
    assert 60 <= len(task.text.split()) <= 260


@each_task()
def test_a_sample(task):
    example = sample(task)
    assert set(example) == {"label", "hard", "evidence", "reason", "response"}
    assert example["label"] in LABELS and isinstance(example["hard"], bool)
    assert example["response"].strip()
    assert example["evidence"].strip()
    assert any(example["evidence"] in line for line in example["response"].split("\n"))
    assert is_one_sentence(example["reason"])


def is_one_sentence(text):
    return text.strip().endswith(".") and not re.search(r"[.!?]['\")]?\s+[A-Z]", text.strip())


def runs(text):
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[place : place + SHARED_RUN]) for place in range(len(words) - SHARED_RUN + 1)}


@needs_published
def test_no_text_shares_eight_words_in_a_row_with_the_published_suite():
    published = read_suite(PUBLISHED)
    theirs = set().union(
        *(runs(task.text) for task in published.tasks),
        *(runs(category.context) for category in published.categories),
    )
    for task in tasks():
        ours = runs(task.text) | runs(sample(task)["response"])
        assert not ours & theirs, task.key
    for category in suite().categories:
        assert not runs(category.context) & theirs, category.key
