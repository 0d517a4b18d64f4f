"""A form from an older page is not taken, and what was typed is given back: after signing in again, and after
being signed out."""

import json

import pytest
from django.test import Client

from annotation.models import Adjudication
from judging.settlement.settling import settle
from tests import builders

REASON = 'It copies <b>itself</b> & waits.\nTwice, "quoted".'
HERE = {
    "headers": {
        "Origin": "http://testserver",
        "Referer": "http://testserver/studies/tiny/adjudicate/KEY?kind=split",
    }
}


@pytest.fixture
def disputed(study, cast):
    item = study.items.first()
    builders.rate(item, builders.rater("ann", "human"), "convergence")
    builders.rate(item, builders.rater("ben", "human"), "no_convergence")
    settle(study)
    return item


@pytest.fixture
def strict(cast):
    """An adjudicator whose page's token is from before."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast["adjudicator"])
    return client


def decision(token="x" * 64, **more):
    return {
        "label": "convergence",
        "reason": REASON,
        "seen": "0",
        "guideline_unclear": "on",
        "csrfmiddlewaretoken": token,
    } | more


def fields(page):
    """Of the form that sends it again, as a browser would."""
    from html.parser import HTMLParser

    fields = []

    class Inputs(HTMLParser):
        def handle_starttag(self, tag, attributes):
            if tag == "input" and dict(attributes).get("type") == "hidden":
                fields.append((dict(attributes)["name"], dict(attributes)["value"]))

    Inputs().feed(page.content.decode())
    names = [name for name, _ in fields]
    start = len(names) - names[::-1].index("csrfmiddlewaretoken") - 1  # the last form; the first signs out
    return dict(fields[start:])


def test_an_expired_token_gives_back_all_that_was_typed_and_sends_it_again(strict, disputed):
    url = f"/studies/tiny/adjudicate/{disputed.key}"
    page = strict.post(url, decision(), **HERE)
    assert page.status_code == 403 and not Adjudication.objects.exists()
    assert "Not sent yet" in page.content.decode() and "Send it again" in page.content.decode()
    assert "It would be sent as <strong>adjudicator</strong>" in page.content.decode()
    assert 'href="/studies/tiny/adjudicate/KEY?kind=split"' in page.content.decode()
    assert "<b>itself</b>" not in page.content.decode()
    again = fields(page)
    assert again["reason"] == REASON and "x" * 64 not in page.content.decode()
    assert strict.post(url, again, **HERE).status_code == 302
    made = Adjudication.objects.get()
    assert (made.reason, made.guideline_unclear) == (REASON, True)


def test_a_studys_form_is_given_back_too(strict, study, cast):
    strict.force_login(cast["owner"])
    text = "study: tiny\ntitle: A new title\n" + "# long\n" * 400
    page = strict.post("/studies/tiny/edit/", {"text": text, "how": "file"}, **HERE)
    assert page.status_code == 403 and fields(page)["text"] == text
    assert "What you had typed" in page.content.decode()


def test_whoever_is_signed_out_keeps_what_they_typed(strict, disputed, cast):
    url = f"/studies/tiny/adjudicate/{disputed.key}"
    strict.get(url)
    token = strict.cookies["csrftoken"].value
    strict.cookies.pop("sessionid")
    page = strict.post(url, decision(token), **HERE)
    assert page.status_code == 403 and "You have been signed out" in page.content.decode()
    assert 'target="_blank"' in page.content.decode() and fields(page)["reason"] == REASON
    strict.force_login(cast["adjudicator"])
    assert strict.post(url, fields(page), **HERE).status_code == 302
    assert Adjudication.objects.get().reason == REASON


def test_another_sites_form_is_neither_taken_nor_shown(strict, disputed):
    url = f"/studies/tiny/adjudicate/{disputed.key}"
    page = strict.post(url, decision(), headers={"Origin": "https://elsewhere.example"})
    assert page.status_code == 403 and "came from another site" in page.content.decode()
    assert "itself" not in page.content.decode() and "Send it again" not in page.content.decode()


@pytest.mark.parametrize("headers", [{}, {"Origin": "null"}])
def test_a_form_of_unknown_origin_is_shown_but_not_sent_by_a_click(strict, disputed, headers):
    page = strict.post(f"/studies/tiny/adjudicate/{disputed.key}", decision(), headers=headers)
    assert page.status_code == 403 and "Send it again" not in page.content.decode()
    assert not Adjudication.objects.exists()


@pytest.mark.parametrize(
    "came",
    [
        "https://elsewhere.example/x",
        "http://testserver//elsewhere.example/x",
        "http://testserver/\\elsewhere.example/x",
        "http://testserver///elsewhere.example",
    ],
)
def test_a_way_back_leads_nowhere_else(strict, disputed, came):
    headers = {"Origin": "http://testserver", "Referer": came}
    page = strict.post(f"/studies/tiny/adjudicate/{disputed.key}", decision(), headers=headers)
    assert page.status_code == 403 and "elsewhere.example" not in page.content.decode()


def test_a_password_is_never_given_back(db):
    client = Client(enforce_csrf_checks=True)
    headers = {"Origin": "http://testserver", "Referer": "http://testserver/sign-in?next=/x"}
    page = client.post("/sign-in", {"username": "ann", "password": "hunter2 hunter2"}, headers=headers)
    assert page.status_code == 403 and "hunter2" not in page.content.decode()
    assert "Send it again" not in page.content.decode() and 'href="/sign-in?next=/x"' in page.content.decode()


def test_a_file_has_to_be_chosen_again(strict, study, cast, tmp_path):
    strict.force_login(cast["owner"])
    (tmp_path / "gold.jsonl").write_text("{}")
    with (tmp_path / "gold.jsonl").open() as file:
        page = strict.post("/studies/tiny/gold/import", {"file": file, "draw": "main one"}, **HERE)
    assert page.status_code == 403 and "choose it once more" in page.content.decode()
    assert "Send it again" not in page.content.decode()


def test_scripts_are_told_in_json(strict, study, cast):
    page = strict.post("/studies/tiny/label/next", "{}", content_type="application/json", **HERE)
    assert page.status_code == 403 and json.loads(page.content)["kind"] == "signed-out"
