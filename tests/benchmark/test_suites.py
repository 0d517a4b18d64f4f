"""Loading suites: versions, what the database holds to, and the command's JSON."""

import json

import pytest
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db import IntegrityError, transaction

from arbiter.core.errors import UserError
from benchmark.formats.records import ParsedCategory, ParsedSuite, ParsedTask
from benchmark.models import Category, Condition, Response, Run, Suite, Task
from benchmark.suites import get_suite, load_suite
from tests import builders
from tests.commands import as_json, refusal
from tests.together import expect_no_errors, together

pytestmark = pytest.mark.django_db
ROOMS = ParsedCategory("rooms", "Rooms", "Tests rooms.", "Is it a room?")


def parsed(*texts, category=ROOMS, **fields):
    tasks = [
        ParsedTask(**{"key": f"t{n}", "category": category.key, "text": text, **fields})
        for n, text in enumerate(texts, start=1)
    ]
    return ParsedSuite("House", (category,), tuple(tasks))


def test_the_builtin_suite_as_json():
    expected = {
        "suite": "arbiter@1",
        "tasks": 88,
        "controls": 12,
        "categories": {
            "Evading shutdown": 20,
            "Running multiple copies": 13,
            "Deceptive behaviour": 11,
            "Hiding unwanted behaviour": 11,
            "Strategically appearing aligned": 11,
            "Gaining restricted access": 10,
        },
    }
    assert as_json("loadsuite", "--slug", "arbiter") == {**expected, "created": 88, "unchanged": 0}
    before = list(Task.objects.values())
    assert as_json("loadsuite", "--slug", "arbiter") == {**expected, "created": 0, "unchanged": 88}
    assert list(Task.objects.values()) == before
    assert Suite.objects.get().title == "Arbiter's built-in suite"
    assert Task.objects.filter(training=True).count() == 16


def test_the_published_suite_as_json(shared):
    result = as_json("loadsuite", shared / "instrumentaleval", "--slug", "published")
    assert (result["tasks"], result["controls"], result["created"]) == (76, 0, 76)
    assert sorted(result["categories"].values()) == [10, 11, 11, 11, 13, 20]
    assert as_json("loadsuite", shared / "instrumentaleval", "--slug", "published")["unchanged"] == 76


@pytest.mark.parametrize(
    ("edited", "created"),
    [
        (parsed("Tidy up.", "Wash."), 1),
        (parsed("Tidy.", "Wash.", "Cook."), 1),
        (parsed("Tidy."), 0),
        (parsed("Tidy.", "Wash.", language="de"), 2),
        (parsed("Tidy.", "Wash.", control=True), 2),
        (parsed("Tidy.", "Wash.", training=True), 2),
        (parsed("Tidy.", "Wash.", meta={"sample": {"label": "nonsensical"}}), 2),
        (parsed("Tidy.", "Wash.", category=ParsedCategory("rooms", "Rooms", "Tests all rooms.")), 2),
    ],
)
def test_an_edited_suite_is_a_new_version_and_the_old_one_stays(edited, created):
    first = load_suite("house", parsed("Tidy.", "Wash."))
    before = list(first.suite.tasks.values())
    second = load_suite("house", edited)
    assert (str(second.suite), second.created) == ("house@2", created)
    assert second.unchanged == len(edited.tasks) - created
    assert list(first.suite.tasks.values()) == before
    again = load_suite("house", edited)
    assert (again.suite, again.created, again.unchanged) == (second.suite, 0, len(edited.tasks))


def test_meta_is_compared_by_content():
    load_suite("house", parsed("Tidy.", meta={"a": 1, "b": {"c": [1.5, None]}}))
    again = load_suite("house", parsed("Tidy.", meta={"b": {"c": [1.5, None]}, "a": 1}))
    assert (str(again.suite), again.unchanged) == ("house@1", 1)


def test_yaml_meta_with_keys_that_are_no_text_is_loaded_once(tmp_path):
    (tmp_path / "rooms.yaml").write_text(
        "category: {key: rooms, title: Rooms}\ntasks:\n  - {key: t1, text: Tidy., meta: {1: a, x: b, "
        "'true': c}}\n"
    )
    assert as_json("loadsuite", tmp_path, "--slug", "house")["created"] == 1
    assert as_json("loadsuite", tmp_path, "--slug", "house")["unchanged"] == 1


def test_yaml_meta_with_a_key_that_yaml_takes_for_true_is_refused_with_a_hint(tmp_path):
    (tmp_path / "rooms.yaml").write_text(
        "category: {key: rooms, title: Rooms}\ntasks:\n  - {key: t1, text: Tidy., meta: {yes: a}}\n"
    )
    with pytest.raises(CommandError, match=r"rooms\.yaml, line 3: .*put the word in quotes"):
        as_json("loadsuite", tmp_path, "--slug", "house")
    assert not Suite.objects.exists()


def test_a_task_has_the_text_it_was_made_with():
    task = builders.suite().tasks.first()
    task.control = True
    task.save()
    task.text += " "
    with pytest.raises(ValidationError, match="new version"):
        task.save()
    assert Task.objects.get(pk=task.pk).text == task.text[:-1]


def the_same_text(suite, run):
    Task.objects.create(
        suite=suite, category=suite.categories.first(), key="other", text=suite.tasks.first().text
    )


def the_same_key(suite, run):
    Task.objects.create(suite=suite, category=suite.categories.first(), key="task-1", text="Other.")


def a_category_twice(suite, run):
    Category.objects.create(suite=suite, key="alpha", title="A", position=9)


def a_version_twice(suite, run):
    Suite.objects.create(slug=suite.slug, version=suite.version, title="Again")


def a_run_twice(suite, run):
    Run.objects.create(suite=suite, subject=run.subject, condition=run.condition)


def a_response_twice(suite, run):
    builders.response(run, suite.tasks.first(), text="Another.")


def epoch_nought(suite, run):
    builders.response(run, suite.tasks.first(), epoch=0)


def an_unknown_state(suite, run):
    Response.objects.create(run=run, task=suite.tasks.last(), state="odd")


def a_condition_twice(suite, run):
    Condition.objects.create(name="another name", factors=run.condition.factors)


@pytest.mark.engine
@pytest.mark.parametrize(
    "wrong",
    [
        the_same_text,
        the_same_key,
        a_category_twice,
        a_version_twice,
        a_run_twice,
        a_response_twice,
        epoch_nought,
        an_unknown_state,
        a_condition_twice,
    ],
)
def test_the_database_refuses(wrong):
    suite = builders.suite()
    run = builders.run(suite)
    builders.response(run, suite.tasks.first())
    with pytest.raises(IntegrityError), transaction.atomic():
        wrong(suite, run)


def test_a_text_may_be_there_again_in_another_language_or_version():
    one = builders.suite()
    task = one.tasks.first()
    Task.objects.create(suite=one, category=task.category, key="t-de", text=task.text, language="de")
    builders.suite(slug="other")
    assert Task.objects.filter(text=task.text).count() == 3


def test_a_suite_is_named_with_or_without_its_version():
    for text in ["Tidy.", "Wash."]:
        load_suite("house", parsed(text))
    assert [str(get_suite(name)) for name in ("house", "house@1", "house@2")] == [
        "house@2",
        "house@1",
        "house@2",
    ]


def test_a_short_name_in_another_case_is_the_same_suite():
    load_suite("House", parsed("Tidy."))
    second = load_suite("house", parsed("Wash."))
    assert [str(suite) for suite in (second.suite, get_suite("HOUSE"), get_suite("house@1"))] == [
        "House@2",
        "House@2",
        "House@1",
    ]


def test_suites_that_stood_apart_by_case_are_found_as_they_are_written():
    for slug in ("House", "house"):
        builders.suite(slug)
    assert [str(get_suite(name)) for name in ("house", "House", "HOUSE")] == ["house@1", "House@1", "House@1"]


@pytest.mark.parametrize("name", ["hous", "@1", ""])
def test_a_suite_that_is_not_there_is_refused_with_those_that_are(name):
    load_suite("house", parsed("Tidy."))
    with pytest.raises(UserError, match="known: house"):
        get_suite(name)


@pytest.mark.parametrize("version", ["3", "", "x", "²", "01"])
def test_a_version_that_is_not_there_is_refused_with_the_newest(version):
    load_suite("house", parsed("Tidy."))
    with pytest.raises(UserError, match=f"has no version '{version}'; its newest is house@1"):
        get_suite(f"house@{version}")


@pytest.mark.parametrize("slug", ["", "a house", "house@2", "häuser", "x" * 81])
def test_a_short_name_that_could_not_be_asked_for_is_refused(slug):
    assert "short name of a suite" in refusal("loadsuite", "--slug", slug)
    assert not Suite.objects.exists()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"category": "x" * 201}, "category's title of at most 200"),
        ({"language": "x" * 21}, "language of at most 20"),
        ({"category_context": "a\x00"}, "category's context without NULs"),
        ({"meta": {"a": ["\ud800"]}}, "plain values"),
        ({"meta": {"a\x00": 1}}, "plain values"),
        ({"meta": {"a": float("nan")}}, "plain values"),
    ],
)
def test_what_only_some_database_would_refuse_is_refused_before(tmp_path, change, part):
    path = tmp_path / "house.jsonl"
    path.write_text(json.dumps({"key": "a", "category": "Rooms", "text": "Tidy."} | change))
    message = refusal("loadsuite", path, "--slug", "house")
    assert message.startswith(str(path)) and part in message
    assert not Suite.objects.exists()


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_a_suite_loaded_twice_at_once_is_one_version():
    tasks = parsed(*(f"Tidy room {number}." for number in range(200)))
    results = together(*[lambda: load_suite("house", tasks)] * 4)
    expect_no_errors([result for result in results if not isinstance(result, UserError)])
    assert [(str(suite), suite.tasks.count()) for suite in Suite.objects.all()] == [("house@1", 200)]
