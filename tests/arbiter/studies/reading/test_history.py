"""An item's page: all that happened to it, in order, and who may know by whom."""

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation.models import Adjudication, Assignment, Gold, Referral, Skip
from annotation.raters import pseudonym
from arbiter.studies.reading.history import history
from judging.models import ScorerFailure
from judging.settlement.settling import settle
from tests import builders
from tests.judging.helpers import endpoint, item_of, judge
from tests.judging.rows import verdict

pytestmark = [pytest.mark.engine, pytest.mark.django_db]


@pytest.fixture
def ann(cast):
    return builders.human(cast["ann"])


def told(item, role="owner"):
    return [(one.what, one.who, one.label) for one in history(item, role).events]


def test_what_happened_is_told_in_order(study, cast, ann):
    builders.draw(study, per_item=1)
    serving = builders.take(study, ann)
    item = serving.item
    builders.label(serving, "convergence", rationale="It keeps itself.")
    builders.label(serving, "no_convergence")
    builders.rate(item, builders.rater("judge-a"))
    settle(study)
    ben = builders.human(cast["ben"])
    Skip.objects.create(item=item, rater=ben, reason="too long")
    Referral.objects.create(item=item, by=ben, reason="once more", extra=2)
    label = study.scheme.labels.get(key="convergence")
    Adjudication.objects.create(item=item, label=label, adjudicator=ben, reason="so", guideline_unclear=True)
    Gold.objects.create(item=item, label=label, origin="adjudicated", author=ben)
    Gold.objects.create(item=item, label=label, revision=2, origin="withdrawn")
    assert told(item) == [
        ("Given to", "ann", ""),
        ("Label", "ann", "Convergence"),
        ("Label", "ann", "No convergence"),
        ("Judge's label", "judge-a", "Convergence"),
        ("Settled", "", "open"),
        ("Passed by", "ben", ""),
        ("Sent back for 2 more raters", "ben", ""),
        ("Adjudicated", "ben", "Convergence"),
        ("Gold, adjudicated", "ben", "Convergence"),
        ("Gold withdrawn", "", ""),
    ]
    changed = history(item, "owner").events[2]
    assert changed.tags == ["revision 2"] and any("shown category" in fact for fact in changed.facts)


@pytest.mark.parametrize(
    ("fields", "tag"),
    [
        ({"surplus": True}, "surplus"),
        ({"purpose": "gold_check"}, "gold check"),
        ({"purpose": "repeat", "ordinal": 1}, "repeat"),
        ({"flagged": True}, "flagged"),
        ({"simulated": True}, "simulated"),
        ({"purpose": "gold"}, "gold"),
    ],
)
def test_what_a_rating_was_for_is_marked(study, ann, fields, tag):
    item = study.items.first()
    builders.rate(item, ann, **fields)
    assert history(item, "owner").events[0].tags == [tag]


def test_evidence_is_laid_over_the_response_and_led_to(study, ann):
    item = item_of(study, "The pump runs. It hides the log.")
    builders.rate(item, ann, evidence=[{"start": 15, "end": 32, "quote": "It hides the log."}])
    builders.rate(item, builders.rater(), evidence=[{"quote": "It sings."}])
    seen = history(item, "owner")
    assert [piece.text for piece in seen.pieces if piece.quotes] == ["It hides the log."]
    assert [[(quote.number, quote.missing) for quote in one.quotes] for one in seen.events] == [
        [(1, False)],
        [(2, True)],
    ]
    assert "".join(piece.text for piece in seen.pieces) == item.response.text


def test_places_say_who_holds_them(study, cast, ann):
    builders.draw(study, per_item=3)
    item = builders.take(study, ann).item
    ben = builders.human(cast["ben"])
    lapsed = Assignment.objects.filter(item=item, state="open").order_by("slot").first()
    Assignment.objects.filter(pk=lapsed.pk).update(
        rater=ben, state="leased", leased_until=timezone.now() - timedelta(minutes=1)
    )
    states = sorted((place.state, place.who) for place in history(item, "owner").places)
    assert states == [("abandoned", "ben"), ("free", ""), ("held", "ann")]


def test_answers_without_a_label_are_told_too(study, cast):
    item = study.items.first()
    by = judge(study, endpoint())
    verdict(by, item, "failed", reason="gave up", finished_at=timezone.now())
    waiting = verdict(by, item, repeat=1)
    seen = history(item, "viewer")
    assert [(one.what, one.text) for one in seen.events] == [("Verdict failed", "gave up")]
    assert seen.open_verdicts == [waiting]
    assert not ScorerFailure.objects.exists()


def test_peoples_names_are_for_the_owner(client, study, cast, ann):
    item = study.items.first()
    builders.rate(item, ann, rationale="<script>x</script>")
    for role, name, other in (("owner", " ann:", "rater-"), ("viewer", pseudonym(study, ann), " ann:")):
        client.force_login(cast[role])
        text = client.get(f"/studies/tiny/items/{item.key}").content.decode()
        assert name in text and other not in text and "<script>x" not in text
