"""What went wrong, alike ones together with one example each."""

import pytest

from judging.models import ScorerFailure
from judging.panel.recent_troubles import troubles
from tests import builders
from tests.judging.helpers import endpoint, judge
from tests.judging.rows import attempt, verdict
from tests.judging.scorers_for_tests import scorer

pytestmark = pytest.mark.django_db
URL = "/studies/tiny/"


@pytest.fixture
def by(study):
    return judge(study, endpoint())


@pytest.fixture
def items(study):
    return list(study.items.order_by("id"))


def page_of(client, user, url=URL, **headers):
    client.force_login(user)
    return client.get(url, **headers).content.decode()


def test_troubles_that_differ_in_numbers_alone_are_one_kind_with_the_latest_as_example(study, by, items):
    made = [verdict(by, item, "unparsed", reason=f"cut off after {n} tokens") for n, item in enumerate(items)]
    [group] = troubles(study)
    assert (group.count, group.example.kind, group.example.verdict) == (6, "unparsed", made[-1].pk)
    assert group.example.message == "cut off after 5 tokens"


def test_troubles_are_kept_apart_by_judge_kind_status_and_words(study, by, items):
    one = verdict(by, items[0], "failed", reason="gave up")
    attempt(one, "rate_limited", status=429, error="try again in 3 s")
    attempt(one, "rate_limited", status=429, error="try again in 4 s")
    attempt(one, "rejected", status=400, error="bad model")
    attempt(one, "rejected", status=404, error="bad model")
    attempt(one, "answer")
    attempt(
        verdict(judge(study, by.judge.endpoint, "noisy"), items[0]),
        "rate_limited",
        status=429,
        error="try again in 3 s",
    )
    groups = [
        (group.example.rater, group.example.kind, group.example.is_call, group.count)
        for group in troubles(study)
    ]
    assert groups[0] == ("careful", "rate limited", True, 2)
    assert sorted(groups[1:]) == [
        ("careful", "failed", False, 1),
        ("careful", "rejected", True, 1),
        ("careful", "rejected", True, 1),
        ("noisy", "rate limited", True, 1),
    ]


def test_a_refusals_own_words_make_no_new_kind(study, by, items):
    verdict(by, items[0], "refused", reason="I won't.")
    verdict(by, items[1], "refused", reason="I would rather not.")
    verdict(by, items[2], "unparsed", reason="'maybe' is no label of the scheme")
    verdict(by, items[3], "unparsed", reason="'perhaps' is no label of the scheme")
    assert [group.count for group in troubles(study)] == [2, 2]


def test_why_a_scorer_gave_no_label_is_told_with_an_item_as_example(client, study, cast, items):
    by = scorer(study, "picky")
    for n, item in enumerate(items[:3]):
        ScorerFailure.objects.create(item=item, scorer=by, reason=f"LookupError: no log of run {n}")
    elsewhere = builders.study("other").items.first()
    ScorerFailure.objects.create(item=elsewhere, scorer=by, reason="ValueError: elsewhere")
    [group] = troubles(study)
    assert (group.count, group.example.rater, group.example.kind) == (3, "env-check", "no label")
    assert (group.example.item, group.example.message) == (items[2].key, "LookupError: no log of run 2")
    shown = page_of(client, cast["viewer"])
    assert f'href="/studies/tiny/items/{items[2].key}">LookupError: no log of run 2</a>' in shown
    shown = page_of(client, cast["viewer"], f"{URL}items/{items[0].key}")
    assert "env-check" in shown and "LookupError: no log of run 0" in shown and "run 2" not in shown


def test_errors_are_listed_with_a_link_to_an_example_and_hidden_when_there_are_none(
    client, study, cast, by, items
):
    assert 'aria-labelledby="troubles-heading" hidden' in page_of(client, cast["viewer"])
    made = verdict(by, items[0], "failed", reason="<script>boom</script>")
    shown = page_of(client, cast["viewer"])
    assert 'aria-labelledby="troubles-heading" hidden' not in shown
    assert f'href="/studies/tiny/verdicts/{made.pk}"' in shown and "&lt;script&gt;boom" in shown
