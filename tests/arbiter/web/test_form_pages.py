"""Pages that are sent something odd: an address breaks none, and a form that can't be taken is shown again
with what was typed."""

from itertools import product

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from annotation.models import Enrolment, Gold
from judging.votes.goldsplit import split_gold, split_of
from tests import builders
from tests.arbiter.web.test_judge_pages import golden, judged
from tests.judging.helpers import endpoint, judge

LONG = "9" * 40


@pytest.fixture
def owner(client, study, cast):
    client.force_login(cast["owner"])
    return client


def text(answer):
    return " ".join(answer.content.decode().split())


ODD = ["x", "-1", "%C2%B2", LONG, "9" * 5000, "a%00b", "%ED%A0%80", "%FF", "%F0%9F%98%80"]


# What each page is asked for. {key} is an item's, {judge} a judge's.
ASKED = {
    "items/": "after room q model condition category stratum status label split control",
    "verdicts/": "after judge state",
    "gold/": "after",
    "labelling/flagged": "before",
    "adjudicate/": "kind category language page",
    "adjudicate/{key}": "kind category language",
    "agreement": "measure by first second pairs",
    "rates": "source by of over compare",
    "people": "figures",
    "progress": "still",
    "plan": "width arm first second estimand",
    "plan/before": "tasks epochs rate against difference icc pairing sensitivity specificity power level",
    "figures/rates.svg": "theme narrow download by source",
    "judges/{judge}": "with",
}


@pytest.mark.engine
@pytest.mark.django_db
@pytest.mark.usefixtures("figures_kept")
@pytest.mark.parametrize("page", ASKED)
def test_no_odd_address_breaks_a_page(owner, study, cast, page):
    item = study.items.first()
    builders.rate(item, builders.rater("judge-a"))
    builders.rate(item, builders.human(cast["ann"]))
    judge(study, endpoint())
    Gold.objects.create(item=item, label=study.scheme.labels.first(), origin="imported")
    address = page.format(key=item.key, judge=builders.rater("judge-a").pk)
    for name, odd in product(ASKED[page].split(), ODD):
        answer = owner.get(f"/studies/tiny/{address}?{name}={odd}")
        assert answer.status_code in (200, 404), (page, name, odd, answer.status_code)


@pytest.mark.engine
@pytest.mark.django_db
@pytest.mark.parametrize("odd", ODD)
def test_no_odd_address_breaks_a_raters_page(client, study, cast, odd):
    builders.ready(study, cast["ann"])
    client.force_login(cast["ann"])
    for name in ("search", "label", "after", "flagged"):
        assert client.get(f"/studies/tiny/label/mine?{name}={odd}").status_code in (200, 302)
    assert client.get(f"/studies/tiny/label/training/?seen={odd}").status_code in (200, 302)


@pytest.mark.django_db
def test_a_promotion_is_shown_again_with_what_was_typed(owner, study):
    answer = owner.post(
        "/studies/tiny/gold/promote", {"source": "adjudication", "min": "two", "replace": "on"}
    )
    page = text(answer)
    assert answer.status_code == 422 and "whole number from 1" in page and 'value="two"' in page
    assert '<option value="adjudication" selected>' in page and not Gold.objects.exists()
    assert answer.context["promoting"]["replace"].value()


@pytest.mark.django_db
def test_a_file_of_gold_is_refused_beside_its_field(owner, study):
    builders.draw(study, seed=1)
    file = SimpleUploadedFile("gold.csv", b"item,label\nnowhere,convergence\n")
    answer = owner.post("/studies/tiny/gold/import", {"file": file, "draw": "main"})
    assert answer.status_code == 422 and "gold.csv, line 2" in " ".join(
        answer.context["importing"].errors["file"]
    )
    assert '<option value="main" selected>' in text(answer)
    empty = owner.post("/studies/tiny/gold/import", {"file": SimpleUploadedFile("gold.csv", b"")})
    assert "Choose a CSV or JSONL file first." in text(empty)


@pytest.mark.django_db
def test_a_settlement_is_shown_again_with_what_was_typed(owner, study):
    answer = owner.post("/studies/tiny/settle", {"rule": "model", "threshold": "much", "audit": "200"})
    form = answer.context["settling"]
    assert answer.status_code == 422 and set(form.errors) == {"threshold", "audit"}
    page = text(answer)
    assert 'value="much"' in page and '<option value="model" selected>' in page
    refused = owner.post("/studies/tiny/settle", {"rule": "weighted"})
    assert refused.status_code == 422 and "no item has gold" in " ".join(
        refused.context["settling"].errors["rule"]
    )


@pytest.mark.django_db
def test_a_split_is_shown_again_with_what_was_typed(owner, study):
    answer = owner.post("/studies/tiny/judges/split", {"share": "2", "seed": "seven"})
    page = text(answer)
    assert answer.status_code == 422 and 'value="2"' in page and 'value="seven"' in page
    assert "must be a whole number" in page and split_of(study) is None


@pytest.mark.django_db
def test_a_look_without_a_reason_is_refused_beside_its_field(owner, study):
    golden(study)
    rater = judged(study)
    split_gold(study, seed=1)
    answer = owner.post(f"/studies/tiny/judges/{rater.pk}/look", {"reason": " "})
    assert answer.status_code == 422 and "Say why you look" in answer.context["looking"].errors["reason"][0]


@pytest.mark.django_db
def test_a_template_that_is_refused_is_not_lost(owner, study):
    mine = judge(study, endpoint())
    address = f"/studies/tiny/judges/{mine.judge.rater_id}/tune"
    typed = "{{ task }} {{ response }} {{ label_keys }} and more"
    answer = owner.post(address, {"template": typed, "before": mine.judge.template_text})
    assert (
        answer.status_code == 422
        and "apply its file by command" in text(answer)
        and "and more" in text(answer)
    )
    answer = owner.post(address, {"template": typed, "before": "what it was"})
    form = answer.context["editing"]
    assert "was changed after you opened this page" in text(answer)
    assert (form["template"].value(), form["before"].value()) == (typed, mine.judge.template_text)


@pytest.mark.django_db
def test_an_invitation_is_shown_again_with_what_was_typed(owner, study):
    answer = owner.post("/studies/tiny/invite", {"role": "expert", "days": "91"})
    page = text(answer)
    assert answer.status_code == 422 and 'value="91"' in page and '<option value="expert" selected>' in page
    assert not study.invitations.exists()


@pytest.mark.django_db
def test_a_raters_limits_are_shown_again_with_what_was_typed(owner, study, cast):
    ann = study.memberships.get(user=cast["ann"])
    sent = {"limit": "", "cap": "many", "category": ["alpha"]}
    answer = owner.post(f"/studies/tiny/people/{ann.pk}/change", sent)
    page = text(answer)
    assert answer.status_code == 422 and "whole number from 1" in page and 'value="many"' in page
    assert 'value="alpha" ' in page and answer.context["limiting"]["category"].value() == ["alpha"]
    assert Enrolment.objects.get(study=study, rater__user=cast["ann"]).cap is None


@pytest.mark.django_db
def test_the_last_owners_role_is_refused_beside_it(owner, study):
    answer = owner.post("/studies/tiny/member", {"username": "owner", "role": "viewer"})
    assert answer.status_code == 422 and "needs an owner" in answer.context["changing"].errors["role"][0]
    assert '<option value="viewer" selected>' in text(answer)
    for odd in ("nobody", "a\x00b"):
        answer = owner.post("/studies/tiny/member", {"username": odd, "role": "viewer"})
        assert answer.status_code == 302 and answer.url == "/studies/tiny/people"


@pytest.mark.django_db
def test_a_decision_is_shown_again_with_what_was_typed(owner, study):
    item = study.items.first()
    for sent, field in [
        ({"label": "", "reason": "Because."}, "label"),
        ({"label": "convergence", "reason": " "}, "reason"),
    ]:
        answer = owner.post(
            f"/studies/tiny/adjudicate/{item.key}", {**sent, "guideline_unclear": "on", "seen": "0"}
        )
        form = answer.context["deciding"]
        assert answer.status_code == 422 and list(form.errors) == [field]
        assert (form["label"].value(), form["reason"].value()) == (sent["label"], sent["reason"])
        assert form["guideline_unclear"].value()
    answer = owner.post(f"/studies/tiny/adjudicate/{item.key}/send-back", {"back": "Hard.", "extra": "99"})
    assert answer.status_code == 422 and list(answer.context["referring"].errors) == ["extra"]
    assert "data-open" in text(answer) and "Hard." in text(answer)


@pytest.mark.django_db
def test_an_address_that_is_not_saved_is_not_lost(client, cast, settings):
    settings.MAIL = {"host": "mail.test"}
    cast["ann"].set_password("a long enough passphrase")
    cast["ann"].save()
    client.force_login(cast["ann"])
    statuses = []
    for address, password in [("ann@", "x"), ("ann@example.org", "wrong")] + [
        ("ann@example.org", "wrong")
    ] * 4:
        answer = client.post("/password/address", {"email": address, "password": password})
        statuses.append(answer.status_code)
        assert f'value="{address}"' in text(answer) and "wrong" not in text(answer)
    assert statuses[:2] == [422, 422] and statuses[-1] == 429
    assert "Too many tries for now" in text(answer) and "Change your password" in text(answer)
    cast["ann"].refresh_from_db()
    assert cast["ann"].email == ""
