"""The ledger: append-only, one function, and two writers at once."""

import pytest
from django.db import IntegrityError, transaction

from annotation.ledger import Entry, UnknownLabel, record
from annotation.models import PlacePurpose, Rater, Rating
from arbiter.core.text import original
from tests import builders
from tests.together import expect_no_errors, together

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


@pytest.fixture
def item(study):
    return study.items.first()


@pytest.fixture
def judge(study):
    return builders.rater()


def entry(item, rater, label="convergence", **fields):
    return Entry(item_id=item.pk, rater=rater, label=label, **fields)


def kept(**filters):
    return list(Rating.objects.filter(**filters).order_by("id").values_list("revision", "label__key"))


def test_a_rating_is_written_with_all_it_came_with(study, item, judge):
    fields = {
        "question": "second",
        "purpose": PlacePurpose.REPEAT,
        "ordinal": 2,
        "surplus": True,
        "confidence": 0.5,
        "confidence_scale": "probability",
        "rationale": "Why.",
        "evidence": [{"quote": "it"}],
        "active_seconds": 2.5,
        "shown": {"blind": True},
        "simulated": True,
        "submission": "s" * 20,
    }
    written = record(study.scheme, [entry(item, judge, **fields)])
    assert written.new == 1
    rating = Rating.objects.get(pk=written[0].pk)
    assert {name: getattr(rating, name) for name in fields} == fields
    assert (rating.item, rating.rater, rating.label.key, rating.revision) == (item, judge, "convergence", 1)


def test_a_rating_that_exists_is_never_saved_again(item, judge):
    rating = builders.rate(item, judge)
    rating.rationale = "Other."
    for changed in (rating, Rating.objects.get(pk=rating.pk)):
        with pytest.raises(TypeError, match="never changed"):
            changed.save()
    assert Rating.objects.get().rationale == ""


def test_another_label_is_another_revision_and_both_stay(item, judge):
    for label in ("convergence", "no_convergence", "no_convergence"):
        builders.rate(item, judge, label)
    assert kept() == [(1, "convergence"), (2, "no_convergence"), (3, "no_convergence")]
    assert Rating.objects.newest().get().revision == 3


def test_entries_of_one_call_for_one_place_become_revisions_in_order(study, item, judge):
    written = record(study.scheme, [entry(item, judge, label) for label in ("nonsensical", "convergence")])
    assert [rating.label.key for rating in written] == ["nonsensical", "convergence"]
    assert kept() == [(1, "nonsensical"), (2, "convergence")]


@pytest.mark.parametrize(
    "place",
    [
        {"question": "q"},
        {"purpose": PlacePurpose.REPEAT},
        {"purpose": PlacePurpose.GOLD_CHECK},
        {"ordinal": 1},
    ],
)
def test_each_place_counts_its_own_revisions(item, judge, place):
    builders.rate(item, judge)
    assert builders.rate(item, judge, **place).revision == 1
    assert builders.rate(item, builders.rater("judge-b")).revision == 1
    assert Rating.objects.newest().count() == 3


def test_sending_twice_writes_once(study, item, judge):
    first = record(study.scheme, [entry(item, judge, submission="s" * 20)])
    again = record(study.scheme, [entry(item, judge, "nonsensical", submission="s" * 20)])
    assert (first.new, again.new) == (1, 0)
    assert again == first and kept() == [(1, "convergence")]


def test_one_unknown_label_refuses_all(study, item, judge):
    with pytest.raises(UnknownLabel, match="'perhaps' is no label of scheme four-class@1"):
        record(study.scheme, [entry(item, judge), entry(item, judge, "perhaps")])
    assert not Rating.objects.exists()


@pytest.mark.parametrize(
    ("label", "rationale", "new"),
    [("convergence", "Why.\x00", 0), ("no_convergence", "Why.\x00", 1), ("convergence", "", 1)],
)
def test_equal_ratings_may_be_left_out(study, item, judge, label, rationale, new):
    builders.rate(item, judge, rationale="Why.\x00")
    written = record(study.scheme, [entry(item, judge, label, rationale=rationale)], skip_equal=True)
    assert written.new == new == Rating.objects.count() - 1
    assert written == [Rating.objects.newest().get()]


def test_only_the_current_rating_can_make_another_one_equal(study, item, judge):
    for label in ("convergence", "no_convergence"):
        builders.rate(item, judge, label)
    assert record(study.scheme, [entry(item, judge)], skip_equal=True).new == 1


def test_a_rationale_no_database_holds_is_kept_escaped(item, judge):
    rating = builders.rate(item, judge, rationale="a\x00b\ud800")
    stored = Rating.objects.get(pk=rating.pk).rationale
    assert original(stored, True) == "a\x00b\ud800"


@pytest.mark.parametrize("fields", [{"confidence": 0.5}, {"confidence": -1.0, "confidence_scale": "steps3"}])
def test_a_confidence_needs_its_scale(item, judge, fields):
    label = item.study.scheme.labels.first()
    with pytest.raises(IntegrityError, match="rating_confidence_has_scale"), transaction.atomic():
        Rating.objects.create(item=item, rater=judge, label=label, **fields)


# Votes


@pytest.mark.parametrize(
    "place",
    [
        {"surplus": True},
        {"purpose": PlacePurpose.REPEAT},
        {"purpose": PlacePurpose.TRAINING},
        {"purpose": PlacePurpose.GOLD_CHECK},
        {"ordinal": 1},
        {"question": "second"},
    ],
)
def test_what_is_no_vote(item, judge, place):
    vote = builders.rate(item, builders.rater("judge-b"), "nonsensical")
    builders.rate(item, judge, **place)
    assert Rating.objects.newest().count() == 2
    assert Rating.objects.votes().get() == vote


def test_a_repeat_does_not_hide_the_vote_before_it(item, judge):
    vote = builders.rate(item, judge)
    builders.rate(item, judge, "nonsensical", purpose=PlacePurpose.REPEAT, ordinal=1)
    assert Rating.objects.votes().get() == vote


def test_a_vote_is_the_newest_revision_only(item, judge):
    for label in ("convergence", "no_convergence", "convergence"):
        builders.rate(item, judge, label)
    assert Rating.objects.votes().get().revision == 3


def test_a_revision_that_is_surplus_takes_its_raters_vote_away(item, judge):
    builders.rate(item, judge)
    builders.rate(item, judge, surplus=True)
    assert not Rating.objects.votes().exists()


def test_current_composes_with_filters(study, judge):
    for each in study.items.all():
        builders.rate(each, judge)
        builders.rate(each, judge, "nonsensical")
    first = study.items.first()
    assert Rating.objects.filter(item=first).newest().get().label.key == "nonsensical"
    assert not Rating.objects.filter(label__key="convergence").newest().exists()


# Two writers at once


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("writers", [2, 4])
def test_writers_that_want_the_same_revision_both_get_one(study, judge, writers):
    items = list(study.items.all())
    labels = ["convergence", "no_convergence", "safety_refusal", "nonsensical"][:writers]
    scheme = study.scheme
    expect_no_errors(
        together(
            *[
                lambda label=label: [record(scheme, [entry(item, judge, label)]) for item in items]
                for label in labels
            ]
        )
    )
    for item in items:
        written = kept(item=item)
        assert sorted(revision for revision, _ in written) == list(range(1, writers + 1))
        assert sorted(label for _, label in written) == sorted(labels)


@pytest.mark.django_db(transaction=True)
def test_batches_over_the_same_items_in_either_order_are_both_written_whole(judge):
    study = builders.study("large", tasks=10, epochs=20)
    items = list(study.items.all())

    def write(label, order):
        return lambda: record(study.scheme, [entry(item, judge, label) for item in items[::order]])

    for _ in range(5):
        expect_no_errors(together(write("convergence", 1), write("nonsensical", -1)))
    for item in items:
        assert sorted(revision for revision, _ in kept(item=item)) == list(range(1, 11))


@pytest.mark.django_db(transaction=True)
def test_one_submission_that_arrives_several_times_at_once_is_written_once(study, judge):
    for number, item in enumerate(study.items.all()):
        sent = [entry(item, judge, submission=f"submission-number-{number}")]
        results = expect_no_errors(together(*[lambda sent=sent: record(study.scheme, sent)] * 4))
        assert sum(result.new for result in results) == 1
        assert {result[0].pk for result in results} == set(
            Rating.objects.filter(item=item).values_list("pk", flat=True)
        )


def test_the_database_holds_one_rating_a_revision(item, judge):
    rating = builders.rate(item, judge)
    with pytest.raises(IntegrityError), transaction.atomic():
        Rating.objects.create(item=item, rater=judge, label=rating.label)


def test_an_item_with_ratings_can_not_be_deleted(study, item, judge):
    builders.rate(item, judge)
    for row in (item, judge, study.scheme.labels.first(), study):
        with pytest.raises(Exception, match="protected"):
            row.delete()
    assert Rating.objects.exists() and Rater.objects.exists()
