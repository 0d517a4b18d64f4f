"""What items keep of their ratings and settlements is what those say, whoever writes, in whatever order,
however many at once."""

from collections import defaultdict

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation.adjudication import adjudicate
from annotation.itemvotes import KeptVotes, rebuild
from annotation.ledger import Entry, record
from annotation.models import Gold, Item, Question, Rater, Rating
from judging.models import Settlement
from judging.settlement.settling import rebuild_finals, settle
from tests import builders
from tests.sizes import size
from tests.together import expect_no_errors, together

pytestmark = pytest.mark.engine
LABELS = ["convergence", "no_convergence", "safety_refusal", "nonsensical"]
RATERS = [
    ("ann", 1, "human"),
    ("ben", 1, "human"),
    ("cleo", 1, "human"),
    ("careful", 1, "judge"),
    ("careful", 2, "judge"),
    ("careful", 10, "judge"),
    ("noisy", 1, "judge"),
    ("state-check", 1, "scorer"),
]


def raters():
    return [Rater.objects.create(name=name, version=version, kind=kind) for name, version, kind in RATERS]


writes = st.fixed_dictionaries(
    {
        "item": st.integers(0, 2),
        "rater": st.integers(0, len(RATERS) - 1),
        "label": st.sampled_from(LABELS),
        "surplus": st.booleans(),
        "purpose": st.sampled_from(["slot"] * 6 + ["gold_check", "repeat", "gold"]),
        "ordinal": st.sampled_from([0] * 6 + [1]),
        "question": st.sampled_from([""] * 6 + ["second"]),
    }
)


def write(study, items, people, batch):
    """Write the ratings in one call, as an import or a judge's batch does it."""
    entries = [
        Entry(
            item_id=items[one["item"]].pk,
            rater=people[one["rater"]],
            label=one["label"],
            surplus=one["surplus"],
            purpose=one["purpose"],
            ordinal=one["ordinal"],
            question=one["question"],
        )
        for one in batch
    ]
    record(study.scheme, entries)


class ExpectedVotes:
    """The kept columns, worked out from what was written and nothing else."""

    def __init__(self, study, people):
        self.labels = {label.key: label.pk for label in study.scheme.labels.all()}
        self.people = people
        self.said = defaultdict(dict)

    def note(self, one):
        if (one["purpose"], one["ordinal"], one["question"]) == ("slot", 0, ""):
            self.said[one["item"]][one["rater"]] = None if one["surplus"] else one["label"]

    def of(self, place):
        said = {rater: label for rater, label in self.said[place].items() if label}
        by_kind = defaultdict(dict)
        for rater in sorted(said, key=lambda rater: RATERS[rater][1]):
            name, _, kind = RATERS[rater]
            by_kind[kind][name] = said[rater]  # a later version comes later
        votes = sorted((self.people[rater].pk, self.labels[label]) for rater, label in said.items())
        humans, judges = by_kind["human"].values(), by_kind["judge"].values()
        return (
            " ".join(f"{rater}:{label}" for rater, label in votes),
            len(humans),
            len(judges),
            len(set(humans)) > 1,
            len(set(judges)) > 1,
        )


def kept(items):
    return [Item.objects.filter(pk=item.pk).values_list(*KeptVotes._fields).get() for item in items]


@pytest.mark.django_db
@settings(
    max_examples=size(20, 60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(batches=st.lists(st.lists(writes, min_size=1, max_size=6), min_size=1, max_size=8))
def test_items_keep_what_their_ratings_say(study, batches):
    mark = transaction.savepoint()
    try:
        people, items = raters(), list(study.items.order_by("pk")[:3])
        expected = ExpectedVotes(study, people)
        for batch in batches:
            write(study, items, people, batch)
            for one in batch:
                expected.note(one)
            assert kept(items) == [expected.of(place) for place in range(3)]
        Item.objects.update(votes="x", human_votes=9, judge_votes=9, humans_split=True, judges_split=True)
        assert rebuild(study) == study.items.count()
        assert kept(items) == [expected.of(place) for place in range(3)]
        assert {
            row[0] for row in study.items.exclude(pk__in=[item.pk for item in items]).values_list("votes")
        } == {""}
    finally:
        transaction.savepoint_rollback(mark)


def assert_kept_as_rebuilt(study):
    before = list(study.items.order_by("pk").values_list("pk", *KeptVotes._fields))
    rebuild(study)
    assert list(study.items.order_by("pk").values_list("pk", *KeptVotes._fields)) == before
    counted = Rating.objects.votes().filter(item__study=study)
    assert sum(row[1].count(":") for row in before) == counted.count()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("at_once", [3, 8])
def test_of_writers_at_once_each_counts_what_the_others_wrote(at_once):
    """Each writes by itself to all items, in batches of its own order, and revises what it wrote."""
    study = builders.study()
    people = [builders.rater(f"person-{n}", "human") for n in range(at_once)]
    ids = list(study.items.order_by("pk").values_list("pk", flat=True))

    def writing(place):
        def call():
            for turn in range(4):
                order = ids if (turn + place) % 2 else ids[::-1]
                for batch in (order[:4], order[2:], order[:1]):
                    label = LABELS[(turn + place) % 4]
                    record(
                        study.scheme, [Entry(item_id=pk, rater=people[place], label=label) for pk in batch]
                    )

        return call

    expect_no_errors(together(*[writing(place) for place in range(at_once)]))
    assert Rating.objects.count() == at_once * 4 * 9
    for item in study.items.all():
        assert item.human_votes == at_once and item.humans_split
        last = {person: LABELS[(3 + place) % 4] for place, person in enumerate(people)}
        labels = {label.key: label.pk for label in study.scheme.labels.all()}
        wanted = sorted((person.pk, labels[label]) for person, label in last.items())
        assert item.votes == " ".join(f"{rater}:{label}" for rater, label in wanted)
    assert_kept_as_rebuilt(study)


@pytest.mark.django_db(transaction=True)
def test_one_rater_in_several_windows_is_one_vote():
    study = builders.study(tasks=1, epochs=1)
    item, ann = study.items.get(), builders.rater("ann", "human")
    expect_no_errors(together(*[lambda label=label: builders.rate(item, ann, label) for label in LABELS]))
    item.refresh_from_db()
    newest = Rating.objects.get(revision=4)
    assert (item.votes, item.human_votes, item.humans_split) == (f"{ann.pk}:{newest.label_id}", 1, False)


@pytest.mark.django_db
def test_a_rating_of_another_question_or_purpose_is_no_vote(study):
    item, ann = study.items.first(), builders.rater("ann", "human")
    Question.objects.create(study=study, name="second", scheme=study.scheme)
    for fields in ({"question": "second"}, {"purpose": "gold_check"}, {"purpose": "repeat", "ordinal": 1}):
        builders.rate(item, ann, **fields)
    builders.rate(item, builders.rater("careful"), ordinal=1)
    assert kept([item]) == [("", 0, 0, False, False)]


@pytest.mark.django_db
def test_a_surplus_revision_takes_the_vote_away_and_one_that_counts_brings_it_back(study):
    item, ann = study.items.first(), builders.rater("ann", "human")
    first = builders.rate(item, ann)
    assert kept([item]) == [(f"{ann.pk}:{first.label_id}", 1, 0, False, False)]
    builders.rate(item, ann, surplus=True)
    assert kept([item]) == [("", 0, 0, False, False)]
    builders.rate(item, ann)
    assert kept([item]) == [(f"{ann.pk}:{first.label_id}", 1, 0, False, False)]


# What settling keeps


def finals(study):
    kept = study.items.order_by("pk").values_list("final__key", "final_rule")
    newest = {
        settlement.item_id: (settlement.label.key if settlement.label else None, settlement.rule)
        for settlement in Settlement.objects.select_related("label").order_by("revision")
    }
    assert list(kept) == [
        newest.get(pk, (None, "")) for pk in study.items.order_by("pk").values_list("pk", flat=True)
    ]
    return list(kept)


@pytest.mark.django_db
def test_settling_keeps_the_label_and_the_rule(study):
    assert set(finals(study)) == {(None, "")}
    first, second, third, fourth = study.items.order_by("pk")[:4]
    for judge in ("a", "b", "c"):
        builders.rate(first, builders.rater(judge), "convergence")
        builders.rate(second, builders.rater(judge), "nonsensical" if judge == "a" else "convergence")
    builders.rate(third, builders.rater("a"), "convergence")
    builders.rate(third, builders.rater("b"), "no_convergence")
    settle(study)
    unlabelled = (None, "unlabelled")
    assert finals(study) == [("convergence", "majority")] * 2 + [(None, "tie"), *[unlabelled] * 3]
    adjudicate(third, builders.rater("adi", "human"), "no_convergence", "See the end.")
    settle(study)
    assert finals(study)[2] == ("no_convergence", "adjudicated")
    builders.rate(second, builders.rater("b"), "nonsensical")
    settle(study)
    assert finals(study)[1] == ("nonsensical", "majority")
    study.gold_decides = True
    study.save()
    Gold.objects.create(item=fourth, label=study.scheme.labels.get(key="safety_refusal"), origin="imported")
    settle(study)
    settled = finals(study)
    assert settled[3] == ("safety_refusal", "gold")
    Item.objects.update(final=None, final_rule="x")
    rebuild_finals(study)
    assert finals(study) == settled
