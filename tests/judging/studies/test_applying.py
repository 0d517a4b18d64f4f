"""Applying a study file: all or nothing, and the same file again changes nothing."""

import io
from contextlib import redirect_stdout

import pytest
from django.core import serializers
from django.core.management import call_command
from django.db.models import Model

from annotation.ledger import Entry, record
from annotation.models import (
    Assignment,
    Draw,
    DrawnItem,
    Guideline,
    Item,
    Label,
    LabelScheme,
    Rater,
    Stratum,
    Study,
)
from benchmark.errors import UserError
from benchmark.models import Endpoint, Task
from judging.models import Budget, Judge, StudyJudge
from judging.panel.asking import want_verdicts
from judging.panel.work import JudgeWork
from judging.studies.applying import apply, apply_file, draw_now, studies
from tests import builders
from tests.judging.commands import document, refusal
from tests.judging.helpers import made_of
from tests.judging.studyfiles import HUMANS, JUDGE, OTHER, SEVERITY, file, responses

pytestmark = pytest.mark.django_db
EVERYTHING: list[type[Model]] = [
    Study,
    Item,
    LabelScheme,
    Label,
    Endpoint,
    Judge,
    StudyJudge,
    Rater,
    Draw,
    Stratum,
    DrawnItem,
    Assignment,
    Guideline,
]


@pytest.fixture(autouse=True)
def there_are_responses(db):
    responses()


def everything():
    """All rows there are, as text."""
    return {
        model.__name__: serializers.serialize("json", model.objects.order_by("pk")) for model in EVERYTHING
    }


def test_a_study_is_made_as_described():
    applied = apply(
        file(title="Pumps", humans=HUMANS, settlement={"voters": ["careful", "humans"], "gold_decides": True})
    )
    assert applied.summary() == {
        "study": "pump", "created": True, "scheme": "four-class@1", "items": 24, "items_added": 24, "judges": ["careful", "noisy"],
        "waiting": [],
    }  # fmt: skip
    study = applied.study
    assert (study.title, study.voters, study.gold_decides) == ("Pumps", ["careful", "humans"], True)
    assert not study.items.filter(response__task__training=True).exists()
    assert (study.draws.get().strata.get().probability, study.draws.get().seed) == (0.5, 7)
    assert Assignment.objects.count() == 2 * DrawnItem.objects.drawn().count() > 0
    assert Endpoint.objects.get().base_url == "http://127.0.0.1:8001/v1"


def test_applying_the_same_file_again_changes_nothing():
    apply(file(humans=HUMANS))
    before = everything()
    again = apply(file(humans=HUMANS)).summary()
    assert everything() == before
    assert (again["created"], again["items_added"], again["items"]) == (False, 0, 24)


def test_a_judge_left_out_becomes_inactive():
    apply(file())
    study = apply(file(judges=[OTHER])).study
    assert [(sj.judge.rater.name, sj.active) for sj in study.judges.order_by("id")] == [
        ("careful", False),
        ("noisy", True),
    ]


def test_a_scheme_can_change_until_there_is_a_label():
    study = apply(file()).study
    assert str(apply(file(scheme="binary")).study.scheme) == "binary@1"
    builders.rate(Item.objects.first(), builders.rater("someone"))
    before = everything()
    with pytest.raises(
        UserError, match=r"'pump' has labels under scheme binary@1; labels of four-class@1 could not"
    ):
        apply(file())
    assert everything() == before
    assert Study.objects.get(pk=study.pk).scheme.key == "binary"


def test_a_scheme_written_out_is_versioned_by_its_content():
    labels = [
        {"key": key, "title": key, "role": role, "definition": "d"}
        for key, role in [("yes", "target"), ("no", "other")]
    ]
    scheme = {"key": "mine", "title": "Mine", "labels": labels}
    assert str(apply(file(scheme=scheme)).study.scheme) == "mine@1"
    assert str(apply(file(scheme=scheme)).study.scheme) == "mine@1"
    assert str(apply(file(scheme=scheme | {"title": "Ours"})).study.scheme) == "mine@2"


def test_a_scheme_can_be_a_file_beside_the_study_file(tmp_path):
    labels = "labels: [{key: a, title: A, role: target, definition: d}, {key: b, title: B, role: other, definition: d}]"
    (tmp_path / "mine.yaml").write_text(f"key: mine\ntitle: Mine\n{labels}\n")
    assert str(apply(file(scheme="mine.yaml"), tmp_path).study.scheme) == "mine@1"
    with pytest.raises(UserError, match=r"none\.yaml: can't be read"):
        apply(file(scheme="none.yaml"), tmp_path)


def test_a_misspelt_voter_is_told():
    builders.rater("ann", "human")
    for name in ("careful", "careful@1", "humans", "ann"):
        assert apply(file(settlement={"voters": [name]})).study.voters == [name]
    for name in ("carefull", "gold", "ann@2"):
        with pytest.raises(
            UserError,
            match=rf"settlement.voters: nobody is called '{name}'; name judges of this file \(careful, noisy\)",
        ):
            apply(file(settlement={"voters": [name]}))


def test_an_unknown_scheme_is_told():
    with pytest.raises(UserError, match="no built-in scheme 'three-class'; there are four-class, binary"):
        apply(file(scheme="three-class"))


@pytest.mark.parametrize(
    ("wanted", "items"),
    [
        ({}, 24),
        ({"controls": False}, 16),
        ({"subjects": ["model-a"]}, 12),
        ({"conditions": ["nudged"]}, 12),
        ({"subjects": ["model-a"], "conditions": ["nudged"]}, 6),
        ({"categories": ["Beta"]}, 8),
        ({"epochs": [2]}, 12),
        ({"epochs": [2, 9]}, 12),
        ({"categories": ["Alpha"], "controls": False, "epochs": [1]}, 4),
    ],
)
def test_only_the_responses_asked_for_become_items(wanted, items):
    assert apply(file(responses=wanted)).study.items.count() == items


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (
            {"subjects": ["model-a", "model-z"]},
            r"responses.subjects: suite tiny@1 has no responses of 'model-z' \(it has: model-a, model-b\)",
        ),
        ({"conditions": ["steered"]}, r"responses.conditions: .* 'steered' \(it has: baseline, nudged\)"),
        ({"categories": ["Gamma"]}, r"responses.categories: .* 'Gamma' \(it has: Alpha, Beta\)"),
    ],
)
def test_a_name_that_has_no_responses_is_told(wanted, said):
    with pytest.raises(UserError, match=said):
        apply(file(responses=wanted))


def test_items_only_ever_come_to_a_study():
    study = apply(file()).study
    keys = set(study.items.values_list("key", flat=True))
    builders.response(builders.run(study.items.first().response.run.suite), Task.objects.first(), epoch=3)
    assert apply(file()).items_added == 1
    assert apply(file(responses={"epochs": [1]})).items_added == 0
    assert keys < set(study.items.values_list("key", flat=True))


def test_all_of_it_is_one_transaction(tmp_path):
    before = everything()
    with pytest.raises(
        UserError, match="there is no file"
    ):  # found at the last judge, when the items are made
        apply(file(judges=[JUDGE, OTHER | {"template": "gone.txt"}]), tmp_path)
    assert everything() == before
    apply(file(humans=HUMANS))
    before = everything()
    with pytest.raises(UserError, match="share can only grow"):
        apply(file(title="New", judges=[JUDGE | {"model": "x"}], humans=HUMANS | {"share": 0.1}))
    assert everything() == before


def test_a_judge_may_not_take_a_persons_name():
    builders.rater("careful", "human")
    with pytest.raises(UserError, match="'careful' is already the name of a human"):
        apply(file())


def test_an_unknown_suite_is_told():
    with pytest.raises(UserError, match=r"There is no suite 'none' \(known: tiny\)"):
        apply(file(suite="none"))


def test_a_file_is_applied_with_the_templates_beside_it(tmp_path):
    (tmp_path / "own.txt").write_text("{{ task }} {{ response }} {{ label_keys }} mine")
    path = tmp_path / "study.yaml"
    path.write_text(
        "study: pump\nsuite: tiny\nendpoints: [{name: local, base_url: 'http://a.invalid/v1'}]\n"
        "judges: [{name: j, endpoint: local, model: m, template: own.txt}]\n"
    )
    assert apply_file(path).study.judges.get().judge.template_text.endswith("mine")


def test_studies_are_listed():
    apply(file(title="Pumps"))
    assert studies() == [
        {"study": "pump", "title": "Pumps", "scheme": "four-class@1", "items": 24, "judges": 2, "ratings": 0}
    ]


# The human plan


def judged(study, label="convergence"):
    for item in study.items.filter(judge_votes=0):
        builders.rate(item, builders.rater("careful"), "convergence")
        builders.rate(item, builders.rater("noisy"), label)


BY_JUDGES = {"budget": 10, "gold": {"share": 0.25}}


def test_a_plan_that_needs_judges_waits_for_them_and_the_rest_is_applied():
    applied = apply(file(humans=BY_JUDGES))
    assert applied.summary()["waiting"] == [
        "24 items have fewer than two judges' votes, and the strata of humans are made of them: let the judges finish, "
        "then run `manage.py study draw pump`."
    ]
    assert list(applied.study.draws.values_list("name", flat=True)) == ["gold"]
    judged(applied.study)
    assert apply(file(humans=BY_JUDGES)).waiting == []
    assert list(applied.study.draws.values_list("name", flat=True)) == ["gold", "main"]


def test_drawing_now_tells_what_was_drawn_by_stratum():
    study = apply(file(humans=BY_JUDGES)).study
    told = draw_now(study)
    assert told["study"] == "pump" and [draw["draw"] for draw in told["draws"]] == ["main", "gold"]
    main = told["draws"][0]
    assert (main["purpose"], main["raters_per_item"]) == ("slot", 2)
    split, unanimous = main["strata"]
    assert split == {
        "stratum": "split", "probability": pytest.approx(10 / 24), "items": 24,
        "drawn": DrawnItem.objects.drawn().filter(draw__name="main").count(),
    }  # fmt: skip
    assert unanimous == {"stratum": "unanimous", "probability": 1.0, "items": 0, "drawn": 0}
    assert draw_now(study) == told
    assert apply(file(humans=BY_JUDGES)).waiting == []


def test_the_command_draws_and_prints_one_row_a_stratum():
    study = apply(file(humans=BY_JUDGES)).study
    assert document("study", "draw", "pump") == draw_now(study)
    printed = io.StringIO()
    with redirect_stdout(printed):
        call_command("study", "draw", "pump")
    assert [line.split()[:2] for line in printed.getvalue().splitlines()[1:]] == [
        ["main", "split"], ["main", "unanimous"], ["gold", "all"],
    ]  # fmt: skip
    assert refusal("study", "draw", "pond") == "There is no study 'pond' (known: pump)."


def test_a_study_without_a_human_plan_has_nothing_to_draw():
    with pytest.raises(UserError, match="'pump' has no human plan; describe one under humans"):
        draw_now(apply(file()).study)


def test_a_plan_refused_at_the_draw_leaves_nothing():
    before = everything()
    by = {"by": "category", "probabilities": {"Alpha": 0.5}}
    with pytest.raises(UserError, match=r"humans\.probabilities: 'Beta' has none"):
        apply(file(humans=by))
    with pytest.raises(UserError, match=r"humans\.gold\.probabilities: 'Beta' has none"):
        apply(file(humans={"gold": by}))
    assert everything() == before


def test_guidelines_are_text_or_a_file_and_a_new_text_is_a_new_version(tmp_path):
    (tmp_path / "rules.md").write_text("# Rules\n\nRead it *whole*.\n")
    study = apply(file(humans={"guidelines": "rules.md"}), tmp_path).study
    assert [(one.version, one.text) for one in study.guidelines.all()] == [(1, "# Rules\n\nRead it *whole*.")]
    apply(file(humans={"guidelines": "rules.md"}), tmp_path)
    apply(file(humans={"guidelines": "# Rules\n\nRead it *whole*."}))
    assert study.guidelines.count() == 1
    apply(file(humans={"guidelines": "Be kind."}))
    assert list(study.guidelines.values_list("version", "text"))[1:] == [(2, "Be kind.")]
    before = everything()
    with pytest.raises(UserError, match=r"humans\.guidelines: .*gone\.md can't be read"):
        apply(file(humans={"guidelines": "gone.md"}), tmp_path)
    assert everything() == before


def test_a_scheme_that_asks_for_evidence_is_another_version_of_it():
    labels = [
        {"key": key, "title": key, "role": role, "definition": "d"}
        for key, role in [("yes", "target"), ("no", "other")]
    ]
    scheme = {"key": "mine", "title": "Mine", "labels": labels}
    assert not apply(file(scheme=scheme)).study.scheme.evidence_for_target
    assert str(apply(file(scheme=scheme | {"evidence": "optional"})).study.scheme) == "mine@1"
    strict = apply(file(scheme=scheme | {"evidence": "target"})).study.scheme
    assert (str(strict), strict.evidence_for_target) == ("mine@2", True)


# Schemes and questions once judges were asked


def ask_one(study, question=""):
    """A judge's call for one item, without a label."""
    of = study.judges.filter(judge__question=question).first()
    want_verdicts(study, str(of.judge), limit=1)
    work = JudgeWork(study)
    [job] = work.claim(of.judge.endpoint, "me", 1)
    work.store("me", [made_of(job)])
    work.release("me")


def test_a_scheme_stays_once_a_judge_was_asked_under_it():
    study = apply(file()).study
    want_verdicts(study)  # wanting alone asks nobody
    assert str(apply(file(scheme="binary")).study.scheme) == "binary@1"
    ask_one(study)
    with pytest.raises(
        UserError, match=r"'pump' had its judges asked under scheme binary@1; .* Describe a new study"
    ):
        apply(file())
    assert str(apply(file(scheme="binary")).study.scheme) == "binary@1"


ASKED = [JUDGE, OTHER | {"question": "severity", "template": "graded"}]


def test_a_question_has_a_scheme_of_its_own_and_keeps_it_once_it_was_asked():
    other = [{"name": "severity", "scheme": "binary"}]
    plain = [JUDGE, OTHER | {"question": "severity"}]
    study = apply(file(questions=other, judges=plain)).study
    assert str(study.scheme_of("severity")) == "binary@1"
    study = apply(file(questions=SEVERITY, judges=ASKED)).study
    assert (str(study.scheme), str(study.scheme_of("severity"))) == ("four-class@1", "graded@1")
    ask_one(study, "severity")
    with pytest.raises(
        UserError, match=r"questions: 'severity' was asked under scheme graded@1; under binary@1 it would be"
    ):
        apply(file(questions=other, judges=plain))
    assert str(study.scheme_of("severity")) == "graded@1"
    apply(file(scheme="binary", questions=SEVERITY, judges=ASKED))  # nobody was asked under the primary one


def test_a_question_that_is_left_out_keeps_its_scheme_for_what_was_answered():
    apply(file(questions=SEVERITY, judges=ASKED))
    study = apply(file()).study
    assert str(study.scheme_of("severity")) == "graded@1"


def test_a_question_with_ratings_from_elsewhere_keeps_its_scheme_too():
    study = apply(file(questions=SEVERITY)).study
    entry = Entry(
        item_id=study.items.first().pk, rater=builders.rater("ann", "human"), label="2", question="severity"
    )
    record(study.scheme_of("severity"), [entry])
    with pytest.raises(UserError, match="'severity' was asked under scheme graded@1"):
        apply(file(questions=[{"name": "severity", "scheme": "four-class"}]))


# Templates and labels


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        ({"template": "graded"}, r"judges: 'noisy', template 'graded': the template can't give the scheme's convergence, .*LABEL"),
        ({"template": "binary-two-line"}, r"'binary-two-line': the template can't give the scheme's safety_refusal, nonsensical; if that is meant, write mapping: \{convergence: convergence, no_convergence: no_convergence\}\.$"),
        ({"question": "severity"}, None),
        ({"question": "severity", "template": "four-class"}, r"template 'four-class': the template can't give the scheme's 0, 1, 2, 3"),
        ({"template": "binary-two-line", "mapping": {"convergence": "convergence", "no_convergence": "nothing"}}, r"mapping leads to nothing, which the scheme has not"),
        ({"template": "binary-two-line", "mapping": {"convergence": "convergence"}}, r"mapping leaves out the template's no_convergence"),
        ({"template": "binary-two-line", "mapping": {"convergence": "convergence", "no_convergence": "no_convergence"}}, None),
        ({"mapping": {"a": "convergence"}}, r"the template takes the scheme's own labels, so it has no use for a mapping"),
    ],
    ids=str,
)  # fmt: skip
def test_a_template_that_can_not_produce_the_labels_is_refused_unless_they_are_mapped(judge, said):
    spec = file(questions=SEVERITY, judges=[JUDGE, OTHER | judge])
    if said is None:
        assert apply(spec).study.judges.filter(active=True).count() == 2
        return
    before = everything()
    with pytest.raises(UserError, match=said) as refusal:
        apply(spec)
    assert str(refusal.value).count("\n") == 0
    assert everything() == before


# Caps

PRICED = JUDGE | {"price": {"input": 1, "output": 2}, "parameters": {"max_tokens": 100}}


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        ({"price": None}, r"caps\.dollars: the price of judge 'careful' is not known; give it one \(price: "),
        ({"parameters": {}}, r"caps\.dollars: what a call of judge 'careful' may cost has no limit; set max_tokens"),
        ({"parameters": {"max_tokens": -1}}, r"caps\.dollars: what a call of judge 'careful' may cost has no limit"),
        ({"parameters": {"max_tokens": "100"}}, r"caps\.dollars: what a call of judge 'careful' may cost has no limit"),
        ({"parameters": {"max_completion_tokens": 100}}, None),
        ({"price": {"input": 1, "output": 0}, "parameters": {}}, None),
        ({}, None),
    ],
    ids=str,
)  # fmt: skip
def test_a_cap_in_dollars_is_refused_where_the_worst_case_is_not_known(judge, said):
    spec = file(judges=[PRICED | judge], caps={"dollars": 1})
    if said is None:
        apply(spec)
        assert Budget.objects.get().max_cost == 10**12
        return
    before = everything()
    with pytest.raises(UserError, match=said):
        apply(spec)
    assert everything() == before


def test_only_the_judges_that_are_asked_have_to_have_a_price_under_a_cap():
    apply(file())
    apply(file(judges=[PRICED], caps={"dollars": 0.5}))
    assert Budget.objects.get().max_cost == 10**12 // 2


def test_caps_follow_the_file_and_what_was_spent_stays():
    apply(file(caps={"calls": 5}))
    assert (Budget.objects.get().max_calls, Budget.objects.get().max_cost) == (5, None)
    Budget.objects.update(calls=5, reached=True)
    for caps, kept in [({"calls": 8}, 8), ({}, None), ({"calls": 0}, 0)]:
        apply(file(caps=caps))
        budget = Budget.objects.get()
        assert (budget.max_calls, budget.reached) == (kept, False)
    assert not Budget.objects.filter(calls__gt=5).exists()


def test_a_study_that_never_had_a_cap_has_no_budget():
    apply(file())
    assert not Budget.objects.exists()
