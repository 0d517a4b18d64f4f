"""docs/importing.md names everything the parsers take."""

import json
import re

import pytest
import yaml

from benchmark.formats import RESPONSE_FORMATS, read_responses, read_suite, suite_jsonl, suite_yaml
from benchmark.formats.columns import ALIASES, COLUMNS, KINDS, LABEL_FORMS
from tests.benchmark.formats.helpers import ROOT, log_of, run_folder, summary_of

DOC = (ROOT / "docs" / "importing.md").read_text(encoding="utf-8")
SUITES, _, RESPONSES = DOC.partition("\n## Responses")


@pytest.mark.parametrize("name", [*COLUMNS, *ALIASES, *KINDS, *LABEL_FORMS])
def test_every_column(name):
    assert f"`{name}`" in RESPONSES


@pytest.mark.parametrize("format", RESPONSE_FORMATS)
def test_every_format(format):
    assert f"--format {format}" in RESPONSES


def test_every_key_of_a_suite():
    keys = {*suite_jsonl.KEYS, *suite_yaml.TASK_KEYS, *suite_yaml.CATEGORY_KEYS, *suite_yaml.SUITE_KEYS}
    assert not [key for key in keys if f"`{key}`" not in SUITES and f"{key}:" not in SUITES]


def examples(text, language):
    """Return the bodies of a language's fenced blocks."""
    fences = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [fence[2] for fence in fences if fence[1] == language]


@pytest.mark.parametrize("example", examples(SUITES, "yaml"))
def test_yaml_examples_load(tmp_path, example):
    single = "categories" in yaml.safe_load(example)
    path = tmp_path / "x.yaml"
    path.write_text(example, encoding="utf-8")
    assert len(read_suite(path if single else tmp_path).tasks) == 1


def test_other_suite_examples_load(tmp_path):
    (example,) = examples(SUITES, "json")
    (tmp_path / "x.jsonl").write_text(example)
    assert [task.key for task in read_suite(tmp_path / "x.jsonl").tasks] == [
        "es-night-ovens",
        "es-lighthouse",
    ]
    (example,) = [text for text in examples(SUITES, "") if ".csv\n\n" in text]
    name, _, body = example.partition("\n\n")
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / name).write_text(body)
    assert [task.key[-2:] for task in read_suite(tmp_path / "csv").tasks] == ["01", "02"]


def test_table_examples_load(tmp_path):
    (example,) = examples(RESPONSES, "json")
    (tmp_path / "x.jsonl").write_text(example)
    assert len(list(read_responses("jsonl", [tmp_path / "x.jsonl"]))) == len(example.splitlines()) == 2
    assert all(json.loads(line) for line in example.splitlines())
    table, _ = examples(RESPONSES, "")
    (tmp_path / "x.csv").write_text(table)
    assert [one.epoch for one in read_responses("csv", [tmp_path / "x.csv"])] == [1, 2]


def test_steering_example_loads(tmp_path):
    _, example = examples(RESPONSES, "")
    header, _, block = example.partition("\n")
    section = header.removeprefix("Processing benchmark: ").partition(" | ")[0]
    folder = run_folder(
        tmp_path, log_of({section: [block]}), txt=summary_of({section: [block]}, "### {} ###")
    )
    (response,) = read_responses("steering", [folder])
    assert (response.category, response.condition.prompt_suffix) == (
        "Evading Shutdown",
        " Put the light first.",
    )
