"""A rater or an expert can reach nothing that tells the model, the condition, another label, gold, or what an
item is for."""

import json
import re
import time
from collections import defaultdict
from itertools import product

import pytest
from django.contrib.staticfiles import finders
from django.urls import get_resolver

from annotation.draws import plan_draw
from annotation.humanplan import GoldDrawSpec
from annotation.models import Item, Rating, Serving
from benchmark.models import Response
from tests import builders
from tests.sizes import size

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("figures_kept")]
SECRETS = {
    "subject": "Zyxomodel-9",
    "family": "zyxofamily",
    "condition": "zyxosteered",
    "suffix": "zyxosuffix",
    "system prompt": "zyxosystem",
    "run": "zyxorun",
    "reasoning": "zyxothought",
    "transcript": "zyxoturn",
    "task key": "zyxokey",
    "suite": "zyxosuite",
    "judge": "zyxojudge",
    "judge's reason": "zyxobecause",
    "other rater": "zyxoperson",
    "other rater's note": "zyxonote",
    "gold's reason": "zyxogoldreason",
    "stratum": "zyxostratum",
}
# What places, draws and checks are called: none of it is a key or a value in what a page is told.
INNER = {
    "purpose",
    "slot",
    "gold_check",
    "repeat",
    "gold",
    "training",
    "ordinal",
    "stratum",
    "probability",
    "number",
    "item_id",
    "rater_id",
    "pk",
    "id",
    "subject",
    "model",
    "condition",
    "run",
    "surplus_of",
    "check",
    "is_check",
    "assignment",
    "serving",
}
# Where a page is told a number: counts, revisions and places in a text; nowhere the key of a row.
NUMBERS = {
    "base",
    "revision",
    "done",
    "left",
    "today",
    "last_hour",
    "position",
    "confidence",
    "start",
    "end",
    "version",
    "ahead",
    "break_after",
    "at",
}
LABEL = "/studies/tiny/label/"


@pytest.fixture
def secretive(db):
    """Make a study full of things a rater must not learn, with hidden checks and repeats."""
    suite = builders.suite(SECRETS["suite"], key=SECRETS["task key"], tasks=1)
    study = builders.Study.objects.create(
        slug="tiny", title="Tiny", scheme=builders.builtin_scheme("four-class")
    )
    under = builders.condition(
        SECRETS["condition"], prompt_suffix=SECRETS["suffix"], system_prompt=SECRETS["system prompt"]
    )
    run = builders.run(suite, SECRETS["subject"], under.name, SECRETS["run"])
    type(run.subject).objects.update(family=SECRETS["family"])
    for epoch in range(1, 31):
        response = builders.response(run, suite.tasks.get(), epoch, text=f"Plain text {epoch}.")
        study.items.create(response=response)
    Response.objects.update(
        reasoning=SECRETS["reasoning"], transcript=[{"role": "user", "content": SECRETS["transcript"]}]
    )
    plan = {"strata": [{"name": SECRETS["stratum"], "probability": 0.5}], "per_item": 2, "seed": 5}
    builders.humans(
        study, **plan, checks={"gold": 0.3, "repeats": 0.3, "repeat_after": 2}, gold={"share": 0.5}
    )
    builders.draw(study, **plan)
    plan_draw(study, GoldDrawSpec(share=0.5, seed=3), name="gold", purpose="gold")
    label_by_others(study)
    return study


def label_by_others(study):
    label = study.scheme.labels.get(key="nonsensical")
    person = builders.rater(SECRETS["other rater"], "human")
    for item in study.items.all():
        builders.rate(
            item, builders.rater(SECRETS["judge"]), "nonsensical", rationale=SECRETS["judge's reason"]
        )
        if not item.assignments.filter(purpose="slot").exists():
            item.golds.create(label=label, origin="imported", rationale=SECRETS["gold's reason"])
    for item in study.items.filter(assignments__purpose="slot").distinct()[:4]:
        serving = study.servings.create(item=item, rater=person)
        builders.label(serving, "nonsensical", rationale=SECRETS["other rater's note"])


@pytest.fixture
def page(client, secretive):
    cast = builders.cast(secretive)
    builders.ready(secretive, cast["ann"], cast["ben"], cast["expert"])
    return RecordedBrowser(client, secretive, cast)


class RecordedBrowser:
    """What somebody's browser is told, all of it kept."""

    def __init__(self, client, study, cast):
        self.client, self.study, self.cast = client, study, cast
        self.told: list[str] = []
        self.documents: list[object] = []

    def enter(self, person):
        self.person = person
        self.client.force_login(self.cast[person])
        return self

    def hear(self, answer):
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content
        self.told.append(f"{answer.headers}\n{answer.cookies.output()}\n{body.decode(errors='replace')}")
        if answer.headers.get("Content-Type") == "application/json":
            self.documents.append(json.loads(body))
        elif match := re.search(
            rb'<script id="desk" type="application/json">(.*?)</script>', body, re.DOTALL
        ):
            self.documents.append(json.loads(match[1]))
        return answer

    def get(self, address):
        return self.hear(self.client.get(address))

    def post(self, name, body):
        body = body if isinstance(body, str) else json.dumps(body)
        return self.hear(self.client.post(LABEL + name, body, content_type="application/json"))

    def submit(self, item, label="convergence", **sent):
        sent = {"submission": f"{item['key']}-{item['base']}", "base": item["base"], "want": 0, **sent}
        return self.post("submit", {"key": item["key"], "label": label, **sent})

    def next(self, want=1):
        return self.post("next", {"want": want}).json()

    def purpose(self, item):
        return Serving.objects.get(key=item["key"]).purpose


def walk(page):
    """Do everything a page does, to everything there is to label, and a good deal that it doesn't do."""
    page.get(LABEL)
    turn = 0
    while items := page.next(want=2)["items"]:
        item, turn = items[0], turn + 1
        page.post("draft", {"key": item["key"], "draft": {"label": "convergence", "note": "Mine."}})
        page.post("keep", {"keys": [item["key"]]})
        page.get(f"{LABEL}formatted/{item['key']}")
        page.submit(item, "unknown-label")
        page.submit(item, evidence=[{"start": 0, "end": 9999}])
        if turn % 5 == 0:
            page.post("skip", {"key": item["key"], "reason": ""})
            page.post("skip", {"key": item["key"], "reason": "I know it.", "want": 0})
            page.submit(item)
        else:
            page.submit(item, note="Mine.", confidence=2, evidence=[{"start": 0, "end": 5}])
            page.submit(item)  # sent again
            page.submit(item, submission="another-window")
            page.get(f"{LABEL}last")
        page.get(LABEL)
    return turn


def addresses(study):
    """Return every address there is, with the keys of all that is in the study put in."""
    rows, most = [Item, Serving, Rating, Response, builders.User, builders.Label], size(1, 2)
    keys = {
        "slug": [study.slug, "nowhere"],
        "int": sorted({row.objects.order_by("pk").values_list("pk", flat=True)[0] for row in rows})[
            : 2 * most
        ],
        "text": [
            *study.items.values_list("key", flat=True)[:most],
            *Serving.objects.values_list("key", flat=True)[:most],
            *[f"judge-{SECRETS['judge']}", "ann", "csv", "jsonl", "parquet", "aaaaaaaaaaaa"],
        ],
    }
    for route in routes(get_resolver().url_patterns):
        parts = re.findall(r"<(?:(\w+):)?(\w+)>", route)
        choices = [
            keys["slug"] if name == "slug" else keys["int" if kind == "int" else "text"]
            for kind, name in parts
        ]
        for chosen in product(*choices):
            values = iter(chosen)
            yield "/" + re.sub(r"<[^>]+>", lambda _: str(next(values)), route)  # noqa: B023


def routes(patterns, before=""):
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from routes(pattern.url_patterns, route)
        else:
            yield route


def fetch_everything(page):
    for address in sorted(set(addresses(page.study))):
        for call in (page.client.get, page.client.post):
            page.hear(call(address))
            if address == "/sign-out":
                page.enter(page.person)


def scripts(told):
    """Return the files that pages name, and those that they import in turn."""
    files, left = {}, re.findall(r'(?:src|href)="/static/([^"?]+)"', "\n".join(told))
    while left:
        name = re.sub(r"\.[0-9a-f]{12}\.", ".", left.pop())
        path = finders.find(name)
        if name not in files and path and name.endswith((".js", ".css")):
            with open(path) as file:
                files[name] = file.read()
            left += [
                f"{name.rpartition('/')[0]}/{part}" for part in re.findall(r'from "\./([^"]+)"', files[name])
            ]
    return files


def leaves(document, key=""):
    if isinstance(document, dict):
        for name, value in document.items():
            yield name, name
            yield from leaves(value, name)
    elif isinstance(document, list):
        for value in document:
            yield from leaves(value, key)
    else:
        yield key, document


@pytest.mark.sized
@pytest.mark.parametrize("person", ["ann", "expert"])
def test_no_answer_tells_what_must_not_be_known(page, person):
    page.enter(person)
    labelled = walk(page)
    assert labelled >= 10
    fetch_everything(page)
    mine = set(Serving.objects.filter(rater__user=page.cast[person]).values_list("key", flat=True))
    told = "\n".join(page.told).lower()
    assert "plain text" in told
    assert len(scripts(page.told)) > 3
    told += "\n".join(scripts(page.told).values()).lower()
    for what, secret in SECRETS.items():
        assert secret.lower() not in told, what
    for key in Item.objects.values_list("key", flat=True):
        assert key not in told
    for key in Serving.objects.exclude(key__in=mine).values_list("key", flat=True):
        assert key not in told
    for key, value in (leaf for document in page.documents for leaf in leaves(document)):
        assert key not in INNER and str(value) not in INNER, (key, value)
        if not isinstance(value, bool) and isinstance(value, (int, float)):
            assert key in NUMBERS, (key, value)


def test_the_test_would_see_a_secret(page):
    """An owner is told all of them, by the same addresses."""
    page.enter("owner")
    fetch_everything(page)
    told = "\n".join(page.told).lower()
    for what in ("subject", "condition", "judge", "judge's reason", "other rater's note", "gold's reason"):
        assert SECRETS[what].lower() in told, what


# Checks and repeats


def shape(document):
    if isinstance(document, dict):
        return {name: shape(value) for name, value in document.items()}
    if isinstance(document, list):
        return [shape(value) for value in document]
    return type(document).__name__


def test_checks_and_repeats_look_and_do_as_every_other_item(page):
    page.enter("ann")
    seen = defaultdict(list)
    before = page.next(want=0)["progress"]
    turn = 0
    while items := page.next(want=1)["items"]:
        [item] = items
        purpose, turn = page.purpose(item), turn + 1
        did = [shape(item), page.post("draft", {"key": item["key"], "draft": {"note": "x"}}).status_code]
        did.append(shape(page.next(want=1)))
        did.append(page.post("keep", {"keys": [item["key"]]}).json())
        if turn % 4 == 0:
            answers = [page.post("skip", {"key": item["key"], "reason": "why", "want": 0})]
        else:
            answers = [page.submit(item), page.submit(item), page.submit(item, submission="other-window")]
            last = page.get(f"{LABEL}last").json()["item"]
            assert last["key"] == item["key"]
            did.append(shape(last))
        after = answers[0].json()["progress"]
        assert after["done"] == before["done"] + (turn % 4 != 0)
        assert before["left"] <= 1 or turn % 25 == 0 or after["left"] == before["left"] - 1, purpose
        before = after
        did += [(answer.status_code, shape(answer.json()), set(answer.headers)) for answer in answers]
        seen[purpose, turn % 4 == 0].append(did)
    assert {purpose for purpose, _ in seen} == {"slot", "gold_check", "repeat"}
    for skipped in (True, False):
        told = [did for (_, how), all_of_it in seen.items() if how is skipped for did in all_of_it]
        assert all(did == told[0] for did in told)


def test_a_repeat_comes_under_another_key_and_as_new(page):
    page.enter("ann")
    while items := page.next(want=1)["items"]:
        page.submit(items[0], note="Mine.")
    again = Serving.objects.filter(purpose="repeat", rater__name="ann")
    assert again.exists()
    told = [
        item
        for document in page.documents
        if isinstance(document, dict)
        for item in document.get("items", [])
    ]
    for serving in again:
        first = Serving.objects.get(item=serving.item, rater=serving.rater, purpose="slot")
        assert first.key != serving.key
        one, two = (next(item for item in told if item["key"] == each.key) for each in (first, serving))
        assert one | {"key": ""} == two | {"key": ""}
        assert (two["base"], two["draft"]) == (0, None)
    assert not Rating.objects.filter(purpose="repeat", surplus=True).exists()


def test_an_expert_gets_no_checks_and_writes_gold(page):
    page.enter("expert")
    while items := page.next(want=1)["items"]:
        page.submit(items[0])
    served = Serving.objects.filter(rater__user=page.cast["expert"])
    assert set(served.values_list("purpose", flat=True)) == {"gold"}


def test_an_unknown_key_and_another_raters_are_told_apart_by_nothing(page, monkeypatch):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)  # headers tell the second
    ben = builders.take(page.study, builders.human(page.cast["ben"]))
    page.enter("ann")
    keys = ["aaaaaaaaaaaa", ben.key, page.study.items.first().key]
    for act, more in [
        ("submit", {"label": "convergence", "submission": "made-it-up"}),
        ("skip", {"reason": "why"}),
    ]:
        answers = [page.post(act, {"key": key, **more}) for key in keys]
        assert {(answer.status_code, answer.content, str(answer.headers)) for answer in answers} == {
            (404, answers[0].content, str(answers[0].headers))
        }
    assert len({page.get(f"{LABEL}formatted/{key}").content for key in keys}) == 1
    assert page.post("keep", {"keys": keys}).json() == {"lost": []}
    assert not Rating.objects.filter(rater__name="ann").exists()


def test_what_was_given_to_one_can_be_labelled_by_nobody_else(page):
    page.enter("ann")
    [item] = page.next(want=1)["items"]
    page.enter("ben")
    assert page.submit(item).status_code == 404
    assert page.post("skip", {"key": item["key"], "reason": "why"}).status_code == 404
    assert page.post("draft", {"key": item["key"], "draft": {"note": "x"}}).status_code == 404
    page.enter("ann")
    assert page.submit(item).status_code == 200
    assert Serving.objects.get(key=item["key"]).draft is None


# What is shown


FIELDS = ["category", "category question", "task", "response"]
BLIND = {"key", "base", "draft", "question", "category", "language", "task", "response"}


@pytest.mark.parametrize(
    "show",
    [[], ["condition"], ["reasoning"], ["transcript"], ["condition", "reasoning", "transcript"]],
    ids=str,
)
def test_exactly_what_the_study_shows_is_shown_and_stored(page, show):
    builders.humans(page.study, per_item=2, show=show)
    page.enter("ann")
    [item] = page.next(want=1)["items"]
    assert set(item) == BLIND | set(show)
    page.submit(item)
    shown = Rating.objects.get(rater__name="ann").shown
    assert shown["fields"] == FIELDS + show
    assert shown["blind"] is ("condition" not in show)
    assert shown["scheme"] == "four-class@1" and shown["served_at"]
    assert shown["label_order"] == ["convergence", "no_convergence", "safety_refusal", "nonsensical"]
    told = "\n".join(page.told)
    of = {
        "condition": ["condition", "suffix", "system prompt"],
        "reasoning": ["reasoning"],
        "transcript": ["transcript"],
    }
    for field, secrets in of.items():
        for secret in secrets:
            assert (SECRETS[secret] in told) is (field in show), secret
    for secret in ("subject", "run", "judge", "stratum"):
        assert SECRETS[secret].lower() not in told.lower()
