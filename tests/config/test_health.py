"""Probes are told the truth, whoever and however they ask, and no secret."""

import json
import os

import pytest
from django.core.cache import cache
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from arbiter.core import guards
from config import health

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]
GOOD = {"ready": True, "database": "ok", "migrations": "ok", "ledger": "ok", "data folder": "ok"}


@pytest.fixture
def away():
    """Put the database where nobody answers."""
    if connection.is_in_memory_db() if connection.vendor == "sqlite" else False:
        pytest.skip("a database in memory can't be away")
    before = dict(connection.settings_dict)
    there = (
        {"NAME": "/nowhere/x.sqlite3"}
        if connection.vendor == "sqlite"
        else {"HOST": "127.0.0.1", "PORT": "1"}
    )
    connection.close()
    connection.settings_dict.update(there)
    yield there
    connection.close()
    connection.settings_dict.update(before)


@pytest.fixture
def no_broker(settings):
    settings.CELERY_BROKER_URL = ""


def ready(client=None, asked="", **headers):
    answer = (client or Client()).get(f"/readyz{asked}", **headers)
    assert answer.headers["Cache-Control"] == "private, no-store"
    return answer.status_code, json.loads(answer.content)


def test_all_is_well(no_broker):
    assert ready() == (200, GOOD)


def test_a_probe_asks_by_any_host_and_without_https(no_broker, settings):
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = ["arbiter.example.org"], True
    for host in ("10.1.2.3:8000", "arbiter.example.org", "[fe80::1]:8000", "odd_host"):
        assert ready(headers={"host": host}) == (200, GOOD)
        assert Client().get("/healthz", headers={"host": host}).content == b"ok"
        assert Client().head("/readyz", headers={"host": host}).status_code == 200
    assert Client().get("/", headers={"host": "10.1.2.3"}).status_code == 400


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_probe_asks_with_get(path):
    answer = Client().post(path)
    assert answer.status_code == 405 and answer.headers["Allow"] == "GET, HEAD"
    assert not Client().get(path).cookies


def test_a_database_that_is_away(no_broker, away):
    assert Client().get("/healthz").status_code == 200
    status, said = ready()
    assert status == 503
    assert said == {
        "ready": False,
        "database": "doesn't answer",
        "migrations": "not known, as the database doesn't answer",
        "ledger": "not known, as the database doesn't answer",
        "data folder": "ok",
    }


def test_migrations_that_were_not_applied(no_broker):
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("judging", "0005_versions_and_splits")
    try:
        status, said = ready()
    finally:
        recorder.record_applied("judging", "0005_versions_and_splits")
    assert (status, said["migrations"]) == (503, "1 not applied; run manage.py migrate")
    assert said["database"] == "ok"


def test_a_data_folder_that_can_not_be_written_to(no_broker, settings, tmp_path, monkeypatch):
    settings.DATA = tmp_path / "gone"
    assert ready() == (503, {**GOOD, "ready": False, "data folder": "can't be written to"})
    settings.DATA = tmp_path

    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def write(self, _content):
            raise OSError(28, os.strerror(28))

    monkeypatch.setattr(health.tempfile, "TemporaryFile", lambda dir: Full())
    assert ready()[1]["data folder"] == "can't be written to"


def test_a_broker_that_is_away_and_no_word_of_its_password(settings, monkeypatch):
    from arbiter.core.broker import app

    settings.CELERY_BROKER_URL = "redis://user:very-secret@127.0.0.1:1/0"
    monkeypatch.setattr(app, "connection_for_write", lambda **_: _connection(settings.CELERY_BROKER_URL))
    status, said = ready()
    assert (status, said) == (503, {**GOOD, "ready": False, "broker": "can't be reached"})


def _connection(url):
    from kombu import Connection

    return Connection(url, connect_timeout=1)


# The ledger


def test_a_ledger_that_could_be_changed(no_broker):
    guards.lift()
    try:
        status, said = ready()
    finally:
        guards.install()
    assert status == 503 and "annotation_rating" in said["ledger"]
    assert said["ledger"].endswith("could be changed; run manage.py migrate")


def test_the_whole_ledger_is_read_where_it_is_asked_for(no_broker, study, caplog):
    assert ready(asked="?deep=1") == (200, {**GOOD, "whole ledger": "ok"})
    cache.clear()
    study.items.update(votes="9:9")
    assert ready() == (200, GOOD)
    status, said = ready(asked="?deep=1")
    assert (status, said["whole ledger"]) == (503, "not whole; run manage.py verify ledger")
    assert "keeps other votes than its ratings say" in caplog.text


def test_the_whole_ledger_is_not_read_again_for_each_probe(no_broker, study):
    ready(asked="?deep=1")
    study.items.update(votes="9:9")
    assert ready(asked="?deep=1") == (200, {**GOOD, "whole ledger": "ok"})


def test_one_probe_at_a_time_reads_the_whole_ledger(no_broker, study):
    with health._deep:  # another is at it
        assert ready(asked="?deep=1") == (200, GOOD)
