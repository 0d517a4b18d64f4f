"""The settlement's tab: choosing a rule, what it came to, how far it can be believed, what changed."""

import csv
import io

import pytest
from django.contrib.auth.models import User

from annotation.models import Draw, Gold, Item, Study
from arbiter.analysis.figures.catalogue import make_figure
from arbiter.core.models import Job
from benchmark.importunderway import KIND
from judging.models import Settlement, SettlementVersion
from judging.settlement.settling import settle
from tests import builders
from tests.databases import rewrite
from tests.judging.settled import panel

pytestmark = pytest.mark.django_db
PAGE, ACTION = "/studies/panel/settlement", "/studies/panel/settle"


@pytest.fixture(scope="module")
def rows(rows_of_module):
    made, true = panel()
    builders.cast(made)
    return true


@pytest.fixture
def panelled(db, rows):
    return Study.objects.get(slug="panel"), rows, {user.username: user for user in User.objects.all()}


@pytest.fixture
def cast(study, rows):
    """Give the same people their roles in the small study too."""
    people = {user.username: user for user in User.objects.all()}
    for name, role in builders.ROLES.items():
        study.memberships.create(user=people[name], role=role)
    return people


@pytest.fixture
def ungolded(db):
    """Make a study without gold, with an owner of its own."""
    made, _ = panel(tasks=4, epochs=6, share=0, slug="ungolded")
    owner = User.objects.create_user("its-owner")
    made.memberships.create(user=owner, role="owner")
    return made, owner


def opened(client, user, address=PAGE):
    client.force_login(user)
    return client.get(address).content.decode()


def test_before_anything_is_settled(client, panelled):
    _, _, cast = panelled
    page = opened(client, cast["owner"])
    assert "Nothing is settled yet" in page and 'name="rule"' in page
    assert "How items were settled" not in page and "Settlements" not in page
    assert 'name="rule"' not in opened(client, cast["viewer"])


def test_an_owner_settles_by_the_model_with_an_audit(client, panelled):
    _, _, cast = panelled
    client.force_login(cast["owner"])
    answer = client.post(ACTION, {"rule": "model", "threshold": "85", "audit": "20"}, follow=True)
    page = answer.content.decode()
    assert answer.redirect_chain[0][0] == PAGE and "Settlement 1:" in page and "drawn for the audit" in page
    version = SettlementVersion.objects.get()
    assert (version.rule, version.options, version.by) == ("model", {"threshold": 0.85}, cast["owner"])
    assert Draw.objects.filter(name="audit").exists()
    assert "posterior high enough" in page and "posterior too low" in page
    assert "How far posteriors can be believed" in page and "settlement-reliability.svg" in page
    assert "What each threshold would accept" in page and "baseline" in page
    assert "audited items wait for a rater" in page and "No error rate yet" in page


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"rule": "nonsense"}, "no rule"),
        ({"rule": "model", "threshold": "x"}, "number of per cent"),
        ({"rule": "model", "threshold": "100"}, "threshold"),
        ({"rule": "model", "threshold": "nan"}, "threshold"),
        ({"rule": "model", "threshold": "1e999"}, "threshold"),
        ({"rule": "majority", "audit": "200"}, "audit share"),
        ({"rule": "majority", "audit": "nan"}, "audit share"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(client, panelled, sent, said):
    client.force_login(panelled[2]["owner"])
    page = client.post(ACTION, sent, follow=True).content.decode()
    assert said in page and not Settlement.objects.exists()


def test_a_rule_that_needs_gold_says_so(client, ungolded):
    client.force_login(ungolded[1])
    page = client.post("/studies/ungolded/settle", {"rule": "weighted"}, follow=True).content.decode()
    assert "no item has gold" in page and not SettlementVersion.objects.exists()


def test_why_nothing_is_accepted_is_on_the_page(client, ungolded):
    study, owner = ungolded
    settle(study, "model")
    page = opened(client, owner, "/studies/ungolded/settlement")
    assert "Posteriors are not calibrated, so nothing is accepted" in page and "fewer than 50" in page
    assert "How far posteriors can be believed" not in page


def test_what_changed_is_shown_and_can_be_had_whole(client, panelled):
    study, _, cast = panelled
    settle(study, "majority")
    settle(study, "model", threshold=0.85)
    page = opened(client, cast["viewer"])
    assert "What changed since settlement 1" in page and "All of them (CSV)" in page
    rows = list(csv.DictReader(io.StringIO(b"".join(client.get(f"{PAGE}/2/changes.csv")).decode())))
    became = set(study.items.filter(final_rule="unsure").values_list("key", flat=True))
    assert {row["item"] for row in rows} == became and {row["to"] for row in rows} == {""}
    assert {row["from"] for row in rows} <= {"convergence", "no_convergence"} and rows[0]["rule"] == "unsure"
    assert float(rows[0]["posterior"]) < 0.85
    version = SettlementVersion.objects.get(number=2)
    assert sum(one["items"] for one in version.changes["moved"]) == len(rows)
    assert b"".join(client.get(f"{PAGE}/1/changes.csv")).decode().count("\n") == 1
    assert client.get(f"{PAGE}/9/changes.csv").status_code == 404


def test_what_has_come_since_is_said_until_it_is_settled_again(client, study, cast):
    builders.rate(study.items.first(), builders.rater("judge-a"))
    settle(study)
    address, said = "/studies/tiny/settlement", "have been added since"
    assert said not in opened(client, cast["owner"], address)
    label = study.scheme.labels.get(key="convergence")
    Gold.objects.create(item=study.items.first(), label=label, origin="imported")
    assert said in opened(client, cast["owner"], address)
    assert settle(study)["version"] == 1  # the majority minds no gold
    assert said not in opened(client, cast["owner"], address)


def test_what_the_audit_found(client, panelled):
    study, _, cast = panelled
    settle(study, "model", threshold=0.85, audit_share=0.3)
    ann = builders.rater("someone", "human")
    drawn = Item.objects.filter(drawn__draw__name="audit", drawn__number__lt=0.3).select_related("final")
    for number, item in enumerate(drawn):
        builders.rate(item, ann, "safety_refusal" if number == 0 else item.final.key, simulated=number == 0)
    page = opened(client, cast["owner"])
    assert "people do not confirm 1" in page and "Wrong, by the audit" in page
    assert f"/studies/panel/adjudicate/{drawn[0].key}" in page and "simulated" in page
    assert "Labels or gold have been added since" in page
    seen = opened(client, cast["viewer"])
    assert "/adjudicate/" not in seen and f"/studies/panel/items/{drawn[0].key}" in seen


def test_a_viewer_is_led_nowhere_they_may_not_go(client, panelled):
    study, _, cast = panelled
    settle(study, "model", threshold=0.95)
    assert "/adjudicate/" in opened(client, cast["adjudicator"])
    page = opened(client, cast["viewer"])
    assert "wait for an adjudicator" in page and "/adjudicate/" not in page


def test_simulated_labels_are_marked(client, study, cast):
    builders.rate(study.items.first(), builders.rater("sim"), simulated=True)
    settle(study)
    assert "simulated rater" in opened(client, cast["viewer"], "/studies/tiny/settlement")


def test_a_study_settled_before_there_were_versions(client, study, cast):
    builders.rate(study.items.first(), builders.rater("judge-a"))
    settle(study)
    rewrite(Settlement.objects.all(), version=None)
    SettlementVersion.objects.all().delete()
    page = opened(client, cast["viewer"], "/studies/tiny/settlement")
    assert "by majority" in page and "What changed" not in page


def test_a_posterior_in_an_export_is_over_all_labels(panelled):
    study, _, _ = panelled
    settle(study, "model")
    assert all(len(one.posterior) == 4 for one in Settlement.objects.all())


# The figure


def test_the_figure(panelled):
    study, _, _ = panelled
    settle(study, "model", threshold=0.85)
    figure = make_figure(study, "settlement-reliability")
    gold = Gold.objects.count()
    assert sum(row["items"] for row in figure.rows) == gold
    assert all(row["from"] <= row["right"] <= row["to"] for row in figure.rows)
    assert f"{gold} gold items" in figure.sentence and "cross-fitted by task" in figure.sentence
    assert "plain Dawid-Skene" in figure.sentence and "'gold'" in figure.sentence
    assert figure.svg("dark").startswith("<svg") and figure.csv().count("\n") == len(figure.rows) + 1


def test_while_an_import_is_under_way_what_was_settled_stays_to_be_seen(client, panelled):
    study, _, people = panelled
    settle(study, "model", threshold=0.85)
    arguments = {"folder": "1", "suite": "panel", "study": "panel"}
    Job.objects.create(kind=KIND, study=study.pk, arguments=arguments)
    client.force_login(people["viewer"])
    assert client.get(PAGE).context["figure"].rows
    assert client.get("/studies/panel/figures/settlement-reliability.csv").status_code == 200


@pytest.mark.parametrize("query", ["", "?version=7", "?version=x"])
def test_no_figure_without_a_settlement_or_gold(client, study, cast, query):
    client.force_login(cast["viewer"])
    settle(study)
    assert client.get(f"/studies/tiny/figures/settlement-reliability.svg{query}").status_code == 404


def test_weighted_figures_are_marked_in_sample(client, panelled):
    study, _, cast = panelled
    settle(study, "weighted")
    assert "In-sample" in opened(client, cast["viewer"])
    assert "in-sample" in make_figure(study, "settlement-reliability").sentence


def test_what_gold_does_not_back_is_said(client, panelled):
    study, _, cast = panelled
    settle(study, "model", threshold=0.75)
    page = opened(client, cast["viewer"])
    assert (
        "Gold behind the posteriors" in page
        and "Gold does not back everything: 75\u00a0% are promised" in page
    )
    settle(study, "model", threshold=0.95)
    assert "There is too little gold to promise anything, so nothing is accepted" in opened(
        client, cast["viewer"]
    )
