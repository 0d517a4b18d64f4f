"""What a study has cost: every figure against the rows it is counted from."""

import pytest

from annotation.ledger import Entry, record
from arbiter.analysis.figures.catalogue import make_figure
from arbiter.analysis.spending import costs, still_to_come
from arbiter.calls.prices import PICO
from judging.models import Budget, StudyJudge
from tests import builders
from tests.judging.helpers import endpoint, judge
from tests.judging.rows import attempt, verdict

pytestmark = pytest.mark.django_db


@pytest.fixture
def spent(study):
    """A judge with four calls for three verdicts, one of which never came, and one without a price."""
    at, items = endpoint(), list(study.items.all())
    one, two = judge(study, at, "careful"), judge(study, at, "noisy")
    done = [
        verdict(one, items[0], "done"),
        verdict(one, items[1], "done"),
        verdict(one, items[2], "unparsed"),
    ]
    for each, outcome in zip([*done, done[2]], ["answer", "answer", "timeout", "answer"], strict=True):
        attempt(each, outcome, prompt_tokens=100, completion_tokens=20, cost=PICO // 100)
    verdict(two, items[0], "done", cached=True)
    StudyJudge.objects.filter(pk=one.pk).update(
        calls=4,
        prompt_tokens=400,
        completion_tokens=80,
        cost=4 * PICO // 100,
        cost_at_most=PICO // 100,
        input_price=1,
        output_price=1,
    )
    StudyJudge.objects.filter(pk=two.pk).update(
        calls=2, prompt_tokens=10, input_price=None, output_price=None
    )
    return study


@pytest.mark.engine
def test_by_judge_and_in_all(spent):
    totals = costs(spent)
    careful, noisy = totals["rows"]
    assert (careful["verdicts"], careful["without_label"], careful["calls"]) == (3, 1, 4)
    assert (careful["failed_calls"], careful["failed_share"], careful["calls_per_verdict"]) == (
        1,
        0.25,
        4 / 3,
    )
    assert careful["outcomes"] == {"answer": 3, "timeout": 1}
    assert careful["per_verdict"] == round(4 * PICO / 300) and careful["per_item"] == round(4 * PICO / 600)
    assert (noisy["cost"], noisy["per_verdict"], noisy["cached"]) == (None, None, 1)
    total = totals["total"]
    assert (total["cost"], total["cost_at_most"], total["calls"]) == (4 * PICO // 100, PICO // 100, 6)
    assert total["unpriced"] == ["noisy"] and total["failed_share"] == 1 / 6


def test_a_version_that_was_replaced_counts(spent):
    StudyJudge.objects.filter(judge__rater__name="careful").update(active=False)
    totals = costs(spent)
    assert [(row["judge"], row["active"]) for row in totals["rows"]] == [("noisy", True), ("careful", False)]
    assert totals["total"]["calls"] == 6


def test_peoples_time_by_what_it_was_for(study):
    ann, items = builders.rater("ann", "human"), list(study.items.all())
    for item, seconds in zip(items[:3], (30, 60, None), strict=True):
        builders.rate(item, ann, active_seconds=seconds)
    builders.rate(items[0], ann, "no_convergence", active_seconds=10)  # a second thought takes time too
    record(
        study.scheme,
        [Entry(item_id=items[4].pk, rater=ann, label="convergence", purpose="gold_check", active_seconds=5)],
    )
    builders.rate(items[0], builders.rater("judge-a"))
    rows = {row["purpose"]: row for row in costs(study)["people"]}
    assert set(rows) == {"Labels", "Checks against gold"}
    labels = rows["Labels"]
    assert (labels["labels"], labels["timed"], labels["seconds"], labels["raters"]) == (4, 3, 100, 1)
    assert labels["each"] == pytest.approx(100 / 3)
    assert costs(study)["seconds"] == 105


def test_nothing_spent_is_a_dash_and_no_error(study):
    totals = costs(study)
    assert (
        totals["rows"] == [] and totals["total"]["cost"] is None and totals["total"]["failed_share"] is None
    )
    assert still_to_come(study) is None


def test_what_is_still_to_come_is_forecast(spent):
    coming = still_to_come(spent)
    assert coming["total"]["calls"] + coming["total"]["cached"] == 12 - 4


def test_the_figure_says_it_in_a_sentence(spent):
    figure = make_figure(spent, "costs")
    assert "6 calls for 4 verdicts" in figure.sentence and "$0.04, $0.01 of it at most" in figure.sentence
    assert "without noisy" in figure.sentence
    assert figure.svg().startswith("<svg") and figure.csv().count("\n") == 3
    assert figure.rows[0]["dollars"] == 0.04


def test_without_prices_the_figure_is_of_tokens(spent):
    StudyJudge.objects.update(cost=0, cost_at_most=0, input_price=None, output_price=None)
    figure = make_figure(spent, "costs")
    assert "tokens" in figure.alt and "$" not in figure.sentence and figure.svg("dark").startswith("<svg")


def test_where_nothing_was_paid_the_figure_is_of_tokens(spent):
    StudyJudge.objects.update(cost=0, cost_at_most=0, input_price=0, output_price=0)
    assert "tokens" in make_figure(spent, "costs").alt


def test_the_page_shows_caps_and_what_is_lost(client, spent):
    cast = builders.cast(spent)
    Budget.objects.create(
        study=spent,
        max_calls=100,
        max_cost=PICO,
        calls=6,
        cost=5 * PICO // 100,
        lost_calls=1,
        lost_cost=PICO // 100,
    )
    client.force_login(cast["viewer"])
    text = client.get("/studies/tiny/costs").content.decode()
    assert "$0.04" in text and "of 100" in text and "workers that died" in text and "worst case" in text
