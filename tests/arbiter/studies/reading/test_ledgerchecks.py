"""What can be wrong with a ledger is found: each fault is made past the guards, and named."""

import pytest

from annotation.adjudication import adjudicate
from annotation.itemvotes import rebuild
from annotation.models import Adjudication, Gold, Item, Rating
from arbiter.core import guards
from arbiter.core.models import Purge
from arbiter.studies.reading.ledgerchecks import CHECKS, check_ledger
from judging.models import Settlement
from judging.settlement.settling import settle, settle_items
from tests import builders
from tests.commands import as_json, refusal
from tests.databases import remove, rewrite
from tests.ledgers import assert_sound

pytestmark = [pytest.mark.engine, pytest.mark.django_db]


@pytest.fixture
def labelled(study):
    """Three raters, who agree on some items; one decided by a person, one by gold."""
    study.gold_decides = True
    study.save()
    raters = [builders.rater(name) for name in ("one", "two", "three")]
    items = list(study.items.all())
    for number, item in enumerate(items):
        for place, by in enumerate(raters):
            builders.rate(item, by, "convergence" if place <= number else "no_convergence")
    builders.rate(items[0], raters[0], "nonsensical")
    Gold.objects.create(item=items[3], label=study.scheme.labels.first(), origin="single")
    settle(study)
    adjudicate(items[1], builders.rater("eva", "human"), "convergence", "It says so.")
    settle_items(study, [items[1].pk])
    return study


def faults():
    result = check_ledger()
    assert result["sound"] is not bool(result["faults"])
    return {(fault["check"], fault["where"], fault["what"]) for fault in result["faults"]}


def test_a_ledger_that_was_written_by_our_own_is_sound(labelled):
    assert_sound()
    assert as_json("verify", "ledger") == {
        "sound": True,
        "checks": dict.fromkeys(["guards", "revisions", "votes", "settlements", "orphans"], "ok"),
        "faults": [],
    }


@pytest.mark.parametrize("rule", ["unanimous", "majority", "weighted", "model"])
def test_by_whichever_rule_it_is_settled_it_is_sound(labelled, rule):
    for item in labelled.items.all():
        Gold.objects.get_or_create(
            item=item, defaults={"label": labelled.scheme.labels.first(), "origin": "single"}
        )
    labelled.gold_decides = False
    labelled.save()
    settle(labelled, rule)
    assert Settlement.objects.filter(version__rule=rule).exists()
    assert_sound()


def test_it_stays_sound_when_what_it_was_settled_by_is_overtaken(labelled):
    item = labelled.items.all()[3]
    Gold.objects.create(item=item, label=labelled.scheme.labels.last(), origin="single", revision=2)
    builders.rate(item, builders.rater("two"), "nonsensical")
    assert_sound()


def test_a_missing_revision(labelled):
    rating = Rating.objects.get(revision=2)
    remove(Rating.objects.filter(item=rating.item, rater=rating.rater, revision=1))
    [(check, where, what)] = faults()
    assert (check, what) == ("revisions", "has 1 revisions, numbered 2 to 2")
    assert where == f"rating of item {rating.item_id}, rater {rating.rater_id}, purpose slot, ordinal 0"


def test_votes_that_nobody_gave(labelled):
    item = labelled.items.last()
    Item.objects.filter(pk=item.pk).update(votes="", human_votes=2)
    assert faults() == {
        (
            "votes",
            f"item {item.key} of tiny",
            "keeps other votes than its ratings say; rebuildkeys writes them anew",
        )
    }
    rebuild(labelled)
    assert_sound()


def test_a_rating_that_was_changed(labelled):
    rating = Rating.objects.order_by("pk").last()
    other = labelled.scheme.labels.exclude(pk=rating.label_id).first()
    rewrite(Rating.objects.filter(pk=rating.pk), label=other)
    assert {(check, where) for check, where, _ in faults()} == {("votes", f"item {rating.item.key} of tiny")}


def test_a_final_label_that_no_settlement_has(labelled):
    item = labelled.items.last()
    Item.objects.filter(pk=item.pk).update(final=labelled.scheme.labels.get(key="nonsensical"))
    [(check, _, what)] = faults()
    assert (check, what.split(";")[0]) == ("votes", "keeps something else than its newest settlement says")


@pytest.mark.parametrize(
    "changed",
    [{"votes": {}}, {"inputs_hash": "0" * 64}, {"simulated": True}],
    ids=lambda one: next(iter(one)),
)
def test_a_settlement_that_was_changed(labelled, changed):
    one = Settlement.objects.order_by("pk").last()
    rewrite(Settlement.objects.filter(pk=one.pk), **changed)
    where = f"settlement {one.revision} of item {one.item.key} of tiny"
    assert faults() == {("settlements", where, "is not what its hash was made from")}


def test_a_decision_that_was_taken_away(labelled):
    remove(Adjudication.objects.all())
    [(check, where, _)] = faults()
    assert check == "settlements" and where.startswith("settlement 2 of item")


def test_a_row_that_names_one_which_is_gone(labelled):
    """Foreign keys are asked at the end of a transaction."""
    gold = Gold.objects.get()
    rewrite(Gold.objects.all(), draw_id=99999)
    assert ("orphans", f"gold {gold.pk}", "names a draw that is gone") in faults()
    rewrite(Gold.objects.all(), draw=None)


@pytest.mark.django_db(transaction=True)
def test_a_table_without_its_guard(labelled):
    guards.lift()
    try:
        assert {where for _, where, _ in faults()} == {guard.table for guard in guards.guards()}
        said = refusal("verify", "ledger")
        assert said == "The ledger is not whole; what is wrong stands above."
    finally:
        guards.install()


def test_a_door_that_was_left_open():
    Purge.objects.create(who="Ines", what="study tiny", why="It was a trial.")
    assert faults() == {("guards", "study tiny by Ines", "the door for deletion was left open")}


def test_of_many_faults_the_first_are_named(labelled):
    item = labelled.items.first()
    label = labelled.scheme.labels.first()
    Rating.objects.bulk_create(
        Rating(item=item, rater=builders.rater(f"r{number}"), label=label, revision=9, question="tone")
        for number in range(25)
    )
    result = check_ledger()
    assert result["checks"]["revisions"] == "20 or more faults" and len(result["faults"]) == 20


def test_each_check_is_run():
    assert list(check_ledger()["checks"]) == list(CHECKS)
