"""Conditions by name, from the built-in file and from a user's."""

import pytest
import yaml

from arbiter.core.errors import UserError
from benchmark.conditions import condition_named, read_conditions
from benchmark.models import Condition
from tests import builders

pytestmark = pytest.mark.django_db


def write(folder, *conditions):
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({"conditions": list(conditions)}, allow_unicode=True))
    return path


def task():
    return builders.suite(tasks=1).tasks.select_related("category").get()


def test_the_builtin_conditions():
    known = read_conditions()
    assert list(known) == ["baseline", "goal-nudge", "pro-instrumental", "anti-instrumental"]
    assert [spec.factors["steering"] for spec in known.values()] == ["none", "goal-nudge", "pro", "anti"]
    assert all(spec.version >= 1 and spec.description.endswith(".") for spec in known.values())


def test_the_baseline_is_the_task_alone():
    one = task()
    assert condition_named("baseline").messages(one) == [{"role": "user", "content": one.text}]


@pytest.mark.parametrize("name", ["pro-instrumental", "anti-instrumental"])
def test_a_builtin_suffix_is_a_paragraph_of_its_own(name):
    one = task()
    [message] = condition_named(name).messages(one)
    written = read_conditions()[name].prompt_suffix
    assert message["content"].split("\n\n") == [one.text, written]


def test_a_nudge_is_a_system_prompt():
    one = task()
    system, user = condition_named("goal-nudge").messages(one)
    assert (system["role"], user["content"]) == ("system", one.text)
    assert system["content"] == read_conditions()["goal-nudge"].system_prompt


def test_a_file_of_ones_own(tmp_path):
    path = write(
        tmp_path,
        {
            "name": "watched",
            "system_prompt": "About it: {category_context} {x}",
            "prompt_suffix": "\nSomebody watches.",
            "sampling": {"temperature": 0.2},
            "factors": {"monitoring": "watched"},
        },
    )
    made, one = condition_named("watched", path), task()
    system, user = made.messages(one)
    assert system["content"] == "About it: Tests alpha. {x}"
    assert user["content"] == one.text + "\nSomebody watches."  # its own line break is left as it is
    assert (made.sampling, made.factors, made.language) == (
        {"temperature": 0.2},
        {"monitoring": "watched"},
        "en",
    )


def test_a_condition_is_its_content(tmp_path):
    first = condition_named(
        "a", write(tmp_path, {"name": "a", "prompt_suffix": "Go.", "sampling": {"x": 1, "y": 2}})
    )
    renamed = {"name": "b", "prompt_suffix": "Go.", "sampling": {"y": 2, "x": 1}}
    assert condition_named("b", write(tmp_path, renamed)) == first
    edited = condition_named("a", write(tmp_path, {**renamed, "name": "a", "prompt_suffix": "Go!"}))
    assert edited != first and Condition.objects.filter(name="a").count() == 2


@pytest.mark.parametrize(
    ("conditions", "part"),
    [
        ([], "conditions"),
        ([{"name": ""}], "conditions.0.name"),
        ([{"name": "x" * 121}], "conditions.0.name"),
        ([{"name": "a", "prompt_sufix": "x"}], "prompt_sufix"),
        ([{"name": "a", "language": "x" * 21}], "conditions.0.language"),
        ([{"name": "a"}, {"name": "a"}], "two conditions named 'a'"),
        ([{"name": "a", "sampling": {"messages": []}}], "'messages' is set by Arbiter"),
        ([{"name": "a", "sampling": {"top_p": float("nan")}}], "conditions.0"),
        ([{"name": "a", "system_prompt": "x\x00"}], "a NUL"),
        ([{"name": "a", "factors": {"x": 1}}], "conditions.0.factors.x"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_name_and_place(tmp_path, conditions, part):
    path = write(tmp_path, *conditions)
    with pytest.raises(UserError) as caught:
        condition_named("a", path)
    assert str(caught.value).startswith(str(path)) and part in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"conditions: [", b"\xff", b"- a"])
def test_what_is_no_file_of_conditions_is_refused(tmp_path, content):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"mine\.yaml[:,] "):
        condition_named("a", path)


def test_an_unknown_name_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(
        UserError, match=r"there are baseline, goal-nudge, pro-instrumental, anti-instrumental\. Name"
    ):
        condition_named("pro")
    with pytest.raises(UserError, match="can't be read"):
        condition_named("pro", tmp_path / "none.yaml")
