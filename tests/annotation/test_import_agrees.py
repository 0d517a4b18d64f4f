"""What rows say of one task, prompt or subject must agree, with each other and with what stands: never the
first silently."""

import pytest

from annotation.models import Item
from benchmark.models import Category, Condition, Response, Run, SubjectModel, Suite, Task
from tests import builders
from tests.annotation.tables import IMPORT, everything, jsonl, row, table
from tests.commands import as_json, refusal

pytestmark = [pytest.mark.django_db, pytest.mark.engine]
CREATE = ["--create-tasks"]
P, Q = "You run the ovens.", "You keep the books."


def load(path, *more):
    return as_json("importresponses", path, "--format", path.suffix[1:], *IMPORT, *more)


def is_refused(path, *parts, more=CREATE):
    before = everything()
    message = refusal("importresponses", path, "--format", path.suffix[1:], *IMPORT, *more)
    assert all(part in message for part in parts), message
    assert everything() == before


@pytest.mark.parametrize("write", [jsonl, table])
def test_one_key_with_two_prompts_names_both_lines(tmp_path, write):
    path = write(tmp_path, row(task="0", prompt=P), row(task="0", prompt=Q, subject="b"))
    first = 1 if write is jsonl else 2
    is_refused(
        path, f"line {first + 1}: expected one prompt for task '0', which on line {first} is {P!r}", repr(Q)
    )


def test_one_key_with_another_prompt_than_the_suites(tmp_path):
    builders.suite(tasks=1)
    path = jsonl(tmp_path, row(prompt=Q))
    said = ("line 1: expected one prompt for task 'task-1', which in suite tiny@1 is 'Task 1: keep", repr(Q))
    is_refused(path, *said, more=())
    is_refused(path, *said)


def test_two_files_of_one_call_are_told_apart(tmp_path):
    one = jsonl(tmp_path, row(task="0", prompt=P), name="one.jsonl")
    two = jsonl(tmp_path, row(task="0", prompt=Q, subject="b"), name="two.jsonl")
    message = refusal("importresponses", one, two, "--format", "jsonl", *IMPORT, *CREATE)
    assert f"two.jsonl, line 1: expected one prompt for task '0', which on line 1 of {one} is" in message


@pytest.mark.parametrize("same", [f" {P}\r\n", P, "", None])
def test_the_same_prompt_but_for_white_space_and_none_agree(tmp_path, same):
    load(jsonl(tmp_path, row(task="0", prompt=P), row(task="0", prompt=same, subject="b")), *CREATE)
    assert Task.objects.count() == 1 and Response.objects.count() == 2


@pytest.mark.parametrize("write", [jsonl, table])
def test_one_prompt_with_two_categories_names_both_lines(tmp_path, write):
    path = write(
        tmp_path,
        row(task="", prompt=P, category="Shutdown"),
        row(task="", prompt=P, category="Deception", subject="b"),
    )
    first = 1 if write is jsonl else 2
    is_refused(
        path,
        f"line {first + 1}: expected one category for task",
        f"which on line {first} is in 'Shutdown'",
        "'Deception'",
    )


def test_a_category_that_contradicts_the_suites(tmp_path):
    builders.suite(tasks=1)
    is_refused(
        jsonl(tmp_path, row(category="Beta")),
        "line 1: expected one category for task 'task-1'",
        "in suite tiny@1 is in 'Alpha'",
        "'Beta'",
        more=(),
    )


def test_a_category_said_only_later_names_the_line_that_made_the_task(tmp_path):
    path = jsonl(tmp_path, row(task="", prompt=P), row(task="", prompt=P, category="Shutdown", subject="b"))
    is_refused(path, "line 2", "on line 1 is in 'Uncategorised'")


@pytest.mark.parametrize("said", ["alpha", "ALPHA ", "Alpha!", "", None])
def test_a_category_by_title_or_key_in_any_case_agrees(tmp_path, said):
    builders.suite(tasks=1)
    assert load(jsonl(tmp_path, row(category=said)))["responses"] == 1


@pytest.mark.parametrize("field", ["subject_family", "subject_training", "subject_size"])
def test_one_subject_described_in_two_ways_names_both_lines(tmp_path, field):
    builders.suite(tasks=3)
    path = jsonl(tmp_path, row(**{field: "one"}), row(task="task-2"), row(task="task-3", **{field: "two"}))
    name = field.removeprefix("subject_")
    is_refused(
        path, f"line 3: expected one {name} for subject 'model-a': 'one', as on line 1; found 'two'", more=()
    )


def test_what_nobody_has_said_of_a_subject_is_filled_in(tmp_path):
    builders.suite(tasks=2)
    load(jsonl(tmp_path, row(subject_family="fam")))
    load(jsonl(tmp_path, row(task="task-2", subject_family="FAM", subject_training="rl", subject_size="30B")))
    subject = SubjectModel.objects.get()
    assert (subject.family, subject.training, subject.size) == ("fam", "rl", "30B")


def test_a_subject_that_contradicts_what_stands(tmp_path):
    builders.suite(tasks=1)
    SubjectModel.objects.create(name="model-a", family="fam")
    is_refused(
        jsonl(tmp_path, row(subject_family="other")),
        "line 1: expected one family for subject 'model-a': 'fam', as it stands; found 'other'",
        more=(),
    )


def test_what_nobody_has_said_of_a_subject_is_taken_from_the_first_row_that_does(tmp_path):
    builders.suite(tasks=3)
    path = jsonl(
        tmp_path, row(), row(task="task-2", subject_family="Fam"), row(task="task-3", subject_family="fam")
    )
    load(path)
    assert SubjectModel.objects.get().family == "Fam"
    before = everything()
    assert load(path)["unchanged"] == 3 and everything() == before


def test_a_text_that_fits_two_keys_names_both(tmp_path):
    suite = builders.suite(tasks=1)
    category = suite.categories.first()
    for key, text in [("ovens", P), ("ovens-2", P + " ")]:
        Task.objects.create(suite=suite, category=category, key=key, text=text)
    is_refused(jsonl(tmp_path, row(task="", prompt=P)), "line 1", "'ovens' and 'ovens-2'; name its key")
    assert load(jsonl(tmp_path, row(task="ovens-2", prompt=P)))["responses"] == 1


def test_a_text_under_two_keys_names_the_first_line(tmp_path):
    path = jsonl(tmp_path, row(task="a", prompt=P), row(task="b", prompt=P, subject="b"))
    is_refused(
        path, "line 2: expected each text once in a language; found the text of 'a' again (first on line 1)"
    )


# Names are compared composed, trimmed and without case, and shown as they were first written

ACCENTS = ["Café", "Cafe\u0301", " CAFÉ ", "cafe\u0301"]


def test_a_task_a_subject_a_condition_and_a_run_in_four_spellings_are_one(tmp_path):
    rows = [
        row(
            task=name,
            prompt="Café plan?",
            category="Cafés",
            subject=name,
            condition=name,
            run=name,
            epoch=number,
            language="EN",
        )
        for number, name in enumerate(ACCENTS, start=1)
    ]
    path = jsonl(tmp_path, *rows)
    assert load(path, *CREATE)["responses"] == 4
    assert SubjectModel.objects.get().name == "Café" and Run.objects.get().name == "Café"
    assert Condition.objects.get().name == "Café" and Category.objects.get().title == "Cafés"
    assert Task.objects.count() == 1 and Item.objects.count() == 4
    before = everything()
    assert load(path)["unchanged"] == 4 and everything() == before


def test_prompts_and_keys_in_two_forms_are_one_task(tmp_path):
    rows = [
        row(task="", prompt="Café plan?", category="Cafe\u0301"),
        row(task="", prompt="Cafe\u0301 plan?", category="CAFÉ", epoch=2),
        row(task="ES-01", prompt="Stop.", category="café"),
        row(task="es-01", prompt="Stop.", epoch=2),
    ]
    load(jsonl(tmp_path, *rows), *CREATE)
    assert Task.objects.count() == 2 and Task.objects.filter(key="ES-01").exists()
    assert Category.objects.get().title == "Cafe\u0301"


def test_a_prompt_in_another_case_is_another_prompt(tmp_path):
    load(jsonl(tmp_path, row(task="", prompt="Stop."), row(task="", prompt="STOP.")), *CREATE)
    assert Task.objects.count() == 2


def test_two_spellings_of_one_response_are_the_same_response_twice(tmp_path):
    builders.suite(tasks=1)
    is_refused(
        jsonl(tmp_path, row(), row(task="TASK-1", subject="MODEL-A", condition="Baseline")),
        "line 2: expected each task once an epoch of a run",
        "after line 1",
        more=(),
    )


def test_rows_that_stood_apart_are_found_as_they_are_written_and_the_oldest_otherwise(tmp_path):
    suite = builders.suite(tasks=1)
    old, new = (
        SubjectModel.objects.create(name=name, folded=form) for name, form in [("M", "m"), ("m", "m\n2")]
    )
    category = suite.categories.first()
    Task.objects.create(suite=suite, category=category, key="Task-1", text="Another.")
    load(
        jsonl(
            tmp_path, *(row(task=task, subject=name) for task in ("task-1", "Task-1") for name in ("M", "m"))
        )
    )
    assert [subject.runs.get().responses.count() for subject in (old, new)] == [2, 2]
    assert SubjectModel.objects.called(" m") == old and SubjectModel.objects.called("m") == new
    is_refused(jsonl(tmp_path, row(task="TASK-1")), "'task-1' and 'Task-1'; name its key", more=())


def test_a_suite_with_keys_that_differ_in_case_alone_is_refused(tmp_path):
    path = tmp_path / "s.jsonl"
    path.write_text(
        '{"key": "A", "category": "C", "text": "x"}\n{"key": "a", "category": "c", "text": "y"}\n'
    )
    assert "line 2: expected each task key once; found 'a' again (first on line 1)" in refusal(
        "loadsuite", path, "--slug", "s"
    )
    assert not Suite.objects.exists()
