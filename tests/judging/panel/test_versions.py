"""What makes a new version of a judge, and what does not."""

import json

import pytest

from annotation.models import Rating
from arbiter.core.text import digest
from arbiter.studies.setup.applying import apply
from judging.models import Judge, StudyJudge
from judging.prompts import template_text
from tests import builders
from tests.judging.studyfiles import ENDPOINT, JUDGE, OTHER, SEVERITY, file, responses

pytestmark = pytest.mark.django_db
OWN = "{{ task }} {{ response }} {{ label_keys }}"


@pytest.fixture(autouse=True)
def there_are_responses(db):
    responses()


def versions(study, name="careful"):
    of_name = study.judges.filter(judge__rater__name=name).order_by("judge__rater__version")
    return [(sj.judge.rater.version, sj.active) for sj in of_name]


@pytest.mark.parametrize(
    "change",
    [
        {"model": "sim-judge-strict"},
        {"parameters": {"temperature": 0}},
        {"family": "other"},
        {"show_condition": True},
        {"template": "own.txt"},
        {"template": "reason-first"},
        {"repeats": 2},
        {"label_order": "reversed"},
        {"label_seed": 1},
        {"question": "severity", "template": "graded"},
        {
            "template": "binary-two-line",
            "mapping": {"convergence": "convergence", "no_convergence": "no_convergence"},
        },
    ],
    ids=lambda change: "-".join(change),
)
def test_a_changed_judge_is_a_new_version_and_the_old_one_stays_with_its_ratings(change, tmp_path):
    (tmp_path / "own.txt").write_text(OWN)
    study = apply(file(questions=SEVERITY), tmp_path).study
    old = study.judges.get(judge__rater__name="careful").judge
    rating = builders.rate(study.items.first(), old.rater)
    apply(file(questions=SEVERITY, judges=[JUDGE | change, OTHER]), tmp_path)
    assert versions(study) == [(1, False), (2, True)]
    assert Rating.objects.get().pk == rating.pk
    assert versions(study, "noisy") == [(1, True)]
    new = Judge.objects.get(rater__name="careful", rater__version=2)
    for key, value in change.items():
        kept = new.template_name if key == "template" else getattr(new.rater if key == "family" else new, key)
        assert kept == value
    apply(file(questions=SEVERITY), tmp_path)  # back to what it was: the first version, not a third
    assert versions(study) == [(1, True), (2, False)]


def test_a_parameter_of_any_name_makes_a_new_version():
    for number, (name, value) in enumerate(
        {"temperature": 1, "max_tokens": 9, "reasoning_effort": "low"}.items(), start=1
    ):
        study = apply(file(judges=[JUDGE | {"parameters": {name: value}}])).study
        assert versions(study)[-1] == (number, True)


@pytest.mark.parametrize(
    "change", [{"json_schema": False}, {"dialect": "anthropic"}, {"dialect": "vllm"}], ids=str
)
def test_a_changed_form_of_the_answer_makes_a_new_version(change):
    apply(file())
    study = apply(file(endpoints=[ENDPOINT | change])).study
    assert versions(study) == [(1, False), (2, True)]


def test_a_template_that_changed_in_its_file_is_a_new_version(tmp_path):
    template, spec = tmp_path / "own.txt", file(judges=[JUDGE | {"template": "own.txt"}])
    for text in (OWN, f"Rate: {OWN}"):
        template.write_text(text)
        study = apply(spec, tmp_path).study
    assert versions(study)[-1] == (2, True)


def test_where_an_endpoint_is_how_fast_it_is_asked_and_what_it_costs_are_no_new_version():
    apply(file())
    moved = {
        "base_url": "http://10.0.0.1/v1",
        "key_variable": "A_KEY",
        "concurrency": 4,
        "concurrency_start": 2,
        "concurrency_floor": 2,
        "timeout": 5.0,
        "connect_timeout": 2.0,
        "read_timeout": 3.0,
    }
    priced = JUDGE | {"price": {"input": 0.4, "output": 1.6}}
    study = apply(file(endpoints=[ENDPOINT | moved], judges=[priced, OTHER])).study
    assert versions(study) == versions(study, "noisy") == [(1, True)]
    endpoint = study.judges.first().judge.endpoint
    assert {key: getattr(endpoint, key) for key in moved} == moved


def test_a_price_is_kept_with_the_study_and_follows_its_file():
    apply(file(judges=[JUDGE | {"price": {"input": 0.4, "output": 1.6}}]))
    other = apply(file(study="pipe", judges=[JUDGE | {"price": {"input": 0, "output": 0}}])).study
    assert list(StudyJudge.objects.values_list("study__slug", "input_price", "output_price")) == [
        ("pipe", 0, 0),
        ("pump", 400_000, 1_600_000),
    ]
    apply(file(study="pipe", judges=[JUDGE]))
    assert other.judges.get().output_price is None  # nobody lists a price for that service
    listed = file(
        study="pipe",
        endpoints=[ENDPOINT | {"base_url": "https://api.openai.com/v1"}],
        judges=[JUDGE | {"model": "gpt-4.1-mini"}],
    )
    assert apply(listed).study.judges.get(active=True).output_price == 1_600_000


def issue_2_definition(spec, endpoint):
    """Return the definition by which the first release told versions apart."""
    parts = [
        endpoint["name"],
        endpoint.get("json_schema", True),
        spec["model"],
        spec.get("family", ""),
        template_text(spec.get("template", "scheme-json")),
        spec.get("parameters", {}),
        spec.get("show_condition", False),
    ]
    return digest(spec["name"], json.dumps(parts, sort_keys=True))


@pytest.mark.parametrize("schema", [{}, {"json_schema": True}, {"json_schema": False}], ids=str)
@pytest.mark.parametrize(
    "said",
    [{}, {"family": "sim", "parameters": {"temperature": 0, "max_tokens": 9}, "show_condition": True}],
    ids=len,
)
def test_a_judge_that_uses_nothing_new_keeps_the_version_it_had(said, schema):
    spec, endpoint = JUDGE | said, ENDPOINT | schema
    study = apply(file(endpoints=[endpoint], judges=[spec])).study
    assert study.judges.get().judge.rater.definition == issue_2_definition(spec, endpoint)
    explicit = {"question": "", "mapping": {}, "label_order": "scheme", "label_seed": 0, "repeats": 1}
    apply(file(endpoints=[endpoint | {"dialect": "openai"}], judges=[spec | explicit]))
    assert versions(study) == [(1, True)]


def test_the_first_releases_template_is_what_it_was():
    """It is part of each version that was made with it."""
    text = template_text("scheme-json")
    assert digest(text) == "8845a9cb2662d3581c2d254766dd6965125d69fb02b7dad10d9f7f2bee5b2ae7"


def test_two_studies_share_a_judge_of_one_definition():
    first, second = apply(file()).study, apply(file(study="pipe")).study
    assert first.judges.first().judge == second.judges.first().judge
    assert Judge.objects.count() == 2
