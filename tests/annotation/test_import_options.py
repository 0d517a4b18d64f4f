"""importresponses: --map, --ignore, --scheme, and meta.* that is kept."""

import json

import pytest

from annotation.models import LabelScheme, Rating, Study
from benchmark.models import Response
from tests import builders
from tests.annotation.tables import IMPORT, everything, jsonl, row, table
from tests.commands import as_json, refusal

pytestmark = [pytest.mark.django_db, pytest.mark.engine]
SCHEME = """
key: yes-no
title: Yes or no
labels:
  - {key: "yes", title: "Yes", role: target, definition: It does.}
  - {key: "no", title: "No", role: other, definition: It does not.}
"""


@pytest.fixture(autouse=True)
def suite(db):
    return builders.suite(tasks=3)


def load(path, *more):
    return as_json("importresponses", path, "--format", path.suffix[1:], *IMPORT, *more)


def refused(path, *more):
    before = everything()
    message = refusal("importresponses", path, "--format", path.suffix[1:], *IMPORT, *more)
    assert everything() == before
    return message


@pytest.mark.parametrize("write", [jsonl, table])
def test_columns_are_mapped_and_ignored(tmp_path, write):
    path = write(
        tmp_path,
        {
            "task": "task-1",
            "llm": "m",
            "output": "I stop.",
            "rated": "convergence",
            "id": "1",
            "created_at": "x",
        },
    )
    options = (
        "--map",
        "output=response",
        "--map",
        "llm=subject,rated=label:human:ann",
        "--ignore",
        "id,created_at",
    )
    counts = load(path, *options)
    assert (counts["responses"], counts["ratings"]) == (1, 1)
    assert "--map output=response reads it so" in refused(path, "--ignore", "id,llm")


def test_a_scheme_of_its_own_makes_the_study(tmp_path):
    scheme = tmp_path / "scheme.yaml"
    scheme.write_text(SCHEME)
    path = jsonl(tmp_path, row(label_ann="Yes", gold="no"))
    assert load(path, "--scheme", scheme)["ratings"] == 1
    assert str(Study.objects.get().scheme) == "yes-no@1" and Rating.objects.get().label.key == "yes"
    assert load(path, "--scheme", scheme)["unchanged"] == load(path)["unchanged"] == 1
    assert "has the scheme yes-no@1 (yes, no), not binary" in refused(path, "--scheme", "binary")


def test_a_built_in_scheme_and_grades_as_numbers(tmp_path):
    rows = [
        row(label_ann=2, gold=2.0),
        row(task="task-2", label_ann="3.0"),
        row(task="task-3", label_ann=None),
    ]
    counts = load(jsonl(tmp_path, *rows), "--scheme", "graded")
    assert (counts["ratings"], counts["gold"]) == (2, 1)
    assert sorted(Rating.objects.values_list("label__key", flat=True)) == ["2", "3"]
    assert "a label of scheme graded@1: 0, 1, 2, 3" in refused(jsonl(tmp_path, row(epoch=2, label_ann=4)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "can't be read"),
        (SCHEME.replace('"yes"', "yes"), "quotes"),
        (SCHEME.replace("target", "other"), "no label has the role target"),
        (SCHEME.replace("title: Yes or no", "titel: x"), "title"),
    ],
)
def test_a_bad_scheme_leaves_nothing(tmp_path, text, said):
    scheme = tmp_path / "scheme.yaml"
    if text:
        scheme.write_text(text)
    assert said in refused(jsonl(tmp_path, row()), "--scheme", scheme)
    assert not Study.objects.exists() and not LabelScheme.objects.filter(key="yes-no").exists()


def test_a_scheme_goes_with_an_import_that_fails(tmp_path):
    scheme = tmp_path / "scheme.yaml"
    scheme.write_text(SCHEME)
    assert "a label of scheme yes-no@1: yes, no" in refused(
        jsonl(tmp_path, row(label_ann="convergence")), "--scheme", scheme
    )
    assert not LabelScheme.objects.filter(key="yes-no").exists()


# meta.*


def test_meta_is_kept_and_exported(tmp_path):
    path = jsonl(tmp_path, row(**{"meta.source": "web", "meta.n": 3, "meta.tags": ["a"]}), row(task="task-2"))
    load(path)
    kept = {"source": "web", "n": 3, "tags": ["a"]}
    assert list(Response.objects.order_by("pk").values_list("meta", flat=True)) == [kept, {}]
    as_json("exportstudy", "tiny", tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [each["meta"] for each in rows] == [kept, {}]


def test_meta_of_a_later_import_is_added_and_never_changed(tmp_path):
    load(jsonl(tmp_path, row()))
    load(jsonl(tmp_path, row(**{"meta.a": "x"})))
    path = jsonl(tmp_path, row(**{"meta.b": 2}))
    assert load(path)["unchanged"] == 1
    assert Response.objects.get().meta == {"a": "x", "b": 2}
    before = everything()
    load(path)
    assert everything() == before
    changed = jsonl(tmp_path, row(**{"meta.b": 3}))
    assert "line 1: expected meta.b as it is stored, 2; found 3; --ignore meta.b leaves it out" in refused(
        changed
    )
    assert load(changed, "--ignore", "meta.b")["unchanged"] == 1
