"""Invitations to a study: made, open, used, revoked."""

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation.access import accept_invitation, invite, open_invitations, revoke_invitation, usable_link
from annotation.models import AccessLink
from arbiter.core.errors import UserError
from tests import builders

pytestmark = [pytest.mark.engine, pytest.mark.django_db]


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
        revoke_invitation(study, link.pk)


def test_a_revoked_invitation_works_no_more(study):
    token = invite(study, "rater", 7)
    revoke_invitation(study, open_invitations(study).get().pk)
    assert not open_invitations(study)
    with pytest.raises(UserError):
        usable_link(token)


def test_an_invitation_of_another_study_is_not_theirs_to_revoke_invitation(study):
    other = builders.study("other")
    invite(other, "rater", 7)
    with pytest.raises(UserError):
        revoke_invitation(study, open_invitations(other).get().pk)
    assert open_invitations(other).exists()
