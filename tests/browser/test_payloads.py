"""What models, raters, judges and owners write is text on every page: nothing in it runs, loads, sends or
leads away."""

import itertools
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from annotation.adjudication import adjudicate, refer
from annotation.guidelines import set_guidelines
from annotation.models import Gold, Label, Rater, Rating, Serving
from annotation.raters import rater_of
from annotation.routing import skip
from benchmark.models import Category, Condition, Response, SubjectModel, Task
from judging.models import Verdict
from judging.settlement.settling import settle
from tests import builders
from tests.judging.helpers import endpoint, judge
from tests.judging.rows import attempt, verdict

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
AWAY = "tracker.invalid"
PAYLOADS = [
    "<script>window.owned = 1</script>",
    "<img src=x onerror='window.owned = 1'>",
    "<svg onload='window.owned = 1'><animate onbegin='window.owned = 1' attributeName=x dur=1s></svg>",
    f"![seen](http://{AWAY}/pixel.png)",
    f"<img src='http://{AWAY}/pixel.gif' width=1 height=1>",
    f"[![seen](//{AWAY}/pixel.svg)](javascript:window.owned=1)",
    f"<link rel=stylesheet href=http://{AWAY}/a.css><style>@import url(http://{AWAY}/b.css); body "
    f"{{ display: none }}</style>",
    f"<iframe src='http://{AWAY}/frame' srcdoc='<script>parent.owned=1</script>'></iframe>",
    "[a link](javascript:window.owned=1) [another](data:text/html,<script>parent.owned=1</script>)",
    f"<meta http-equiv=refresh content='0; url=http://{AWAY}/'><base href=http://{AWAY}/>",
    "</script></textarea></title></style><script>window.owned = 1</script>",
    '"><details open ontoggle="window.owned = 1"><summary onclick=\'window.owned = 1\'>x</summary></details>',
    f"<form action=http://{AWAY}/ method=post><button autofocus onfocus='window.owned = "
    "1'>go</button></form>",
    "{{ 7|add:7 }}{% csrf_token %}{% debug %}${window.owned = 1}<!--<img src=x onerror=window.owned=1>-->",
    f"<video autoplay src=http://{AWAY}/v><audio autoplay src=http://{AWAY}/a><object "
    f"data=http://{AWAY}/o><embed src=http://{AWAY}/e>",
    f"<a href=http://{AWAY}/ ping=http://{AWAY}/ping target=_blank>click</a> <http://{AWAY}/auto> "
    f"http://{AWAY}/bare",
    f"[ref]: http://{AWAY}/ref.png 'x'\n\n![ref]\n\n<picture><source srcset=http://{AWAY}/s></picture>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--><img src=x "
    "onerror=window.owned=1>'></math>",
    "\u202ereversed\u202c <b style='position:fixed;inset:0;background:red'>over everything</b>",
]
# What only our own pages may hold; a payload that got through would add one.
FOREIGN = """() => {
  const bad = [];
  for (const node of document.querySelectorAll("*")) {
    if (["IFRAME", "OBJECT", "EMBED", "VIDEO", "AUDIO", "BASE", "MATH"].includes(node.tagName))
      bad.push(node.outerHTML);
    if (node.tagName === "SCRIPT" && !node.src && node.type !== "application/json") bad.push(node.outerHTML);
    if (node.tagName === "META" && node.httpEquiv.toLowerCase() === "refresh") bad.push(node.outerHTML);
    for (const { name, value } of node.attributes) {
      if (name.startsWith("on") || name === "srcdoc" || name === "ping") bad.push(node.outerHTML);
      if (!["src", "href", "action", "srcset", "data", "formaction", "poster"].includes(name)) continue;
      if (new URL(value, location.href).origin !== location.origin) bad.push(node.outerHTML);
    }
  }
  return bad.map((html) => html.slice(0, 200));
}"""


@pytest.fixture
def poisoned(cast, study) -> dict[str, User]:
    """A payload wherever somebody else's words are shown."""
    told = itertools.cycle(PAYLOADS)
    run = study.items.first().response.run
    for epoch in range(4, 4 + len(PAYLOADS)):
        study.items.create(response=builders.response(run, run.suite.tasks.first(), epoch))
    for response, payload in zip(Response.objects.all(), itertools.cycle(PAYLOADS)):
        transcript = [
            {
                "role": payload,
                "content": payload,
                "tool_calls": [{"name": payload, "arguments": {"a": payload}}],
            }
        ]
        Response.objects.filter(pk=response.pk).update(text=payload, reasoning=payload, transcript=transcript)
    for kind, field in [
        (Task, "text"),
        (Category, "title"),
        (Category, "question"),
        (Condition, "name"),
        (SubjectModel, "name"),
    ]:
        for row in kind.objects.all():
            kind.objects.filter(pk=row.pk).update(**{field: next(told)[:190]})
    Condition.objects.update(prompt_suffix=next(told), system_prompt=next(told))
    for label in Label.objects.all():
        Label.objects.filter(pk=label.pk).update(
            title=next(told)[:100], definition=next(told), example=next(told)
        )
    study.title, study.description = PAYLOADS[0][:200], " ".join(PAYLOADS)
    study.save()
    plan = builders.humans(
        study,
        consent="\n\n".join(PAYLOADS),
        show=["condition", "reasoning", "transcript"],
        raters_see=["accuracy"],
        adjudication={"names": True},
    )
    assert plan.show
    set_guidelines(study, "\n\n".join(PAYLOADS))
    poison_work(study, cast, told)
    return cast


def poison_work(study, cast: dict[str, User], told: Iterator[str]) -> None:
    builders.draw(study, per_item=2, seed=1)
    for name in ("ann", "ben"):
        User.objects.filter(pk=cast[name].pk).update(username=f"{name}{next(told)}"[:150])
        by = rater_of(cast[name])
        Rater.objects.filter(pk=by.pk).update(name=f"{name}{next(told)}"[:120])
        builders.ready(study, cast[name])
    for number, item in enumerate(study.items.order_by("id")[:12]):
        for name, label in (("ann", "convergence"), ("ben", "nonsensical")):
            by = rater_of(cast[name])
            serving = Serving.objects.create(study=study, item=item, rater=by)
            evidence = [{"start": 0, "end": 9}]
            builders.label(serving, label, rationale=next(told), evidence=evidence, flagged=True)
        builders.rate(item, builders.rater(f"judge{number % 2}"), "convergence", rationale=next(told))
    first, second, third, *_ = study.items.order_by("id")
    Gold.objects.create(
        item=first, label=study.scheme.labels.first(), origin="imported", rationale=next(told)
    )
    adjudicate(first, rater_of(cast["adjudicator"]), "convergence", next(told), guideline_unclear=True)
    refer(second, rater_of(cast["adjudicator"]), next(told))
    serving = builders.take(study, rater_of(cast["ann"]))
    skip(serving, next(told))
    by = judge(study, endpoint(), "poisoned", model=next(told)[:150])
    made = verdict(by, third, "failed", reason=next(told))
    attempt(made, "server_error", error=next(told), raw=next(told), status=500)
    settle(study)


class Watched:
    """A page that notes whatever a payload could do."""

    def __init__(self, page: Page, home: str) -> None:
        self.page, self.home, self.done = page, home, list[str]()
        page.on("dialog", lambda dialog: (self.done.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: self.note(request.url))
        page.on("popup", lambda popup: self.done.append(f"popup: {popup.url}"))

    def note(self, url: str) -> None:
        if not url.startswith((self.home, "data:image/svg+xml", "blob:")):
            self.done.append(f"request: {url}")

    def check(self, url: str) -> None:
        assert self.page.evaluate("window.owned") is None, url
        assert self.page.evaluate(FOREIGN) == [], url
        assert self.done == [], url
        assert self.page.evaluate(
            "document.title.length > 0 && getComputedStyle(document.body).display !== 'none'"
        ), url


def test_payloads_are_inert_in_every_page_of_readers(visit, live_server, poisoned, study):
    keys = list(study.items.order_by("id").values_list("key", flat=True))
    people = {
        "owner": [
            "/",
            "/studies/tiny/",
            "/studies/tiny/agreement",
            "/studies/tiny/rates",
            "/studies/tiny/items/",
            "/studies/tiny/items/?q=owned",
            "/studies/tiny/verdicts/",
            "/studies/tiny/labelling/",
            "/studies/tiny/labelling/flagged",
            "/studies/tiny/people",
            "/studies/tiny/gold/",
            "/studies/tiny/edit/",
            *[f"/studies/tiny/items/{key}" for key in keys],
            *[f"/studies/tiny/verdicts/{pk}" for pk in Verdict.objects.values_list("pk", flat=True)],
        ],
        "adjudicator": [
            "/studies/tiny/adjudicate/",
            *[f"/studies/tiny/adjudicate/{key}" for key in keys[:12]],
            f"/studies/tiny/adjudicate/{keys[0]}/decided",
        ],
    }
    for who, urls in people.items():
        page = visit(poisoned[who])
        watched = Watched(page, live_server.url)
        for url in urls:
            answer = page.goto(url)
            assert answer is not None and answer.status == 200, url
            page.wait_for_load_state("networkidle")
            watched.check(url)


def test_payloads_are_inert_in_every_page_of_raters(visit, live_server, poisoned, study):
    page = visit(poisoned["ann"])
    watched = Watched(page, live_server.url)
    for url in ("/studies/tiny/label/consent", "/studies/tiny/label/me", "/"):
        page.goto(url)
        watched.check(url)
    page.goto("/studies/tiny/label/")
    seen = set()
    desk = page.locator("#workspace")
    while desk.get_attribute("data-state") != "finished":
        expect(desk).to_have_attribute("data-state", "labelling")
        expect(page.locator("#response-text")).not_to_have_text("")
        text = page.locator("#response-text").text_content()
        assert text in PAYLOADS  # to the letter
        seen.add(text)
        watched.check(text)
        page.keyboard.press("m")
        expect(page.locator("#response-formatted")).to_be_visible()
        watched.check(f"formatted {text}")
        assert (
            page.locator("#response-formatted").evaluate(
                "node => node.querySelectorAll('img, a, [style]').length"
            )
            == 0
        )
        page.keyboard.press("m")
        for details in page.locator("#beside details").all():
            details.evaluate("node => { node.open = true }")
        watched.check(f"beside {text}")
        page.keyboard.press("g")
        expect(page.locator("#guidelines-dialog")).to_be_visible()
        watched.check("guidelines")
        page.keyboard.press("Escape")
        page.keyboard.press("1")
        page.keyboard.press("Control+Enter")
        page.wait_for_function(
            "before => document.querySelector('#workspace').dataset.state === 'finished' || "
            "document.querySelector('#response-text').textContent !== before",
            arg=text,
        )
    assert len(seen) > 5
    assert Rating.objects.filter(rater=rater_of(poisoned["ann"])).count() >= len(seen)
