"""Gold: written by experts, imported, promoted; each with its origin and draw, and never silently wrong."""

import json

import pytest

from annotation.adjudication import adjudicate
from annotation.draws import ask_for_more, plan_draw
from annotation.goldfile import import_gold
from annotation.goldlabels import coverage, gold_page, gold_rows, promote
from annotation.humanplan import GoldDrawSpec
from annotation.models import Gold, Serving
from annotation.routing import skip
from arbiter.core.errors import UserError
from benchmark.formats.records import FormatError
from judging.settlement.settling import settle
from tests import builders
from tests.annotation.tables import IMPORT, jsonl, row, table
from tests.builders import label, take
from tests.commands import as_json, refusal
from tests.together import expect_no_errors, together

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


def rater(name="ann"):
    return builders.rater(name, "human")


def for_experts(study, experts=1, **plan):
    plan_draw(study, GoldDrawSpec.model_validate({"per_item": experts, **plan}), name="gold", purpose="gold")


def golds(item=None):
    """Return each revision of gold, as words."""
    revisions = Gold.objects.order_by("item", "revision")
    rows = revisions.filter(item=item) if item else revisions
    return [
        f"{gold.label.key} {gold.origin} {gold.author or '-'} {gold.draw.name if gold.draw else '-'}"
        for gold in rows.select_related("label", "author", "draw")
    ]


def labelled(study, item, **labels):
    """Let these raters label the item's slots."""
    for name, key in labels.items():
        serving = Serving.objects.create(study=study, item=item, rater=rater(name))
        place = item.assignments.filter(purpose="slot").exclude(state="done").order_by("slot").first()
        if place:
            item.assignments.filter(pk=place.pk).update(
                rater=rater(name), state="leased", leased_until="2100-01-01T00:00Z"
            )
        label(serving, key)


# Experts


def test_one_experts_label_is_gold_with_its_author_and_draw(study):
    for_experts(study)
    serving = take(study, rater("eva"), "gold")
    label(serving, "nonsensical", rationale="It loops.", evidence=[{"start": 0, "end": 8}])
    gold = Gold.objects.get()
    assert golds() == ["nonsensical single eva gold"]
    assert (gold.rationale, gold.evidence) == ("It loops.", [{"start": 0, "end": 8, "quote": "Response"}])


def test_a_changed_label_is_a_new_revision_and_the_same_one_is_none(study):
    for_experts(study)
    serving = take(study, rater("eva"), "gold")
    for key in ("nonsensical", "nonsensical", "convergence"):
        label(serving, key)
    assert golds() == ["nonsensical single eva gold", "convergence single eva gold"]


@pytest.fixture
def two_experts(study):
    for_experts(study, experts=2)
    eva = take(study, rater("eva"), "gold")
    uwe = Serving.objects.create(study=study, item=eva.item, rater=rater("uwe"), purpose="gold")
    eva.item.assignments.filter(purpose="gold", slot=2).update(
        rater=rater("uwe"), state="leased", leased_until="2100-01-01T00:00Z"
    )
    return eva, uwe


def test_two_experts_make_gold_where_they_agree(two_experts):
    eva, uwe = two_experts
    label(eva, "nonsensical")
    assert golds() == []
    label(uwe, "nonsensical")
    assert golds() == ["nonsensical consensus - gold"]


def test_experts_who_differ_make_none_until_they_agree(two_experts):
    eva, uwe = two_experts
    label(eva, "nonsensical")
    label(uwe, "convergence")
    assert golds() == []
    label(eva, "convergence")
    assert golds() == ["convergence consensus - gold"]


def test_an_expert_who_thinks_again_withdraws_the_consensus(two_experts):
    eva, uwe = two_experts
    label(eva, "convergence")
    label(uwe, "convergence")
    label(uwe, "nonsensical")
    assert golds()[-1] == "convergence withdrawn - gold" and not Gold.objects.current().exists()
    label(uwe, "safety_refusal")  # still not of one mind: withdrawn once
    assert len(golds()) == 2
    label(eva, "safety_refusal")
    assert golds()[-1] == "safety_refusal consensus - gold" and Gold.objects.current().count() == 1


def test_a_withdrawn_gold_decides_nothing(two_experts, study):
    eva, uwe = two_experts
    study.gold_decides = True
    study.save()
    label(eva, "convergence")
    label(uwe, "convergence")
    settle(study)
    assert eva.item.settlements.last().rule == "gold"
    label(uwe, "nonsensical")
    settle(study)
    assert eva.item.settlements.last().rule != "gold"


def test_experts_who_differ_leave_gold_of_another_origin_alone(two_experts, study):
    eva, uwe = two_experts
    Gold.objects.create(item=eva.item, label=study.scheme.labels.first(), origin="imported")
    label(eva, "convergence")
    label(uwe, "nonsensical")
    assert golds() == ["convergence imported - -"]


def test_a_second_place_asked_for_later_and_filled_differently_withdraws(study):
    for_experts(study)
    eva = take(study, rater("eva"), "gold")
    label(eva, "convergence")
    ask_for_more(eva.item, 1, purpose="gold")
    uwe = Serving.objects.create(study=study, item=eva.item, rater=rater("uwe"), purpose="gold")
    eva.item.assignments.filter(purpose="gold", slot=2).update(
        rater=rater("uwe"), state="leased", leased_until="2100-01-01T00:00Z"
    )
    label(uwe, "nonsensical")
    assert golds() == ["convergence single eva gold", "convergence withdrawn - gold"]


def test_an_experts_label_that_came_too_late_writes_no_gold(study):
    for_experts(study)
    late = take(study, rater("eva"), "gold")
    late.item.assignments.update(rater=rater("uwe"))
    Serving.objects.create(study=study, item=late.item, rater=rater("uwe"), purpose="gold")
    label(Serving.objects.get(rater=rater("uwe")), "convergence")
    assert label(late, "nonsensical").surplus
    assert golds() == ["convergence single uwe gold"]


def test_a_skipped_item_gets_no_gold(study):
    for_experts(study)
    skip(take(study, rater("eva"), "gold"), "Not mine.")
    assert golds() == []


@pytest.mark.django_db(transaction=True)
def test_two_experts_at_once_make_one_gold_label(two_experts):
    eva, uwe = two_experts
    expect_no_errors(together(lambda: label(eva, "convergence"), lambda: label(uwe, "convergence")))
    assert golds() == ["convergence consensus - gold"]


# From consensus


@pytest.fixture
def drawn(study):
    builders.draw(study, seed=1)
    return study


def test_what_all_raters_of_an_item_agree_on_becomes_gold(drawn):
    same, split, half, *_ = drawn.items.order_by("pk")
    labelled(drawn, same, ann="convergence", ben="convergence")
    labelled(drawn, split, ann="convergence", ben="nonsensical")
    labelled(drawn, half, ann="convergence")
    builders.rate(same, builders.rater("judge-a"), "nonsensical")  # judges have no say in it
    expected = {"study": "tiny", "from": "consensus", "written": 1, "unchanged": 0, "kept": 0, "withdrawn": 0}
    assert promote(drawn, "consensus") == expected
    assert golds() == golds(same) == ["convergence consensus - main"]
    assert promote(drawn, "consensus") == expected | {"written": 0, "unchanged": 1}


def test_a_consensus_needs_so_many_raters_and_all_of_them(drawn):
    item = drawn.items.first()
    ask_for_more(item, 1)
    labelled(drawn, item, ann="convergence", ben="convergence")
    assert promote(drawn, "consensus")["written"] == 0  # a third is still to come
    labelled(drawn, item, cat="convergence")
    assert promote(drawn, "consensus", minimum=4)["written"] == 0
    assert promote(drawn, "consensus", minimum=3)["written"] == 1


def test_imported_labels_of_people_agree_too_and_came_through_no_draw(study):
    item = study.items.first()
    for name in ("ann", "ben"):
        builders.rate(item, rater(name))
    assert promote(study, "consensus")["written"] == 1 and golds() == ["convergence consensus - -"]


def test_a_consensus_that_broke_is_withdrawn_and_may_come_again(drawn):
    item = drawn.items.first()
    labelled(drawn, item, ann="convergence", ben="convergence")
    promote(drawn, "consensus")
    label(Serving.objects.get(item=item, rater=rater("ben")), "nonsensical")
    assert promote(drawn, "consensus")["withdrawn"] == 1
    assert promote(drawn, "consensus")["withdrawn"] == 0
    label(Serving.objects.get(item=item, rater=rater("ann")), "nonsensical")
    promote(drawn, "consensus")
    assert [gold.split()[:2] for gold in golds()] == [
        ["convergence", "consensus"],
        ["convergence", "withdrawn"],
        ["nonsensical", "consensus"],
    ]


@pytest.mark.parametrize("origin", ["single", "imported", "adjudicated"])
def test_gold_of_a_better_origin_stays_unless_told(drawn, origin):
    item = drawn.items.first()
    Gold.objects.create(item=item, label=drawn.scheme.labels.get(key="nonsensical"), origin=origin)
    labelled(drawn, item, ann="convergence", ben="convergence")
    counts = promote(drawn, "consensus")
    assert (counts["written"], counts["kept"]) == (0, 1) and len(golds()) == 1
    assert promote(drawn, "consensus", replace=True)["written"] == 1
    assert golds()[-1] == "convergence consensus - main" and len(golds()) == 2


def test_gold_that_experts_withdrew_is_not_made_by_raters(drawn):
    item = drawn.items.first()
    labelled(drawn, item, ann="convergence", ben="convergence")
    for_experts(drawn, experts=2)
    experts = drawn.draws.get(name="gold")
    Gold.objects.create(item=item, label=drawn.scheme.labels.first(), origin="withdrawn", draw=experts)
    assert promote(drawn, "consensus")["kept"] == 1


# From adjudication


def decide(item, key="nonsensical", by="adam"):
    return adjudicate(item, rater(by), key, "It loops.")


def test_decisions_become_gold_and_name_the_draw_once_it_is_whole(drawn):
    first, second, *_ = drawn.items.order_by("pk")
    for item in (first, second):
        labelled(drawn, item, ann="convergence", ben="nonsensical")
    decide(first)
    assert promote(drawn, "adjudication")["written"] == 1
    assert golds(first) == ["nonsensical adjudicated adam -"]  # another disputed item is undecided
    assert promote(drawn, "adjudication")["unchanged"] == 1
    decide(second)
    promote(drawn, "adjudication")
    assert golds(first)[-1] == "nonsensical adjudicated adam main"
    assert golds(second) == ["nonsensical adjudicated adam main"]
    assert promote(drawn, "adjudication")["unchanged"] == 2


def test_the_newest_decision_counts_and_a_correction_is_a_revision(drawn):
    item = drawn.items.first()
    decide(item, "convergence")
    decide(item, "nonsensical", by="bea")
    promote(drawn, "adjudication")
    decide(item, "convergence")
    promote(drawn, "adjudication")
    assert golds() == ["nonsensical adjudicated bea main", "convergence adjudicated adam main"]
    assert Gold.objects.first().rationale == "It loops."


def test_a_decision_follows_a_consensus_and_not_an_expert(drawn):
    first, second, *_ = drawn.items.order_by("pk")
    labelled(drawn, first, ann="convergence", ben="convergence")
    promote(drawn, "consensus")
    Gold.objects.create(item=second, label=drawn.scheme.labels.first(), origin="single", author=rater("eva"))
    for item in (first, second):
        decide(item)
    assert promote(drawn, "adjudication")["kept"] == 1
    assert promote(drawn, "consensus")["written"] == 0  # nor does a consensus follow a decision
    assert golds(first)[-1] == "nonsensical adjudicated adam main"
    promote(drawn, "adjudication", replace=True)
    assert golds(second)[-1] == "nonsensical adjudicated adam main"


def test_gold_comes_from_there_or_nowhere(drawn):
    with pytest.raises(UserError, match="consensus or adjudication"):
        promote(drawn, "judges")


# Imports


def test_a_file_names_items_by_key_or_by_what_they_are(drawn, tmp_path):
    first, second, *_ = drawn.items.order_by("pk")
    name = {"task": "task-1", "subject": "model-a", "condition": "baseline", "epoch": 2}
    path = jsonl(
        tmp_path,
        {"item": first.key, "label": "Nonsensical", "rationale": "It loops."},
        {**name, "label": "convergence", "origin": "single", "run": None},
    )
    assert import_gold(drawn, path) == {
        "study": "tiny",
        "draw": None,
        "written": 2,
        "unchanged": 0,
        "kept": 0,
        "kept_at": [],
    }
    assert golds(first) == ["nonsensical imported - -"] and golds(second) == ["convergence single - -"]
    assert import_gold(drawn, path) == {
        "study": "tiny",
        "draw": None,
        "written": 0,
        "unchanged": 2,
        "kept": 0,
        "kept_at": [],
    }


def test_a_file_names_items_in_any_case_and_composition(drawn, tmp_path):
    run = drawn.items.first().response.run
    type(run.subject).objects.filter(pk=run.subject_id).update(name="José", folded="josé")
    name = {"task": "TASK-1", "subject": "JOSE\u0301", "condition": " Baseline", "label": "convergence"}
    assert import_gold(drawn, jsonl(tmp_path, name))["written"] == 1
    assert golds(drawn.items.order_by("pk").first()) == ["convergence imported - -"]


def test_csv_says_the_same(drawn, tmp_path):
    item = drawn.items.first()
    path = table(tmp_path, {"item": item.key, "label": "convergence", "rationale": "No\x00pe"})
    assert import_gold(drawn, path, "main")["written"] == 1
    assert golds() == ["convergence imported - main"] and Gold.objects.get().rationale == "No\\u0000pe"


ROW = {"task": "task-1", "subject": "model-a", "condition": "baseline", "label": "convergence"}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            {**ROW, "label": "convergense"},
            "line 2: expected a label of scheme four-class@1.*did you mean 'convergence'",
        ),
        ({**ROW, "label": ""}, "line 2: expected a label .* found none"),
        (
            {"item": "nowhere", "label": "convergence"},
            "line 2: expected an item of study 'tiny'; found 'nowhere'",
        ),
        ({**ROW, "epoch": 9}, "line 2: expected an item of study 'tiny'; found none for 'task-1' by model-a"),
        ({**ROW, "epoch": "x"}, "line 2: expected a whole number"),
        ({"task": "task-1", "label": "convergence"}, "line 2: .* found no item and no subject"),
        (
            {**ROW, "origin": "withdrawn"},
            "line 2: expected an origin: single, consensus, adjudicated, imported",
        ),
        ({**ROW, "lable": "x"}, "line 2: .*did you mean 'label'"),
        ({**ROW, "rationale": 7}, "line 2: expected text in 'rationale'"),
        (ROW, "line 2: expected each item once; found that of line 1 again"),
        ("{", "line 2: expected a whole JSON object"),
    ],
)
def test_a_bad_row_is_told_and_nothing_is_written(drawn, tmp_path, row, said):
    path = jsonl(tmp_path, ROW, row)
    with pytest.raises(FormatError, match=said):
        import_gold(drawn, path)
    assert golds() == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a header row"),
        ("item,label\n", "at least one row"),
        ("item,label,label\n", "each column once"),
        ("item,label\na\n", "line 2: expected 2 fields"),
        ("item,lable\n", "did you mean 'label'"),
    ],
)
def test_a_bad_table_is_told(drawn, tmp_path, text, said):
    path = tmp_path / "gold.csv"
    path.write_text(text)
    with pytest.raises(FormatError, match=said):
        import_gold(drawn, path)


def test_gold_through_a_draw_was_drawn_by_it(study, tmp_path):
    builders.draw(study, share=0.5, seed=1)
    out = study.items.filter(assignments=None).first()
    path = jsonl(tmp_path, {"item": out.key, "label": "convergence"})
    with pytest.raises(FormatError, match="line 1: expected an item that 'main' drew"):
        import_gold(study, path, "main")
    with pytest.raises(UserError, match="no draw 'gold'; its draws: main"):
        import_gold(study, path, "gold")


def test_two_items_of_one_name_are_told_apart_by_their_keys(drawn, tmp_path):
    other = builders.Condition.objects.create(name="baseline", prompt_suffix="Hurry.")
    run = drawn.items.first().response.run
    again = type(run).objects.create(suite=run.suite, subject=run.subject, condition=other)
    task = run.suite.tasks.get(key="task-1")
    drawn.items.create(response=builders.response(again, task))
    with pytest.raises(FormatError, match=r"found 2 of them for 'task-1'.*name it by its key"):
        import_gold(drawn, jsonl(tmp_path, ROW))


@pytest.mark.django_db(transaction=True)
def test_imports_at_once_give_each_revision_once(drawn, tmp_path):
    item = drawn.items.first()
    files = [
        jsonl(tmp_path, {"item": item.key, "label": key}, name=f"{key}.jsonl")
        for key in ("convergence", "nonsensical", "safety_refusal")
    ]
    expect_no_errors(together(*[lambda p=path: import_gold(drawn, p) for path in files]))
    assert list(Gold.objects.order_by("revision").values_list("revision", flat=True)) == [1, 2, 3]


# Counts and the command


def test_counts_by_origin_draw_stratum_and_label(study):
    builders.draw(
        study,
        plan="strata",
        seed=1,
        strata=[
            {"name": "first", "where": {"categories": ["Alpha"]}, "probability": 1},
            {"name": "rest", "probability": 1},
        ],
    )
    first, *_, last = study.items.order_by("pk")
    labelled(study, first, ann="convergence", ben="convergence")
    promote(study, "consensus")
    Gold.objects.create(item=last, label=study.scheme.labels.first(), origin="imported", revision=1)
    Gold.objects.create(item=last, label=study.scheme.labels.last(), origin="imported", revision=2)
    assert gold_rows(study) == [
        {"origin": "consensus", "draw": "main", "stratum": "first", "label": "convergence", "items": 1},
        {"origin": "imported", "draw": None, "stratum": None, "label": "nonsensical", "items": 1},
    ]
    assert coverage(study) == [
        {"draw": "main", "stratum": "first", "drawn": 3, "gold": 1},
        {"draw": "main", "stratum": "rest", "drawn": 3, "gold": 1},
    ]
    assert [gold.item_id for gold in gold_page(study, 0, 10)] == [first.pk, last.pk]
    assert [gold.item_id for gold in gold_page(study, first.pk, 10)] == [last.pk]


def test_the_command(drawn, tmp_path, capsys):
    item = drawn.items.first()
    labelled(drawn, item, ann="convergence", ben="convergence")
    path = jsonl(tmp_path, ROW)
    assert as_json("gold", "promote", "tiny", "--from", "consensus", "--min", 2)["written"] == 1
    assert as_json("gold", "import", "tiny", path, "--draw", "main")["written"] == 1
    listed_gold = as_json("gold", "list", "tiny")
    assert json.dumps(listed_gold["rows"][0]) and listed_gold["coverage"][0]["gold"] == 1
    assert "no study 'nowhere'" in refusal("gold", "list", "nowhere")
    assert "line 1" in refusal("gold", "import", "tiny", jsonl(tmp_path, {"label": "x"}))


def test_the_list_for_people(drawn, capsys):
    from django.core.management import call_command

    call_command("gold", "list", "tiny")
    assert "none yet" in capsys.readouterr().out


def test_importing_responses_again_after_a_withdrawal_gives_gold_again(drawn, tmp_path):
    item = drawn.items.first()
    Gold.objects.create(item=item, label=drawn.scheme.labels.first(), origin="withdrawn")
    response = item.response
    again = row(task=response.task.key, epoch=response.epoch, response=response.text, gold="convergence") | (
        {"finish_reason": response.finish_reason} if response.finish_reason else {}
    )
    counts = as_json("importresponses", jsonl(tmp_path, again), "--format", "jsonl", *IMPORT)
    assert (counts["unchanged"], counts["gold"]) == (1, 1)
    assert golds()[-1] == "convergence imported - -"
