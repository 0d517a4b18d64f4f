"""Who may see and do what: a stranger gets 404, a member whose role is not enough 403."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.test import RequestFactory

from annotation import access
from tests import builders

pytestmark = pytest.mark.django_db
MATRIX = {
    access.readable: {"owner", "adjudicator", "viewer"},
    access.owned: {"owner"},
    access.labelled: {"ann"},
    access.adjudicated: {"owner", "adjudicator"},
}
EVERYBODY = ["owner", "adjudicator", "ann", "viewer", "stranger", "nobody", "superuser"]


def person(cast, who):
    if who == "nobody":
        return AnonymousUser()
    return builders.User.objects.create_superuser("root") if who == "superuser" else cast[who]


def outcome(helper, slug, user):
    request = RequestFactory().get("/")
    request.user = user
    try:
        return helper(request, slug)
    except Http404:
        return 404
    except PermissionDenied:
        return 403


@pytest.mark.parametrize("helper", MATRIX)
@pytest.mark.parametrize("who", EVERYBODY)
def test_every_role_at_every_door(study, cast, helper, who):
    role = "owner" if who == "superuser" else who
    expected = study if role in MATRIX[helper] else 404 if who in ("stranger", "nobody") else 403
    assert outcome(helper, study.slug, person(cast, who)) == expected


@pytest.mark.parametrize("helper", MATRIX)
def test_a_study_that_is_not_there_looks_like_one_that_is_not_ours(cast, helper):
    assert outcome(helper, "none", cast["owner"]) == 404


def test_a_role_counts_in_its_own_study_only(study, cast):
    other = builders.study("other")
    builders.Membership.objects.create(study=other, user=cast["owner"], role="rater")
    assert outcome(access.owned, "other", cast["owner"]) == 403
    assert outcome(access.owned, study.slug, cast["owner"]) == study
    assert [access.role_in(s, cast["owner"]) for s in (study, other)] == ["owner", "rater"]
    assert access.role_in(study, cast["stranger"]) is None


def test_an_item_is_found_in_its_own_study_only(study):
    item = study.items.first()
    assert access.item_in(study, item.key) == item
    for where, key in [(builders.study("other"), item.key), (study, "zzzzzzzzzzzz"), (study, str(item.pk))]:
        with pytest.raises(Http404):
            access.item_in(where, key)
