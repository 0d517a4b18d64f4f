"""A rater can reach nothing that tells the model, the condition, another label or gold."""

import pytest

from annotation.models import Assignment, Rating
from annotation.routing import plan_draw
from tests import builders

pytestmark = pytest.mark.django_db
SECRETS = {
    "subject": "Zyxomodel-9",
    "family": "zyxofamily",
    "condition": "zyxosteered",
    "suffix": "zyxosuffix",
    "system": "zyxosystem",
    "run": "zyxorun",
    "judge": "zyxojudge",
    "rationale": "zyxobecause",
    "gold": "zyxogoldreason",
    "task key": "zyxokey",
}


@pytest.fixture
def secretive(db):
    """A study full of things a rater must not learn."""
    suite = builders.suite(key=SECRETS["task key"], tasks=1)
    study = builders.Study.objects.create(
        slug="tiny", title="Tiny", scheme=builders.builtin_scheme("four-class")
    )
    under = builders.condition(
        SECRETS["condition"], prompt_suffix=SECRETS["suffix"], system_prompt=SECRETS["system"]
    )
    run = builders.run(suite, SECRETS["subject"], under.name, SECRETS["run"])
    type(run.subject).objects.update(family=SECRETS["family"])
    for epoch in (1, 2, 3):
        response = builders.response(run, suite.tasks.get(), epoch, text=f"Plain text {epoch}.")
        item = study.items.create(response=response)
        builders.rate(item, builders.rater(SECRETS["judge"]), "nonsensical", rationale=SECRETS["rationale"])
        item.golds.create(label=study.scheme.labels.last(), origin="imported", rationale=SECRETS["gold"])
    plan_draw(study, share=1.0, raters_per_item=2, seed=1)
    return study


HTMX = {"HX-Request": "true"}


def reachable(client, study) -> list[str]:
    """Every answer of every address a rater has, headers and all."""
    label = f"/studies/{study.slug}/label/"
    answers = [client.get("/")]
    for item in study.items.all():
        answers.append(client.post(f"{label}{item.key}/keep"))
        sent = {"label": "convergence", "submission": "made.up"}
        answers += [client.post(f"{label}{item.key}/{act}", sent, headers=HTMX) for act in ("submit", "skip")]
        answers += [
            client.get(f"/studies/{study.slug}/{page}")
            for page in ("", "items/", f"items/{item.key}", "rates", "export.csv")
        ]
    for chosen in ("nonsense", "convergence", "convergence"):
        page = client.get(label)
        served = {"label": chosen, "submission": page.context["submission"]}
        answers += [page, client.post(f"{label}{page.context['key']}/submit", served, headers=HTMX)]
    skipped = client.get(label).context
    sent = {"reason": "", "submission": skipped["submission"]}
    answers.append(client.post(f"{label}{skipped['key']}/skip", sent, headers=HTMX))
    answers.append(client.post(f"{label}{skipped['key']}/skip", {**sent, "reason": "why"}, headers=HTMX))
    return [f"{answer.headers} {answer.content.decode()}" for answer in answers]


def test_no_answer_tells_what_a_rater_must_not_know(client, secretive):
    cast = builders.cast(secretive)
    client.force_login(cast["ann"])
    told = "\n".join(reachable(client, secretive)).lower()
    assert "plain text" in told
    for what, secret in SECRETS.items():
        assert secret.lower() not in told, what


def test_what_the_rater_was_shown_is_stored(client, secretive):
    cast = builders.cast(secretive)
    client.force_login(cast["ann"])
    served = client.get("/studies/tiny/label/").context
    key = served["key"]
    sent = {"label": "convergence", "submission": served["submission"]}
    client.post(f"/studies/tiny/label/{key}/submit", sent)
    rating = Rating.objects.get(rater__kind="human")
    assert rating.shown["blind"] is True and rating.shown["scheme"] == "four-class@1"
    assert rating.shown["fields"] == ["category", "category question", "task", "response"]
    assert Assignment.objects.get(item__key=key, rater=rating.rater).state == "done"


def test_only_what_was_served_can_be_rated_or_skipped(client, secretive):
    cast = builders.cast(secretive)
    client.force_login(cast["ann"])
    served = client.get("/studies/tiny/label/").context
    others = secretive.items.exclude(key=served["key"])
    for item in others:
        sent = {"label": "convergence", "reason": "why", "submission": served["submission"]}
        for act in ("submit", "skip"):
            assert client.post(f"/studies/tiny/label/{item.key}/{act}", sent).status_code == 422
    client.force_login(cast["ben"])  # nor can a page that was served to somebody else be used
    sent = {"label": "convergence", "submission": served["submission"]}
    assert client.post(f"/studies/tiny/label/{served['key']}/submit", sent).status_code == 422
    assert not Rating.objects.filter(rater__kind="human").exists()
