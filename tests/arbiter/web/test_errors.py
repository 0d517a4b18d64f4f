"""Whatever happens, whoever speaks JSON gets JSON of one shape with a true status, and people get a page."""

import errno
import json
from contextlib import contextmanager

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError, connection
from django.http import Http404
from django.test import Client

from annotation.models import Rating
from annotation.submitting import Conflict
from arbiter.core.errorkinds import ERROR_KINDS, error_kind_of, notice_in_a_line, notice_of
from arbiter.core.errors import UserError
from arbiter.web.throttle import TooMany
from benchmark.formats.records import FormatError
from tests import builders
from tests.config.test_health import away

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]
__all__ = ["away"]
FULL_ON_POSTGRESQL = """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
    CREATE TRIGGER full_disk BEFORE INSERT ON annotation_rating EXECUTE FUNCTION full_disk();
"""
SUBMISSION = "0f6a2c1e-5b7d-4c3a-9a51-2f1f7d0c9b11"
NO_LONGER = "DROP TRIGGER full_disk ON annotation_rating; DROP FUNCTION full_disk();"


@contextmanager
def full_disk():
    """The database's own error for it: SQLite may take no further page, PostgreSQL raises what it would."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(FULL_ON_POSTGRESQL)
            yield
            cursor.execute(NO_LONGER)
            return
        cursor.execute("CREATE TABLE filler (content)")
        while free := pragma(cursor, "freelist_count"):  # pages that earlier tests left empty would be room
            cursor.execute("INSERT INTO filler VALUES (zeroblob(%s))", [free * 4096])
        cursor.execute(f"PRAGMA max_page_count = {pragma(cursor, 'page_count')}")
        yield
        cursor.execute("PRAGMA max_page_count = 4294967294")
        cursor.execute("DROP TABLE filler")


def pragma(cursor, name):
    cursor.execute(f"PRAGMA {name}")
    return cursor.fetchone()[0]


@pytest.fixture
def study(db):
    made = builders.study()
    cast = builders.cast(made)
    builders.draw(made, per_item=1)
    builders.ready(made, cast["ann"])
    return made


def person(name):
    client = Client(raise_request_exception=False)
    client.force_login(builders.User.objects.get(username=name))
    return client


def label(client, serving, note=""):
    sent = {
        "key": serving.key,
        "submission": SUBMISSION,
        "base": 0,
        "label": "convergence",
        "note": note,
        "want": 2,
        "have": [],
    }
    return client.post("/studies/tiny/label/submit", json.dumps(sent), content_type="application/json")


def assert_told(answer, status, kind, said):
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/json"
    notice = json.loads(answer.content)
    assert set(notice) == {"kind", "error"} and notice["kind"] == kind and said in notice["error"]


def test_a_label_that_the_disk_has_no_room_for(study):
    ann = person("ann")
    serving = builders.take(study, builders.human(builders.User.objects.get(username="ann")))
    with full_disk():
        answer = label(ann, serving, note="x" * 19_000)
        assert_told(answer, 507, "disk-full", "disk is full")
    assert not Rating.objects.exists()
    # The page sends it again, and now it is taken.
    assert label(ann, serving, note="x" * 19_000).status_code == 200
    assert Rating.objects.count() == 1


def test_a_database_that_is_away(study, away, request):
    connection.close()
    anon = Client(raise_request_exception=False)
    anon.cookies["sessionid"] = "x" * 32
    post = anon.post("/studies/tiny/label/next", "{}", content_type="application/json")
    polled = anon.get("/studies/tiny/", headers={"hx-request": "true"})
    asked = anon.get("/studies/tiny/", headers={"accept": "application/json"})
    for answer in (post, polled, asked):
        assert_told(answer, 503, "database-away", "can't be used right now")
        assert answer.headers["Retry-After"] == "5"
    page = anon.get("/studies/tiny/", headers={"accept": "text/html,*/*"})
    assert page.status_code == 503 and page.headers["Retry-After"] == "5"
    assert (
        b"<h1>The database can&#x27;t be reached</h1>" in page.content and b"web/arbiter.css" in page.content
    )


def test_what_nobody_thought_of(study, monkeypatch):
    monkeypatch.setattr("arbiter.web.sign_in_pages.may_make_studies", lambda _: 1 / 0)
    owner = person("owner")
    assert_told(owner.get("/", headers={"accept": "application/json"}), 500, "broken", "didn't expect")
    page = owner.get("/")
    assert page.status_code == 500 and b"<h1>Something broke</h1>" in page.content
    assert "Retry-After" not in page.headers


def test_refusals_that_no_view_answers(study):
    client = person("stranger")
    as_json = {"accept": "application/json"}
    assert_told(client.get("/nowhere", headers=as_json), 404, "not-found", "no such page")
    assert_told(person("viewer").get("/studies/tiny/people", headers=as_json), 403, "not-allowed", "role")
    assert client.get("/nowhere").headers["Content-Type"].startswith("text/html")
    assert_told(
        client.get("/", headers={**as_json, "host": "elsewhere.example"}), 400, "refused", "can't read"
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk-full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk-full"),
        (OSError(errno.ENOENT, "No such file"), "broken"),
        (OperationalError("connection refused"), "database-away"),
        (OperationalError("database is locked"), "database-away"),
        (InterfaceError("connection already closed"), "database-away"),
        (OperationalError("no such table: annotation_item"), "broken"),
        (ValueError("x"), "broken"),
        (None, "broken"),
        (UserError("Choose what to do."), "refused"),
        (FormatError("a.csv", 3, "a label", "none"), "refused"),
        (Conflict("It was labelled meanwhile."), "conflict"),
        (TooMany(9), "too-many"),
        (SuspiciousOperation(), "unreadable"),
        (PermissionDenied(), "not-allowed"),
        (Http404(), "not-found"),
    ],
)
def test_the_kinds(error, kind):
    assert error_kind_of(error) == kind and kind in ERROR_KINDS and notice_of(error).message


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("Two\n  lines."), "Two lines."),
        (FormatError("a.csv", 3, "a label", "none"), "a.csv, line 3: expected a label; found none"),
        (OperationalError("database is locked\nDETAIL"), "The database can't be used: database is locked."),
        (
            OperationalError("no such table: x"),
            "The database can't be used: it lacks tables (no such table: x); make them with `manage.py "
            "migrate`.",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "The disk is full; make room, then start it again.",
        ),
        (ValueError("x"), ""),
    ],
)
def test_a_command_says_it_in_a_line(error, line):
    assert notice_in_a_line(error) == line


def test_what_a_page_of_a_study_refuses(study):
    owner, odd = person("owner"), "/studies/tiny/agreement?by=nothing"
    builders.rate(study.items.first(), builders.rater("judge-a"))
    builders.rate(study.items.first(), builders.rater("judge-b"))
    assert_told(owner.get(odd, headers={"hx-request": "true"}), 404, "refused", "nothing")
    page = owner.get(odd)
    assert page.status_code == 404 and b"nothing" in page.content
