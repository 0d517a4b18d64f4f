"""Links that sign in or invite: once, for a while, and the first straight from this machine only."""

import re
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from annotation.access import make_link, usable_link
from annotation.models import AccessLink
from arbiter.core.errors import UserError
from arbiter.web import throttle
from tests import builders
from tests.together import expect_no_errors, together

pytestmark = pytest.mark.django_db
Membership, User = builders.Membership, builders.User


def sign_in(token, client=None, **headers):
    """Press the button of the link's page."""
    return (client or Client()).post(f"/sign-in/link/{token}", **headers)


def who(client):
    return client.session.get("_auth_user_id")


def invite(study, role="rater", **fields):
    return make_link(study=study, role=role, **fields)


def join(token, client=None, **form):
    return (client or Client()).post(f"/invitation/{token}", form)


def signed_in(user):
    client = Client()
    client.force_login(user)
    return client


NEW = {"username": "dora", "password1": "a long enough passphrase", "password2": "a long enough passphrase"}


def everything_stored():
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM annotation_accesslink")
        return repr(cursor.fetchall())


def test_only_the_hash_of_a_link_is_stored(cast):
    token = make_link(user=cast["ann"])
    assert len(token) >= 43 and token not in everything_stored()
    assert re.fullmatch("[0-9a-f]{64}", AccessLink.objects.get().token_hash)
    assert make_link(user=cast["ann"]) != token


def test_a_sign_in_link_works_once(cast):
    token, client = make_link(user=cast["ann"]), Client()
    answer = sign_in(token, client)
    assert (answer.status_code, answer.url) == (302, "/")
    assert who(client) == str(cast["ann"].pk)
    again = Client()
    assert sign_in(token, again).status_code == 410 and who(again) is None


@pytest.mark.parametrize("method", ["get", "head"])
def test_looking_at_a_link_spends_nothing(cast, study, method):
    """As what looks through mails for bad links does, again and again, also through a proxy."""
    token, client = make_link(user=cast["ann"]), Client()
    for headers in ({}, {"HTTP_X_FORWARDED_FOR": "192.0.2.7"}, {}):
        getattr(client, method)(f"/sign-in/link/{token}", **headers)
    assert who(client) is None and AccessLink.objects.get().used_at is None
    invited = invite(study)
    assert getattr(client, method)(f"/invitation/{invited}").status_code == 200
    assert not AccessLink.objects.exclude(used_at=None).exists()
    assert sign_in(token, client).status_code == 302 and who(client) == str(cast["ann"].pk)


def test_the_page_of_a_link_says_whom_it_signs_in_and_its_button_does(cast):
    token, client = make_link(user=cast["ann"]), signed_in(cast["owner"])
    body = client.get(f"/sign-in/link/{token}").content.decode()
    assert "Sign in as ann" in body and "You are owner in this browser now" in body
    strict = Client(enforce_csrf_checks=True)
    assert (
        strict.post(f"/sign-in/link/{token}").status_code == 403
    )  # another site's form spends nothing either
    assert AccessLink.objects.get().used_at is None
    given = strict.get(f"/sign-in/link/{token}").cookies["csrftoken"].value
    assert strict.post(f"/sign-in/link/{token}", {"csrfmiddlewaretoken": given}).url == "/"


def test_a_sign_in_link_expires(cast):
    token = make_link(user=cast["ann"], hours=1)
    AccessLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    client = Client()
    assert sign_in(token, client).status_code == 410 and who(client) is None
    assert AccessLink.objects.get().used_at is None


@pytest.mark.parametrize("token", ["x", "a" * 43, "%00"])
def test_a_link_that_was_never_made_is_refused(cast, token):
    make_link(user=cast["ann"])
    assert sign_in(token).status_code == 410


def test_the_hash_itself_opens_nothing(cast):
    make_link(user=cast["ann"])
    assert sign_in(AccessLink.objects.get().token_hash).status_code == 410


@pytest.mark.parametrize(
    "headers",
    [
        {"REMOTE_ADDR": "192.0.2.7"},
        {"REMOTE_ADDR": "::ffff:192.0.2.7"},
        {"REMOTE_ADDR": ""},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_X_FORWARDED_FOR": ""},
        {"HTTP_FORWARDED": "for=127.0.0.1"},
        {"HTTP_X_REAL_IP": "127.0.0.1"},
        {"HTTP_X_FORWARDED_HOST": "localhost"},
        {"HTTP_X_FORWARDED_PROTO": "https"},
        {"HTTP_VIA": "1.1 proxy"},
    ],
)
def test_a_sign_in_link_works_straight_from_this_machine_only(cast, headers):
    token, client = make_link(user=cast["ann"]), Client()
    assert sign_in(token, client, **headers).status_code == 403 and who(client) is None
    assert sign_in(token).status_code == 410  # it may be in a proxy's log by now


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_every_name_of_this_machine_will_do(cast, address):
    assert sign_in(make_link(user=cast["ann"]), REMOTE_ADDR=address).status_code == 302


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_of_requests_that_race_for_one_link_one_is_signed_in(cast):
    token = make_link(user=cast["ann"])
    clients = [Client() for _ in range(5)]
    answers = expect_no_errors(
        together(*[lambda client=client: sign_in(token, client) for client in clients])
    )
    assert sorted(answer.status_code for answer in answers) == [302, 410, 410, 410, 410]
    assert sum(who(client) is not None for client in clients) == 1


# Invitations


def test_an_invitation_makes_an_account_and_a_member(study):
    client, token = Client(), invite(study, "adjudicator")
    assert client.get(f"/invitation/{token}").status_code == 200
    assert AccessLink.objects.get().used_at is None  # looking at it doesn't use it
    assert join(token, client, **NEW).status_code == 302
    member = Membership.objects.get(study=study)
    assert (member.user.username, member.role) == ("dora", "adjudicator")
    assert who(client) == str(member.user.pk) and member.user.has_usable_password()


def test_an_invitation_works_from_elsewhere_too(study):
    answer = Client().post(f"/invitation/{invite(study)}", NEW, REMOTE_ADDR="192.0.2.7")
    assert answer.status_code == 302 and Membership.objects.count() == 1


def test_somebody_signed_in_joins_as_themselves(study, cast):
    assert join(invite(study, "viewer"), signed_in(cast["stranger"])).status_code == 302
    assert Membership.objects.get(study=study, user=cast["stranger"]).role == "viewer"


def test_a_member_keeps_the_role_they_have(study, cast):
    join(invite(study, "owner"), signed_in(cast["viewer"]))
    assert Membership.objects.get(study=study, user=cast["viewer"]).role == "viewer"


def test_a_used_invitation_makes_no_account(study):
    token = invite(study)
    join(token, **NEW)
    assert join(token, **{**NEW, "username": "eve"}).status_code == 410
    assert not User.objects.filter(username="eve").exists()


def test_an_expired_invitation_makes_no_account(study):
    assert join(invite(study, hours=-1), **NEW).status_code == 410
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "change", [{"password1": "short", "password2": "short"}, {"password2": "other"}, {"username": ""}]
)
def test_a_form_with_a_mistake_uses_nothing_up(study, change):
    token = invite(study)
    assert join(token, **{**NEW, **change}).status_code == 200
    assert not User.objects.exists() and usable_link(token).study == study


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_of_people_who_race_for_one_invitation_one_joins(study, monkeypatch):
    monkeypatch.setattr(throttle, "PATIENCE", 60)
    token = invite(study)
    names = [f"person-{number}" for number in range(4)]
    answers = expect_no_errors(
        together(*[lambda name=name: join(token, **{**NEW, "username": name}) for name in names])
    )
    assert sorted(answer.status_code for answer in answers) == [302, 410, 410, 410]
    assert User.objects.count() == Membership.objects.count() == 1


def test_each_kind_of_link_leads_to_its_own_page(study, cast):
    token = invite(study)
    assert sign_in(token).url == f"/invitation/{token}"
    token = make_link(user=cast["ann"])
    assert Client().get(f"/invitation/{token}").url == f"/sign-in/link/{token}"
    assert AccessLink.objects.filter(used_at=None).count() == 2


def test_a_link_signs_in_or_invites(study, cast):
    for fields in ({}, {"user": cast["ann"], "study": study}):
        with pytest.raises(IntegrityError), transaction.atomic():
            make_link(**fields)


def test_a_used_link_is_not_usable(study):
    token = invite(study)
    AccessLink.objects.update(used_at=timezone.now())
    with pytest.raises(UserError, match="has been used or has expired"):
        usable_link(token)
