"""Reading YAML: nothing is read as something else than it says, and no document takes more than it has."""

import ast
from pathlib import Path

import pytest

from annotation.schemes import scheme_from_file
from arbiter.core.errors import UserError
from arbiter.core.yamlfile import DEEPEST, LONGEST_FROM_A_PAGE, MOST_ALIASED, YamlError, load, parse_yaml
from benchmark.conditions import read_conditions
from benchmark.formats import read_suite

ROOT = Path(__file__).parents[3]
TEN = "[1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"


def bomb(rounds):
    """Return a document each line of which stands for ten of the one before it."""
    lines = [f"a0: &a0 {TEN}"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, rounds + 1)]
    return "\n".join(lines)


def refused(text, **options):
    with pytest.raises(YamlError) as error:
        load(text, **options)
    return error.value.said, error.value.line


@pytest.mark.parametrize("word", ["yes", "No", "on", "OFF", "true", "False"])
def test_a_key_that_yaml_takes_for_true_or_false_gets_a_hint(word):
    said, line = refused(f"labels:\n  {word}: it does\n")
    assert (said, line) == (
        f"the key {word} is no text (YAML reads yes, no, on and off as true and false; "
        f"put the word in quotes: '{word}')",
        2,
    )
    assert load(f"'{word}': 1") == {word: 1}
    assert load(f"x: {word}") == {"x": word.lower() in ("yes", "on", "true")}


@pytest.mark.parametrize(
    "tag",
    [
        "!!timestamp",
        "!!bool",
        "!!binary",
        "!!set",
        "!!omap",
        "!!float",
        "!!map",
        "!own",
        "!",
        "!!python/name:os",
    ],
)
def test_tags_are_refused(tag):
    said, line = refused(f"a: 1\nb: {tag} x\n")
    assert said == f"tags ({tag}) are not taken; write the value without, text in quotes" and line == 2


def test_a_tag_for_text_does_what_quotes_do():
    assert load("a: !!str 5") == {"a": "5"}


@pytest.mark.parametrize(
    "text", ["2024-01-05", "2024-13-45", "2001-12-14t21:59:43.10-05:00", "12:30", "190:20:30.15", "1e-3"]
)
def test_what_looks_like_a_date_or_a_time_is_the_text_it_is(text):
    assert load(f"a: {text}") == {"a": text}


def test_a_document_may_be_nested_so_deep_and_no_deeper():
    assert load("[" * DEEPEST + "]" * DEEPEST)
    for deep in ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "[" * 200_000, "{a: " * 200_000, "- " * 200_000):
        said, line = refused(deep)
        assert said == f"is nested more than {DEEPEST} deep" and line == 1


def test_aliases_stand_for_so_much_and_no_more():
    assert len(load(bomb(3))["a3"]) == 10
    said, line = refused(bomb(9))
    assert said == f"its aliases stand for more than {MOST_ALIASED} values; write them out" and line == 5
    assert load("a: &a {x: 1}\nb: {<<: *a, x: 2}\nc: *a") == {"a": {"x": 1}, "b": {"x": 2}, "c": {"x": 1}}


def test_an_alias_within_what_it_stands_for_is_refused():
    said, line = refused("a: 1\nb: &b [*b]\n")
    assert said == "is not valid YAML: *b stands for nothing that is complete before it" and line == 2


def test_a_page_takes_no_aliases_and_so_much_text():
    said, line = refused("a: &a 1\nb: *a", from_a_page=True)
    assert said == "aliases (*a) are not taken here; write the value out" and line == 2
    fits = "a: " + "x" * (LONGEST_FROM_A_PAGE - 3)
    assert load(fits, from_a_page=True)
    assert refused(fits + "x", from_a_page=True)[0].startswith(f"has {LONGEST_FROM_A_PAGE + 1} characters")


def test_a_key_given_twice_is_refused_also_below_a_merge():
    assert refused("a: {b: 1, b: 2}") == ("is not valid YAML: the key 'b' is there twice", 1)
    assert load("- &a {x: 1}\n- &b {x: 2, <<: *a}\n- {<<: *b, z: 3}")[2] == {"x": 2, "z": 3}


@pytest.mark.parametrize(
    "text", ["a: " + "9" * 5000, "a: \ud800", "a: \0", "a: *", "a:\n\tb: 1", "a: 1\n---\nb: 2", "? [a]\n: b"]
)
def test_what_is_no_yaml_is_one_sentence(text):
    with pytest.raises(UserError) as error:
        parse_yaml(text, "The file")
    said = str(error.value)
    assert said.startswith("The file") and "is not valid YAML: " in said and "\n" not in said


def test_every_kind_of_file_gives_the_hint(tmp_path):
    path = tmp_path / "file.yaml"
    path.write_text("category: {key: a, title: b}\ntasks:\n- {key: x, text: y, yes: 1}\n")
    for read in (read_suite, scheme_from_file, read_conditions):
        with pytest.raises(Exception, match=r"line 3.*the key yes is no text"):
            read(path)


def test_a_label_that_yaml_takes_for_true_gets_the_hint(tmp_path):
    path = tmp_path / "scheme.yaml"
    path.write_text("key: s\ntitle: S\nlabels:\n- {key: yes, title: Yes, role: target, definition: d}\n")
    with pytest.raises(UserError, match=r"labels\.0\.key: .*put the word in quotes"):
        scheme_from_file(path)


def test_yaml_is_read_in_one_place():
    """Whatever else reads YAML would have none of the limits."""
    readers = {f"yaml.{name}" for name in ("load", "safe_load", "full_load", "load_all", "safe_load_all")}
    files = []
    for folder in ("arbiter", "benchmark", "annotation", "judging", "config"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute) and ast.unparse(node) in readers:
                    files.append(str(path.relative_to(ROOT)))
    assert files == ["arbiter/core/yamlfile.py"]
