"""Bad files end an import with one line that says where, and leave nothing behind."""

import pytest

from tests import builders
from tests.annotation.tables import IMPORT, everything, jsonl, row, table
from tests.benchmark.formats.helpers import block, log_of, run_folder
from tests.commands import as_json, refusal

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Import two rows at a time, so that rows before the bad one have been written when it comes."""
    monkeypatch.setattr("annotation.importing.checking.BATCH", 2)
    monkeypatch.setattr("annotation.importing.pace.MOST", 2)


@pytest.fixture
def suite():
    return builders.suite(tasks=5)


def good_rows():
    return [row(epoch=n, label_ann="convergence", gold="convergence") for n in range(1, 6)]


def is_refused(path, format, *parts):
    before = everything()
    message = refusal("importresponses", path, "--format", format, *IMPORT)
    assert message.startswith(str(path)) and "expected " in message and "; found " in message
    for part in parts:
        assert part in message, message
    assert everything() == before


JSONL = {
    "truncated": ('{"task": "task-1", "subject": "model-a", "resp', "a whole JSON object"),
    "no JSON": ("task-1, model-a", "a JSON object"),
    "missing column": ({"task": "task-1", "subject": "model-a"}, "a value for response"),
    "missing subject": ({"task": "task-1", "response": "I stop."}, "a value for subject"),
    "misspelt column": (row(respnse="I stop."), "did you mean 'response'?"),
    "unknown label": (row(task="task-2", label_ann="perhaps"), "a label of scheme four-class@1"),
    "unknown gold": (row(task="task-2", gold="perhaps"), "'perhaps'"),
    "duplicate": (row(epoch=2), "each task once an epoch of a run", "again, after line 2"),
    "duplicate of one in its batch": (row(epoch=5), "again, after line 5"),
    "task by key": (row(task="task-9"), "a task of suite tiny@1", "key 'task-9'"),
    "task by prompt": (row(task="", prompt="Fly to the moon."), "'Fly to the moon.'"),
    "epoch": (row(epoch=0), "a whole number from 1"),
    "long subject": (
        row(subject="x" * 201),
        "at most 200 characters in the subject model's name",
        "found 201",
    ),
    "long family": (row(subject="m", subject_family="x" * 101), "at most 100"),
    "long paradigm": (row(subject="m", subject_training="x" * 41), "at most 40", "training paradigm"),
    "long size": (row(subject="m", subject_size="x" * 41), "at most 40"),
    "long condition": (row(condition="x" * 121), "at most 120"),
    "long language": (row(language="x" * 21), "at most 20"),
    "long run": (row(run="x" * 201), "at most 200"),
    "long finish reason": (row(task="task-2", finish_reason="x" * 41), "at most 40"),
    "long rater": (
        row(task="task-2", **{"label:human:" + "x" * 121: "convergence"}),
        "at most 120",
        "rater's name",
    ),
    "NUL in a name": (row(subject="a\x00b"), "no NUL", "'a\\x00b'"),
    "NUL in a prompt suffix": (row(prompt_suffix="\x00"), "no NUL"),
    "lone surrogate in a name": (row(run="\ud800"), "lone surrogate"),
}


@pytest.mark.parametrize("kind", JSONL)
def test_a_bad_line(tmp_path, suite, kind):
    bad, *parts = JSONL[kind]
    path = jsonl(tmp_path, *good_rows(), bad)
    is_refused(path, "jsonl", f"{path}, line 6: ", *parts)


@pytest.mark.parametrize(
    "kind", ["unknown label", "duplicate", "task by key", "long subject", "NUL in a name"]
)
def test_a_bad_record(tmp_path, suite, kind):
    bad, part, *_ = JSONL[kind]
    path = table(tmp_path, *good_rows(), bad)
    is_refused(path, "csv", f"{path}, line 7: ", part)


def test_a_truncated_table(tmp_path, suite):
    path = table(tmp_path, *good_rows(), row(response='He said "stop"\nand went.'))
    path.write_text(path.read_text()[:-10])
    is_refused(path, "csv", "line 7", "a closing quote")


def test_a_table_without_a_column(tmp_path, suite):
    path = table(tmp_path, {"task": "task-1", "subject": "model-a"})
    is_refused(path, "csv", "line 1", "the column response")


@pytest.mark.parametrize(("format", "write"), [("jsonl", jsonl), ("csv", table)])
def test_a_wrong_encoding(tmp_path, suite, format, write):
    path = write(tmp_path, *good_rows(), row(response="cafe"))
    path.write_bytes(path.read_bytes().replace(b"cafe", "café".encode("latin-1")))
    is_refused(path, format, "UTF-8", "byte 0xe9")


def test_a_response_in_two_files_of_one_call(tmp_path, suite):
    """On the same line of each, with the same text."""
    paths = [jsonl(tmp_path, row(), name=name) for name in ("a.jsonl", "b.jsonl")]
    before = everything()
    message = refusal("importresponses", *paths, "--format", "jsonl", *IMPORT)
    assert message.startswith(f"{paths[1]}, line 1: ") and f"after line 1 of {paths[0]}" in message
    assert everything() == before


@pytest.mark.parametrize(
    "change", [{"response": "I go on."}, {"reasoning": "Hm."}, {"finish_reason": "stop"}]
)
def test_another_response_where_one_is_stored(tmp_path, suite, change):
    as_json("importresponses", jsonl(tmp_path, *good_rows()), "--format", "jsonl", *IMPORT)
    path = jsonl(tmp_path, row(task="task-2"), row(task="task-3"), row(epoch=3, **change))
    is_refused(
        path, "jsonl", "line 3", "the response that is stored for 'task-1', epoch 3, of model-a · baseline"
    )


@pytest.mark.parametrize("name", ["gold", "a@2", "a,b", "humans"])
def test_a_name_that_no_rater_may_have(tmp_path, suite, name):
    before = everything()
    path = jsonl(tmp_path, row(**{f"label:human:{name}": "convergence"}))
    assert "can't be a rater's name" in refusal("importresponses", path, "--format", "jsonl", *IMPORT)
    assert everything() == before


@pytest.mark.parametrize("study", ["a study", "", "x" * 81, "stüdy"])
def test_a_short_name_that_no_study_may_have(tmp_path, suite, study):
    path = jsonl(tmp_path, row())
    message = refusal("importresponses", path, "--format", "jsonl", "--suite", "tiny", "--study", study)
    assert "short name of a study" in message


@pytest.mark.parametrize("suite_name", ["a suite", "", "suite@x"])
def test_a_suite_that_can_not_be_made(tmp_path, suite_name):
    path = jsonl(tmp_path, row(prompt="Tidy."))
    arguments = [path, "--format", "jsonl", "--suite", suite_name, "--study", "s", "--create-tasks"]
    assert "suite" in refusal("importresponses", *arguments)
    assert not any(everything().values())


def test_a_path_that_is_not_there(tmp_path, suite):
    message = refusal("importresponses", tmp_path / "none.jsonl", "--format", "jsonl", *IMPORT)
    assert message == f"{tmp_path / 'none.jsonl'}: there is no such file or folder."


# Result folders of the steerability study


def steering(folder, change=lambda log: log, config=None, tasks=(1, 3, 5)):
    prompts = [f"Task {n}: keep the pump running." for n in tasks]
    log = log_of({"Drift - Alpha": [block(n, task_prompt=text) for n, text in enumerate(prompts, start=1)]})
    changed = change(log)
    assert changed != log or config
    return run_folder(folder / "run", changed, config)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda log: log.replace("</judge_decision>", "", 1), "stdout.log, line "),
        (lambda log: log.replace("</result>\n", "", 1), "stdout.log, line "),
        (lambda log: log[: log.rindex("<judge_reason>")], "stdout.log"),
        (lambda log: log[: log.index("=== Run Config")], "so the log may be cut off"),
        (lambda log: log.replace("n>no_convergence", "n>perhaps", 1), "one of convergence, no_convergence"),
        (lambda log: log.replace("Task 3: keep", "Task 9: keep"), "a task of suite tiny@1"),
        (lambda log: log.replace("Task 5: keep", "Task 1: keep"), "each task once an epoch of a run"),
        (lambda log: log.replace("Total: 3", "Total: 4"), "4"),
    ],
)
def test_a_bad_log(tmp_path, suite, change, part):
    folder = steering(tmp_path, change)
    is_refused(folder, "steering", part)


def test_settings_that_no_database_holds(tmp_path, suite):
    is_refused(
        steering(tmp_path, config={"NOTE": {"a": ["b\x00"]}}, tasks=[1]),
        "steering",
        "no NUL",
        "the run's config",
    )
