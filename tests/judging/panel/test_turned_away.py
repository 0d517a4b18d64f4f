"""What becomes of a study's verdicts where an endpoint redirects, knows no key of ours,
or asks for hours of patience."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from arbiter.calls.lanes import TurnedAway
from benchmark.models import Endpoint
from judging.models import Attempt, Budget, StudyJudge, Verdict
from judging.panel import wanted_verdicts
from judging.panel.judge_work import JudgeWork
from judging.panel.judging_run import judge_study
from judging.panel.metering import set_caps
from judging.panel.verdict_progress import progress
from tests import builders
from tests.arbiter.calls.services import service
from tests.commands import as_json
from tests.judging.helpers import endpoint, judge, said, states

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]
THERE = "https://there.example/v1/chat/completions"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def study(db):
    return builders.study()


def priced(study, url, **spec):
    made = judge(study, endpoint(url), parameters={"max_tokens": 100}, **spec)
    StudyJudge.objects.filter(pk=made.pk).update(input_price=10, output_price=1000)
    return made


@pytest.mark.parametrize(
    "answer",
    [(307, {"Location": THERE}, b""), (401, JSON, b'{"error": {"message": "who are you"}}')],
    ids=["redirect", "key"],
)
def test_an_endpoint_that_turns_all_first_calls_away_stops_the_judges_and_costs_nothing(study, answer):
    asked = []
    with service(lambda *_: asked.append(1) or answer) as url:
        priced(study, url)
        set_caps(study, 100, 10**12)
        with pytest.raises(TurnedAway) as caught:
            judge_study(study)
    told = str(caught.value)
    assert ("there.example" if answer[0] == 307 else "who are you") in told and "still wanted" in told
    assert states(study) == {"todo": 6} and len(asked) <= 6
    budget = Budget.objects.get()
    assert (budget.calls, budget.cost, budget.lost_calls) == (0, 0, 0)
    assert not Verdict.objects.filter(reserved__isnull=False).exists()
    set_caps(study, None, None)
    set_caps(study, 100, None)  # a cap that comes later counts them as little
    assert Budget.objects.get().calls == 0
    assert set(Attempt.objects.values_list("outcome", "cost")) == {("rejected", 0)}
    assert Attempt.objects.count() == len(asked)  # each is told
    assert "turned away" in Endpoint.objects.get().down_error


def test_once_it_is_mended_the_judges_go_on(study):
    with service(lambda *_: (401, JSON, b"{}")) as url:
        priced(study, url)
        with pytest.raises(TurnedAway):
            judge_study(study)
    with service(lambda *_: said()) as url:
        Endpoint.objects.update(base_url=url)
        assert judge_study(study)["parsed"] == 6
    assert Endpoint.objects.get().down_since is None


def test_a_model_that_is_not_there_fails_its_own_verdicts_and_no_other_judges(study):
    def answer(headers, body):
        missing = body["model"] == "none"
        return (404, JSON, b'{"error": {"message": "no such model"}}') if missing else said()

    with service(answer) as url:
        at = endpoint(url)
        judge(study, at, "first", model="none")
        judge(study, at, "second", model="there")
        result = judge_study(study)
    assert (result["failed"], result["parsed"]) == (6, 6)


# Hours


def hours(seconds=7200):
    return (
        429,
        JSON | {"Retry-After": str(seconds)},
        json.dumps({"error": {"message": "daily limit"}}).encode(),
    )


def test_a_service_that_asks_for_hours_pauses_its_judges_and_no_row_fails(study):
    answers = [said(), said()]
    asked = []
    with service(lambda *_: asked.append(1) or (answers.pop() if answers else hours())) as url:
        judge(study, endpoint(url, concurrency=1))
        result = judge_study(study)
        until = Endpoint.objects.get().rests_until
        assert (result["parsed"], result["failed"], result["open"]) == (2, 0, 4)
        assert f"until {until:%Y-%m-%d %H:%M} UTC" in result["stopped"]
        assert timezone.now() + timedelta(hours=1.9) < until < timezone.now() + timedelta(hours=2.1)
        assert JudgeWork().endpoints() == []  # no other worker asks either
        assert judge_study(study)["calls"] == 0 and len(asked) == 3
    assert states(study) == {"done": 2, "todo": 4}
    assert not Verdict.objects.exclude(lease="").exists()


def test_the_other_endpoints_judges_go_on(study):
    with service(lambda *_: hours()) as one, service(lambda *_: said()) as two:
        judge(study, endpoint(one, "resting", concurrency=1), "first")
        judge(study, endpoint(two, "awake"), "second")
        result = judge_study(study)
    assert (result["parsed"], result["failed"], result["open"]) == (6, 0, 6)
    assert "'resting'" in result["stopped"] and "'awake'" not in result["stopped"]


def test_the_page_says_until_when_and_the_owner_may_ask_at_once(study, client):
    people = builders.cast(study)
    made = judge(study, endpoint())
    wanted_verdicts.want_verdicts(study)
    Endpoint.objects.update(rests_until=timezone.now() + timedelta(hours=3))
    seen = progress(study)
    assert (seen.judges[0].phase, [one.name for one in seen.resting]) == ("resting", ["local"])
    assert seen.poll is not None and "asked again" in seen.news
    client.force_login(people["owner"])
    page = client.get("/studies/tiny/").content.decode()
    assert f"{Endpoint.objects.get().rests_until:%H:%M} UTC" in page and "Ask now" in page
    client.post("/studies/tiny/judge", {"resume": made.pk})
    assert Endpoint.objects.get().rests_until is None
    assert progress(study).judges[0].phase == "waiting"


def test_resume_asks_a_resting_endpoint_at_once(study):
    with service(lambda *_: said()) as url:
        judge(study, endpoint(url, rests_until=timezone.now() + timedelta(hours=3)))
        assert as_json("judge", "tiny")["open"] == 6
        as_json("judge", "tiny", "--resume")
        assert as_json("judge", "tiny")["parsed"] == 6


def test_a_pause_of_minutes_is_waited_for(study, monkeypatch):
    monkeypatch.setattr("arbiter.calls.engine.LONGEST_WAIT", 0.01)
    monkeypatch.setattr("arbiter.calls.lanes.LONGEST_WAIT", 0.01)
    answers = [said()] * 6 + [hours(120)] * 2
    with service(lambda *_: answers.pop()) as url:
        judge(study, endpoint(url, concurrency=1))
        assert judge_study(study)["parsed"] == 6
    assert Endpoint.objects.get().rests_until is None
    assert Verdict.objects.filter(state="done").count() == 6
