"""What an adjudicator may do with an item: decide it or send it back, once, and not in their own case."""

from copy import copy

import pytest

from annotation.adjudication import WAITING, adjudicate, may_settle, refer
from annotation.models import Adjudication, Assignment, Item, Referral
from arbiter.core.errors import UserError
from tests import builders
from tests.builders import label, take
from tests.together import together

pytestmark = [pytest.mark.django_db, pytest.mark.engine]
C, N = "convergence", "no_convergence"


@pytest.fixture
def item(study):
    return study.items.select_related("study__scheme").first()


def person(name="ada"):
    return builders.rater(name, "human")


def slots(item):
    return sorted(Assignment.objects.filter(item=item, purpose="slot").values_list("slot", "state"))


# Deciding


def test_a_decision_holds_its_reason_and_whether_the_guideline_is_unclear(item):
    made = adjudicate(item, person(), C, " Because.\x00 ", guideline_unclear=True)
    assert (made.revision, made.reason, made.guideline_unclear) == (1, "Because.\\u0000", True)
    again = adjudicate(item, person("bob"), N, "No.")
    assert (again.revision, again.guideline_unclear) == (2, False)


@pytest.mark.parametrize(
    ("given", "said"), [(("", "Because."), "Choose a label"), ((C, " \n"), "Give a reason")]
)
def test_a_decision_needs_a_label_and_a_reason(item, given, said):
    with pytest.raises(UserError, match=said):
        adjudicate(item, person(), *given)
    assert not Adjudication.objects.exists()


def test_a_decision_that_came_in_between_is_not_silently_replaced(item):
    adjudicate(item, person(), C, "Because.", seen=0)
    with pytest.raises(UserError, match="Somebody else has just decided"):
        adjudicate(item, person("bob"), N, "No.", seen=0)
    adjudicate(item, person("bob"), N, "I have read it, and no.", seen=1)
    assert [one.label.key for one in item.adjudications.all()] == [C, N]


@pytest.mark.parametrize("purpose", ["slot", "gold_check", "repeat", "gold"])
def test_nobody_settles_or_sends_back_what_they_labelled_whatever_for(item, purpose):
    ann = person("ann")
    builders.rate(item, ann, purpose=purpose)
    for attempt in (lambda: adjudicate(item, ann, C, "Because."), lambda: refer(item, ann, "Unsure.")):
        with pytest.raises(UserError, match=r"You have labelled this item yourself.*own_items"):
            attempt()
    assert not Adjudication.objects.exists() and not Referral.objects.exists()
    assert may_settle(item, person("ada"))


def test_a_study_may_allow_it(item, study):
    builders.rate(item, person("ann"))
    builders.humans(study, adjudication={"own_items": True})
    assert adjudicate(Item.objects.get(pk=item.pk), person("ann"), C, "Because.")


# Sending back


def test_sending_back_adds_slots_beside_those_there_are(study, item):
    builders.draw(study, per_item=2)
    made = refer(item, person(), " Unsure. ", 2)
    assert (made.extra, made.reason) == (2, "Unsure.")
    assert slots(item) == [(1, "open"), (2, "open"), (3, "open"), (4, "open")]


def test_an_item_in_no_draw_gets_slots_that_raters_are_given(study, item):
    refer(item, person(), "Unsure.")
    assert slots(item) == [(1, "open")]
    serving = take(study, person("ann"))
    assert serving.item == item
    label(serving)
    assert slots(item) == [(1, "done")]


def test_it_waits_for_its_raters_before_it_can_be_sent_back_again(study, item):
    refer(item, person(), "Unsure.")
    with pytest.raises(UserError, match="sent back already"):
        refer(item, person("bob"), "Unsure too.")
    label(take(study, person("ann")))
    refer(item, person("bob"), "Still unsure.")
    assert slots(item) == [(1, "done"), (2, "open")] and Referral.objects.count() == 2


@pytest.mark.parametrize(
    ("reason", "extra", "said"),
    [(" ", 1, "Say why"), ("x", 0, "1 to 9"), ("x", 10, "1 to 9"), ("x", -1, "1 to 9")],
)
def test_sending_back_needs_a_reason_and_a_few_raters(item, reason, extra, said):
    with pytest.raises(UserError, match=said):
        refer(item, person(), reason, extra)
    assert not Referral.objects.exists() and slots(item) == []


def test_what_is_decided_is_not_sent_back(item):
    adjudicate(item, person(), C, "Because.")
    with pytest.raises(UserError, match="has been decided"):
        refer(item, person("bob"), "Unsure.")
    assert slots(item) == []


@pytest.mark.django_db(transaction=True)
def test_of_two_who_send_it_back_at_once_one_is_told(study, item):
    people = [person("ada"), person("bob")]
    results = together(*[lambda by=by: refer(item, by, "Unsure.") for by in people])
    refused = [result for result in results if isinstance(result, UserError)]
    assert [str(one) for one in refused] == [WAITING]
    assert slots(item) == [(1, "open")] and Referral.objects.count() == 1


def test_one_who_asks_just_when_somebody_else_does_is_told(item, monkeypatch):
    taken = Assignment(study=item.study, item=item, purpose="slot", slot=1, number=0)
    monkeypatch.setattr(
        "annotation.adjudication.ask_for_more",
        lambda *_: Assignment.objects.bulk_create([taken, copy(taken)]),
    )
    with pytest.raises(UserError, match="have just been asked"):
        refer(item, person(), "Unsure.")
    assert slots(item) == [] and not Referral.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_who_decide_at_once_one_is_told(item):
    people = [person("ada"), person("bob")]
    results = together(*[lambda by=by: adjudicate(item, by, C, "Because.", seen=0) for by in people])
    assert [type(result) for result in results].count(UserError) == 1
    assert Adjudication.objects.count() == 1
