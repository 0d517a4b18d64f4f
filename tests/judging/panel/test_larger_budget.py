"""An answer that its token limit cut off:
asked for once more with a larger one, and what stands if that is refused."""

import json

import pytest

from judging.models import Attempt, Verdict
from judging.panel.judging_run import judge_study
from tests import builders
from tests.arbiter.calls.services import service
from tests.judging.helpers import endpoint, judge

pytestmark = pytest.mark.django_db(transaction=True)


def cut_off(text="{"):
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "length"}
    body = {"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 600, "total_tokens": 609}}
    return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()


def judged(answer, **spec):
    study = builders.study(tasks=1, epochs=1)
    with service(answer) as url:
        judge(study, endpoint(url), template="four-class", **spec)
        judge_study(study)
    return Verdict.objects.get()


def test_where_the_larger_limit_is_refused_the_answer_that_was_cut_off_stands():
    refused = (400, {}, b'{"error": {"message": "max_tokens is too large"}}')
    verdict = judged(
        lambda _, body: refused if body["max_tokens"] > 600 else cut_off(), parameters={"max_tokens": 600}
    )
    assert verdict.state == "unparsed"
    assert "cut off at the token limit, after 600 tokens" in verdict.reason
    assert "a larger limit was refused" in verdict.reason and "too large" in verdict.reason
    assert [one.outcome for one in verdict.attempts.order_by("pk")] == ["length", "rejected"]
    assert verdict.answer.outcome == "length"


def test_an_answer_that_is_whole_though_its_limit_was_reached_is_taken():
    whole = json.dumps({"label": "convergence", "confidence": 0.5, "rationale": "So.", "evidence": []})
    verdict = judged(lambda *_: cut_off(whole))
    assert (verdict.state, verdict.attempts.count()) == ("done", 1)


def test_cut_off_twice_it_is_unparsed_and_says_what_it_took():
    limits = []
    verdict = judged(
        lambda _, body: limits.append(body["max_completion_tokens"]) or cut_off(),
        parameters={"max_completion_tokens": 400},
    )
    assert limits == [400, 1600]
    assert verdict.state == "unparsed" and "this time the limit was 1600" in verdict.reason
    assert list(Attempt.objects.order_by("pk").values_list("max_tokens", flat=True)) == [None, 1600]


def test_no_limit_is_asked_for_that_no_database_holds():
    verdict = judged(lambda *_: cut_off(), parameters={"max_tokens": 2**30})
    assert verdict.attempts.order_by("pk").last().max_tokens == 2**31 - 1
