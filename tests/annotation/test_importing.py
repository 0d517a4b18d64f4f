"""importresponses: what it makes, what a second import changes, and what comes later."""

from io import StringIO

import pytest
from django.core.management import call_command

from annotation.models import Gold, Item, Rater, Rating, Study
from arbiter.core.text import original
from benchmark.models import Condition, Response, Run, SubjectModel, Suite, Task
from tests import builders
from tests.annotation.tables import IMPORT, everything, jsonl, row, table
from tests.commands import as_json, refusal

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr("annotation.importing.checking.BATCH", 2)
    monkeypatch.setattr("annotation.importing.pace.MOST", 2)


@pytest.fixture
def suite():
    return builders.suite(tasks=3)


def load(path, *more, format="jsonl"):
    return as_json("importresponses", path, "--format", format, *IMPORT, *more)


def counts(**changes):
    return {
        "runs": 0,
        "responses": 0,
        "ratings": 0,
        "gold": 0,
        "unchanged": 0,
        "kept": 0,
        "kept_at": [],
        "holding_reasoning": 0,
    } | changes


def full_rows():
    return [
        row(label_ann="convergence", reason_ann="It plans.", gold="convergence", gold_reason="Sure."),
        row(task="task-2", label_ann="no_convergence"),
        row(task="task-2", epoch="2", response="", finish_reason="length"),
        row(task="task-3", subject="model-b", subject_family="fam", reasoning="Hm."),
        row(task="task-3", condition="steered", prompt_suffix="\n\nBe bold.", run="second"),
    ]


@pytest.mark.parametrize(("format", "write"), [("jsonl", jsonl), ("csv", table)])
def test_a_table_brings_runs_responses_labels_and_gold(tmp_path, suite, format, write):
    path = write(tmp_path, *full_rows())
    assert load(path, format=format) == counts(runs=3, responses=5, ratings=2, gold=1)
    assert Study.objects.get().scheme.key == "four-class"
    assert Item.objects.count() == Response.objects.filter(state="done").count() == 5
    rating = Rating.objects.select_related("rater", "label").get(label__key="convergence")
    assert (rating.rater.name, rating.rater.kind, rating.rationale) == ("ann", "human", "It plans.")
    assert rating.shown == {"imported": True} and rating.purpose == "slot"
    gold = Gold.objects.get()
    assert (gold.origin, gold.rationale, gold.revision) == ("imported", "Sure.", 1)
    assert Condition.objects.get(name="steered").prompt_suffix == "\n\nBe bold."
    assert SubjectModel.objects.get(name="model-b").family == "fam"
    assert Run.objects.get(name="second").condition.name == "steered"
    assert Response.objects.get(epoch=2).text == ""


@pytest.mark.parametrize(("format", "write"), [("jsonl", jsonl), ("csv", table)])
def test_a_second_import_changes_nothing(tmp_path, suite, format, write):
    path = write(tmp_path, *full_rows())
    load(path, format=format)
    before = everything()
    assert load(path, format=format) == counts(unchanged=5)
    assert everything() == before


def test_more_rows_are_added_to_those_that_are_there(tmp_path, suite):
    load(jsonl(tmp_path, row()))
    later = jsonl(tmp_path, row(epoch=2), row(), row(task="task-2"), row(task="task-3", run="b"))
    assert load(later) == counts(runs=1, responses=3, unchanged=1)


def test_the_same_responses_enter_another_study_without_being_stored_again(tmp_path, suite):
    path = jsonl(tmp_path, row(gold="convergence"), row(task="task-2"))
    load(path)
    again = as_json("importresponses", path, "--format", "jsonl", "--suite", "tiny", "--study", "other")
    assert again == counts(gold=1, unchanged=2)
    assert Response.objects.count() == 2 and Item.objects.count() == 4


def test_an_existing_studys_own_scheme_decides_which_labels_there_are(tmp_path, suite):
    builders.Study.objects.create(slug="tiny", title="Tiny", scheme=builders.builtin_scheme("binary"))
    message = refusal(
        "importresponses", jsonl(tmp_path, row(label_ann="safety_refusal")), "--format", "jsonl", *IMPORT
    )
    assert "binary@1: convergence, no_convergence" in message
    assert load(jsonl(tmp_path, row(label_ann="Convergence "))) == counts(runs=1, responses=1, ratings=1)


def test_a_changed_label_or_reason_is_a_new_revision(tmp_path, suite):
    for label, reason in [("convergence", ""), ("no_convergence", ""), ("no_convergence", "It asks.")]:
        load(jsonl(tmp_path, row(label_ann=label, reason_ann=reason)))
    kept = Rating.objects.order_by("revision").values_list("revision", "label__key", "rationale")
    assert list(kept) == [
        (1, "convergence", ""),
        (2, "no_convergence", ""),
        (3, "no_convergence", "It asks."),
    ]
    assert Rating.objects.votes().get().revision == 3


def test_changed_gold_is_a_new_revision(tmp_path, suite):
    for gold in ["convergence", "nonsensical", "nonsensical"]:
        load(jsonl(tmp_path, row(gold=gold)))
    assert list(Gold.objects.values_list("revision", "label__key")) == [
        (1, "convergence"),
        (2, "nonsensical"),
    ]


def test_a_label_that_is_no_longer_in_the_file_stays(tmp_path, suite):
    load(jsonl(tmp_path, row(label_ann="convergence", gold="convergence")))
    assert load(jsonl(tmp_path, row())) == counts(unchanged=1)
    assert Rating.objects.count() == Gold.objects.count() == 1


def test_items_imported_later_are_drawn(tmp_path, suite):
    load(jsonl(tmp_path, row()))
    builders.draw(Study.objects.get(), per_item=2, seed=1)
    load(jsonl(tmp_path, row(), row(task="task-2"), row(task="task-3")))
    assert all(item.drawn.count() == 1 and item.assignments.count() == 2 for item in Item.objects.all())


# Texts


@pytest.mark.parametrize(("format", "write"), [("jsonl", jsonl), ("csv", table)])
def test_an_empty_response_is_kept_as_one(tmp_path, suite, format, write):
    assert load(write(tmp_path, row(response="")), format=format)["responses"] == 1
    assert Response.objects.get().text == ""


@pytest.mark.parametrize(("format", "write"), [("jsonl", jsonl), ("csv", table)])
def test_a_field_of_ten_megabytes_is_kept(tmp_path, suite, format, write):
    text = "0123456789 ü\n" * (10 * 2**20 // 13)
    assert load(write(tmp_path, row(response=text)), format=format)["responses"] == 1
    assert Response.objects.get().text == text


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800", "\udfff\x00 \\u0000 \\ud800"])
def test_nul_and_lone_surrogates_are_kept_escaped_and_flagged(tmp_path, suite, text):
    path = jsonl(
        tmp_path,
        row(
            response=text,
            reasoning="\\u0000 in code",
            label_ann="convergence",
            reason_ann=text,
            gold="convergence",
            gold_reason=text,
        ),
    )
    load(path)
    response = Response.objects.get()
    assert original(response.text, response.escaped) == text
    assert original(response.reasoning, response.escaped) == "\\u0000 in code"
    assert response.escaped and "\x00" not in response.text
    assert load(path) == counts(unchanged=1)


def test_raw_nul_and_surrogate_bytes_in_a_csv_are_kept_too(tmp_path, suite):
    path = table(tmp_path, row(response="a?b!"))
    path.write_bytes(path.read_bytes().replace(b"?", b"\0").replace(b"!", b"\xed\xa0\x80"))
    load(path, format="csv")
    response = Response.objects.get()
    assert original(response.text, response.escaped) == "a\x00b\ud800"


def test_a_text_that_looks_escaped_is_not_the_one_that_is(tmp_path, suite):
    load(jsonl(tmp_path, row(response="a\x00")))
    message = refusal(
        "importresponses", jsonl(tmp_path, row(response="a\\u0000")), "--format", "jsonl", *IMPORT
    )
    assert "line 1" in message and "another one" in message


# Tasks from the table


CREATE = ["--create-tasks"]


def test_tasks_are_made_from_prompts_and_found_again(tmp_path):
    rows = [
        row(task="", prompt="Tidy the room.", category="Rooms"),
        row(task="", prompt=" Tidy the room.\r\n", epoch=2),
        row(task="", prompt="Räum auf.\x00", category="rooms!", language="de"),
        row(task="w/1", prompt="Wash up.", category="家事"),
        row(task="w/1", prompt="Wash up.", epoch=2),
        row(task="ES-01", prompt="Stop.", category="水"),
    ]
    path = jsonl(tmp_path, *rows)
    assert load(path, *CREATE)["responses"] == 6
    made = list(Task.objects.values_list("category__title", "text", "language"))
    assert made == [
        ("Rooms", "Tidy the room.", "en"),
        ("Rooms", "Räum auf.\\u0000", "de"),
        ("家事", "Wash up.", "en"),
        ("水", "Stop.", "en"),
    ]
    assert Task.objects.filter(key="ES-01").exists()
    before = everything()
    assert load(path, *CREATE) == load(path) == counts(unchanged=6)
    assert everything() == before


def test_without_a_category_tasks_are_uncategorised(tmp_path):
    load(jsonl(tmp_path, row(prompt="Tidy.")), *CREATE)
    assert Task.objects.get().category.title == "Uncategorised"


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"task": "new", "prompt": "Task 1: keep the pump running."}, "found the text of 'task-1' again"),
        (
            {"task": "new", "prompt": " Task 1: keep the pump running.\r\n"},
            "found the text of 'task-1' again",
        ),
        ({"task": "new"}, "needs a prompt"),
        ({"task": "new", "prompt": " "}, "needs a prompt"),
        (
            {"task": "new", "prompt": "Wash.", "category": "x" * 201},
            "at most 200 characters in the category's title",
        ),
        ({"task": "new", "prompt": "Wash.", "category": "a\x00"}, "no NUL"),
    ],
)
def test_a_task_that_can_not_be_made_is_refused(tmp_path, suite, change, part):
    before = everything()
    path = jsonl(tmp_path, row(), row(**change))
    message = refusal("importresponses", path, "--format", "jsonl", *IMPORT, *CREATE)
    assert message.startswith(f"{path}, line 2: ") and part in message
    assert everything() == before


def test_a_suite_made_for_a_bad_table_goes_with_it(tmp_path):
    refusal(
        "importresponses", jsonl(tmp_path, row(prompt="Tidy."), "{"), "--format", "jsonl", *IMPORT, *CREATE
    )
    assert not Suite.objects.exists()


def test_a_task_reserved_for_training_is_refused(tmp_path, suite):
    suite.tasks.filter(key="task-2").update(training=True)
    message = refusal(
        "importresponses", jsonl(tmp_path, row(), row(task="task-2")), "--format", "jsonl", *IMPORT
    )
    assert "line 2" in message and "'task-2', reserved for training raters" in message
    assert not Response.objects.exists()


def test_a_rater_keeps_the_kind_it_came_with(tmp_path, suite):
    load(jsonl(tmp_path, row(label_ann="convergence")))
    path = jsonl(tmp_path, row(**{"label:judge:ann": "convergence"}))
    assert "already the name of a human" in refusal("importresponses", path, "--format", "jsonl", *IMPORT)
    assert Rater.objects.get().kind == "human"


# Reasoning within a text

THOUGHT = "<think>\nNobody must see this.\n</think>\n\nI stop."
TALK = "The tag `</think>` ends it."


def output(*arguments):
    """Return what the command says beside its table."""
    out = StringIO()
    call_command(*map(str, arguments), stdout=out)
    return out.getvalue()


def reasoned(tmp_path):
    return jsonl(
        tmp_path,
        row(response=THOUGHT, reasoning="First."),
        row(task="task-2", response="Hm.\n</think>\nI wait."),
        row(task="task-3", response=TALK),
        row(task="task-3", epoch="2", response="<think>And so on"),
    )


def test_a_text_that_holds_reasoning_stays_as_it_is_and_is_told(tmp_path, suite):
    assert load(reasoned(tmp_path)) == counts(runs=1, responses=4, holding_reasoning=3)
    assert list(Response.objects.order_by("pk").values_list("text", "reasoning"))[:2] == [
        (THOUGHT, "First."),
        ("Hm.\n</think>\nI wait.", ""),
    ]
    said = output("importresponses", reasoned(tmp_path), "--format", "jsonl", *IMPORT)
    assert "3 texts hold a model's reasoning between tags" in said and "--split-reasoning" in said


def test_reasoning_is_told_apart_where_that_is_asked_for(tmp_path, suite):
    assert load(reasoned(tmp_path), "--split-reasoning")["holding_reasoning"] == 3
    responses = Response.objects.order_by("pk").values_list("text", "reasoning", "ending")
    assert list(responses) == [
        ("I stop.", "First.\n\nNobody must see this.", ""),
        ("I wait.", "Hm.", ""),
        (TALK, "", ""),
        ("", "And so on", "cut_off"),
    ]
    assert load(reasoned(tmp_path), "--split-reasoning") == counts(unchanged=4, holding_reasoning=3)
    assert "--split-reasoning" not in output(
        "importresponses", reasoned(tmp_path), "--format", "jsonl", *IMPORT, "--split-reasoning"
    )
