"""Applying a study file: all or nothing, and the same file again changes nothing."""

import pytest
from django.core import serializers
from django.db.models import Model

from annotation.models import Assignment, Draw, DrawnItem, Item, Label, LabelScheme, Rater, Rating, Study
from benchmark.errors import UserError
from benchmark.models import Endpoint, Task
from judging.applying import apply, apply_file, studies
from judging.models import Judge, StudyJudge
from judging.studyfile import StudySpec
from tests import builders

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
    DrawnItem,
    Assignment,
]
ENDPOINT = {"name": "local", "base_url": "http://127.0.0.1:8001/v1"}
JUDGE = {"name": "careful", "endpoint": "local", "model": "sim-judge-careful"}
OTHER = {"name": "noisy", "endpoint": "local", "model": "sim-judge-noisy"}
HUMANS = {"per_item": 2, "share": 0.5, "seed": 7}


@pytest.fixture(autouse=True)
def responses(db):
    """Two subjects under two conditions, two epochs, on two tasks of two categories, a control and a training task."""
    suite = builders.suite()
    for key, flag in [("calm", "control"), ("reserved", "training")]:
        Task.objects.create(
            suite=suite, category=suite.categories.first(), key=key, text=f"Task {key}.", **{flag: True}
        )
    for subject in ("model-a", "model-b"):
        for under in ("baseline", "nudged"):
            run = builders.run(suite, subject, under)
            for task in suite.tasks.all():
                for epoch in (1, 2):
                    builders.response(run, task, epoch)


def file(**changes) -> StudySpec:
    return StudySpec.model_validate(
        {"study": "pump", "suite": "tiny", "endpoints": [ENDPOINT], "judges": [JUDGE, OTHER], **changes}
    )


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
    }  # fmt: skip
    study = applied.study
    assert (study.title, study.voters, study.gold_decides) == ("Pumps", ["careful", "humans"], True)
    assert not study.items.filter(response__task__training=True).exists()
    assert (study.draws.get().share, study.draws.get().seed) == (0.5, 7)
    assert Assignment.objects.count() == 2 * DrawnItem.objects.count() > 0
    assert Endpoint.objects.get().base_url == "http://127.0.0.1:8001/v1"


def test_applying_the_same_file_again_changes_nothing():
    apply(file(humans=HUMANS))
    before = everything()
    again = apply(file(humans=HUMANS)).summary()
    assert everything() == before
    assert (again["created"], again["items_added"], again["items"]) == (False, 0, 24)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "sim-judge-strict"},
        {"parameters": {"temperature": 0}},
        {"family": "other"},
        {"show_condition": True},
        {"template": "own.txt"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_judge_is_a_new_version_and_the_old_one_stays_with_its_ratings(change, tmp_path):
    (tmp_path / "own.txt").write_text("{{ task }} {{ response }} {{ label_keys }}")
    study = apply(file(), tmp_path).study
    old = study.judges.get(judge__rater__name="careful").judge
    rating = builders.rate(study.items.first(), old.rater)
    apply(file(judges=[JUDGE | change, OTHER]), tmp_path)
    versions = study.judges.filter(judge__rater__name="careful").order_by("judge__rater__version")
    assert [(sj.judge.rater.version, sj.active) for sj in versions] == [(1, False), (2, True)]
    assert Rating.objects.get().pk == rating.pk
    assert study.judges.filter(active=True, judge__rater__name="noisy", judge__rater__version=1).exists()
    apply(file(), tmp_path)  # back to what it was: the first version, not a third
    assert [(sj.judge.rater.version, sj.active) for sj in versions.all()] == [(1, True), (2, False)]


def test_a_template_that_changed_in_its_file_is_a_new_version(tmp_path):
    template, spec = tmp_path / "own.txt", file(judges=[JUDGE | {"template": "own.txt"}])
    for text in (
        "{{ task }} {{ response }} {{ label_keys }}",
        "Rate: {{ task }} {{ response }} {{ label_keys }}",
    ):
        template.write_text(text)
        study = apply(spec, tmp_path).study
    assert [sj.judge.rater.version for sj in study.judges.filter(active=True)] == [2]


def test_repeats_and_an_endpoints_address_are_no_new_version():
    apply(file())
    study = apply(
        file(
            endpoints=[ENDPOINT | {"base_url": "http://10.0.0.1/v1", "timeout": 5}],
            judges=[JUDGE | {"repeats": 3}],
        )
    ).study
    [active] = study.judges.filter(active=True)
    assert (active.repeats, active.judge.rater.version, active.judge.endpoint.timeout) == (3, 1, 5)


def test_a_judge_left_out_becomes_inactive():
    apply(file())
    study = apply(file(judges=[OTHER])).study
    assert [(sj.judge.rater.name, sj.active) for sj in study.judges.order_by("id")] == [
        ("careful", False),
        ("noisy", True),
    ]


def test_two_studies_share_a_judge_of_one_definition():
    first, second = apply(file()).study, apply(file(study="pipe")).study
    assert first.judges.first().judge == second.judges.first().judge
    assert Judge.objects.count() == 2


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
