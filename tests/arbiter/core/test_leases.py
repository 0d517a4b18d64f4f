"""Rows claimed under a lease, of each model that is claimed so."""

import threading
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from annotation.models import Assignment
from benchmark.models import Response
from judging.models import Verdict
from tests import builders
from tests.judging.helpers import endpoint, judge
from tests.judging.rows import verdict
from tests.together import expect_no_errors, together, wait_for_a_waiter

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
SOON = 60


@pytest.fixture(params=["verdict", "response", "assignment"])
def work(request):
    """Make six open rows; those who claim them come from `holders`."""
    study = builders.study()
    if request.param == "verdict":
        by = judge(study, endpoint())
        for item in study.items.all():
            verdict(by, item)
        return Verdict.objects.all()
    if request.param == "response":
        Response.objects.update(state="todo")
        return Response.objects.all()
    builders.draw(study, per_item=1)
    return Assignment.objects.all()


@pytest.fixture
def holders(work):
    if work.model is Assignment:
        return [builders.rater(f"human-{number}", "human").pk for number in range(4)]
    return [f"{number}" * 32 for number in range(4)]


def let_lapse(rows):
    rows.update(leased_until=timezone.now() - timedelta(seconds=SOON))


def held(work):
    return list(work.order_by("pk").values_list("state", work.model.HOLDER))


def test_open_rows_are_claimed_once(work, holders):
    first, second, *_ = holders
    assert work.claim(first, SOON) == 6
    assert work.claim(second, SOON) == 0
    assert held(work) == [("leased", first)] * 6
    assert work.under_lease().count() == work.claimed_by(first).count() == 6
    assert not work.claimable().exists() and not work.lapsed().exists()


def test_of_the_rows_asked_for_those_are_claimed_that_are_claimable(work, holders):
    first, second, *_ = holders
    pks = list(work.order_by("pk").values_list("pk", flat=True))
    assert work.filter(pk__in=pks[:2]).claim(first, SOON) == 2
    assert work.filter(pk__in=pks[1:4]).claim(second, SOON) == 2
    assert set(work.claimed_by(second).values_list("pk", flat=True)) == set(pks[2:4])


def test_a_row_whose_lease_ran_out_is_the_next_holders(work, holders):
    first, second, *_ = holders
    work.claim(first, SOON)
    let_lapse(work)
    assert work.lapsed().count() == work.claimable().count() == work.claimed_by(first).count() == 6
    assert not work.under_lease().exists()
    assert work.claim(second, SOON) == 6
    assert not work.claimed_by(first).exists()


def test_whoever_lives_renews_what_nobody_took_meanwhile(work, holders):
    first, second, *_ = holders
    work.claim(first, SOON)
    let_lapse(work)
    taken = work.first().pk
    work.filter(pk=taken).claim(second, SOON)
    assert work.claimed_by(first).renew(SOON) == 5
    assert work.under_lease().count() == 6
    assert list(work.claimed_by(second).values_list("pk", flat=True)) == [taken]


def test_what_is_released_is_open_again(work, holders):
    first, second, *_ = holders
    before = held(work)
    work.claim(first, SOON)
    assert work.claimed_by(second).release() == 0
    assert work.claimed_by(first).release() == 6
    assert held(work) == before and work.claimable().count() == 6
    assert not work.exclude(leased_until=None).exists()
    assert work.release() == 0


def test_what_is_concluded_is_neither_claimed_nor_renewed_nor_released(work, holders):
    first, *_ = holders
    work.claim(first, SOON)
    if work.model is Assignment:  # its holder stays, as the one who did it
        assert work.claimed_by(first).conclude("done", rater=first) == 6
        assert held(work) == [("done", first)] * 6
    else:
        assert work.claimed_by(first).conclude("failed") == 6
        assert held(work) == [("failed", "")] * 6
    assert not work.unfinished().exists() and not work.exclude(leased_until=None).exists()
    assert (work.claim(first, SOON), work.renew(SOON), work.release()) == (0, 0, 0)


def test_sql_that_is_written_out_has_the_same_conditions(work, holders):
    table, first = work.model._meta.db_table, holders[0]
    pks = list(work.order_by("pk").values_list("pk", flat=True))
    work.filter(pk__in=pks[:4]).claim(first, SOON)
    let_lapse(work.filter(pk__in=pks[:2]))

    def keys(condition):
        statement = f"SELECT a.id FROM {table} a WHERE a.id >= %s AND {condition}"
        return {row.pk for row in work.model.objects.raw(statement, [0])}

    assert keys(work.model.claimable_sql("a")) == {row.pk for row in work.claimable()} == {*pks[:2], *pks[4:]}
    assert keys(work.model.lapsed_sql("a")) == {row.pk for row in work.lapsed()} == set(pks[:2])


@pytest.mark.parametrize(
    "write",
    [
        lambda rows: rows.claim("x", SOON),
        lambda rows: rows.renew(SOON),
        lambda rows: rows.release(),
        lambda rows: rows.conclude("done"),
    ],
)
def test_a_lease_is_not_written_behind_a_join(write):
    with pytest.raises(TypeError, match="own table"):
        write(Verdict.objects.filter(item__study__slug="tiny"))


@pytest.mark.django_db(transaction=True)
def test_of_those_who_claim_at_once_each_row_has_one(work, holders):
    claims = [lambda holder=holder: work.claim(holder, SOON) for holder in holders]
    assert sum(expect_no_errors(together(*claims))) == 6
    let_lapse(work)
    counts = expect_no_errors(together(*claims))
    assert sum(counts) == 6
    assert counts == [work.claimed_by(holder).count() for holder in holders]


@pytest.mark.django_db(transaction=True)
def test_a_claim_that_waited_for_another_finds_the_row_taken(work, holders):
    first, second, *_ = holders
    counts = []
    waiting = threading.Thread(target=lambda: counts.extend(together(lambda: work.claim(second, SOON))))
    with transaction.atomic():
        work.claim(first, SOON)
        waiting.start()
        wait_for_a_waiter()
        assert waiting.is_alive()
    waiting.join()
    assert counts == [0] and work.claimed_by(first).count() == 6


@pytest.mark.django_db(transaction=True)
def test_one_that_comes_late_neither_renews_nor_concludes_nor_releases_anothers_row(work, holders):
    first, second, *_ = holders
    work.claim(first, SOON)
    let_lapse(work)
    late = work.claimed_by(first)
    results = together(
        lambda: work.claim(second, SOON),
        lambda: late.renew(SOON),
        lambda: late.release(),
    )
    taken, _, released = expect_no_errors(results)
    # Whichever came first, nothing is held by two and nothing is lost.
    assert work.claimed_by(second).count() == taken
    assert work.claimed_by(first).count() + taken + work.filter(state=work.model.OPEN).count() == 6
    assert released in (0, 6)
