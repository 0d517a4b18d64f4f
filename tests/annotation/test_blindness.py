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


def reachable(client, study) -> list[str]:
    """Every answer of every address a rater has, headers and all."""
    answers = [client.get("/"), client.get(f"/studies/{study.slug}/label/")]
    for item in study.items.all():
        base = f"/studies/{study.slug}/label/{item.key}"
        answers.append(client.post(f"{base}/keep"))
        answers.append(client.post(f"{base}/skip", {"reason": ""}, headers={"HX-Request": "true"}))
        sent = {"label": "convergence", "submission": f"submission-{item.key}"}
        answers.append(client.post(f"{base}/submit", sent, headers={"HX-Request": "true"}))
        answers.append(
            client.post(f"{base}/submit", {**sent, "label": "nonsense"}, headers={"HX-Request": "true"})
        )
        answers += [
            client.get(f"/studies/{study.slug}/{page}")
            for page in ("", "items/", f"items/{item.key}", "rates", "export.csv")
        ]
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
    key = client.get("/studies/tiny/label/").context["key"]
    client.post(f"/studies/tiny/label/{key}/submit", {"label": "convergence", "submission": "x" * 20})
    rating = Rating.objects.get(rater__kind="human")
    assert rating.shown["blind"] is True and rating.shown["scheme"] == "four-class@1"
    assert rating.shown["fields"] == ["category", "category question", "task", "response"]
    assert Assignment.objects.get(item__key=key, rater=rating.rater).state == "done"


def test_an_item_that_was_not_drawn_cannot_be_rated(client, secretive):
    cast = builders.cast(secretive)
    item = secretive.items.first()
    item.assignments.all().delete()
    client.force_login(cast["ann"])
    answer = client.post(
        f"/studies/tiny/label/{item.key}/submit", {"label": "convergence", "submission": "x" * 20}
    )
    assert answer.status_code == 422
    assert not Rating.objects.filter(rater__kind="human").exists()
