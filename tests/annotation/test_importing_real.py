"""The twelve real runs of the steerability study, whole."""

import pytest

from annotation.models import Item, Rater, Rating, Study
from benchmark.models import Condition, Response, Run
from tests.annotation.tables import everything
from tests.commands import as_json

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


@pytest.fixture
def arguments(shared):
    as_json("loadsuite", shared / "instrumentaleval", "--slug", "published")
    return (shared / "steering", "--format", "steering", "--suite", "published", "--study", "real")


def test_they_come_to_852_responses_and_labels_and_the_second_time_to_none(arguments):
    first = as_json("importresponses", *arguments)
    assert first == {
        "runs": 12,
        "responses": 852,
        "ratings": 852,
        "gold": 0,
        "unchanged": 0,
        "kept": 0,
        "kept_at": [],
        "holding_reasoning": 0,
    }
    assert Study.objects.get().scheme.key == "four-class"
    assert Item.objects.count() == 852 and Rating.objects.votes().count() == 852
    before = everything()
    second = as_json("importresponses", *arguments)
    assert second == {
        "runs": 0,
        "responses": 0,
        "ratings": 0,
        "gold": 0,
        "unchanged": 852,
        "kept": 0,
        "kept_at": [],
        "holding_reasoning": 0,
    }
    assert everything() == before


def test_what_is_known_of_them_is_kept(arguments):
    as_json("importresponses", *arguments)
    assert sorted(Condition.objects.values_list("name", flat=True)) == ["anti_ic", "baseline", "pro_ic"]
    assert all(run.responses.count() == 71 and run.config["JUDGE_MODEL"] for run in Run.objects.all())
    judge = Rater.objects.get()
    assert (judge.name, judge.kind, judge.family) == ("gpt-5.2", "judge", "gpt")
    assert not Rating.objects.filter(shown__blind=True).exists()
    assert Response.objects.exclude(reasoning="").count() > 0
    asked = {task for run in Run.objects.all() for task in run.responses.values_list("task__key", flat=True)}
    assert len(asked) == 71
