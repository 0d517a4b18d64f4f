"""Who may see and do what: a stranger gets 404, a member whose role is not enough 403."""

from functools import partial

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.test import RequestFactory

from annotation import access
from tests import builders

pytestmark = pytest.mark.django_db
DOORS = {
    "results": partial(access.membership_in, roles=access.READERS),
    "ownership": partial(access.membership_in, roles=access.OWNERS),
    "labelling": access.labelling_in,
    "adjudication": partial(access.membership_in, roles=access.ADJUDICATORS),
}
MATRIX = {
    "results": {"owner", "adjudicator", "viewer"},
    "ownership": {"owner"},
    "labelling": {"ann"},
    "adjudication": {"owner", "adjudicator"},
}
EVERYBODY = ["owner", "adjudicator", "ann", "viewer", "stranger", "nobody", "superuser"]


def person(cast, who):
    if who == "nobody":
        return AnonymousUser()
    return builders.User.objects.create_superuser("root") if who == "superuser" else cast[who]


def outcome(door, slug, user):
    request = RequestFactory().get("/")
    request.user = user
    try:
        membership = DOORS[door](request, slug)
    except Http404:
        return 404
    except PermissionDenied:
        return 403
    return membership.study, membership.role


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("who", EVERYBODY)
def test_every_role_at_every_door(study, cast, door, who):
    name = "owner" if who == "superuser" else who
    role = "rater" if who == "ann" else name
    expected = (study, role) if name in MATRIX[door] else 404 if who in ("stranger", "nobody") else 403
    assert outcome(door, study.slug, person(cast, who)) == expected


@pytest.mark.parametrize("door", DOORS)
def test_a_study_that_is_not_there_looks_like_one_that_is_not_ours(cast, door):
    assert outcome(door, "none", cast["owner"]) == 404


def test_a_role_counts_in_its_own_study_only(study, cast):
    other = builders.study("other")
    builders.Membership.objects.create(study=other, user=cast["owner"], role="rater")
    assert outcome("ownership", "other", cast["owner"]) == 403
    assert outcome("ownership", study.slug, cast["owner"]) == (study, "owner")
    assert [access.role_in(s, cast["owner"]) for s in (study, other)] == ["owner", "rater"]
    assert access.role_in(study, cast["stranger"]) is None


def test_an_item_is_found_in_its_own_study_only(study):
    item = study.items.first()
    assert access.item_in(study, item.key) == item
    for where, key in [(builders.study("other"), item.key), (study, "zzzzzzzzzzzz"), (study, str(item.pk))]:
        with pytest.raises(Http404):
            access.item_in(where, key)
