"""Applying a study file: all or nothing, and the same file again changes nothing."""

import pytest

from annotation.importing.checking import study_asked_for
from annotation.ledger import Entry, record
from annotation.models import (
    Assignment,
    DrawnItem,
    Item,
    Study,
)
from annotation.schemes import builtin_scheme
from annotation.studyfinder import get_study
from arbiter.core.errors import UserError
from arbiter.studies.setup.applying import apply, apply_file
from benchmark.models import Endpoint, Task
from judging.panel.judge_work import JudgeWork
from judging.panel.wanted_verdicts import want_verdicts
from tests import builders
from tests.arbiter.studies.setup.editing import everything
from tests.judging.helpers import made_of
from tests.judging.studyfiles import HUMANS, JUDGE, OTHER, SEVERITY, file

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("there_are_responses")]


def test_a_study_is_made_as_described():
    applied = apply(
        file(title="Pumps", humans=HUMANS, settlement={"voters": ["careful", "humans"], "gold_decides": True})
    )
    assert applied.summary() == {
        "study": "pump",
        "created": True,
        "scheme": "four-class@1",
        "items": 24,
        "items_added": 24,
        "judges": ["careful", "noisy"],
        "waiting": [],
    }
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
    labels = (
        "labels: [{key: a, title: A, role: target, definition: d}, "
        "{key: b, title: B, role: other, definition: d}]"
    )
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
            match=rf"settlement.voters: nobody is called '{name}'; name judges of this file "
            r"\(careful, noisy\)",
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


def ask_one(study, question=""):
    """Make a judge's call for one item, without a label."""
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


def test_a_study_in_another_case_is_the_same_study():
    made = builders.Study.objects.create(slug="Pump", title="Pump", scheme=builtin_scheme("four-class"))
    applied = apply(file())
    assert (applied.created, applied.study) == (False, made)
    assert get_study("PUMP") == made and study_asked_for("pump", None) == made
