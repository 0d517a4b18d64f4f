"""What a dry run says of a study before a call is made."""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from annotation.models import Item, Question, Rater, Study
from annotation.schemes import builtin_scheme
from arbiter.calls.prices import PICO, Price, as_dollars, most, prompt_bytes
from arbiter.cli.dry_run_table import show_dry_run
from benchmark.models import Endpoint, Response
from judging.models import Attempt, Budget, Judge, StudyJudge, Verdict
from judging.panel import forecast
from judging.panel.forecast import dry_run
from judging.panel.prompting import ask
from judging.panel.wanted_verdicts import CANCELLED
from judging.prompts import template_text
from tests import builders

pytestmark = pytest.mark.django_db
CHEAP = Price(400_000, 1_600_000)  # 0.4 and 1.6 dollars for a million tokens
PARAMETERS = {"max_tokens": 100}


def judge(study: Study, name: str = "careful", price: Price | None = CHEAP, **fields: Any) -> StudyJudge:
    rater = Rater.objects.create(name=name, kind="judge", definition=name)
    endpoint, _ = Endpoint.objects.get_or_create(name="local", base_url="http://127.0.0.1:1/v1")
    made = Judge.objects.create(
        rater=rater,
        endpoint=endpoint,
        model="sim-judge-careful",
        template_name="scheme-json",
        template_text=template_text("scheme-json"),
        **{"parameters": PARAMETERS, **fields},
    )
    prices = {"input_price": price.input, "output_price": price.output} if price else {}
    return StudyJudge.objects.create(study=study, judge=made, **prices)


def asked(of: StudyJudge, item: Item, repeat: int = 0):
    return ask(of.judge, item, of.study.scheme_of(of.judge.question), repeat)


def attempt(of: StudyJudge, item: Item, repeat: int = 0, **fields: Any) -> Attempt:
    """Make a call, its verdict still open."""
    verdict, _ = Verdict.objects.get_or_create(study_judge=of, item=item, repeat=repeat)
    given = {
        "outcome": "answer",
        "cache_key": asked(of, item, repeat).cache_key,
        "started_at": timezone.now(),
        "latency": 0.1,
        **fields,
    }
    return Attempt.objects.create(uid=uuid4(), verdict=verdict, study_judge=of, **given)


def only(study: Study, **options: Any) -> dict[str, Any]:
    (row,) = dry_run(study, list(study.judges.all()), **options)["rows"]
    return row


def numbers(row: dict[str, Any]) -> tuple[int, ...]:
    return tuple(row[name] for name in ("verdicts", "final", "cached", "calls"))


def test_a_dry_run_before_any_call(study):
    of = judge(study)
    sizes = [prompt_bytes(asked(of, item).request) for item in study.items.all()]
    row = only(study)
    assert numbers(row) == (6, 0, 0, 6)
    assert row["prompt_tokens"] == -(-sum(sizes) // 4)
    assert row["completion_tokens"] == 6 * 100  # the usual 200, but the limit is 100
    assert row["cost"] == as_dollars(row["prompt_tokens"] * 400_000 + 600 * 1_600_000)
    worst = [most(asked(of, item).request, CHEAP, 100) for item in study.items.all()]
    assert row["cost_at_most"] == as_dollars(sum(worst)) > row["cost"]
    assert row["reasons"] == []
    assert "4 bytes a prompt token" in row["basis"][0]


def test_it_writes_nothing_and_calls_nobody(study, django_assert_max_num_queries):
    judge(study)
    with django_assert_max_num_queries(20) as made:
        dry_run(study, list(study.judges.all()))
    assert all(query["sql"].startswith(("SELECT", "DECLARE")) for query in made.captured_queries)
    assert not Verdict.objects.exists() and not Budget.objects.exists()


def test_what_is_final_or_answered_already_takes_no_call(study):
    of = judge(study)
    first, second, third, fourth, *_ = study.items.all()
    attempt(of, first)
    Verdict.objects.filter(item=first).update(state="unparsed")
    attempt(of, second)
    attempt(of, third, outcome="length")
    attempt(of, fourth, outcome="rate_limited")
    assert numbers(only(study)) == (6, 1, 2, 3)


def test_what_failed_is_a_call_to_make_where_it_is_asked_again(study):
    of = judge(study)
    first, second, *_ = study.items.all()
    Verdict.objects.create(study_judge=of, item=first, state="failed", reason="gave up")
    Verdict.objects.create(study_judge=of, item=second, state="unparsed", reason="no label")
    assert numbers(only(study)) == (6, 2, 0, 4)
    assert numbers(only(study, retry=True)) == (6, 1, 0, 5)
    assert only(study, retry=True)["prompt_tokens"] > only(study)["prompt_tokens"]


def test_what_a_cancelled_judge_owed_is_asked_again_in_any_case(study):
    of = judge(study)
    StudyJudge.objects.filter(pk=of.pk).update(status="cancelled")
    for item in study.items.all()[:2]:
        Verdict.objects.create(study_judge=of, item=item, state="failed", reason=CANCELLED)
    assert numbers(only(study)) == (6, 0, 0, 6)


def test_repeats_are_calls_of_their_own(study):
    of = judge(study, repeats=3)
    item = study.items.first()
    attempt(of, item, repeat=1)
    assert numbers(only(study)) == (18, 0, 1, 17)
    Verdict.objects.update(state="failed")
    assert numbers(only(study)) == (18, 1, 0, 17)


def test_an_equal_answer_in_another_study_counts(study):
    of = judge(study)
    other = Study.objects.create(slug="other", title="Other", scheme=study.scheme)
    item = Item.objects.create(study=other, response=study.items.first().response)
    attempt(StudyJudge.objects.create(study=other, judge=of.judge), item)
    assert numbers(only(study)) == (6, 0, 1, 5)


def test_tokens_are_estimated_from_the_judges_own_calls(study):
    of = judge(study, repeats=5)
    for repeat in range(4):
        for item in study.items.all():
            size = prompt_bytes(asked(of, item, repeat).request)
            attempt(of, item, repeat, prompt_tokens=size // 2, completion_tokens=40)
    row = only(study)
    left = sum(prompt_bytes(asked(of, item, 4).request) for item in study.items.all())
    assert numbers(row) == (30, 0, 24, 6)
    assert row["prompt_tokens"] == pytest.approx(left / 2, rel=0.01)
    assert row["completion_tokens"] == 6 * 40
    assert row["basis"] == ["tokens as in its last 24 calls"]


def test_its_calls_in_another_study_serve_as_well(study):
    of = judge(study)
    other = Study.objects.create(slug="other", title="Other", scheme=study.scheme)
    response = study.items.first().response
    for epoch in range(100, 120):
        Item.objects.create(study=other, response=builders.response(response.run, response.task, epoch))
    elsewhere = StudyJudge.objects.create(study=other, judge=of.judge, calls=20)
    for item in other.items.all():
        attempt(elsewhere, item, prompt_tokens=1000, completion_tokens=33, cache_key="x" * 64)
    row = only(study)
    assert row["completion_tokens"] == 6 * 33
    assert row["basis"] == ["tokens as in its last 20 calls"]


def test_without_a_price_there_is_a_reason_instead(study):
    judge(study, price=None)
    row = only(study)
    assert row["cost"] is row["cost_at_most"] is None
    assert row["prompt_tokens"] > 0
    assert "no price is known for sim-judge-careful" in row["reasons"][0]


def test_without_a_token_limit_there_is_no_bound(study):
    judge(study, parameters={})
    row = only(study)
    assert row["cost"] > 0
    assert row["cost_at_most"] is None
    assert "no token limit" in row["reasons"][0]


def test_a_free_judge_costs_nothing(study):
    judge(study, price=Price(0, 0), parameters={})
    row = only(study)
    assert (row["cost"], row["cost_at_most"]) == (0, 0)


def test_nothing_left_to_ask_costs_nothing_even_without_a_price(study):
    of = judge(study, price=None)
    for item in study.items.all():
        Verdict.objects.create(study_judge=of, item=item, state="failed")
    row = only(study)
    assert (row["calls"], row["cost"], row["cost_at_most"]) == (0, 0, 0)


def test_a_limit_goes_to_the_first_judges(study):
    judge(study)
    judge(study, "lenient", repeats=2)
    judge(study, "noisy")
    result = dry_run(study, list(study.judges.all()), limit=9)
    assert [row["calls"] for row in result["rows"]] == [6, 3, 0]
    assert result["total"]["calls"] == 9


def test_a_paused_judge_is_asked_nothing(study):
    of = judge(study)
    StudyJudge.objects.filter(pk=of.pk).update(status="paused")
    row = only(study)
    assert row["calls"] == 0 and "paused" in row["basis"][0]


def test_a_named_question_has_its_own_scheme(study):
    judge(study, question="severity")
    Question.objects.create(study=study, name="severity", scheme=builtin_scheme("graded"))
    assert only(study)["calls"] == 6


def test_totals(study):
    judge(study)
    judge(study, "lenient")
    result = dry_run(study, list(study.judges.all()))
    one, two = result["rows"]
    for name in ("verdicts", "calls", "prompt_tokens", "completion_tokens"):
        assert result["total"][name] == one[name] + two[name]
    assert result["total"]["cost"] == pytest.approx(one["cost"] + two["cost"])


def test_totals_say_what_is_known_and_of_whom_nothing_is(study):
    judge(study)
    judge(study, "lenient", price=None)
    result = dry_run(study, list(study.judges.all()))
    for name in ("cost", "cost_at_most"):
        assert result["total"][name] == result["rows"][0][name] > 0
    assert result["unpriced"] == ["lenient"]
    StudyJudge.objects.update(input_price=None, output_price=None)
    result = dry_run(study, list(study.judges.all()))
    assert result["total"]["cost"] is result["total"]["cost_at_most"] is None
    assert result["unpriced"] == ["careful", "lenient"]


def test_the_worst_case_in_all_is_unknown_where_a_priced_judge_has_none(study):
    judge(study)
    judge(study, "lenient", parameters={})
    result = dry_run(study, list(study.judges.all()))
    assert result["total"]["cost"] > 0 and result["total"]["cost_at_most"] is None
    assert result["unpriced"] == []


# Large studies


def test_a_large_study_is_estimated_from_a_sample(study, monkeypatch):
    monkeypatch.setattr(forecast, "BUILT", 3)
    monkeypatch.setattr(forecast, "SAMPLE", 4)
    judge(study)
    exact_sizes = sorted(len(item.response.text) for item in study.items.all())
    assert exact_sizes[0] == exact_sizes[-1]  # so that any sample is as good as all
    row = only(study)
    assert numbers(row) == (6, 0, 0, 6)
    assert "estimated from 4 of 6 verdicts" in row["basis"][0]
    monkeypatch.setattr(forecast, "BUILT", 2000)
    whole = only(study)
    assert row["prompt_tokens"] == pytest.approx(whole["prompt_tokens"], rel=0.02)
    assert row["cost_at_most"] == pytest.approx(whole["cost_at_most"], rel=0.02)


def test_a_sample_is_taken_of_every_repeat(study, monkeypatch):
    monkeypatch.setattr(forecast, "BUILT", 3)
    monkeypatch.setattr(forecast, "SAMPLE", 4)
    of = judge(study, repeats=2)
    for item in study.items.all():
        attempt(of, item, repeat=1)
    assert numbers(only(study)) == (12, 0, 6, 6)


def test_the_sample_is_the_same_each_time(study, monkeypatch):
    monkeypatch.setattr(forecast, "BUILT", 3)
    monkeypatch.setattr(forecast, "SAMPLE", 2)
    Response.objects.filter(pk=study.items.first().response_id).update(text="long " * 500)
    judge(study)
    assert only(study) == only(study)


# Caps


def cap(study: Study, **fields: Any) -> None:
    Budget.objects.create(study=study, **fields)


def answer(study: Study) -> dict[str, Any]:
    return dry_run(study, list(study.judges.all()))


def test_a_study_without_a_cap(study):
    judge(study)
    result = answer(study)
    assert result["fits"] is True
    assert result["cap"] == result["left"] == {"calls": None, "dollars": None}


def test_calls_within_their_cap(study):
    judge(study)
    cap(study, max_calls=10, calls=4)
    result = answer(study)
    assert result["fits"] is True
    assert (result["cap"]["calls"], result["left"]["calls"]) == (10, 6)


def test_calls_past_their_cap(study):
    judge(study)
    cap(study, max_calls=10, calls=5)
    result = answer(study)
    assert result["fits"] is False
    assert result["why"] == "it takes 6 calls, and the study's cap leaves 5"


@pytest.mark.parametrize(("share", "fits"), [(1.01, True), (0.99, None), (0.001, False)])
def test_dollars_under_a_cap(study, share, fits):
    judge(study)
    at_most = answer(study)["total"]["cost_at_most"]
    cap(study, max_cost=round(at_most * share * PICO))
    assert answer(study)["fits"] is fits


def test_a_cap_in_dollars_where_the_price_is_not_known(study):
    judge(study, price=None)
    cap(study, max_cost=PICO)
    result = answer(study)
    assert result["fits"] is None
    assert result["why"] == "what careful costs is not known, and the study has a cap in dollars"


def test_what_is_known_of_the_cost_may_be_past_the_cap_already(study):
    judge(study)
    judge(study, "lenient", price=None)
    cap(study, max_cost=1)
    assert answer(study)["fits"] is False


def test_a_cap_that_is_overspent_leaves_nothing(study):
    judge(study)
    cap(study, max_cost=PICO, cost=2 * PICO)
    result = answer(study)
    assert (result["left"]["dollars"], result["fits"]) == (0, False)


# For people


def test_what_people_see(study, capsys):
    judge(study)
    judge(study, "lenient", price=None)
    cap(study, max_calls=5)
    show_dry_run(answer(study))
    shown = capsys.readouterr().out
    assert re.search(r"careful +6 +0 +0 +6 .* \$0\.00\d+ +\$0\.\d+", shown)
    assert re.search(r"lenient +6 .* – +–", shown)
    assert re.search(r"in all +12 .* \$0\.00\d+ +\$0\.\d+", shown)
    assert "in all: the money is of the judges whose price is known, so not of lenient." in shown
    assert "lenient: no price is known for sim-judge-careful; give the judge one in the study file." in shown
    assert "come on top; at most holds with them." in shown
    assert shown.rstrip().endswith("Does not fit: it takes 12 calls, and the study's cap leaves 5.")
