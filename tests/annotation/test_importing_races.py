"""Imports of the same responses at the same moment take turns: each response goes in once."""

import pytest

from annotation.models import Item, Rating, Study
from benchmark.models import Response, Run, Suite
from tests import builders
from tests.annotation.tables import IMPORT, jsonl, row
from tests.commands import as_json
from tests.together import expect_no_errors, together

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]


def rows():
    return [
        row(task=f"task-{task}", subject=subject, epoch=epoch, label_ann="convergence")
        for subject in ("model-a", "model-b", "model-c")
        for task in (1, 2, 3)
        for epoch in range(1, 21)
    ]


def importing(path, *more):
    return lambda: as_json("importresponses", path, "--format", "jsonl", *IMPORT, *more)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("study_is_there", [True, False])
def test_whoever_comes_later_finds_it_done(tmp_path, order, study_is_there):
    builders.suite(tasks=3)
    if study_is_there:
        as_json("importresponses", jsonl(tmp_path, row(epoch=99)), "--format", "jsonl", *IMPORT)
        builders.draw(Study.objects.get(), per_item=1, seed=0)
    ours = jsonl(tmp_path, *rows(), name="ours.jsonl")
    theirs = jsonl(tmp_path, *rows()[::order], name="theirs.jsonl")
    counts = expect_no_errors(together(importing(ours), importing(theirs), importing(ours)))
    assert sorted(count["responses"] for count in counts) == [0, 0, 180]
    assert sorted(count["unchanged"] for count in counts) == [0, 180, 180]
    before = int(study_is_there)
    assert Response.objects.count() == Item.objects.count() == 180 + before
    assert Rating.objects.count() == 180 and Run.objects.count() == 3
    if study_is_there:
        assert all(item.assignments.count() == 1 for item in Item.objects.all())


def test_a_suite_that_both_would_make_is_made_once(tmp_path):
    path = jsonl(tmp_path, *(each | {"prompt": f"Do {each['task']}."} for each in rows()))
    counts = expect_no_errors(together(*[importing(path, "--create-tasks")] * 3))
    assert sorted(count["responses"] for count in counts) == [0, 0, 180]
    assert [(str(suite), suite.tasks.count()) for suite in Suite.objects.all()] == [("tiny@1", 3)]
