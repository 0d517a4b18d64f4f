"""Secrets are tried only so often, counted by all processes together, and never by taking the workers for
hashing."""

from contextlib import ExitStack, contextmanager, nullcontext
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.utils import timezone

from annotation.access import make_link
from annotation.models import Tries
from arbiter.web import throttle
from tests.processes import start
from tests.together import expect_no_errors, together

pytestmark = pytest.mark.django_db
RIGHT = "a long enough passphrase"
SPARED = throttle.SPARED


@pytest.fixture(autouse=True)
def no_flood(monkeypatch):
    monkeypatch.setattr(throttle, "_refusals", {})


@pytest.fixture(autouse=True)
def still(monkeypatch):
    """However long a busy machine takes, no window ends by itself and none grows."""
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    monkeypatch.setattr(throttle, "monotonic", lambda: 0.0)
    monkeypatch.setattr(throttle, "SPARED", 0)


@pytest.fixture
def ann(db):
    return User.objects.create_user("ann", password=RIGHT)


@pytest.fixture
def hashed(monkeypatch):
    """The names whose passwords were looked at."""
    seen = []

    def looked_at(self, request, username=None, password=None, **_):
        seen.append(username)
        user = User.objects.filter(username=username).first()
        return user if user and password == RIGHT else None

    monkeypatch.setattr("django.contrib.auth.backends.ModelBackend.authenticate", looked_at)
    return seen


def try_in(name="ann", password="wrong", address="192.0.2.1", client=None, **headers):
    form = {"username": name, "password": password}
    return (client or Client()).post("/sign-in", form, REMOTE_ADDR=address, **headers)


def later(**ago):
    """As if so much time had gone by."""
    for row in Tries.objects.all():
        Tries.objects.filter(pk=row.pk).update(ends_at=row.ends_at - timedelta(**ago))


@pytest.mark.engine
def test_wrong_passwords_are_looked_at_only_so_often(ann, hashed):
    statuses = [try_in().status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429] and len(hashed) == 3
    later(seconds=11)
    assert [try_in().status_code for _ in range(4)] == [200, 200, 429, 429]  # five wrong ones in five minutes
    later(seconds=60)
    assert try_in(password=RIGHT).status_code == 429 and len(hashed) == 5


def test_what_is_refused_says_when_to_come_again_and_keeps_the_name(ann, hashed):
    for _ in range(3):
        try_in()
    answer = try_in()
    assert answer.status_code == 429 and 1 <= int(answer["Retry-After"]) <= 11
    body = answer.content.decode()
    assert "Nothing was checked; try again in" in body and 'value="ann"' in body and "wrong" not in body


def test_a_refused_try_writes_nothing(ann, hashed, django_assert_max_num_queries):
    for _ in range(3):
        try_in()
    with django_assert_max_num_queries(2) as queries:
        try_in()
    assert not [query for query in queries.captured_queries if not query["sql"].startswith("SELECT")]


def test_what_was_right_counts_against_nobody(ann, hashed):
    others = [User.objects.create_user(f"rater-{number}") for number in range(12)]
    for user in others:  # a room behind one address, all at nine o'clock
        assert try_in(user.username, RIGHT).status_code == 302
    assert len(hashed) == 12


def test_signing_in_rightly_without_end_is_hashing_without_end(ann, hashed):
    statuses = [try_in(password=RIGHT).status_code for _ in range(5)]
    assert statuses == [302, 302, 302, 429, 429]
    later(seconds=11)
    assert try_in(password=RIGHT).status_code == 302


def test_an_address_is_refused_whatever_names_it_tries(ann, hashed):
    assert [try_in(f"name-{number}").status_code for number in range(5)] == [200] * 3 + [429] * 2
    later(seconds=2)
    assert try_in("name-8").status_code == 429
    assert try_in("name-9", address="192.0.2.2").status_code == 200  # others are not


@pytest.mark.engine
def test_all_addresses_together_are_refused_past_what_labelling_can_spare(ann, hashed):
    statuses = [try_in(f"name-{number}", address=f"192.0.2.{number}").status_code for number in range(7)]
    assert statuses == [200] * 3 + [429] * 4


def test_a_try_that_waited_while_others_were_wrong_is_not_hashed(ann, hashed, monkeypatch):
    place = throttle.hashing

    @contextmanager
    def after_three_others():
        monkeypatch.setattr(throttle, "hashing", place)
        for number in range(3):
            assert try_in(f"name-{number}", address=f"192.0.2.{number}").status_code == 200
        with place():
            yield

    monkeypatch.setattr(throttle, "hashing", after_three_others)
    assert try_in(address="198.51.100.1").status_code == 429 and len(hashed) == 3
    later(seconds=3000)
    for _ in range(3):  # what was not hashed was not counted, and no place is left taken
        assert try_in(address="198.51.100.1").status_code == 200
        later(seconds=3)


def test_people_who_all_sign_in_at_once_hold_up_nobody(db, hashed):
    """A class, each at a machine of their own for the first time."""
    for number in range(12):
        User.objects.create_user(f"rater-{number}")
        assert try_in(f"rater-{number}", RIGHT, address=f"192.0.2.{number}").status_code == 302


def test_the_longer_wrong_passwords_take_the_later_come_others(ann, hashed, monkeypatch):
    """Three that took two seconds each may not be followed by more for a long while: that is what labels are
    spared."""
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(throttle, "SPARED", SPARED)
    monkeypatch.setattr(throttle, "monotonic", lambda: next(clock))
    monkeypatch.setattr(throttle, "hashing", nullcontext)
    for number in range(3):
        try_in(f"name-{number}", address=f"192.0.2.{number}")
    window = {
        "ends_at__gt": timezone.now() + timedelta(seconds=170),
        "ends_at__lt": timezone.now() + timedelta(seconds=190),
    }
    assert Tries.objects.filter(count=3, **window).count() == 1


def test_a_flood_is_told_in_plain_words(ann, hashed, caplog):
    answers = flood()
    kinds = [answer.headers["Content-Type"] for answer in answers if answer.status_code == 429]
    assert kinds == ["text/html; charset=utf-8"] * throttle.FLOOD + ["text/plain; charset=utf-8"] * 2
    for answer in answers[-2:]:
        assert "try again in" in answer.content.decode() and int(answer["Retry-After"]) >= 1
        assert answer["Content-Length"] == str(len(answer.content))
        assert answer["Cache-Control"] == "max-age=0, no-cache, no-store, must-revalidate, private"
    told = [record.getMessage() for record in caplog.records]
    assert (
        told == ["/sign-in: too many tries from 192.0.2.1"] * throttle.FLOOD
    )  # and no more, however long it lasts


@pytest.mark.engine
def test_a_flood_costs_one_look_at_the_counts(ann, hashed, django_assert_num_queries):
    flood()
    with django_assert_num_queries(1):
        answer = try_in("somebody-else", password=b"\xff\x00")
    assert answer.status_code == 429 and len(hashed) == 3


@pytest.mark.engine
def test_who_is_known_gets_in_through_a_flood_from_the_same_address(ann, hashed):
    assert try_in(password=RIGHT).status_code == 302
    later(seconds=11)
    flood()
    for _ in range(5):
        assert try_in("nobody").status_code == 429
    assert try_in(password=RIGHT).status_code == 302


def flood():
    return [try_in(f"name-{number}") for number in range(3 + throttle.FLOOD + 2)]


def test_who_made_an_account_here_is_known_here(study, hashed):
    form = {"username": "dora", "password1": RIGHT, "password2": RIGHT}
    link = make_link(study=study, role="rater")
    assert Client().post(f"/invitation/{link}", form, REMOTE_ADDR="192.0.2.1").status_code == 302
    for number in range(6):
        try_in(f"name-{number}", address=f"198.51.100.{number}")
    assert try_in("dora", RIGHT).status_code == 302


def test_nobody_is_locked_out_by_what_others_try(ann, hashed):
    """Ann has signed in from home before; now the whole world tries her name."""
    home = "203.0.113.5"
    assert try_in(password=RIGHT, address=home).status_code == 302
    for number in range(30):
        try_in(address=f"192.0.2.{number}")
        later(seconds=11)
    assert try_in(address="198.51.100.1", password=RIGHT).status_code == 429  # from elsewhere, not now
    assert try_in(password=RIGHT, address=home).status_code == 302
    client = Client()
    assert (
        client.post(f"/sign-in/link/{make_link(user=ann)}").status_code == 302
    )  # and by a link from anywhere
    later(hours=2)
    assert try_in(address="198.51.100.1", password=RIGHT).status_code == 302  # nor for good


def test_a_name_written_with_blanks_is_the_same_account(ann, hashed):
    names = [
        " " * before + "ann" + after for before in range(4) for after in ("", " ", "\t", "\u00a0", "\u3000")
    ]
    for number, name in enumerate([*names, "\uff41\uff4e\uff4e"]):
        answer = try_in(name, address=f"192.0.2.{number}")
        assert answer.status_code == (200 if number < 20 else 429)  # twenty in an hour, from wherever
        Tries.objects.filter(key=throttle._key("all")).delete()  # not what this is about
    assert hashed == ["ann"] * 20


def test_addresses_of_one_ipv6_network_are_one(ann, hashed):
    statuses = [try_in(f"name-{number}", address=f"2001:db8::{number}").status_code for number in range(5)]
    assert statuses == [200] * 3 + [429] * 2


@pytest.mark.parametrize(
    ("proxies", "remote", "forwarded", "wanted"),
    [
        (
            0,
            "192.0.2.1",
            "198.51.100.9",
            "192.0.2.1",
        ),  # without a proxy of ours nobody says where they come from
        (1, "127.0.0.1", "198.51.100.9", "198.51.100.9"),
        (
            1,
            "127.0.0.1",
            "6.6.6.6, 198.51.100.9",
            "198.51.100.9",
        ),  # what a client wrote before it is not believed
        (2, "127.0.0.1", "6.6.6.6, 198.51.100.9, 10.0.0.1", "198.51.100.9"),
        (2, "127.0.0.1", "198.51.100.9", "127.0.0.1"),
        (1, "127.0.0.1", "", "unknown"),
        (1, "127.0.0.1", "nonsense", "unknown"),
        (1, "127.0.0.1", "198.51.100.9:50123", "198.51.100.9"),
        (1, "127.0.0.1", "[2001:db8::1]:50123", "2001:db8::/64"),
        (1, "127.0.0.1", "[2001:db8::1]", "2001:db8::/64"),
        (0, "", "", "unknown"),
        (0, "::ffff:192.0.2.1", "", "192.0.2.1"),
        (0, "2001:db8::1", "", "2001:db8::/64"),
    ],
)
def test_where_a_request_comes_from(settings, proxies, remote, forwarded, wanted):
    settings.PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR=remote, HTTP_X_FORWARDED_FOR=forwarded)
    assert throttle.client_address(request) == wanted


def test_neither_names_nor_addresses_can_be_read_from_what_is_stored(ann, hashed):
    try_in()
    assert Tries.objects.count() == 6
    assert all(len(row.key) == 64 and row.count == 1 for row in Tries.objects.all())


@pytest.mark.engine
def test_counts_that_ended_are_cleared(ann, hashed):
    try_in()
    later(days=200)
    try_in("somebody-else")
    assert not Tries.objects.filter(ends_at__lt=timezone.now() - timedelta(days=2)).exists()


def test_a_password_that_is_a_load_by_itself_is_not_hashed(ann, hashed):
    assert try_in(password="x" * 5000).status_code == 200 and hashed == []


@pytest.mark.engine
def test_odd_names_are_refused_calmly(ann):
    for name in ("", "\x00", "x" * 5000, "ann\u202e"):
        assert try_in(name).status_code in (200, 429)


@pytest.mark.engine
def test_wrong_links_are_told_only_so_often_and_right_ones_always(ann):
    for _ in range(30):
        assert Client().post("/sign-in/link/wrong").status_code == 410
    assert Client().post("/sign-in/link/wrong").status_code == 429
    assert Client().get("/invitation/wrong").status_code == 429
    assert Client().get("/password/MQ/wrong-token").status_code == 429
    assert Client().post(f"/sign-in/link/{make_link(user=ann)}").status_code == 302


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_of_tries_at_once_only_as_many_are_counted_as_there_may_be(db):
    limit = throttle.Limit("k" * 64, 5, timedelta(minutes=5))

    def tries():
        try:
            throttle.count([limit])
        except throttle.TooMany:
            return 0
        return 1

    for _ in range(2):  # with no row there, and with one whose window has ended
        assert sum(expect_no_errors(together(*[tries] * 12))) == 5
        assert Tries.objects.get().count == 5
        Tries.objects.update(ends_at=timezone.now())


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_what_is_refused_under_one_limit_is_counted_under_none(db):
    full = throttle.Limit("a" * 64, 1, timedelta(minutes=5))
    other = throttle.Limit("b" * 64, 5, timedelta(minutes=5))
    throttle.count([full])
    with pytest.raises(throttle.TooMany):
        throttle.count([other, full])
    assert not Tries.objects.filter(key=other.key).exists()


def test_places_for_hashing_are_those_of_all_processes_and_end_with_theirs(settings, monkeypatch):
    monkeypatch.setattr(throttle, "PATIENCE", -1)
    settings.HASHES_AT_ONCE = 2
    script = (
        "import time, django; django.setup()\nfrom arbiter.web.throttle import hashing\nwith hashing(): "
        "print(1, flush=True); time.sleep(600)"
    )
    other = start("-c", script, ARBITER_DATA=str(settings.DATA))
    other.stdout.readline()
    try:
        with ExitStack() as held:
            held.enter_context(throttle.hashing())
            with pytest.raises(throttle.TooMany), throttle.hashing():
                pass
            other.kill()
            other.communicate()
            with throttle.hashing():
                pass
    finally:
        other.kill()
    with throttle.hashing(), throttle.hashing():
        pass


def test_where_no_place_is_free_nothing_is_counted(ann, hashed, monkeypatch):
    monkeypatch.setattr(throttle, "PATIENCE", -1)
    with throttle.hashing():
        answer = try_in(password=RIGHT)
    assert answer.status_code == 429 and answer["Retry-After"] == "2" and hashed == []
    assert try_in(password=RIGHT).status_code == 302
