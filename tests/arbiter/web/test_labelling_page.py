"""The page that says how people are getting on with a study."""

import pytest

from annotation.enrolments import enrolment_of
from annotation.routing import skip
from tests import builders

pytestmark = pytest.mark.django_db
URL = "/studies/tiny/labelling/"


@pytest.fixture
def busy(study, cast):
    builders.humans(study, per_item=1)
    builders.draw(study, per_item=1)
    ann = builders.human(cast["ann"])
    builders.label(builders.take(study, ann), flagged=True, rationale="<b>odd</b>")
    skip(builders.take(study, ann), "too long")
    return study


def read(client, user, address=URL, **headers):
    client.force_login(user)
    return client.get(address, headers=headers).content.decode()


def test_the_page_says_how_far_people_are(client, busy, cast):
    text = read(client, cast["viewer"])
    assert "1<small> of 6</small>" in text and "1 rater can be given items" in text
    for part in ("strata", "categories", "nonresponse"):
        assert f'hx-get="{URL}by/{part}"' in text


def test_each_part_is_a_page_of_its_own_without_scripts(client, busy, cast):
    for part, words in (("strata", "Probability"), ("categories", "Alpha"), ("nonresponse", "too long")):
        whole = read(client, cast["viewer"], f"{URL}by/{part}")
        alone = read(client, cast["viewer"], f"{URL}by/{part}", **{"HX-Request": "true"})
        assert words in whole and "<html" in whole
        assert words in alone and "<html" not in alone
    assert client.get(f"{URL}by/other").status_code == 404


def test_raters_names_are_for_the_owner_alone(client, busy, cast):
    assert ">ann<" in read(client, cast["owner"])
    for role in ("viewer", "adjudicator"):
        for address in (URL, f"{URL}flagged"):
            text = read(client, cast[role], address)
            assert "rater-" in text and ">ann<" not in text


def test_notes_are_shown_as_they_are(client, busy, cast):
    text = read(client, cast["owner"], f"{URL}flagged")
    assert "&lt;b&gt;odd&lt;/b&gt;" in text and "<b>odd" not in text


def test_without_a_draw_the_page_says_how_to_make_one(client, study, cast):
    text = read(client, cast["owner"])
    assert "Nothing is drawn for people yet" in text and "study apply" in text
    assert "Nothing is drawn" in read(client, cast["owner"], f"{URL}by/strata")


def test_an_owner_draws_without_waiting_for_judges(client, study, cast):
    builders.humans(study, plan="disagreement", budget=3, per_item=1)
    assert "Draw now" not in read(client, cast["viewer"])
    text = read(client, cast["owner"])
    assert "6 items have fewer than two judges" in text and "Draw now" in text
    assert client.post(f"{URL}draw").status_code == 302
    assert study.draws.get().framed.count() == 6
    text = read(client, cast["owner"])
    assert "draws are made" in text


def test_where_nobody_labels_no_time_is_made_up(client, study, cast):
    builders.draw(study)
    text = read(client, cast["owner"])
    assert "nobody can say how long" in text and "No rater can be given items" in text
    enrolment_of(study, builders.human(cast["ann"]))
    assert "1 rater can be given items" in read(client, cast["owner"])
