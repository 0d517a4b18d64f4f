"""Who may open what: the cast against every page.

A stranger gets 404, a member whose role is not enough 403.
"""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import get_resolver

from annotation.models import Serving
from arbiter.core.models import Job
from benchmark.models import CollectionAttempt, CollectionPlan, Suite
from judging.models import Attempt, SettlementVersion
from tests import builders
from tests.arbiter.core.jobs_done import done_job
from tests.benchmark.collected import at_work
from tests.judging.helpers import endpoint, judge
from tests.judging.rows import attempt, verdict

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("figures_kept")]
READERS = {"owner", "adjudicator", "viewer"}
LABELLERS = {"ann", "expert"}  # everybody else can see other labels
PEOPLE = ["owner", "adjudicator", "viewer", "ann", "expert", "stranger", "superuser", None]
# Page: who may, and the method. {key} is an item's, {verdict} a verdict's of the first item, {attempt} its
# call's, {served} of what was served to the person.
PAGES = {
    "study": ("/studies/tiny/", READERS, "get"),
    "study-progress": ("/studies/tiny/progress", READERS, "get"),
    "study-errors": ("/studies/tiny/errors", READERS, "get"),
    "study-verdicts": ("/studies/tiny/verdicts/", READERS, "get"),
    "study-verdict": ("/studies/tiny/verdicts/{verdict}", READERS, "get"),
    "study-verdict-raw": ("/studies/tiny/verdicts/{verdict}/raw/{attempt}", READERS, "get"),
    "study-agreement": ("/studies/tiny/agreement", READERS, "get"),
    "study-biases": ("/studies/tiny/judges/biases", READERS, "get"),
    "study-rates": ("/studies/tiny/rates", READERS, "get"),
    "study-figure": ("/studies/tiny/figures/rates.svg", READERS, "get"),
    "study-judges": ("/studies/tiny/judges/", READERS, "get"),
    "study-gold-split": ("/studies/tiny/judges/split", {"owner"}, "post"),
    "judge-page": ("/studies/tiny/judges/{judge}", READERS, "get"),
    "judge-reveal": ("/studies/tiny/judges/{judge}/look", {"owner"}, "post"),
    "judge-tune": ("/studies/tiny/judges/{judge}/tune", {"owner"}, "post"),
    "study-items": ("/studies/tiny/items/", READERS, "get"),
    "study-item": ("/studies/tiny/items/{key}", READERS, "get"),
    "study-jobs": ("/studies/tiny/jobs/", READERS, "get"),
    "study-job": ("/studies/tiny/jobs/{job}", {"owner"}, "get"),
    "study-job-progress": ("/studies/tiny/jobs/{job}/progress", {"owner"}, "get"),
    "study-job-cancel": ("/studies/tiny/jobs/{job}/cancel", {"owner"}, "post"),
    "study-job-result": ("/studies/tiny/jobs/{job}/result", {"owner"}, "get"),
    "study-export": ("/studies/tiny/export.jsonl", READERS, "get"),
    "adjudicate": ("/studies/tiny/adjudicate/", {"owner", "adjudicator"}, "get"),
    "adjudicate-item": ("/studies/tiny/adjudicate/{key}", {"owner", "adjudicator"}, "get"),
    "adjudicate-decided": ("/studies/tiny/adjudicate/{key}/decided", {"owner", "adjudicator"}, "get"),
    "adjudicate-send-back": ("/studies/tiny/adjudicate/{key}/send-back", {"owner", "adjudicator"}, "post"),
    "study-new": ("/new-study", {"owner"}, "get"),
    "study-edit": ("/studies/tiny/edit/", {"owner"}, "get"),
    "study-file": ("/studies/tiny/study.yaml", {"owner"}, "get"),
    "study-labelling": ("/studies/tiny/labelling/", READERS, "get"),
    "study-labelling-part": ("/studies/tiny/labelling/by/strata", READERS, "get"),
    "study-flags": ("/studies/tiny/labelling/flagged", READERS, "get"),
    "study-draw": ("/studies/tiny/labelling/draw", {"owner"}, "post"),
    "study-people": ("/studies/tiny/people", {"owner"}, "get"),
    "study-people-figures": ("/studies/tiny/people/figures", {"owner"}, "get"),
    "study-rater": ("/studies/tiny/people/{member}", {"owner"}, "get"),
    "study-rater-change": ("/studies/tiny/people/{member}/change", {"owner"}, "post"),
    "study-invite-revoke": ("/studies/tiny/invite/revoke", {"owner"}, "post"),
    "study-rater-password": ("/studies/tiny/people/{member}/password", {"owner"}, "post"),
    "study-member": ("/studies/tiny/member", {"owner"}, "post"),
    "study-invite": ("/studies/tiny/invite", {"owner"}, "post"),
    "study-judge": ("/studies/tiny/judge", {"owner"}, "post"),
    "study-settle": ("/studies/tiny/settle", {"owner"}, "post"),
    "study-settlement": ("/studies/tiny/settlement", READERS, "get"),
    "study-settlement-changes": ("/studies/tiny/settlement/1/changes.csv", READERS, "get"),
    "study-plan": ("/studies/tiny/plan", READERS, "get"),
    "study-plan-step": ("/studies/tiny/plan/step", READERS, "get"),
    "study-plan-before": ("/studies/tiny/plan/before", READERS, "get"),
    "study-report": ("/studies/tiny/report", READERS, "get"),
    "study-costs": ("/studies/tiny/costs", READERS, "get"),
    "study-gold": ("/studies/tiny/gold/", READERS, "get"),
    "study-gold-promote": ("/studies/tiny/gold/promote", {"owner"}, "post"),
    "study-gold-import": ("/studies/tiny/gold/import", {"owner"}, "post"),
    "label-training": ("/studies/tiny/label/training/", LABELLERS, "get"),
    "label-training-answer": ("/studies/tiny/label/training/answer", LABELLERS, "post"),
    "label-training-again": ("/studies/tiny/label/training/again", LABELLERS, "post"),
    "label-me": ("/studies/tiny/label/me", LABELLERS, "get"),
    "label": ("/studies/tiny/label/", LABELLERS, "get"),
    "label-consent": ("/studies/tiny/label/consent", LABELLERS, "get"),
    "label-next": ("/studies/tiny/label/next", LABELLERS, "post"),
    "label-submit": ("/studies/tiny/label/submit", LABELLERS, "post"),
    "label-skip": ("/studies/tiny/label/skip", LABELLERS, "post"),
    "label-draft": ("/studies/tiny/label/draft", LABELLERS, "post"),
    "label-keep": ("/studies/tiny/label/keep", LABELLERS, "post"),
    "label-last": ("/studies/tiny/label/last", LABELLERS, "get"),
    "label-mine": ("/studies/tiny/label/mine", LABELLERS, "get"),
    "label-answered": ("/studies/tiny/label/answered/{served}", LABELLERS, "get"),
    "label-guidelines": ("/studies/tiny/label/guidelines", LABELLERS, "get"),
    "label-preferences": ("/studies/tiny/label/preferences", LABELLERS, "post"),
    "label-formatted": ("/studies/tiny/label/formatted/{served}", LABELLERS, "get"),
}
# Work is of the installation: whoever may see any of it.
PAGES |= {
    "work": ("/work/", READERS | {"superuser"}, "get"),
    "work-progress": ("/work/progress", READERS | {"superuser"}, "get"),
    "work-change": ("/work/change", READERS | {"superuser"}, "post"),
    "study-work": ("/studies/tiny/work/", READERS, "get"),
    "study-work-progress": ("/studies/tiny/work/progress", READERS, "get"),
    "study-work-change": ("/studies/tiny/work/change", READERS, "post"),
}
# What belongs to no study: a superuser, and whoever owns a suite.
PAGES |= {
    "suites": ("/suites/", {"superuser"}, "get"),
    "suites-give": ("/suites/give", {"superuser"}, "post"),
    "suites-take": ("/suites/take", {"superuser"}, "post"),
    "endpoints": ("/endpoints/", {"superuser"}, "get"),
    "endpoint-new": ("/new-endpoint", {"superuser"}, "get"),
    "endpoint": ("/endpoints/local/", {"superuser"}, "get"),
    "endpoint-checks": ("/endpoints/local/checks", {"superuser"}, "get"),
    "endpoint-check": ("/endpoints/local/check", {"superuser"}, "post"),
    "collections": ("/collections/", {"superuser"}, "get"),
    "collection-plan": ("/collections/plans/{plan}/", {"superuser"}, "get"),
    "collection-plan-progress": ("/collections/plans/{plan}/progress", {"superuser"}, "get"),
    "collection-plan-errors": ("/collections/plans/{plan}/errors", {"superuser"}, "get"),
    "collection-plan-change": ("/collections/plans/{plan}/change", {"superuser"}, "post"),
    "collection": ("/collections/{collection}/", {"superuser"}, "get"),
    "collection-progress": ("/collections/{collection}/progress", {"superuser"}, "get"),
    "collection-errors": ("/collections/{collection}/errors", {"superuser"}, "get"),
    "collection-change": ("/collections/{collection}/change", {"superuser"}, "post"),
    "collection-responses": ("/collections/{collection}/responses/", {"superuser"}, "get"),
    "collection-response": ("/collections/{collection}/responses/{response}", {"superuser"}, "get"),
    "collection-response-raw": (
        "/collections/{collection}/responses/{response}/raw/{call}",
        {"superuser"},
        "get",
    ),
}
# What the raters' page talks to answers in JSON, also to whoever is signed out.
IN_JSON = {name for name in PAGES if name.startswith("label-")} - {
    "label-consent",
    "label-me",
    "label-mine",
    "label-training",
    "label-training-answer",
    "label-training-again",
}
OPEN = {
    "home",
    "sign-in",
    "sign-out",
    "sign-in-link",
    "invitation",
    "password",
    "password-set",
    "password-forgotten",
    "password-address",
}


@pytest.fixture(scope="module")
def rows(rows_of_module):
    study = builders.study()
    cast = builders.cast(study)
    builders.draw(study, per_item=1, seed=1)
    for item in study.items.all():
        builders.rate(item, builders.rater("judge-a"))
        builders.rate(item, builders.rater("judge-b"))
    SettlementVersion.objects.create(study=study, rule="majority")
    attempt(verdict(judge(study, endpoint()), study.items.first()), raw="{}")
    builders.ready(study, cast["ann"], cast["expert"])
    done_job(study.pk)
    at_work(builders.suite("collected", tasks=10))
    CollectionPlan.objects.create(suite=Suite.objects.get(slug="collected"), seed=1)
    User.objects.create_superuser("superuser")


@pytest.fixture
def study(db, rows):
    return builders.Study.objects.get()


@pytest.fixture
def rated(db, rows):
    return {user.username: user for user in User.objects.all()}


@pytest.fixture
def cast(rated):
    return rated


@pytest.fixture(scope="module")
def addresses(rows):
    """Return a function that gives a page's address with the keys of the study's rows put in."""
    study, call = builders.Study.objects.get(), Attempt.objects.get()
    collected = CollectionAttempt.objects.filter(outcome="answer").first()
    served = {person: serving_of(study, person) for person in sorted(LABELLERS)}
    keys = {
        "key": study.items.first().key,
        "verdict": call.verdict_id,
        "attempt": call.pk,
        "member": study.memberships.get(user__username="ben").pk,
        "judge": call.study_judge.judge.rater_id,
        "job": Job.objects.get().pk,
        "plan": CollectionPlan.objects.get().pk,
        "collection": collected.run.collection.pk,
        "response": collected.response_id,
        "call": collected.pk,
    }
    return lambda name, person=None: PAGES[name][0].format(**keys, served=served.get(person, "aaaaaaaaaaaa"))


def serving_of(study, person):
    rater = builders.human(User.objects.get(username=person))
    return Serving.objects.create(study=study, item=study.items.first(), rater=rater).key


@pytest.fixture(scope="module")
def sessions(rows):
    """Return the cookies with which each of the people is signed in."""
    clients = {person: Client() for person in PEOPLE if person}
    for person, client in clients.items():
        client.force_login(User.objects.get(username=person))
    return {person: client.cookies for person, client in clients.items()}


@pytest.fixture
def browser_of(db, sessions):
    """Return a function that gives a browser with somebody signed in, or nobody."""

    def opened(person):
        client = Client()
        if person:
            client.cookies.update(sessions[person])
        return client

    return opened


def test_every_page_is_in_the_table():
    assert {
        pattern.name
        for part in get_resolver().url_patterns
        for pattern in getattr(part, "url_patterns", [part])
    } == set(PAGES) | OPEN


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("person", PEOPLE)
def test_a_page_opens_for_its_roles_alone(browser_of, addresses, name, person):
    _, allowed, method = PAGES[name]
    answer = getattr(browser_of(person), method)(addresses(name, person))
    if person is None and name in IN_JSON:
        assert answer.status_code == 401 and answer.json()["kind"] == "signed-out"
    elif person is None:
        assert answer.status_code == 302 and answer.url.startswith("/sign-in?")
    elif person == "stranger":
        assert answer.status_code == 404
    elif person not in allowed and not (person == "superuser" and "owner" in allowed):
        assert answer.status_code == 403
    else:
        assert answer.status_code not in (403, 404, 500)


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if page[2] == "post"])
def test_what_changes_something_is_never_done_by_a_link(browser_of, addresses, name):
    assert browser_of("owner").get(addresses(name)).status_code == 405


def test_an_item_of_another_study_is_not_found(client, rated, cast):
    other = builders.study("other")
    client.force_login(cast["owner"])
    assert client.get(f"/studies/tiny/items/{other.items.first().key}").status_code == 404


def test_a_verdict_of_another_study_is_not_found(client, rated, cast):
    other = builders.study("other")
    theirs = verdict(judge(other, endpoint(name="theirs"), "noisy"), other.items.first())
    client.force_login(cast["owner"])
    assert client.get(f"/studies/tiny/verdicts/{theirs.pk}").status_code == 404
    assert client.get(f"/studies/tiny/verdicts/?judge={theirs.study_judge_id}").status_code == 404


def test_only_an_owner_who_asks_gets_names(client, rated, study):
    item = study.items.first()
    builders.rate(item, builders.human(rated["ann"]))
    for person, shown in [("owner", True), ("viewer", False), ("adjudicator", False)]:
        client.force_login(rated[person])
        text = b"".join(client.get("/studies/tiny/export.jsonl?names=1").streaming_content).decode()
        assert ('"rater": "ann"' in text) is shown


def test_answers_carry_a_strict_content_policy(client, rated):
    client.force_login(rated["owner"])
    policy = client.get("/studies/tiny/").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy


def roles(study):
    return dict(study.memberships.values_list("user__username", "role"))


def test_an_owner_changes_roles_and_takes_people_out(client, rated, study):
    client.force_login(rated["owner"])
    client.post("/studies/tiny/member", {"username": "ann", "role": "adjudicator"})
    client.post("/studies/tiny/member", {"username": "ben", "role": ""})
    assert roles(study)["ann"] == "adjudicator" and "ben" not in roles(study)


def test_a_study_keeps_an_owner(client, rated, study):
    client.force_login(rated["owner"])
    for role in ("", "rater"):
        answer = client.post("/studies/tiny/member", {"username": "owner", "role": role}, follow=True)
        assert "needs an owner" in answer.content.decode()
    assert roles(study)["owner"] == "owner"


@pytest.mark.parametrize(
    "query", ["rates?by=subject,subject", "rates?by=x", "rates?source=nobody", "agreement?first=nobody"]
)
def test_an_odd_question_is_not_found(client, rated, query):
    client.force_login(rated["owner"])
    assert client.get(f"/studies/tiny/{query}").status_code == 404


@pytest.mark.parametrize("after", ["\u00b2", "x", "-1", "9" * 40, "9" * 5000])
def test_an_odd_page_key_shows_the_first_page(client, rated, after):
    client.force_login(rated["owner"])
    answer = client.get(f"/studies/tiny/items/?after={after}")
    assert answer.status_code == 200 and answer.context["page"]


FOR_EVERYBODY = {
    "home": "/",
    "sign-in": "/sign-in",
    "sign-in-link": "/sign-in/link/x",
    "invitation": "/invitation/x",
    "healthz": "/healthz",
    "readyz": "/readyz",
    "nowhere": "/nowhere",
}


@pytest.mark.parametrize("name", [*PAGES, *FOR_EVERYBODY])
@pytest.mark.parametrize("person", ["owner", "ann", "stranger", None])
def test_nobody_keeps_a_copy_of_what_is_somebodys_own(browser_of, addresses, name, person):
    """Pages, JSON, downloads and refusals alike, whoever asks and by whichever method."""
    client = browser_of(person)
    where = FOR_EVERYBODY[name] if name in FOR_EVERYBODY else addresses(name, person)
    for method in ("get", "post", "head"):
        said = getattr(client, method)(where).headers["Cache-Control"]
        assert "private" in said and ("no-store" in said or name == "study-figure")


def test_an_error_of_the_servers_is_kept_by_nobody(client, rated, monkeypatch):
    monkeypatch.setattr("arbiter.web.sign_in_pages.may_make_studies", lambda _: 1 / 0)
    client.raise_request_exception = False
    client.force_login(rated["owner"])
    answer = client.get("/")
    assert answer.status_code == 500 and "no-store" in answer.headers["Cache-Control"]


def test_static_files_may_be_kept(client):
    answer = client.get("/static/web/arbiter.css")
    assert answer.status_code == 200 and "no-store" not in answer.headers.get("Cache-Control", "")
