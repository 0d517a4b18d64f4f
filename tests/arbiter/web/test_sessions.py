"""Sessions: their keys stored hashed, their end moved by use alone, and nobody signed out by the upgrade."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from django.utils import timezone

from arbiter.web.sessions import SessionStore, kept
from tests import builders
from tests.together import expect_no_errors, together

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
COOKIE = settings.SESSION_COOKIE_NAME
IDLE = timedelta(seconds=settings.SESSION_COOKIE_AGE)


def signed_in(user):
    client = Client()
    client.force_login(user)
    return client


def everything_stored():
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM django_session")
        return repr(cursor.fetchall())


def used_last(ago):
    """As if the one session had been used last so long ago."""
    Session.objects.update(expire_date=timezone.now() - ago + IDLE)


def left():
    return Session.objects.get().expire_date - timezone.now()


def test_a_copy_of_the_database_signs_nobody_in(cast):
    client = signed_in(cast["owner"])
    key, stored = client.cookies[COOKIE].value, Session.objects.get().session_key
    assert key not in everything_stored() and stored == kept(key)
    thief = Client()
    thief.cookies[COOKIE] = stored
    assert thief.get("/").status_code == 302 and client.get("/").status_code == 200


def test_it_is_found_changed_and_ended_by_its_key():
    made = SessionStore()
    made["a"] = 1
    made.save()
    assert made.exists(made.session_key) and not made.exists(kept(made.session_key))
    again = SessionStore(made.session_key)
    assert again["a"] == 1
    again["a"] = 2
    again.save()
    assert SessionStore(made.session_key)["a"] == 2 and Session.objects.count() == 1
    old = again.session_key
    again.cycle_key()
    assert SessionStore(old).get("a") is None and SessionStore(again.session_key)["a"] == 2
    SessionStore(again.session_key).flush()
    assert not Session.objects.exists()


def test_what_was_ended_meanwhile_is_not_brought_back():
    made = SessionStore()
    made.create()
    late = SessionStore(made.session_key)
    late["a"] = 1
    made.delete()
    with pytest.raises(UpdateError):
        late.save()
    assert not Session.objects.exists()


def test_sessions_that_ended_are_cleared():
    for age in (-5, 5):
        made = SessionStore()
        made.set_expiry(age)
        made.save()
    call_command("clearsessions")
    assert Session.objects.count() == 1


def test_a_session_ends_after_the_set_time_without_use(cast):
    client = signed_in(cast["owner"])
    used_last(IDLE - timedelta(minutes=5))
    assert client.get("/").status_code == 200
    used_last(IDLE + timedelta(seconds=1))
    assert client.get("/").status_code == 302


def test_use_moves_the_end_at_most_once_a_minute(cast):
    client = signed_in(cast["owner"])
    used_last(timedelta(seconds=30))
    before = Session.objects.get().expire_date
    assert COOKIE not in client.get("/").cookies and Session.objects.get().expire_date == before
    used_last(timedelta(minutes=10))
    answer = client.get("/")
    assert answer.cookies[COOKIE]["max-age"] == settings.SESSION_COOKIE_AGE
    assert answer.cookies[COOKIE]["httponly"] and answer.cookies[COOKIE]["samesite"] == "Lax"
    assert left() > IDLE - timedelta(seconds=20)
    assert COOKIE not in client.get("/").cookies


def test_labelling_keeps_the_session_and_an_open_page_alone_does_not(cast, study):
    builders.draw(study, per_item=1, seed=1)
    builders.ready(study, cast["ann"])
    client = signed_in(cast["ann"])
    used_last(timedelta(hours=1))
    beat = client.post("/studies/tiny/label/keep", {"keys": []}, "application/json")
    assert beat.status_code == 200 and left() < IDLE - timedelta(minutes=59)
    assert client.post("/studies/tiny/label/next", {"want": 1}, "application/json").status_code == 200
    assert left() > IDLE - timedelta(seconds=20)


def test_every_page_that_asks_by_itself_is_known():
    from tests.test_access import PAGES

    assert set(PAGES) >= settings.ASKED_BY_PAGES


def test_signing_out_ends_it(cast):
    client = signed_in(cast["owner"])
    key = client.cookies[COOKIE].value
    client.post("/sign-out")
    client.cookies[COOKIE] = key
    assert client.get("/").status_code == 302 and not Session.objects.filter(session_key=kept(key)).exists()


@pytest.mark.django_db(transaction=True)
def test_a_session_renewed_by_many_at_once_keeps_what_another_wrote(cast):
    client = signed_in(cast["owner"])
    key = client.cookies[COOKIE].value
    used_last(timedelta(hours=1))

    def writes():
        store = SessionStore(key)
        store["kept"] = "yes"
        store.save()

    def renews():
        store = SessionStore(key)
        store.get("kept")
        store.renew()

    expect_no_errors(together(writes, *[renews] * 5))
    assert SessionStore(key)["kept"] == "yes" and SessionStore(key)["_auth_user_id"] == str(cast["owner"].pk)


@pytest.mark.django_db(transaction=True)
def test_the_upgrade_hashes_the_keys_there_are_and_signs_nobody_out():
    latest = MigrationExecutor(connection).loader.graph.leaf_nodes()
    MigrationExecutor(connection).migrate([("annotation", "0009_gold_from_files")])
    try:
        user = User.objects.create_user("ann")
        client = signed_in(user)
        key = client.cookies[COOKIE].value
        Session.objects.update(session_key=key)  # as an earlier version stored it
        MigrationExecutor(connection).migrate(latest)
    finally:
        MigrationExecutor(connection).migrate(latest)
    assert key not in everything_stored() and client.get("/").status_code == 200
