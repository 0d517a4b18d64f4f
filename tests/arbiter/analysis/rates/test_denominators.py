"""Failed, refused, cut-off and empty responses in the figures: a failed one is no item and stays in the
denominator of all."""

from collections import Counter

import numpy as np
import pytest

from annotation.models import Item, Study
from annotation.schemes import builtin_scheme
from arbiter.analysis.overview import overview
from arbiter.analysis.rates.armrate import ArmRate
from arbiter.analysis.rates.denominators import Denominators
from arbiter.analysis.rates.estimates import RateRow, _under_of_all, estimates
from arbiter.analysis.rates.observedrates import observed_rates
from arbiter.analysis.rates.ratedocument import rate_document
from arbiter.analysis.rates.ratespec import RateSpec
from arbiter.analysis.report.studyreport import study_report
from arbiter.analysis.responseoutcomes import ending_counts, endings_said, failed_responses
from arbiter.statistics import clustered_rate, task_influence
from benchmark.models import Response
from tests import builders
from tests.arbiter.cli.commands import document as command

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
C, N, X = "convergence", "no_convergence", "nonsensical"


@pytest.fixture
def study():
    """Ten tasks: of model-a four items converge, two don't, one is nonsense, three failed; of model-b
    everything failed. Of the items one was refused and two were cut off."""
    suite = builders.suite(tasks=10)
    study = Study.objects.create(
        slug="tiny",
        title="Tiny",
        scheme=builtin_scheme("four-class"),
        config={"suite": "tiny", "responses": {"controls": True}},
    )
    run, rater = builders.run(suite), builders.rater("judge-a")
    for task, label in zip(suite.tasks.order_by("pk"), [C] * 4 + [N] * 2 + [X] + [None] * 3, strict=True):
        made = builders.response(run, task)
        if label:
            builders.rate(Item.objects.create(study=study, response=made), rater, label)
        else:
            Response.objects.filter(pk=made.pk).update(state="failed", text="")
    for task in suite.tasks.all():
        gone = builders.response(builders.run(suite, "model-b"), task)
        Response.objects.filter(pk=gone.pk).update(state="failed")
    first = list(Response.objects.filter(state="done").order_by("pk")[:3])
    for one, ending in zip(first, ["refused", "cut_off", "cut_off"], strict=True):
        Response.objects.filter(pk=one.pk).update(ending=ending)
    return study


COUNTS = {"failed": 3, "refused": 1, "cut_off": 2, "empty": 0}


def test_what_failed_stays_in_the_denominator_of_all_and_out_of_the_valid(study):
    of_a, of_b = observed_rates(study, "judge-a", ["subject"])["rows"]
    assert {key: of_a[key] for key in ("n", "unlabelled", "excluded", "target", *COUNTS)} == {
        "n": 7,
        "unlabelled": 0,
        "excluded": 1,
        "target": 4,
        **COUNTS,
    }
    assert of_a["rate_valid"] == pytest.approx(4 / 6)
    assert of_a["rate_all"] == pytest.approx(4 / 10)
    assert of_a["low_all"] < 0.4 < of_a["high_all"]
    assert {key: of_b[key] for key in ("subject", "n", "failed", "rate_valid", "rate_all")} == {
        "subject": "model-b",
        "n": 0,
        "failed": 10,
        "rate_valid": None,
        "rate_all": None,
    }


@pytest.mark.parametrize("estimator", ["raw", "majority"])
@pytest.mark.parametrize("finite", [False, True])
def test_every_estimator_from_labels_says_the_same(study, estimator, finite):
    source = "judge-a" if estimator == "raw" else ""
    of_a, of_b = estimates(study, RateSpec(estimator, ("subject",), finite, source)).rows
    assert of_a.all.estimate == pytest.approx(0.4) and of_a.valid.estimate == pytest.approx(4 / 6)
    assert {key: of_a.counts[key] for key in COUNTS} == COUNTS
    assert (of_b.counts["failed"], of_b.all.estimate, of_b.valid.estimate) == (10, None, None)
    if finite:
        assert (of_a.all.low, of_a.all.high) == pytest.approx((0.4, 0.4))


def test_a_study_in_which_nothing_failed_is_as_it_was(study):
    Response.objects.filter(state="failed").delete()
    [row] = observed_rates(study, "judge-a", ["subject"])["rows"]
    plain = clustered_rate([1] * 4 + [0] * 3, [1] * 7)
    assert (row["rate_all"], row["low_all"], row["high_all"]) == (plain.estimate, plain.low, plain.high)
    assert row["failed"] == 0


def test_only_what_the_study_chose_counts(study):
    study.config["responses"] = {"subjects": ["model-a"], "controls": True}
    assert failed_responses(study).count() == 3
    study.config["responses"]["categories"] = ["Alpha"]
    assert (
        failed_responses(study).count()
        == failed_responses(study).filter(task__category__title="Alpha").count()
        < 3
    )
    study.config["responses"] = {"epochs": [2], "controls": True}
    assert failed_responses(study).count() == 0
    study.config = {}  # responses that were imported: of the runs it has items of
    assert failed_responses(study).count() == 3


def test_a_failed_control_task_is_in_no_rate(study):
    gone = Response.objects.filter(state="failed", run__subject__name="model-a").first()
    type(gone.task).objects.filter(pk=gone.task_id).update(control=True)
    of_a = observed_rates(study, "judge-a", ["subject"])["rows"][0]
    assert (of_a["failed"], of_a["rate_all"]) == (2, pytest.approx(4 / 9))


def test_the_command_the_overview_and_the_report_print_them(study, capsys):
    printed = command("rates", "tiny", "--source", "judge-a", "--by", "subject")
    assert {key: printed["rows"][0][key] for key in COUNTS} == COUNTS
    assert rate_document(study, RateSpec("raw", ("subject",), source="judge-a"))["rows"][0]["failed"] == 3
    from django.core.management import call_command

    call_command("rates", "tiny", "--source", "judge-a", "--by", "subject")
    out = capsys.readouterr().out
    assert "failed" in out and "cut_off" in out and "empty" not in out.partition("Of the responses")[0]
    assert (
        "13 failed and are no items, but count where all responses do, 1 were refused, 2 were cut off" in out
    )
    seen = overview(study)
    assert (seen["items"], seen["asked"], seen["ended"]) == (7, 20, {**COUNTS, "failed": 13})
    assert ending_counts(study) == seen["ended"] and "13 failed" in endings_said(seen["ended"])
    page = study_report(study)
    tables = {table.title: table for section in page.sections for table in section.tables}
    ended = tables["How responses ended, without control tasks"]
    assert ["model-a", "baseline", "10", "3", "2", "1", "0"] in [_in_order(ended, row) for row in ended.rows]


def _in_order(table, row):
    cells = dict(zip(table.headings, row, strict=True))
    return [
        cells[name] for name in ("Model", "Condition", "Asked for", "Failed", "Cut off", "Refused", "Empty")
    ]


def test_the_overviews_page_and_an_items_page_mark_them(study, client):
    people = builders.cast(study)
    client.force_login(people["owner"])
    page = client.get("/studies/tiny/").content.decode()
    assert "of 20 asked for" in page and "Failed, no item" in page and "Cut off" in page and "Refused" in page
    item = study.items.get(response__ending="cut_off", response__task__key="task-2")
    assert "cut off" in client.get(f"/studies/tiny/items/{item.key}").content.decode().lower()


# The interval


def test_the_interval_covers_where_what_fails_depends_on_the_task():
    """2,000 studies of 60 tasks by 5 responses; tasks that converge more fail more. The mean of S p over
    tasks is known."""
    lot = np.random.default_rng(7)
    tasks, epochs, inside, runs = 60, 5, 0, 2000
    for _ in range(runs):
        rate = lot.beta(2, 3, tasks)
        gone = lot.binomial(epochs, 0.1 + 0.4 * rate)
        items = epochs - gone
        hits = lot.binomial(items, rate)
        keep = items > 0  # a task that failed as a whole has no place among the labels
        observed = clustered_rate(hits[keep], items[keep])
        places = np.flatnonzero(keep)
        one = ArmRate(
            observed.estimate, observed.low, observed.high, influence=task_influence(hits[keep], items[keep])
        )
        counts = [Counter(dict(enumerate(values.tolist()))) for values in (items, gone)]
        told = Denominators({}, {(1,): counts[0]}, {(1,): counts[1]}).of_all((1,), one, places, finite=False)
        inside += told.low <= TRUE <= told.high
    assert inside / runs > 0.95 - 2 * (0.95 * 0.05 / runs) ** 0.5 - 0.005


# E[rate * (1 - (0.1 + 0.4 rate))] for rate of Beta(2, 3): mean 0.4, mean of squares 0.2
TRUE = 0.9 * 0.4 - 0.4 * 0.2


def test_with_humans_errors_out_the_bounds_know_of_the_failures_too():
    """By the very formula of all responses; from an error matrix without errors nothing changes at all."""
    items, gone = np.array([5, 3, 1, 4]), np.array([0, 2, 4, 1])
    hits = np.array([1, 2, 1, 3])
    rate = clustered_rate(hits, items)
    one = ArmRate(rate.estimate, rate.low, rate.high, influence=task_influence(hits, items))
    whole = Denominators({}, *({(1,): Counter(dict(enumerate(of.tolist())))} for of in (items, gone)))
    row = RateRow({}, {}, one, one, under_error=(rate.estimate, rate.low, rate.high))
    every = whole.of_all((1,), one, np.arange(4), finite=False)
    under = _under_of_all(whole, (1,), row, np.arange(4), finite=False)
    assert under == (every.estimate, every.low, every.high)
    share = 13 / 20
    scaled = tuple(share * value for value in (rate.estimate, rate.low, rate.high))
    assert _under_of_all(whole, (1,), row, np.arange(4), finite=True) == pytest.approx(scaled)
    assert under[0] == pytest.approx(scaled[0]) and abs(under[2] - scaled[2]) > 0.01
