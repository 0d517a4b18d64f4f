"""How far the judges are: counted, timed, told in words, and never at the price of reading every verdict."""

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation.models import Item
from arbiter.calls.call_progress import PACE_CALLS, STILL, RecentCall, pace, quantile
from benchmark.models import Endpoint
from judging.models import Budget, StudyJudge, Verdict
from judging.panel.verdict_progress import progress
from tests import builders
from tests.judging.helpers import endpoint, judge
from tests.judging.rows import attempt, leased, verdict

pytestmark = pytest.mark.django_db
URL = "/studies/tiny/"


@pytest.fixture
def by(study):
    return judge(study, endpoint())


@pytest.fixture
def items(study):
    return list(study.items.order_by("id"))


def only(study):
    return progress(study).judges[0]


def calls(*ages, latency=0.5, outcome="answer", verdicts=None):
    now = timezone.now()
    recent = [
        RecentCall(
            (verdicts or range(99))[n], outcome, now - timedelta(seconds=age + latency), latency, False
        )
        for n, age in enumerate(ages)
    ]
    return recent, now


# Counting


def test_verdicts_are_counted_by_state_and_what_was_never_asked_for_is_missing(study, items):
    by = judge(study, endpoint(), repeats=2)
    for item, state in zip(items, ["done", "unparsed", "refused", "failed"], strict=False):
        verdict(by, item, state)
    leased(by, items[4])
    judge_progress = only(study)
    assert (
        judge_progress.study_judge,
        judge_progress.wanted,
        judge_progress.finished,
        judge_progress.open,
        judge_progress.missing,
    ) == (by, 12, 4, 1, 7)
    assert dict(judge_progress.counts) == {
        "done": 1,
        "unparsed": 1,
        "refused": 1,
        "failed": 1,
        "leased": 1,
        "todo": 0,
    }


def test_a_row_whose_worker_died_counts_as_open(study, by, items):
    leased(by, items[0], seconds=-1)
    leased(by, items[1])
    judge_progress = only(study)
    assert (judge_progress.count("leased"), judge_progress.count("todo"), judge_progress.open) == (1, 1, 2)


def test_the_bars_parts_follow_one_another_and_leave_what_is_missing(study, by, items):
    verdict(by, items[0], "done")
    verdict(by, items[1], "unparsed")
    verdict(by, items[2])
    widths = {part.state: (part.start, part.width) for part in only(study).parts}
    assert widths["done"] == (0, 16.667) and widths["unparsed"] == (16.667, 16.667)
    assert widths["todo"] == (33.333, 16.667) and widths["failed"][1] == 0


def test_a_replaced_judge_is_not_shown_but_what_it_cost_is_told(study, by):
    StudyJudge.objects.filter(pk=by.pk).update(active=False, calls=7, cost=10**12)
    seen = progress(study)
    assert seen.judges == [] and seen.spent_before == {"calls": 7, "cost": 10**12}


def test_totals_add_the_judges_up(study, by, items):
    other = judge(study, by.judge.endpoint, "noisy")
    for one in (by, other):
        verdict(one, items[0], "done")
    leased(other, items[1])
    StudyJudge.objects.update(calls=3, cost=5)
    seen = progress(study)
    assert (seen.total.finished, seen.total.count("leased"), seen.total.wanted) == (2, 1, 12)
    assert seen.spent["calls"] == 6 and seen.spent["cost"] == 10


# Pace


def test_calls_a_second_are_those_of_the_last_half_minute():
    recent, now = calls(1, 2, 3, 40)
    assert pace(recent, now).calls == pytest.approx(3 / 30)


def test_a_judge_that_has_just_begun_is_measured_since_then():
    recent, now = calls(0, 1, 2, 3.5)
    assert pace(recent, now).calls == pytest.approx(4 / 4)


def test_of_many_calls_the_span_of_those_looked_at_counts():
    recent, now = calls(*[n / 100 for n in range(400)], verdicts=list(range(400)))
    assert pace(recent, now).calls == pytest.approx(400 / 4.49, rel=0.01)


def test_verdicts_a_second_count_each_verdict_once_and_only_what_was_answered():
    recent, now = calls(1, 2, 40, verdicts=[7, 7, 8])
    assert pace(recent, now).rows == pytest.approx(1 / 30)
    recent, now = calls(1, 2, 40, outcome="timeout")
    assert pace(recent, now).rows == 0


def test_latencies_are_of_answered_calls():
    slow, _ = calls(1, latency=9.0, outcome="timeout")
    quick, now = calls(*[1] * 20, latency=0.2)
    measured = pace([*slow, *quick], now)
    assert (measured.p50, measured.p95) == (0.2, 0.2)


@pytest.mark.parametrize(("share", "value"), [(0.5, 10), (0.95, 19), (1.0, 20)])
def test_a_quantile_is_a_value_that_was_there(share, value):
    assert quantile(range(1, 21), share) == value
    assert quantile([], share) is None


def test_time_left_comes_from_what_is_answered_and_is_unknown_while_nothing_moves(study, by, items):
    verdict(by, items[1])
    assert only(study).seconds_left is None
    held = leased(by, items[0])
    attempt(held, ago=1)
    attempt(held, ago=90)
    assert only(study).seconds_left == pytest.approx(2 * 30)
    assert progress(study).seconds_left == pytest.approx(2 * 30)


# Where things stand


def test_a_judge_nobody_asked_then_waiting_working_and_finished(study, by, items):
    seen = progress(study)
    assert (seen.judges[0].phase, seen.poll, seen.news) == ("not asked", None, "6 verdicts to ask for.")
    rows = [verdict(by, item) for item in items]
    seen = progress(study)
    assert (seen.judges[0].phase, seen.poll, seen.news) == ("waiting", 2, "Waiting for a worker.")
    Verdict.objects.filter(pk=rows[0].pk).update(
        state="leased", leased_until=timezone.now() + timedelta(seconds=9)
    )
    seen = progress(study)
    assert (seen.judges[0].phase, seen.poll) == ("working", 2)
    Verdict.objects.update(state="unparsed")
    seen = progress(study)
    assert (seen.judges[0].phase, seen.poll) == ("finished", None)
    assert seen.news == "Every verdict is in, 6 of them without a label."


@pytest.mark.parametrize("status", ["paused", "cancelled"])
def test_a_judge_that_was_halted_says_so_and_is_looked_at_seldom(study, by, items, status):
    verdict(by, items[0])
    StudyJudge.objects.update(status=status)
    seen = progress(study)
    assert (seen.judges[0].phase, seen.poll) == (status, 15)


def test_that_no_worker_comes_is_said_after_a_while(study, by, items):
    verdict(by, items[0])
    assert [progress(study, still).unattended for still in (0, STILL - 2, STILL - 1)] == [False, False, True]
    leased(by, items[1])
    seen = progress(study, 100)
    assert not seen.unattended and seen.still == 0


def test_an_endpoint_that_is_down_is_told_while_something_waits_for_it(study, by, items):
    Endpoint.objects.update(down_since=timezone.now(), down_error="nobody there")
    assert progress(study).down == []
    verdict(by, items[0])
    seen = progress(study)
    assert seen.down == [by.judge.endpoint] and seen.judges[0].phase == "endpoint down"
    assert seen.poll == 2 and not seen.waiting
    StudyJudge.objects.update(status="paused")
    assert progress(study).down == []


def test_a_cap_that_is_reached_is_told_while_something_waits(study, by, items):
    Budget.objects.create(study=study, max_calls=10, calls=10, reached=True)
    assert progress(study).reached == ""
    verdict(by, items[0])
    seen = progress(study)
    assert "10 of 10 calls" in seen.reached and seen.news == "Stopped at the study's cap."
    assert (seen.judges[0].phase, seen.poll) == ("at the cap", 15)


def test_a_judge_is_simulated_where_its_calls_were_or_else_its_ratings(study, by, items):
    other = judge(study, by.judge.endpoint, "noisy")
    verdict(by, items[0], "done", rated={"simulated": True}, cached=True)
    assert [one.simulated for one in progress(study).judges] == [True, False]
    attempt(verdict(other, items[0], "failed"), simulated=True)
    assert [one.simulated for one in progress(study).judges] == [True, True]


# The page


def more(study, count, first):
    """Add so many items, each with a verdict that took two calls."""
    by = study.judges.get()
    response = study.items.first().response
    for n in range(first, first + count):
        item = Item.objects.create(
            study=study, response=builders.response(response.run, response.task, epoch=n)
        )
        made = verdict(by, item, "failed" if n % 3 else "unparsed", reason="no")
        attempt(made, "timeout")
        attempt(made)


@pytest.mark.parametrize("page", ["progress", "errors"])
def test_a_look_costs_no_more_queries_the_more_there_is(
    client, study, cast, by, page, django_assert_max_num_queries
):
    client.force_login(cast["owner"])
    more(study, 2, first=100)
    with django_assert_max_num_queries(25) as few:
        client.get(URL + page)
    more(study, 30, first=200)
    with django_assert_max_num_queries(len(few)):
        client.get(URL + page)


def test_a_look_reads_a_bounded_number_of_calls(study, by, django_assert_max_num_queries):
    with django_assert_max_num_queries(12) as seen:
        progress(study)
    of_calls = [query["sql"] for query in seen if "judging_attempt" in query["sql"]]
    assert of_calls and all(f"LIMIT {PACE_CALLS}" in sql for sql in of_calls)


def page_of(client, user, url=URL, **headers):
    client.force_login(user)
    return client.get(url, **headers).content.decode()


def test_the_page_polls_while_something_moves_and_not_afterwards(client, study, cast, by, items):
    verdict(by, items[0])
    shown = page_of(client, cast["viewer"])
    assert 'hx-trigger="every 2s"' in shown and "progress?still=1" in shown
    assert "progress?still=8" in page_of(client, cast["viewer"], URL + "progress?still=7")
    Verdict.objects.all().delete()
    assert "hx-trigger" not in page_of(client, cast["viewer"])


@pytest.mark.parametrize("still", ["", "-1", "x", "\u00b2", "9" * 30])
def test_an_odd_count_of_looks_is_none(client, study, cast, by, items, still):
    verdict(by, items[0])
    assert "progress?still=1" in page_of(client, cast["viewer"], URL + f"progress?still={still}")


def test_the_page_says_what_holds_the_judges_up(client, study, cast, by, items):
    verdict(by, items[0])
    Budget.objects.create(study=study, max_calls=10, max_cost=5 * 10**12, calls=10, cost=10**12, reached=True)
    shown = page_of(client, cast["viewer"])
    assert (
        "The study&#x27;s cap is reached: 10 of 10 calls" in shown
        and "$1.00<small> of $5.00</small>" in shown
    )
    Budget.objects.update(reached=False)
    Endpoint.objects.update(down_since=timezone.now(), down_error="<b>nobody</b> there")
    shown = page_of(client, cast["viewer"])
    assert "Endpoint local has been down since" in shown and "&lt;b&gt;nobody&lt;/b&gt; there" in shown


def test_a_cost_is_told_with_the_part_that_is_a_bound_or_that_no_price_is_known(client, study, cast, by):
    assert "price not known" in page_of(client, cast["viewer"])
    StudyJudge.objects.update(input_price=1, output_price=1, cost=2 * 10**12, cost_at_most=10**12)
    shown = page_of(client, cast["viewer"])
    assert "$2.00" in shown and "$1.00 of it at most" in shown and "price not known" not in shown


def test_only_an_owner_is_offered_what_changes_something(client, study, cast, by, items):
    verdict(by, items[0], "failed")
    assert page_of(client, cast["owner"]).count('name="ask"') == 2
    for person in ("viewer", "adjudicator"):
        assert 'name="ask"' not in page_of(client, cast[person])


def test_scorers_are_listed_with_their_labels_and_failures(client, study, cast, items):
    assert "Scorers" not in page_of(client, cast["viewer"])
    builders.rate(items[0], builders.rater("checker", "scorer"))
    assert '<td class="number">1</td>' in page_of(client, cast["viewer"]).split("<h2>Scorers</h2>")[1]


# What an owner can do


def act(client, cast, action, which="all", htmx=False):
    client.force_login(cast["owner"])
    headers = {"HX-Request": "true"} if htmx else {}
    answer = client.post(URL + "judge", {action: which}, follow=not htmx, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def status(of):
    return StudyJudge.objects.get(pk=of.pk).status


def test_asking_wants_what_is_missing(client, study, cast, by):
    assert "6 verdicts asked for" in act(client, cast, "ask")
    assert "asked for already" in act(client, cast, "ask")
    assert Verdict.objects.filter(state="todo").count() == 6


def test_one_judge_or_all_are_paused_and_resumed(client, study, cast, by):
    other = judge(study, by.judge.endpoint, "noisy")
    assert "1 judge paused" in act(client, cast, "pause", by.pk)
    assert (status(by), status(other)) == ("paused", "running")
    assert "1 judge paused" in act(client, cast, "pause")
    assert "careful is paused" in act(client, cast, "ask", by.pk)
    assert "1 judge resumed" in act(client, cast, "resume", other.pk)
    assert (status(by), status(other)) == ("paused", "running")


def test_resuming_all_leaves_cancelled_judges_alone(client, study, cast, by, items):
    other = judge(study, by.judge.endpoint, "noisy")
    act(client, cast, "cancel", by.pk)
    act(client, cast, "pause", other.pk)
    act(client, cast, "resume")
    assert (status(by), status(other)) == ("cancelled", "running")


def test_cancelling_takes_back_what_is_open_and_asking_again_wants_it_all(client, study, cast, by):
    act(client, cast, "ask")
    assert "6 verdicts taken back" in act(client, cast, "cancel")
    assert not Verdict.objects.exists() and status(by) == "cancelled"
    assert "6 verdicts asked for" in act(client, cast, "ask") and status(by) == "running"


def test_what_failed_is_wanted_again_also_of_a_cancelled_judge(client, study, cast, by, items):
    verdict(by, items[0], "failed", reason="gave up")
    act(client, cast, "cancel")
    assert "1 verdict that failed wanted again" in act(client, cast, "retry", by.pk)
    assert Verdict.objects.get().state == "todo" and status(by) == "running"


@pytest.mark.parametrize("which", ["999999", "x", "-1"])
def test_a_judge_that_is_not_there_is_refused(client, study, cast, by, which):
    assert "not asked in this study any more" in act(client, cast, "pause", which)
    assert status(by) == "running"


def test_the_page_itself_gets_the_judges_anew_with_what_was_done(client, study, cast, by):
    shown = act(client, cast, "pause", htmx=True)
    assert shown.lstrip().startswith("<section") and "<html" not in shown
    assert "1 judge paused" in shown and 'name="resume"' in shown
    assert "1 judge paused" not in page_of(client, cast["owner"])
