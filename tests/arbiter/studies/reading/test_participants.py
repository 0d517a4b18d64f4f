"""The page of people: what it says of raters, and what their owner can do there."""

import pytest

from annotation.enrolments import enrolment_of
from annotation.models import Enrolment, Gold, TrainingAnswer
from annotation.routing import skip
from arbiter.studies.reading.participants import participant_figures, participants
from tests import builders

WHOLE = "100.0\u00a0%"
pytestmark = [pytest.mark.engine, pytest.mark.django_db]


@pytest.fixture
def ann(cast):
    return builders.human(cast["ann"])


@pytest.fixture
def ben(cast):
    return builders.human(cast["ben"])


def test_the_table_counts_what_each_did(study, cast, ann, ben):
    builders.draw(study, per_item=1)
    builders.label(builders.take(study, ann), flagged=True)
    skip(builders.take(study, ann), "too long")
    builders.take(study, ann)
    builders.rate(study.items.last(), ben, surplus=True)
    enrolment_of(study, ben)
    rows = {one.name: one for one in participants(study)}
    mine, other = rows["ann"], rows["ben"]
    assert (mine.enrolment.done, mine.enrolment.skipped, mine.held, mine.flags, mine.surplus) == (
        1,
        1,
        1,
        1,
        0,
    )
    assert (other.held, other.flags, other.surplus) == (0, 0, 1)
    assert not rows["viewer"].labels


def test_whoever_left_is_still_in_the_table(study, cast, ann):
    enrolment_of(study, ann)
    study.memberships.filter(user=cast["ann"]).delete()
    assert [one.name for one in participants(study) if one.membership is None] == ["ann"]


def test_agreement_with_others_counts_pairs_on_the_same_item(study, cast, ann, ben):
    cara = builders.rater("cara", "human")
    first, second, third, *_ = study.items.all()
    for rater in (ann, ben, cara):
        builders.rate(first, rater)
    builders.rate(second, ann, "convergence")
    builders.rate(second, ben, "no_convergence")
    builders.rate(second, cara, "no_convergence")
    builders.rate(third, ann)  # nobody to agree with
    builders.rate(first, builders.rater("judge-a"), "no_convergence")
    figures = participant_figures(study)
    assert {rater: (one.pairs_agree, one.pairs) for rater, one in figures.raters.items()} == {
        ann.pk: (2, 4),
        ben.pk: (3, 4),
        cara.pk: (3, 4),
    }
    [(program, labels, simulated)] = figures.programs
    assert (program.name, labels, simulated) == ("judge-a", 1, False)


def test_agreement_with_gold_leaves_out_who_made_it(study, cast, ann, ben):
    first, second, third, *_ = study.items.all()
    label = study.scheme.labels.get(key="convergence")
    Gold.objects.create(item=first, label=label, origin="single", author=ben)
    Gold.objects.create(item=second, label=label, origin="consensus")
    Gold.objects.create(item=third, label=label, origin="imported")
    for item in (first, second):
        builders.rate(item, ann)
        builders.rate(item, ben)
    builders.rate(third, ben, "no_convergence", purpose="gold_check")
    builders.rate(third, ann, "no_convergence")
    builders.rate(third, ann)  # thought better of it
    figures = participant_figures(study).raters
    assert (figures[ann.pk].gold_agrees, figures[ann.pk].gold) == (2, 2)
    assert (figures[ben.pk].gold_agrees, figures[ben.pk].gold) == (0, 1)


def test_seconds_are_the_median_in_this_study(study, cast, ann):
    enrolment_of(study, ann)
    for item, seconds in zip(study.items.all(), (10.0, 40.0, 20.0), strict=False):
        builders.rate(item, ann, active_seconds=seconds)
    builders.rate(builders.study("other").items.first(), ann, active_seconds=500.0)
    assert participant_figures(study).raters[ann.pk].seconds == 20.0


# The page


@pytest.fixture
def owner(client, study, cast):
    client.force_login(cast["owner"])
    return client


def of(study, name):
    return f"/studies/tiny/people/{study.memberships.get(user__username=name).pk}"


def said(answer):
    return " ".join(str(message) for message in answer.context["messages"])


def act(client, study, name, **posted):
    return client.post(f"{of(study, name)}/change", posted, follow=True)


def test_an_owner_pauses_resumes_and_takes_back(owner, study, cast, ann):
    builders.draw(study, per_item=1)
    builders.take(study, ann)
    assert "ann is paused" in said(act(owner, study, "ann", pause=""))
    assert Enrolment.objects.get(rater=ann).paused
    assert "1 place given back" in said(act(owner, study, "ann", release=""))
    assert "given items again" in said(act(owner, study, "ann", resume=""))
    assert not Enrolment.objects.get(rater=ann).paused


def test_an_owner_limits_a_rater_and_is_told_of_odd_limits(owner, study, cast, ann):
    act(owner, study, "ann", limit="", cap="5", category=["alpha"])
    mine = Enrolment.objects.get(rater=ann)
    assert (mine.cap, mine.categories, mine.languages) == (5, ["alpha"], [])
    for odd in ({"cap": "many"}, {"cap": "0"}, {"category": ["gamma"]}):
        answer = act(owner, study, "ann", limit="", **odd)
        assert answer.status_code == 422 and 'class="mistake"' in answer.content.decode()
    mine.refresh_from_db()
    assert mine.cap == 5
    assert "Choose what to do" in said(act(owner, study, "ann"))


def test_an_owner_sees_a_rater_through_the_training(owner, study, cast, ann):
    builders.humans(study, training={"examples": 2, "rounds": 1})
    mine = enrolment_of(study, ann)
    assert "fell short" in said(act(owner, study, "ann", grant=""))
    TrainingAnswer.objects.create(
        enrolment=mine, round=1, task_key="x", label_key="convergence", correct=False
    )
    text = owner.get("/studies/tiny/people").content.decode()
    assert "round 1: 0 of 1 right" in text
    act(owner, study, "ann", wave="")
    mine.refresh_from_db()
    assert mine.trained_at


def test_an_invitations_token_is_shown_once(owner, study):
    answer = owner.post("/studies/tiny/invite", {"role": "expert", "days": "3"})
    token = answer.context["link"].rsplit("/", 1)[1]
    assert "for 3 days" in answer.content.decode()
    text = owner.get("/studies/tiny/people").content.decode()
    assert token not in text and "Revoke" in text
    link = study.invitations.get()
    answer = owner.post("/studies/tiny/invite/revoke", {"invitation": str(link.pk)}, follow=True)
    assert "revoked" in said(answer) and "Open invitations" not in answer.content.decode()
    for odd in ("", "x", "9" * 30, str(link.pk)):
        assert "used or revoked" in said(
            owner.post("/studies/tiny/invite/revoke", {"invitation": odd}, follow=True)
        )


@pytest.mark.parametrize("days", ["0", "91", "x", "-3", "²"])
def test_an_odd_number_of_days_is_refused(owner, study, days):
    answer = owner.post("/studies/tiny/invite", {"role": "rater", "days": days}, follow=True)
    assert answer.status_code == 422 and "1 to 90 days" in answer.content.decode()
    assert not study.invitations.exists()


def test_the_figures_that_take_a_while_come_after_the_page(owner, study, cast, ann, ben):
    for item in study.items.all():
        builders.rate(item, ann)
        builders.rate(item, ben)
    text = owner.get("/studies/tiny/people").content.decode()
    assert 'hx-get="/studies/tiny/people/figures"' in text and WHOLE not in text
    part = owner.get("/studies/tiny/people/figures", headers={"HX-Request": "true"}).content.decode()
    assert part.count(WHOLE) == 0  # nobody is enrolled: they labelled by import
    for rater in (ann, ben):
        enrolment_of(study, rater)
    part = owner.get("/studies/tiny/people/figures", headers={"HX-Request": "true"}).content.decode()
    assert part.count(WHOLE) == 2 and "hx-get" not in part
    whole = owner.get("/studies/tiny/people/figures", follow=True).content.decode()
    assert "<html" in whole and whole.count(WHOLE) == 2
