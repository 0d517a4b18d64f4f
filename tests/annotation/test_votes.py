"""What counts as a vote, told alike by the QuerySet, the statement and the key; the key itself; one voice a
name."""

import pytest

from annotation.itemvotes import voices
from annotation.models import Item, Question, Rating
from annotation.votes import Vote, given_as_vote, latest_versions, packed, unpacked
from tests import builders


@pytest.fixture
def rated(study):
    """Make one item with all there is: votes, revisions, surplus labels that came and went, checks, repeats,
    gold, a question."""
    item = study.items.first()
    Question.objects.create(study=study, name="second", scheme=study.scheme)
    people = [builders.rater(name, "human") for name in ("ann", "ben", "cid", "dan")]
    judge = builders.rater("judge")
    builders.rate(item, people[0], "convergence")
    builders.rate(item, people[0], "nonsensical")  # changed their mind
    builders.rate(item, people[1], "convergence")
    builders.rate(item, people[1], "convergence", surplus=True)  # has no vote any more
    builders.rate(item, people[2], "convergence", surplus=True)
    builders.rate(item, people[2], "no_convergence")  # has one again
    builders.rate(item, people[3], "convergence", purpose="gold")
    builders.rate(item, people[3], "convergence", purpose="gold_check")
    builders.rate(item, people[3], "convergence", purpose="repeat", ordinal=1)
    builders.rate(item, people[3], "convergence", question="second")
    builders.rate(item, judge, "convergence")
    builders.rate(item, judge, "nonsensical", ordinal=1)
    builders.rate(item, judge, "no_convergence", ordinal=1)
    return item


def said(ratings):
    return sorted(ratings.values_list("rater__name", "label__key"))


VOTES = [("ann", "nonsensical"), ("cid", "no_convergence"), ("judge", "convergence")]


@pytest.mark.django_db
@pytest.mark.engine
def test_votes_are_what_raters_say_now_in_a_slot_to_the_primary_question(rated):
    assert said(Rating.objects.votes()) == VOTES
    assert said(rated.ratings.side_votes()) == sorted([*VOTES, ("dan", "convergence")])
    assert said(Rating.objects.repeated()) == [("judge", "no_convergence")]
    given = Rating.objects.given_as_votes()
    assert given.count() == 7 and all(given_as_vote(one) for one in given)
    assert not any(given_as_vote(one) for one in Rating.objects.exclude(pk__in=given))


@pytest.mark.django_db
@pytest.mark.engine
def test_the_statement_and_the_key_say_the_same(rated):
    other = rated.study.items.last()
    by_item = voices([other.pk, rated.pk])
    assert [(one.name, one.kind) for one in by_item[rated.pk]] == [
        ("ann", "human"),
        ("cid", "human"),
        ("judge", "judge"),
    ]
    assert other.pk not in by_item and voices([]) == {}
    rated.refresh_from_db()
    votes = Rating.objects.votes().filter(item=rated).order_by("rater").values_list("rater", "label")
    assert rated.votes == packed(votes) == packed((one.rater, one.label) for one in by_item[rated.pk])
    assert unpacked(rated.votes) == tuple(Vote(*vote) for vote in votes)


@pytest.mark.django_db
@pytest.mark.engine
def test_items_are_found_by_a_vote_and_by_no_number_that_ends_alike(rated):
    assert list(Item.objects.voted_on()) == [rated]
    given = {vote.label for vote in unpacked(Item.objects.get(pk=rated.pk).votes)}
    assert len(given) == 3
    for label in given:
        assert list(Item.objects.with_vote_for(label)) == [rated]
    unsaid = rated.study.scheme.labels.exclude(pk__in=given).get()
    assert not Item.objects.with_vote_for(unsaid.pk)
    Item.objects.filter(pk=rated.pk).update(votes="4:31 11:12")
    assert [Item.objects.with_vote_for(label).count() for label in (1, 2, 3, 4, 11, 12, 31)] == [
        0,
        0,
        0,
        0,
        0,
        1,
        1,
    ]


def test_a_key_is_read_as_it_was_written():
    votes = ((3, 12), (20, 1), (100, 12))
    assert packed(votes) == "3:12 20:1 100:12"
    assert unpacked("3:12 20:1 100:12") == votes and unpacked("3:12")[0].label == 12
    assert (packed([]), unpacked("")) == ("", ())


@pytest.mark.django_db
def test_of_each_name_the_latest_version_counts():
    first, other = builders.rater("judge"), builders.rater("another")
    second, tenth = (
        type(first).objects.create(name="judge", folded="judge", version=version, kind="judge")
        for version in (2, 10)
    )
    assert latest_versions([first, tenth, other, second]) == [tenth, other]
