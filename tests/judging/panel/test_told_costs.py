"""Costs that a service tells, and tokens that it had cached, on their way into a study's sums."""

import json

import pytest

from arbiter.analysis.spending import costs
from arbiter.calls.prices import PICO
from judging.models import Attempt, Budget, StudyJudge
from judging.panel.forecast import dry_run
from judging.panel.judging_run import judge_study
from judging.panel.metering import set_caps
from judging.panel.wanted_verdicts import active_judges
from tests import builders
from tests.arbiter.calls.services import completion, service
from tests.judging.helpers import cut_off, endpoint, judge

pytestmark = [
    pytest.mark.engine,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("quick_retries"),
]
SAID = json.dumps({"label": "convergence", "confidence": 0.5, "rationale": "So.", "evidence": []})


@pytest.fixture
def study(db):
    return builders.study()


def answers(usage, **headers):
    status, kept, body = completion(SAID, usage=usage)
    return lambda *_: (status, kept | headers, body)


def asked(study, answer, **prices):
    with service(answer) as url:
        made = judge(study, endpoint(url), parameters={"max_tokens": 100})
        StudyJudge.objects.filter(pk=made.pk).update(**prices)
        result = judge_study(study)
    return result, StudyJudge.objects.get()


@pytest.mark.parametrize(
    ("usage", "headers"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 3, "cost": 0.002}, {}),
        ({}, {"x-litellm-response-cost": "0.002"}),
    ],
)
def test_a_cost_that_is_told_goes_before_a_price(study, usage, headers):
    set_caps(study, None, PICO)
    _, by = asked(study, answers(usage, **headers), input_price=10, output_price=1000)
    assert (by.cost, by.cost_told, by.cost_at_most) == (6 * PICO // 500, 6 * PICO // 500, 0)
    assert set(Attempt.objects.values_list("cost", "cost_told")) == {(PICO // 500, True)}
    assert Budget.objects.get().cost == by.cost  # under a cap that is what is spent
    assert costs(study)["total"]["cost_told"] == by.cost_told


def test_without_a_price_a_cost_that_is_told_is_known(study):
    result, by = asked(study, answers({"cost": 0.002}))
    assert (result["dollars"], result["unpriced"]) == (pytest.approx(0.012), [])
    assert by.cost == 6 * PICO // 500 and by.output_price is None
    assert costs(study)["rows"][0]["cost"] == by.cost


def test_cached_tokens_are_kept_and_cost_what_they_do(study):
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 60}}
    _, by = asked(study, answers(usage), input_price=10, output_price=1000, cached_price=1)
    assert by.cost == 6 * (40 * 10 + 60 * 1 + 10 * 1000) and by.cost_told == 0
    assert set(Attempt.objects.values_list("cached_tokens", flat=True)) == {60}


def test_no_run_costs_more_than_the_dry_run_said_at_most(study):
    """Each verdict goes the dearest way: cut off, then bodies that are none for as often as it is asked."""
    study.items.exclude(pk=study.items.first().pk).delete()
    cut = cut_off("I th")
    turns = iter([cut, *[(200, {}, b"<html>")] * 9])
    with service(lambda *_: next(turns)) as url:
        made = judge(study, endpoint(url), parameters={"max_tokens": 100})
        StudyJudge.objects.filter(pk=made.pk).update(input_price=10, output_price=1000)
        said = dry_run(study, active_judges(study))["total"]["cost_at_most"]
        judge_study(study)
    spent = StudyJudge.objects.get().cost
    assert 0 < spent <= round(said * PICO)
    assert Attempt.objects.count() == 6
