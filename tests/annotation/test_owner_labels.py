"""Owners label where the study allows it, and what they label is told as the owner's. Experts find their
workspace."""

import json

import pytest
from django.test import Client

from annotation.access import make_link
from annotation.models import Enrolment, Membership, Rating, Serving
from annotation.nonresponse import served_raters
from annotation.raters import owners_who_labelled
from arbiter.analysis.agreement.coefficients import agreement
from arbiter.releases.exporting import rows
from tests import builders
from tests.builders import User

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
PAGE = "/studies/tiny/label/"


@pytest.fixture
def open_to_owners(study, cast):
    builders.humans(study, owner_labels=True)
    builders.draw(study, per_item=2, seed=1)
    builders.ready(study, cast["owner"], cast["ann"])
    return cast


def signed_in(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def label_next(client, base: int = 0, label: str = "convergence"):
    """Label the first item they are given, as the page does."""
    item = client.post(f"{PAGE}next", {"want": 1}, content_type="application/json").json()["items"][0]
    sent = {"key": item["key"], "submission": f"12345678-{item['key']}", "base": base, "label": label}
    answer = client.post(f"{PAGE}submit", sent, content_type="application/json")
    assert answer.status_code == 200, answer.content
    return Rating.objects.latest("pk")


@pytest.mark.parametrize("allowed", [False, True])
def test_only_where_the_study_allows_it(study, cast, allowed):
    builders.humans(study, owner_labels=allowed)
    builders.draw(study, per_item=2, seed=1)
    builders.ready(study, cast["owner"])  # also somebody who has been at work there before
    superuser = User.objects.create_superuser("root")
    for person in (cast["owner"], superuser):
        client = signed_in(person)
        assert client.get(PAGE).status_code == (302 if person is superuser else 200) if allowed else 403
        answer = client.post(f"{PAGE}next", {"want": 1}, content_type="application/json")
        assert (answer.status_code == 403) == (not allowed or person is superuser)  # who has to agree first
    for name in ("adjudicator", "viewer"):
        assert signed_in(cast[name]).get(PAGE).status_code == 403
    assert signed_in(cast["stranger"]).get(PAGE).status_code == 404
    home = signed_in(cast["owner"]).get("/").content.decode()
    assert (f'href="{PAGE}"' in home) is allowed


def test_an_owners_label_counts_and_is_told_as_the_owners(open_to_owners, study):
    owner, ann = signed_in(open_to_owners["owner"]), signed_in(open_to_owners["ann"])
    page = owner.get(PAGE).content.decode()
    assert "as owner" in page and "as owner" not in ann.get(PAGE).content.decode()
    hers, anns = label_next(owner), label_next(ann)
    assert hers.shown["by"] == "owner" and "by" not in anns.shown
    assert set(Rating.objects.votes()) == {hers, anns}
    assert [rater.name for rater in owners_who_labelled(study)] == ["owner"]
    assert agreement(study, by=())["owners"] == ["owner"]
    assert agreement(study, ["ann", "owner"], by=())["owners"] == ["owner"]
    marked = {
        row["label"]: row["by_owner"] for row in rows(study, long=True, names=True) if row["rater"] == "owner"
    }
    assert marked == {"convergence": True}
    assert [row["by_owner"] for row in rows(study, long=True, names=True) if row["rater"] == "ann"] == [False]
    said = owner.get("/studies/tiny/agreement").content.decode()
    assert "owner labelled as the study's owner" in said
    history = owner.get(f"/studies/tiny/items/{hers.item.key}").content.decode()
    assert "who can see other labels" in history


def test_items_wait_for_an_owner_who_may_label_them(open_to_owners, study):
    assert {str(one.rater) for one in served_raters(study)} == {"owner", "ann"}
    builders.humans(study)
    assert {str(one.rater) for one in served_raters(study)} == {"ann"}


def test_what_somebody_labelled_before_they_owned_the_study_stays_as_it_was(open_to_owners, study):
    ann = signed_in(open_to_owners["ann"])
    before = label_next(ann)
    ann.post(f"{PAGE}next", {"want": 1}, content_type="application/json")
    held = Serving.objects.get(rater=before.rater, answered_at=None)
    Membership.objects.filter(study=study, user=open_to_owners["ann"]).update(role="owner")
    sent = {"key": held.key, "submission": "12345678-held", "base": 0, "label": "nonsensical"}
    assert ann.post(f"{PAGE}submit", sent, content_type="application/json").status_code == 200
    assert [one.shown.get("by") for one in Rating.objects.order_by("pk")] == [None, "owner"]
    assert Enrolment.objects.get(rater=before.rater).as_owner


def test_an_owner_whose_study_no_longer_allows_it_is_told(open_to_owners, study):
    owner = signed_in(open_to_owners["owner"])
    label_next(owner)
    builders.humans(study)
    answer = owner.post(f"{PAGE}next", {"want": 1}, content_type="application/json")
    assert answer.status_code == 403 and json.loads(answer.content)["kind"] == "not-allowed"
    assert agreement(study, by=())["owners"] == ["owner"]  # what was labelled so, was


def test_an_expert_who_joins_by_invitation_finds_their_workspace(study, cast):
    token = make_link(study=study, role="expert", hours=1)
    client = Client()
    answer = client.post(
        f"/invitation/{token}",
        {"username": "new", "password1": "a fine long one", "password2": "a fine long one"},
        follow=True,
    )
    home = answer.content.decode()
    assert answer.redirect_chain[-1][0] == "/" and f'href="{PAGE}"' in home and "Write gold" in home
    assert 'href="/studies/tiny/"' not in home  # which is not for experts
    assert client.get(PAGE, follow=True).status_code == 200
