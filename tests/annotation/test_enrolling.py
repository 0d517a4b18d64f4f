"""What an owner decides about a rater, and the invitations that are open."""

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation.access import accept_invitation, usable_link
from annotation.desk import enrolment_of
from annotation.enrolling import invite, limit, offered, open_invitations, pause, revoke
from annotation.models import AccessLink
from benchmark.errors import UserError
from tests import builders

pytestmark = [pytest.mark.engine, pytest.mark.django_db]


@pytest.fixture
def mine(study, cast):
    builders.draw(study, per_item=1)
    return enrolment_of(study, builders.human(cast["ann"]))


def given(study, mine):
    """The categories of all they are given, one after the other."""
    found = []
    while serving := builders.take(study, mine.rater):
        found.append(serving.item.response.task.category.key)
        builders.label(serving)
    return found


def test_whoever_is_paused_gets_nothing_new_and_finishes_what_they_hold(study, mine):
    held = builders.take(study, mine.rater)
    pause(mine, True)
    assert builders.take(study, mine.rater) == held
    builders.label(held)
    assert builders.take(study, mine.rater) is None
    pause(mine, False)
    assert builders.take(study, mine.rater)


def test_a_cap_and_categories_limit_what_is_given(study, mine):
    limit(mine, cap=2, languages=[], categories=["beta"])
    assert given(study, mine) == ["beta", "beta"]
    limit(mine, cap=None, languages=["en"], categories=[])
    assert sorted(given(study, mine)) == ["alpha", "alpha", "alpha", "beta"]


def test_limits_nobody_could_meet_are_refused(study, mine):
    for odd in ({"cap": 0}, {"languages": ["xx"]}, {"categories": ["gamma"]}):
        with pytest.raises(UserError):
            limit(mine, **({"cap": None, "languages": [], "categories": []} | odd))
    assert offered(study) == (["en"], [("alpha", "Alpha"), ("beta", "Beta")])


@pytest.mark.parametrize(("role", "days"), [("", 7), ("king", 7), ("rater", 0), ("rater", 91)])
def test_an_odd_invitation_is_refused(study, role, days):
    with pytest.raises(UserError):
        invite(study, role, days)
    assert not AccessLink.objects.exists()


def test_an_invitation_is_open_until_it_expires_is_used_or_revoked(study, cast):
    token = invite(study, "expert", 2)
    [link] = open_invitations(study)
    assert link.role == "expert" and timedelta(days=1.9) < link.expires_at - timezone.now() < timedelta(
        days=2
    )
    accept_invitation(usable_link(token), cast["stranger"])
    assert study.memberships.get(user=cast["stranger"]).role == "expert"
    assert not open_invitations(study)
    with pytest.raises(UserError, match="used or revoked"):
        revoke(study, link.pk)


def test_a_revoked_invitation_works_no_more(study):
    token = invite(study, "rater", 7)
    revoke(study, open_invitations(study).get().pk)
    assert not open_invitations(study)
    with pytest.raises(UserError):
        usable_link(token)


def test_an_invitation_of_another_study_is_not_theirs_to_revoke(study):
    other = builders.study("other")
    invite(other, "rater", 7)
    with pytest.raises(UserError):
        revoke(study, open_invitations(other).get().pk)
    assert open_invitations(other).exists()
