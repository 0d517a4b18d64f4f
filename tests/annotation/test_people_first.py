"""Rule 0: what a person typed is never overwritten by a program. An import, first or repeated, gives way to
people."""

import re
from pathlib import Path

import pytest
from django.core.management import call_command

from annotation.adjudication import adjudicate
from annotation.draws import plan_draw
from annotation.goldfile import import_gold
from annotation.goldlabels import promote
from annotation.humanplan import GoldDrawSpec
from annotation.models import Gold, Membership, Rating, Study
from annotation.raters import rater_of
from tests import builders
from tests.annotation.tables import IMPORT, jsonl, row
from tests.builders import label, take
from tests.commands import as_json
from tests.databases import rewrite
from tests.together import expect_no_errors, together

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


def load(path):
    return as_json("importresponses", path, "--format", "jsonl", *IMPORT)


def golds():
    return [
        f"{one.label.key} {one.origin}"
        for one in Gold.objects.order_by("item", "revision").select_related("label")
    ]


def current():
    return [gold.label.key for gold in Gold.objects.current().select_related("label").order_by("item")]


def expert_says(study, key, who="eva"):
    """Write an expert's label in the workspace, on the first item of the experts' draw."""
    if not study.draws.filter(name="gold").exists():
        spec = GoldDrawSpec.model_validate({"per_item": 1})
        plan_draw(study, spec, name="gold", purpose="gold")
    serving = take(study, builders.rater(who, "human"), "gold")
    label(serving, key, rationale="I have read it.")
    return serving


@pytest.fixture
def responses(tmp_path):
    """Import one response with gold from its file, once."""
    builders.suite(tasks=1)
    path = jsonl(tmp_path, row(gold="convergence", gold_reason="Sure."))
    load(path)
    return path


# Gold


def test_a_repeated_import_leaves_an_experts_gold_current(responses):
    expert_says(Study.objects.get(), "nonsensical")
    again = load(responses)
    assert (again["gold"], again["kept"], again["kept_at"]) == (0, 1, [f"{responses}, line 1"])
    assert golds() == ["convergence imported", "nonsensical single"] and current() == ["nonsensical"]


def test_a_changed_import_leaves_it_current_too(responses, tmp_path):
    expert_says(Study.objects.get(), "nonsensical")
    assert load(jsonl(tmp_path, row(gold="safety_refusal")))["kept"] == 1
    assert current() == ["nonsensical"]


def test_an_expert_follows_an_import_and_then_themselves(responses):
    serving = expert_says(Study.objects.get(), "nonsensical")
    load(responses)
    label(serving, "safety_refusal")
    load(responses)
    assert current() == ["safety_refusal"]


def test_gold_import_first_and_repeated_leaves_an_experts_gold_current(study, tmp_path):
    item = expert_says(study, "nonsensical").item
    path = jsonl(tmp_path, {"item": item.key, "label": "convergence"})
    for _ in range(2):
        counts = import_gold(study, path)
        assert (counts["written"], counts["kept"], counts["kept_at"]) == (0, 1, ["line 1"])
    assert golds() == ["nonsensical single"]


@pytest.mark.parametrize("origin", ["single", "consensus", "adjudicated", "imported"])
def test_whatever_origin_a_file_names_it_is_a_file(study, tmp_path, origin):
    item = expert_says(study, "nonsensical").item
    path = jsonl(tmp_path, {"item": item.key, "label": "convergence", "origin": origin})
    assert import_gold(study, path, "gold")["kept"] == 1
    assert current() == ["nonsensical"]


@pytest.mark.parametrize("origin", ["single", "consensus", "adjudicated", "imported"])
def test_gold_from_a_file_is_corrected_by_the_next_file(study, tmp_path, origin):
    key = study.items.first().key
    for said in ("convergence", "nonsensical", "convergence"):
        path = jsonl(tmp_path, {"item": key, "label": said, "origin": origin})
        assert import_gold(study, path)["written"] == 1
    assert golds() == [f"{said} {origin}" for said in ("convergence", "nonsensical", "convergence")]


def test_an_adjudicators_decision_stays_before_a_file(study, cast, tmp_path):
    item = study.items.first()
    adjudicate(item, rater_of(cast["adjudicator"]), "nonsensical", "It loops.")
    promote(study, "adjudication")
    assert import_gold(study, jsonl(tmp_path, {"item": item.key, "label": "convergence"}))["kept"] == 1
    assert current() == ["nonsensical"]


def test_experts_who_came_to_differ_are_not_decided_by_a_file(study, tmp_path):
    eva = expert_says(study, "convergence")
    Gold.objects.create(
        item=eva.item,
        label_id=Gold.objects.get().label_id,
        revision=2,
        origin="withdrawn",
        draw=study.draws.get(),
    )
    assert import_gold(study, jsonl(tmp_path, {"item": eva.item.key, "label": "convergence"}))["kept"] == 1
    assert current() == []


def test_a_repeat_brings_nothing_back_and_a_new_file_follows_what_raters_agreed_on(study, tmp_path):
    item = study.items.first()
    path = jsonl(tmp_path, {"item": item.key, "label": "convergence"})
    import_gold(study, path)
    builders.draw(study)
    for who in ("ann", "ben"):
        while serving := take(study, builders.rater(who, "human")):
            label(serving, "nonsensical")
    assert promote(study, "consensus")["kept"] == 1  # an import is stronger, unless its owner says otherwise
    promote(study, "consensus", replace=True)
    repeated = import_gold(study, path)
    assert (repeated["written"], repeated["kept"]) == (0, 1)
    assert item.golds.order_by("-revision").first().origin == "consensus"
    later = jsonl(tmp_path, {"item": item.key, "label": "safety_refusal"}, name="later.jsonl")
    assert import_gold(study, later)["written"] == 1


def test_gold_of_a_file_is_no_experts_consensus_to_be_withdrawn(study, tmp_path):
    plan_draw(study, GoldDrawSpec.model_validate({"per_item": 2}), name="gold", purpose="gold")
    first = take(study, builders.rater("eva", "human"), "gold")
    path = jsonl(tmp_path, {"item": first.item.key, "label": "convergence", "origin": "consensus"})
    import_gold(study, path, "gold")
    label(first, "nonsensical")
    label(take(study, builders.rater("uwe", "human"), "gold"), "safety_refusal")
    assert current() == ["convergence"]


def test_a_responses_import_says_no_more_than_gold_that_names_its_draw(responses):
    study = Study.objects.get()
    builders.draw(study)
    rewrite(Gold.objects.all(), draw=study.draws.get())
    again = load(responses)
    assert (again["gold"], again["kept"]) == (0, 0) and Gold.objects.get().draw is not None


@pytest.mark.django_db(transaction=True)
def test_an_expert_and_imports_at_once_leave_the_expert_current(study, tmp_path):
    plan_draw(study, GoldDrawSpec.model_validate({"per_item": 1}), name="gold", purpose="gold")
    serving = take(study, builders.rater("eva", "human"), "gold")
    paths = [
        jsonl(tmp_path, {"item": serving.item.key, "label": key}, name=f"{key}.jsonl")
        for key in ("convergence", "safety_refusal")
    ]
    imports = [lambda path=path: import_gold(study, path) for path in paths]
    expect_no_errors(together(*imports, lambda: label(serving, "nonsensical"), *imports))
    assert current() == ["nonsensical"]
    assert sorted(Gold.objects.values_list("revision", flat=True)) == list(range(1, Gold.objects.count() + 1))


def test_the_demo_that_is_loaded_again_leaves_an_experts_gold_current(db):
    call_command("demo")
    study = Study.objects.get()
    item = Gold.objects.order_by("pk").first().item
    eva = builders.rater("eva", "human")
    label_id = study.scheme.labels.get(key="nonsensical").pk
    Gold.objects.create(item=item, label_id=label_id, revision=2, origin="single", author=eva)
    call_command("demo")
    assert item.golds.order_by("-revision").first().origin == "single"


def test_all_gold_is_written_by_one_function():
    """Nothing but `goldlabels.write` makes rows of gold."""
    root = Path(__file__).parents[2]
    making = re.compile(
        r"\bGold\(|[Gg]olds?(\.objects)?\.(create|bulk_create|get_or_create|update_or_create)\("
    )
    makers = {
        path.relative_to(root).as_posix()
        for room in ("arbiter", "annotation", "judging", "benchmark")
        for path in (root / room).rglob("*.py")
        if "migrations" not in path.parts and making.search(path.read_text().replace("class Gold(", ""))
    }
    assert makers == {"annotation/goldlabels.py"}


# Ratings


def ann_labels(study, cast, key="no_convergence"):
    """Let the account `ann` label the study's first item in the workspace."""
    builders.draw(study)
    serving = take(study, builders.human(cast["ann"]))
    label(serving, key)
    return serving


def of(item, **labels):
    response = item.response
    return row(task=response.task.key, epoch=response.epoch, response=response.text, **labels)


def ratings(item):
    revisions = item.ratings.order_by("revision").select_related("label")
    return [(rating.label.key, rating.revision) for rating in revisions]


def test_an_imported_column_does_not_overtake_what_its_human_typed(study, cast, tmp_path):
    serving = ann_labels(study, cast)
    path = jsonl(tmp_path, of(serving.item, label_ann="convergence"))
    for _ in range(2):
        counts = load(path)
        assert (counts["ratings"], counts["kept"], counts["kept_at"]) == (0, 1, [f"{path}, line 1"])
    assert ratings(serving.item) == [("no_convergence", 1)]
    assert Rating.objects.votes().get().label.key == "no_convergence"


def test_what_they_type_after_an_import_stays_through_its_repeat(study, cast, tmp_path):
    builders.draw(study)
    serving = take(study, builders.human(cast["ann"]))
    path = jsonl(tmp_path, of(serving.item, label_ann="convergence"))
    assert load(path)["ratings"] == 1
    label(serving, "no_convergence")
    assert load(path)["kept"] == 1
    assert ratings(serving.item) == [("convergence", 1), ("no_convergence", 2)]


def test_the_same_label_brought_back_is_unchanged_and_not_kept(study, cast, tmp_path):
    serving = ann_labels(study, cast)
    counts = load(jsonl(tmp_path, of(serving.item, label_ann="no_convergence")))
    assert (counts["ratings"], counts["kept"]) == (0, 0)


def test_many_left_out_are_counted_and_the_first_are_named(study, cast, tmp_path):
    rows = []
    builders.draw(study)
    for _ in range(6):
        serving = take(study, builders.human(cast["ann"]))
        label(serving, "no_convergence")
        rows.append(of(serving.item, label_ann="convergence"))
    counts = load(jsonl(tmp_path, *rows))
    assert (counts["kept"], len(counts["kept_at"])) == (6, 5)
    assert Membership.objects.filter(study=study, user=cast["ann"]).exists()
