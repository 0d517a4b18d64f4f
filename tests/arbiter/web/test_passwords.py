"""Changing a password and setting one by a link: other sessions end, and a link works once."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from annotation.access import password_path
from annotation.models import Membership, Tries
from annotation.suiteaccess import grant
from arbiter.web import throttle
from tests import builders
from tests.commands import as_json, refusal
from tests.together import expect_no_errors, together

pytestmark = pytest.mark.django_db
OLD, NEW = "a long enough passphrase", "another and longer passphrase"


@pytest.fixture
def ann(db):
    return User.objects.create_user("ann", password=OLD)


def signed_in(user):
    client = Client()
    client.force_login(user)
    return client


def is_in(client):
    return client.get("/").status_code == 200


def sign_in(password, name="ann"):
    Tries.objects.all().delete()
    client = Client()
    client.post("/sign-in", {"username": name, "password": password})
    return client


def change(client, old=OLD, new=NEW, again=None):
    return client.post(
        "/password", {"old_password": old, "new_password1": new, "new_password2": again or new}
    )


def choose(path, new=NEW, client=None):
    """As a browser does: open the link, follow it, send the form."""
    client = client or Client()
    opened = client.get(path)
    if opened.status_code != 302:
        return opened
    return client.post(opened.url, {"new_password1": new, "new_password2": new})


def test_changing_a_password_ends_every_other_session(ann):
    here, there = signed_in(ann), signed_in(ann)
    assert change(here).status_code == 302
    assert is_in(here) and not is_in(there)
    assert is_in(sign_in(NEW)) and not is_in(sign_in(OLD))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"old": "wrong"}, "old password was entered incorrectly"),
        ({"again": "something else"}, "didn’t match"),
        ({"new": "short"}, "too short"),
        ({"new": "password1234"}, "too common"),
        ({"new": "x" * 1001}, "at most 1000 characters"),
    ],
)
def test_a_mistake_changes_nothing(ann, given, said):
    here, there = signed_in(ann), signed_in(ann)
    answer = change(here, **given)
    assert answer.status_code == 200 and said in answer.content.decode()
    assert is_in(here) and is_in(there) and is_in(sign_in(OLD))


def test_guessing_the_old_password_is_throttled(ann):
    client = signed_in(ann)
    statuses = [change(client, old="wrong").status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429] and is_in(client)


def test_who_has_no_password_is_told_how_to_get_one(ann):
    ann.set_unusable_password()
    ann.save()
    assert "You have no password" in signed_in(ann).get("/password").content.decode()


def test_a_link_sets_a_password_once_and_ends_every_session(ann):
    path, there = password_path(ann), signed_in(ann)
    ann.refresh_from_db()
    path = password_path(ann)  # made after that sign-in, which would have spent it
    answer = choose(path)
    assert (answer.status_code, answer.url) == (302, "/sign-in")
    assert not is_in(there) and is_in(sign_in(NEW)) and not is_in(sign_in(OLD))
    again = choose(path, "a third and longest passphrase")
    assert again.status_code == 410 and "has been used" in again.content.decode()


@pytest.mark.parametrize("method", ["get", "head"])
def test_looking_at_a_link_sets_and_spends_nothing(ann, method):
    path = password_path(ann)
    for _ in range(3):
        assert getattr(Client(), method)(path, follow=True).status_code == 200
    assert is_in(sign_in(OLD))
    ann.refresh_from_db()
    assert choose(password_path(ann)).status_code == 302


def test_a_link_expires(ann, settings):
    path = password_path(ann)
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert choose(path).status_code == 410


def test_a_link_is_not_anothers(ann):
    other = User.objects.create_user("ben", password=OLD)
    uid = password_path(other).split("/")[2]
    token = password_path(ann).split("/")[3]
    assert choose(f"/password/{uid}/{token}").status_code == 410
    for odd in ("!", "OTk5OTk5", "x" * 500, "%00"):
        assert Client().get(f"/password/{odd}/{token}").status_code == 410


def test_nothing_of_a_link_is_stored(ann):
    from tests.arbiter.web.test_links import everything_stored

    token = password_path(ann).split("/")[3]
    assert token not in everything_stored()


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_of_two_who_use_one_link_at_once_one_sets_the_password(ann, monkeypatch):
    monkeypatch.setattr(throttle, "PATIENCE", 60)
    path = password_path(ann)
    passwords = [f"the passphrase of person {number}" for number in range(3)]
    answers = expect_no_errors(together(*[lambda new=new: choose(path, new) for new in passwords]))
    assert sorted(answer.status_code for answer in answers) == [302, 410, 410]
    won = passwords[[answer.status_code for answer in answers].index(302)]
    assert User.objects.get(pk=ann.pk).check_password(won)


# Who makes one


def make(owner, study, user):
    pk = study.memberships.get(user=user).pk
    return signed_in(owner).post(f"/studies/{study.slug}/people/{pk}/password", follow=True)


def test_an_owner_makes_a_link_for_who_is_in_their_study_alone(cast, study):
    answer = make(cast["owner"], study, cast["ann"])
    link = answer.context["link"]
    assert link.startswith("http://testserver/password/") and link in answer.content.decode()
    assert choose(link.removeprefix("http://testserver")).status_code == 302
    cast["ann"].refresh_from_db()
    assert cast["ann"].check_password(NEW)


def test_an_owner_makes_none_for_who_reaches_more_than_is_theirs(cast, study):
    other = builders.study("other")
    Membership.objects.create(study=other, user=cast["ann"], role="viewer")
    grant("tiny", cast["ben"])
    User.objects.filter(pk=cast["viewer"].pk).update(is_superuser=True)
    for name in ("ann", "ben", "viewer"):
        answer = make(cast["owner"], study, cast[name])
        assert "only a superuser makes a link" in answer.content.decode() and "/password/" not in (
            answer.content.decode()
        )
    Membership.objects.create(study=other, user=cast["owner"], role="owner")
    assert "link" in make(cast["owner"], study, cast["ann"]).context  # the other study is theirs as well
    root = User.objects.create_superuser("root")
    for name in ("ann", "ben", "viewer"):
        assert "link" in make(root, study, cast[name]).context


def test_the_command_makes_one_for_anybody(ann):
    told = as_json("passwordlink", "ann", "--base-url", "http://127.0.0.1:9000/")
    assert told["link"].startswith("http://127.0.0.1:9000/password/") and told["hours"] == 72
    assert choose(told["link"].removeprefix("http://127.0.0.1:9000")).status_code == 302
    assert "nobody called 'zoe'" in refusal("passwordlink", "zoe")


def test_signing_in_spends_a_link(ann):
    path = password_path(ann)
    User.objects.filter(pk=ann.pk).update(last_login=timezone.now())
    assert choose(path).status_code == 410


def test_a_link_ends_where_its_person_comes_to_reach_more_or_another_owns_it(cast, study):
    """An owner's link is for who is in that owner's studies alone, and stays so until it is used."""
    other = builders.study("other")
    changes = [
        lambda: Membership.objects.create(study=other, user=cast["ann"], role="rater"),
        lambda: grant("tiny", cast["ann"]),
        lambda: study.memberships.filter(user=cast["owner"]).update(role="viewer"),
        lambda: User.objects.filter(pk=cast["ann"].pk).update(is_superuser=True),
    ]
    for change_ in changes:
        path = password_path(cast["ann"])
        study.memberships.filter(user=cast["ben"]).update(
            role="expert"
        )  # what others of the study do ends nothing
        assert Client().get(path).status_code == 302
        change_()
        assert choose(path).status_code == 410
        cast["ann"].refresh_from_db()
        assert not cast["ann"].check_password(NEW)
    assert choose(password_path(cast["ann"])).status_code == 302


# By mail


@pytest.fixture
def mail(settings, monkeypatch):
    """Mail is set up, and sent before the answer, so that it can be looked at."""
    settings.MAIL = {"host": "mail.test"}
    monkeypatch.setattr("arbiter.web.forms.accounts.Thread", AtOnce)


class AtOnce:
    """Sends before the answer, so that what was sent can be looked at."""

    def __init__(self, target, args, kwargs, daemon):
        self.start = lambda: target(*args, **kwargs)


def ask_for(address, client=None):
    return (client or Client()).post("/password/forgotten", {"email": address}, follow=True)


def test_a_link_is_sent_to_the_address_a_person_gave(ann, mail, mailoutbox):
    client = signed_in(ann)
    for given, kept in (("wrong", ""), (OLD, "ann@example.org")):
        client.post("/password/address", {"email": "ann@example.org", "password": given})
        ann.refresh_from_db()
        assert ann.email == kept
    ask_for("ann@example.org")
    [sent] = mailoutbox
    assert (
        sent.to == ["ann@example.org"] and "/password/forgotten" in Client().get("/sign-in").content.decode()
    )
    path = next(word for word in sent.body.split() if word.startswith("http")).removeprefix(
        "http://testserver"
    )
    assert choose(path).status_code == 302 and is_in(sign_in(NEW))
    assert choose(path).status_code == 410


def test_whether_somebody_has_an_address_is_not_told(ann, mail, mailoutbox):
    User.objects.filter(pk=ann.pk).update(email="ann@example.org")
    known, unknown = (ask_for(address).content.decode() for address in ("ann@example.org", "zoe@example.org"))
    assert "If somebody here has this address" in known and len(mailoutbox) == 1
    assert len(known) == len(unknown)


def test_nobodys_box_is_filled_from_here(ann, mail, mailoutbox):
    User.objects.filter(pk=ann.pk).update(email="ann@example.org")
    statuses = [ask_for("ann@example.org").status_code for _ in range(5)]
    assert statuses == [200] * 3 + [429] * 2 and len(mailoutbox) == 3


def test_without_mail_there_is_no_such_page(ann):
    assert ask_for("ann@example.org").status_code == 404
    assert (
        signed_in(ann).post("/password/address", {"email": "a@b.example", "password": OLD}).status_code == 404
    )
    assert "/password/forgotten" not in Client().get("/sign-in").content.decode()
