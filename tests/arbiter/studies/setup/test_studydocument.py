"""A study as a document: it comes back as it was, and what is wrong with it is told with its line."""

import re

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation.models import Item
from arbiter.core.errors import UserError
from arbiter.studies.setup.applying import apply, apply_file
from arbiter.studies.setup.studydocument import (
    as_file,
    as_yaml,
    document,
    explained,
    spec_from_text,
    version_of,
)
from arbiter.studies.setup.studyedits import preview_edit, save_edit
from arbiter.studies.setup.studyfile import StudySpec
from benchmark.models import Endpoint
from tests import builders
from tests.arbiter.studies.setup.editing import FULL, OWN_SCHEME, everything
from tests.judging.studyfiles import ENDPOINT, HUMANS, JUDGE, OTHER, file
from tests.sizes import size

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("there_are_responses")]


def test_a_document_leaves_out_what_is_usual_and_keeps_the_order_of_the_docs(pump):
    assert document(pump) == {
        "study": "pump",
        "suite": "tiny",
        "endpoints": [ENDPOINT],
        "judges": [JUDGE, OTHER],
        "humans": HUMANS | {"per_item": 2},
    } | {"humans": {"share": 0.5, "seed": 7}}
    assert list(document(pump)) == ["study", "suite", "endpoints", "judges", "humans"]


@pytest.mark.parametrize(
    "changes", [{}, {"humans": HUMANS}, {"humans": {}}, FULL], ids=["plain", "share", "people", "full"]
)
def test_applying_the_file_that_was_taken_away_changes_nothing(tmp_path, changes):
    study = apply(file(**changes)).study
    path = tmp_path / "pump.yaml"
    path.write_text(as_file(study), encoding="utf-8")
    before = everything()
    assert apply_file(path).items_added == 0
    assert everything() == before
    study.refresh_from_db()
    assert as_file(study) == path.read_text(encoding="utf-8")


def test_what_was_in_files_is_written_out_and_templates_are_listed(tmp_path):
    (tmp_path / "rules.md").write_text("# Rules\n\nRead it all.\n")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(OWN_SCHEME))
    (tmp_path / "own.txt").write_text("{{ task }} {{ response }} {{ label_keys }}")
    spec = file(
        scheme="mine.yaml", humans={"guidelines": "rules.md"}, judges=[JUDGE | {"template": "own.txt"}]
    )
    study = apply(spec, tmp_path).study
    told = document(study)
    assert told["scheme"] == OWN_SCHEME and told["humans"]["guidelines"] == "# Rules\n\nRead it all."
    text = as_file(study)
    assert (
        "# Put beside it: own.txt\n" in text and "guidelines: |-\n    # Rules\n\n    Read it all.\n" in text
    )
    path = tmp_path / "again.yaml"
    path.write_text(text, encoding="utf-8")
    before = everything()
    apply_file(path)
    after = everything()
    assert {name for name in before if before[name] != after[name]} == {
        "Study"
    }  # what was named is written out
    study.refresh_from_db()
    assert document(study) == told


def test_an_endpoint_is_told_as_another_file_left_it(pump):
    Endpoint.objects.update(base_url="http://elsewhere.invalid/v1")
    assert document(pump)["endpoints"][0]["base_url"] == "http://elsewhere.invalid/v1"


def test_an_imported_study_has_a_document_that_adds_nothing(root):
    study = builders.Study.objects.create(slug="old", title="Old", scheme=builders.builtin_scheme("binary"))
    run = builders.run(builders.Suite.objects.get())
    for response in run.responses.filter(task__training=False):
        Item.objects.create(study=study, response=response)
    told = document(study)
    assert (told["suite"], told["scheme"]) == ("tiny@1", "binary")
    assert told["responses"] == {"subjects": ["model-a"], "conditions": ["baseline"]}
    assert preview_edit(StudySpec.model_validate(told), root, study).added == 0


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60)


@settings(
    max_examples=size(20, 150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(title=TEXT, description=TEXT, guidelines=TEXT)
def test_any_text_comes_back_from_yaml_as_it_went(title, description, guidelines):
    told = {
        "study": "s",
        "suite": "tiny",
        "title": title,
        "description": description,
        "humans": {"guidelines": guidelines},
    }
    assert yaml.safe_load(as_yaml(told)) == told


def test_any_change_is_another_version(pump):
    first = version_of(pump)
    assert version_of(pump) == first
    pump.guidelines.create(version=1, text="New.")
    assert version_of(pump) != first


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("study: pump\nsuite: tiny\ntitel: x\n", "The file, line 3, titel: there is no such key"),
        ("study: pump\nsuite: [tiny\n", "The file, line 3: is not valid YAML"),
        ("- a\n", "The file: expected a study as keys and values"),
        (
            "study: pump\nsuite: tiny\nhumans:\n  share: 0\n",
            "The file, line 4, humans.share: should be above 0",
        ),
        ("study: pump\nsuite: tiny\ntitle: yes\n", "The file, line 3, title: .*put the word in quotes"),
        ("study: pump\nsuite: tiny\nhumans: {seed: " + "9" * 5000 + "}\n", "The file"),
        ("study: !!python/object:os.system x\n", "The file, line 1: tags .* are not taken"),
        ("study: !!map [a]\n", "The file"),
        ("a: &a [x, x]\nb: &b [*a, *a]\n", r"The file, line 2: aliases \(\*a\) are not taken"),
        ("[" * 5000, "The file, line 1: is nested more than 50 deep"),
        ('study: pump\nsuite: tiny\ntitle: "\\0"\n', "The file: holds a NUL"),
        ("x" * 400_000, "The file: has 400000 characters, more than the 300000 a page takes"),
        (
            "study: pump\nsuite: tiny\njudges:\n- {name: j, endpoint: e, model: m}\n",
            "The file, line 3, judges: judge 'j' names the endpoint",
        ),
    ],
    ids=range(13),
)
def test_a_mistake_in_the_text_is_one_sentence_with_its_line(pump, text, said):
    with pytest.raises(UserError) as error:
        spec_from_text(text, pump)
    sentence = explained(error.value, text)[1]
    assert re.match(said, sentence), sentence
    assert "\n" not in sentence and sentence.endswith(".") and len(sentence) < 500


def test_what_apply_refuses_is_told_with_its_line_too(pump, owner):
    text = "study: pump\nsuite: tiny\nhumans:\n  share: 0.1\n  seed: 7\n"
    with pytest.raises(UserError) as error:
        save_edit(spec_from_text(text, pump), owner, pump, version_of(pump))
    assert explained(error.value, text) == (
        ["humans", "share"],
        "The file, line 4, humans.share: can only grow: the draw has 0.5, the file says 0.1; items already "
        "handed out can't be taken back.",
    )
