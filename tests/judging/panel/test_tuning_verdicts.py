"""The loop: a template is edited, the new version is asked on the tuning gold alone,
then the two are compared."""

import pytest

from arbiter.analysis.calibration.comparison import compare_judges
from arbiter.core.errors import UserError
from benchmark.models import Endpoint
from judging.models import Verdict
from judging.panel.judging_run import judge_study
from judging.panel.tuning_verdicts import tuning_items, want_tuning
from judging.panel.wanted_verdicts import pause
from judging.votes.goldsplit import is_sealed, split_gold, split_of
from tests.commands import as_json, refusal
from tests.judging.calibrated import golden
from tests.judging.described import described_study, edited, of
from tests.judging.helpers import endpoint, judge

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


@pytest.fixture
def study(db):
    return described_study()


def test_only_the_tuning_gold_is_asked(study):
    items = list(study.items.order_by("pk"))
    golden(study, items[:8])
    control = items[0].response.task
    type(control).objects.filter(pk=control.pk).update(control=True)
    split = split_gold(study, seed=2)
    expected = [
        item.pk
        for item in items[:8]
        if item.response.task_id != control.pk and not is_sealed(split, item.response.task_id)
    ]
    assert tuning_items(study) == expected and 0 < len(expected) < 8
    mine = of(study, "careful")
    assert want_tuning(study, mine) == len(expected)
    assert sorted(Verdict.objects.values_list("item", flat=True)) == expected
    assert want_tuning(study, mine) == 0
    assert set(Verdict.objects.values_list("study_judge", flat=True)) == {mine.pk}


def test_without_a_split_all_gold_is_asked_every_repeat(study):
    golden(study, list(study.items.all()[:5]))
    twice = judge(study, endpoint(name="other"), "twice", repeats=2)
    assert split_of(study) is None and want_tuning(study, twice) == 10


def test_who_is_not_asked(study):
    mine = of(study, "careful")
    with pytest.raises(UserError, match="no gold to tune on"):
        want_tuning(study, mine)
    golden(study)
    pause([mine])
    mine.refresh_from_db()
    with pytest.raises(UserError, match="is paused"):
        want_tuning(study, mine)
    edited(study)
    mine.refresh_from_db()
    with pytest.raises(UserError, match="was replaced"):
        want_tuning(study, mine)


@pytest.mark.django_db(transaction=True)
def test_the_whole_loop(study, simulator):
    """Both versions are asked by a service, the second on the tuning gold alone, and compared there."""
    Endpoint.objects.update(base_url=simulator.base_url)
    golden(study)
    split_gold(study, seed=2)
    judge_study(study, "careful")
    first = of(study, "careful").judge.rater
    made = edited(study)
    told = as_json("judge", "tiny", "--judge", "careful", "--tuning")
    assert told["verdicts"] == 6 and told["open"] == 0
    assert Verdict.objects.filter(study_judge=made).count() == 6
    comparison = compare_judges(study, first, made.judge.rater)
    assert comparison.part == "tuning" and comparison.items == 6
    assert comparison.both + comparison.counts["lost"] + comparison.counts["gained"] <= 6


@pytest.mark.parametrize("beside", [("--limit", "3"), ("--dry-run",), ("--pause",), ("--cancel",)])
def test_tuning_is_asked_by_itself(study, beside):
    said = refusal("judge", "tiny", "--tuning", *beside)
    assert f"takes no {beside[0]}" in said and not Verdict.objects.exists()
