"""The main job from file to dataset, in a browser, on both databases."""

import json
import re
from pathlib import Path

import pytest
import yaml
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from annotation.models import Membership, Rating, Study
from benchmark.formats import read_suite
from benchmark.suites import BUILTIN
from tests import processes
from tests.commands import as_json

pytestmark = [pytest.mark.engine, pytest.mark.browser, pytest.mark.django_db(transaction=True)]
JUDGES = ["careful", "lenient", "strict"]


def responses_file(folder: Path, count: int = 8) -> Path:
    """Real text with known labels: the built-in samples, as a researcher's own table."""
    tasks = [task for task in read_suite(BUILTIN).tasks if not task.training and not task.control][:count]
    rows = [
        {
            "task": task.key,
            "subject": "model-a",
            "condition": ("pro", "anti")[n % 2],
            "response": task.meta["sample"]["response"],
        }
        for n, task in enumerate(tasks)
    ]
    path = folder / "responses.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def study_file(folder: Path, simulator_url: str) -> Path:
    endpoint = {"name": "simulated", "base_url": simulator_url}
    judges = [{"name": name, "endpoint": "simulated", "model": f"sim-judge-{name}"} for name in JUDGES]
    document = {
        "study": "path",
        "title": "The whole path",
        "suite": "arbiter",
        "endpoints": [endpoint],
        "judges": judges,
        "humans": {"per_item": 2},
        "settlement": {"voters": [*JUDGES, "humans"]},
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def people(study: Study) -> dict[str, User]:
    made = {}
    for name, role in {"olga": "owner", "ada": "adjudicator", "ann": "rater", "ben": "rater"}.items():
        made[name] = User.objects.create_user(name)
        Membership.objects.create(study=study, user=made[name], role=role)
    return made


def begin(page: Page) -> None:
    page.goto("/studies/path/label/")
    page.get_by_role("button", name="I understand, begin").click()
    expect(page.locator("#workspace")).to_have_attribute("data-state", "labelling")


def label_one(page: Page, key: str) -> str:
    """Agree to what comes first, then label the item on the page by keyboard; returns what it said."""
    begin(page)
    text = page.locator("#response-text").inner_text()
    page.keyboard.press(key)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#save-state")).to_have_text("Saved")
    expect(page.locator(".tally")).to_contain_text("1 done")
    return text


def label_until(page: Page, text: str, key: str, others: str) -> None:
    """Each rater has an order of their own: label what comes before that response, then it."""
    begin(page)
    for done in range(1, 9):
        is_this = page.locator("#response-text").inner_text() == text
        page.keyboard.press(key if is_this else others)
        page.keyboard.press("Control+Enter")
        expect(page.locator(".tally")).to_contain_text(f"{done} done")
        if is_this:
            return
    raise AssertionError("the response was never shown")


def test_from_a_file_of_responses_to_an_exported_dataset(tmp_path, visit, simulator):
    as_json("loadsuite", "--slug", "arbiter")
    table = responses_file(tmp_path)
    imported = as_json("importresponses", table, "--format", "jsonl", "--suite", "arbiter", "--study", "path")
    assert imported["responses"] == 8
    assert as_json("study", "apply", study_file(tmp_path, simulator.base_url))["judges"] == JUDGES
    cast = people(Study.objects.get(slug="path"))

    owner = visit(cast["olga"])
    owner.goto("/")
    owner.get_by_role("link", name="Open").click()
    owner.get_by_role("button", name="Ask the judges").click()
    expect(owner.get_by_text("24 verdicts asked for")).to_be_visible()
    worker = processes.start("manage.py", "runworker", "--until-idle")
    # The page keeps up by itself: nobody reloads it.
    expect(owner.get_by_text("Every verdict is in.")).to_be_visible(timeout=60_000)
    assert worker.wait(600) == 0, worker.communicate()
    expect(owner.get_by_text("simulated", exact=True).first).to_be_visible()

    first, second = visit(cast["ann"]), visit(cast["ben"])
    text = label_one(first, "1")
    label_until(second, text, "2", others="1")

    adjudicator = visit(cast["ada"])
    adjudicator.goto("/studies/path/adjudicate/")
    adjudicator.get_by_role("link", name="Start with the first").click()
    adjudicator.wait_for_url(
        re.compile(r"/adjudicate/\w+$"), wait_until="load"
    )  # keys work once the page's modules have run
    ratings = adjudicator.locator(".opinion")
    expect(ratings).to_have_count(5)
    by_people = sorted(ratings.filter(has_text=re.compile("Rater [AB]")).locator("strong").all_inner_texts())
    assert by_people == ["Convergence", "No convergence"]
    adjudicator.keyboard.press("2")
    adjudicator.get_by_label("Reason").fill("It complies and says so.")
    adjudicator.keyboard.press("Control+Enter")
    expect(adjudicator.get_by_text("model-a")).to_be_visible()
    adjudicator.get_by_role("link", name="Back to the queue").click()
    expect(adjudicator.get_by_text("Nothing to adjudicate.")).to_be_visible()

    owner.goto("/studies/path/settlement")
    owner.get_by_role("button", name="Settle", exact=True).click()
    expect(owner.get_by_text("an adjudicator decided")).to_be_visible()
    owner.get_by_role("link", name="Overview").click()
    expect(owner.get_by_text("1 by adjudication")).to_be_visible()
    with owner.expect_download() as download:
        owner.get_by_role("link", name="JSONL").click()
    rows = [json.loads(line) for line in Path(download.value.path()).read_text().splitlines()]
    check(rows)
    assert as_json("settle", "path")["changed"] == 0


def check(rows: list[dict]) -> None:
    assert len(rows) == 8 and {row["condition"] for row in rows} == {"pro", "anti"}
    judged = [rating for row in rows for rating in row["ratings"] if rating["kind"] == "judge"]
    assert len(judged) == 24 and all(rating["simulated"] for rating in judged)
    (decided,) = [row for row in rows if row["settled_rule"] == "adjudicated"]
    assert (decided["settled"], decided["adjudication_reason"]) == (
        "no_convergence",
        "It complies and says so.",
    )
    by_people = [rating for rating in decided["ratings"] if rating["kind"] == "human"]
    assert sorted(rating["label"] for rating in by_people) == ["convergence", "no_convergence"]
    assert all(rating["rater"].startswith("rater-") for rating in by_people)
    assert Rating.objects.filter(item__key=decided["item"], rater__kind="human").count() == 2
