"""A rater's earlier labels: found, and changed by a new revision; why not where not; and no check is given
away by it."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from annotation.adjudication import adjudicate
from annotation.earlierlabels import DECIDED, PAGE, PAUSED, LabelFilters, earlier, page_of
from annotation.models import Assignment, Enrolment, PlacePurpose, Rating, Serving
from annotation.raterfigures import own_figures
from arbiter.core.text import storable
from benchmark.models import Response
from tests import builders
from tests.databases import rewrite

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
MINE = "/studies/tiny/label/mine"


@pytest.fixture
def ann(study, cast):
    builders.draw(study, per_item=2, seed=1)
    builders.ready(study, cast["ann"], cast["ben"], cast["expert"])
    return builders.human(cast["ann"])


@pytest.fixture
def client(cast, ann):
    signed_in = Client()
    signed_in.force_login(cast["ann"])
    return signed_in


def answered(study, rater, item, purpose="slot", ordinal=0, label="convergence", days=0, **sent):
    serving = Serving.objects.create(
        study=study, item=item, rater=rater, purpose=purpose, ordinal=ordinal, shown={}
    )
    builders.label(serving, label, **sent)
    Serving.objects.filter(pk=serving.pk).update(answered_at=timezone.now() - timedelta(days=days))
    serving.refresh_from_db()
    return serving


def listed(study, rater, purpose="slot", **query):
    return [row["key"] for row in page_of(builders.desk(study, rater, purpose), LabelFilters(**query))[0]]


def opened(client, serving):
    return client.get(f"/studies/tiny/label/answered/{serving.key}")


def changed(client, serving, label="nonsensical", submission="12345678-change"):
    body = {"key": serving.key, "submission": submission, "base": serving.revision, "label": label}
    return client.post("/studies/tiny/label/submit", body, content_type="application/json")


def test_the_newest_come_first_and_can_be_found(study, ann):
    first, second, third = list(study.items.order_by("pk"))[:3]
    Response.objects.filter(pk=second.response_id).update(text="A GREEN lamp.")
    old = answered(study, ann, first, days=3, rationale="about green")
    middle = answered(study, ann, second, days=2, label="nonsensical", flagged=True)
    new = answered(study, ann, third, days=1)
    assert listed(study, ann) == [new.key, middle.key, old.key]
    assert listed(study, ann, search="green") == [middle.key, old.key]
    assert listed(study, ann, search=storable("gr\x00een")[0]) == []
    assert listed(study, ann, label="nonsensical") == [middle.key]
    assert listed(study, ann, flagged=True) == [middle.key]
    assert listed(study, ann, noted=True) == [old.key]
    assert listed(study, ann, label="no-such") == []
    builders.label(middle, "convergence")  # the present label is what is looked for
    assert listed(study, ann, label="nonsensical") == []


def test_pages_go_on_by_key_and_hold_each_label_once(study, ann, client, django_assert_max_num_queries):
    run, task = study.items.first().response.run, study.items.first().response.task
    same = timezone.now()
    for epoch in range(10, 10 + PAGE + 15):
        item = study.items.create(response=builders.response(run, task, epoch))
        answered(study, ann, item)
    Serving.objects.update(answered_at=same)  # as of one moment, which no page may repeat or leave out
    desk = builders.desk(study, ann)
    with django_assert_max_num_queries(3):
        rows, on = page_of(desk, LabelFilters())
    more, end = page_of(desk, LabelFilters(), on)
    assert (len(rows), len(more), end) == (PAGE, 15, "")
    assert len({row["key"] for row in rows + more}) == PAGE + 15
    page = client.get(MINE)
    following = re.search(r'href="\?(after=[^"]+)"', page.content.decode()).group(1)
    assert client.get(f"{MINE}?{following}").content.decode().count("?change=") == 15
    for odd in (
        "after=x",
        "after=2026-13-45T00:00:00~1",
        "after=~",
        "after=2026-01-01~1",
        f"after={'9' * 30}",
    ):
        assert client.get(f"{MINE}?{odd}").status_code == 200


def test_a_check_looks_like_any_other_label(study, ann, client):
    slot, check = list(study.items.order_by("pk"))[:2]
    Response.objects.filter(items__in=[slot, check]).update(text="The same text.")
    for item in (slot, check):
        Response.objects.filter(pk=item.response_id).update(task=slot.response.task)
    answered(study, ann, slot)
    answered(study, ann, check, purpose="gold_check")
    page = client.get(MINE).content.decode()
    rows = re.findall(r"<li class=.*?</li>", page, flags=re.S)
    alike = {re.sub(r"change=\w+|<time.*?</time>", "", row) for row in rows}
    assert len(rows) == 2 and len(alike) == 1
    assert "check" not in rows[0] + rows[1] and "gold" not in page


def test_an_item_asked_about_twice_stands_there_once_and_not_while_it_is_asked(study, ann, client):
    item = study.items.first()
    first = answered(study, ann, item, days=2)
    again = Serving.objects.create(
        study=study, item=item, rater=ann, purpose=PlacePurpose.REPEAT, ordinal=1, shown={}
    )
    assert listed(study, ann) == []
    assert opened(client, first).status_code == 422 and opened(client, again).status_code == 422
    builders.label(again, "no_convergence")
    assert listed(study, ann) == [again.key]
    assert opened(client, again).json()["item"]["answer"]["label"] == "no_convergence"
    assert opened(client, first).status_code == 422
    assert client.get(MINE).content.decode().count("?change=") == 1


def test_a_repeat_that_was_skipped_leaves_the_first_answer(study, ann):
    item = study.items.first()
    first = answered(study, ann, item, days=2)
    Serving.objects.create(
        study=study,
        item=item,
        rater=ann,
        purpose=PlacePurpose.REPEAT,
        ordinal=1,
        shown={},
        answered_at=timezone.now(),
    )
    assert listed(study, ann) == [first.key]


def test_a_change_is_a_new_revision_and_nothing_else(study, ann, client):
    builders.humans(study, raters_see=["accuracy"])
    serving = answered(study, ann, study.items.first(), purpose="gold_check", rationale="at first")
    done = Enrolment.objects.get(rater=ann).done
    answer = opened(client, serving).json()["item"]
    assert (answer["base"], answer["answer"]["note"]) == (1, "at first")
    assert changed(client, serving).status_code == 200
    assert list(Rating.objects.order_by("revision").values_list("label__key", "revision")) == [
        ("convergence", 1),
        ("nonsensical", 2),
    ]
    assert Enrolment.objects.get(rater=ann).done == done
    assert (
        changed(client, serving, label="convergence", submission="12345678-other").status_code == 409
    )  # an older page


def test_what_was_said_first_is_what_is_compared_with_gold(study, ann):
    """Else somebody could change one label a day and read off what its gold is."""
    builders.humans(study, raters_see=["accuracy"])
    run, task = study.items.first().response.run, study.items.first().response.task
    label = study.scheme.labels.get(key="convergence")
    servings = []
    for epoch in range(20, 30):
        item = study.items.create(response=builders.response(run, task, epoch))
        item.golds.create(label=label, origin="imported")
        servings.append(answered(study, ann, item, purpose="gold_check"))
    before = timezone.now() - timedelta(days=3)
    rewrite(Rating.objects.all(), created_at=before)
    desk = builders.desk(study, ann)
    assert own_figures(desk)["accuracy"].percent == 100
    servings[0].refresh_from_db()
    builders.label(servings[0], "nonsensical")
    rewrite(Rating.objects.filter(revision=2), created_at=before + timedelta(days=1))
    assert own_figures(desk)["accuracy"].percent == 100


def test_what_was_decided_since_stays_and_says_why(study, ann, client, cast):
    item = study.items.first()
    serving = answered(study, ann, item)
    assert changed(client, serving, label="no_convergence").status_code == 200
    adjudicate(item, builders.human(cast["adjudicator"]), "convergence", "So.")
    serving.refresh_from_db()
    page = client.get(MINE).content.decode()
    assert DECIDED in page and "?change=" not in page
    assert opened(client, serving).json()["error"] == DECIDED
    assert client.get("/studies/tiny/label/last").json()["error"] == DECIDED
    refused = changed(client, serving, submission="12345678-late")
    assert refused.status_code == 422 and refused.json()["error"] == DECIDED
    serving.refresh_from_db()
    assert serving.revision == 2 and Rating.objects.count() == 2
    # What was written before, and whose receipt got lost, is confirmed all the same.
    again = {"key": serving.key, "submission": "12345678-change", "base": 1, "label": "no_convergence"}
    assert (
        client.post("/studies/tiny/label/submit", again, content_type="application/json").status_code == 200
    )


def test_a_decision_from_before_tells_nothing(study, ann, client, cast):
    """Decided items are given as checks: they look like any other."""
    item = study.items.first()
    adjudicate(item, builders.human(cast["adjudicator"]), "convergence", "So.")
    serving = answered(study, ann, item, purpose="gold_check")
    assert listed(study, ann) == [serving.key] and opened(client, serving).status_code == 200


def test_whoever_is_paused_is_told_so(study, ann, client):
    serving = answered(study, ann, study.items.first())
    Enrolment.objects.filter(rater=ann).update(paused=True)
    page = client.get(MINE).content.decode()
    assert PAUSED in page and "?change=" not in page
    assert opened(client, serving).json()["error"] == PAUSED


def test_nobody_sees_or_opens_anothers(study, ann, client, cast):
    theirs = answered(study, builders.human(cast["ben"]), study.items.first())
    unlabelled = builders.take(study, ann)
    assert (
        listed(study, ann) == [] and "You have labelled nothing here yet" in client.get(MINE).content.decode()
    )
    assert opened(client, theirs).status_code == 404
    assert opened(client, unlabelled).status_code == 422
    assert "No label of yours matches" in client.get(f"{MINE}?search=x").content.decode()


def test_experts_see_their_gold_and_raters_their_labels(study, ann, cast):
    item = study.items.first()
    slot = answered(study, ann, item)
    Assignment.objects.create(study=study, item=item, purpose="gold", slot=0, number=0.1)
    gold = answered(study, ann, item, purpose="gold")
    assert listed(study, ann) == [slot.key] and listed(study, ann, "gold") == [gold.key]
    assert earlier(builders.desk(study, builders.human(cast["ben"]))).count() == 0
