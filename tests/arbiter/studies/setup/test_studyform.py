"""The form of a study: sent as it came it changes nothing, and what is typed goes where it belongs."""

import re

import pytest

from arbiter.studies.setup.applying import apply
from arbiter.studies.setup.studydocument import (
    document,
    version_of,
)
from arbiter.studies.setup.studyfile import StudySpec
from arbiter.studies.setup.studyform import StudyForm, counts
from tests import builders
from tests.arbiter.studies.setup.editing import FULL, everything, posted
from tests.judging.studyfiles import HUMANS, file

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("there_are_responses")]


def form(base, new=False, **typed):
    made = StudyForm(base, builders.Suite.objects.get(), posted(base, **typed), new=new)
    assert made.is_valid(), made.errors
    return made


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"humans": {}},
        {"humans": HUMANS},
        FULL,
        {"humans": {"budget": 9, "split_share": 0.5}},
        {"humans": {"plan": "strata", "by": "category", "probabilities": {"Alpha": 0.5, "default": 1}}},
        {"humans": {"plan": "everyone"}},
        {"humans": {"training": {}}},
        {"humans": {"consent": "Yes?\n"}},
        {"responses": {"subjects": ["model-b"], "categories": ["Beta"]}, "scheme": "graded"},
    ],
    ids=str,
)
def test_a_form_sent_as_it_came_changes_nothing(changes):
    study = apply(file(**changes)).study
    base = document(study)
    assert StudySpec.model_validate(form(base).document()) == StudySpec.model_validate(base)


@pytest.mark.parametrize(
    ("typed", "path", "value"),
    [
        ({"title": "New"}, ["title"], "New"),
        ({"subjects": ["model-b"]}, ["responses", "subjects"], ["model-b"]),
        ({"controls": False}, ["responses", "controls"], False),
        ({"scheme": "binary"}, ["scheme"], "binary"),
        ({"humans": False}, ["humans"], None),
        ({"plan": "everyone"}, ["humans", "share"], None),
        ({"plan": "random", "share": "0.75"}, ["humans", "share"], 0.75),
        ({"plan": "disagreement", "budget": "9", "share": "0.1"}, ["humans", "budget"], 9),
        (
            {"plan": "by", "by": "category", "probabilities": "Alpha: 0.5\r\na: b: 1\r\n"},
            ["humans", "probabilities"],
            {"Alpha": 0.5, "a: b": 1},
        ),
        ({"per_item": "3"}, ["humans", "per_item"], 3),
        ({"training": True, "score": "0.5"}, ["humans", "training"], {"score": 0.5}),
        ({"training": True}, ["humans", "training"], {}),
        ({"checks_gold": "0.1"}, ["humans", "checks"], {"gold": 0.1}),
        ({"show": ["reasoning"]}, ["humans", "show"], ["reasoning"]),
        ({"guidelines": "# A\r\n\r\nb\r\n"}, ["humans", "guidelines"], "# A\n\nb"),
        ({"voters": "careful, humans"}, ["settlement", "voters"], ["careful", "humans"]),
        ({"names": True}, ["humans", "adjudication"], {"names": True}),
    ],
    ids=str,
)
def test_what_is_typed_goes_where_it_belongs(pump, typed, path, value):
    told = StudySpec.model_validate(form(document(pump), **typed).document()).model_dump(
        mode="json", exclude_defaults=True
    )
    for key in path:
        told = (told or {}).get(key)
    assert told == value


@pytest.mark.parametrize(
    ("typed", "field", "said"),
    [
        (
            {"plan": "random", "share": "0"},
            "share",
            r"humans\.share: should be above 0 .*no rate can be estimated",
        ),
        ({"plan": "random", "share": ""}, "plan", "humans: the plan random needs a share"),
        ({"plan": "random", "share": "half"}, "share", r"humans\.share: .*valid number.*found 'half'"),
        ({"plan": "disagreement", "budget": ""}, "plan", "needs a budget"),
        (
            {"plan": "by", "by": "category", "probabilities": "Alpha"},
            "probabilities",
            r"humans\.probabilities\.Alpha: ",
        ),
        ({"plan": "by", "by": "category", "probabilities": ""}, "plan", "needs probabilities"),
        ({"per_item": "0"}, "per_item", r"humans\.per_item: "),
        ({"training": True, "score": "2"}, "score", r"humans\.training\.score"),
        ({"checks_repeats": "1"}, "checks_repeats", r"humans\.checks\.repeats"),
        ({"voters": "nobody"}, "voters", "nobody is called 'nobody'"),
        ({"seed": "8"}, "seed", "can't change once items are drawn"),
        ({"guidelines": "x.md"}, "guidelines", "names a file"),
    ],
    ids=str,
)
def test_a_mistake_stands_beside_its_field_and_what_was_typed_stays(client, pump, owner, typed, field, said):
    client.force_login(owner)
    before = everything()
    data = posted(document(pump), **typed) | {"as": "form", "do": "save", "version": version_of(pump)}
    answer = client.post("/studies/pump/edit/", data)
    assert answer.status_code == 200 and everything() == before
    shown = answer.context["form"]
    [sentence] = shown.errors[field]
    assert re.match(said, sentence) or re.search(said, sentence), sentence
    for name, value in typed.items():
        assert (shown[name].value() or "") == value


def test_the_choices_say_how_many_responses_there_are(pump):
    assert counts(builders.Suite.objects.get()) == {
        "subjects": {"model-a": 12, "model-b": 12},
        "conditions": {"baseline": 12, "nudged": 12},
        "categories": {"Alpha": 16, "Beta": 8},
    }
    of = builders.Study.objects.get().items.filter(response__run__subject__name="model-b").first().response
    type(of).objects.filter(pk=of.pk).update(state="todo")
    assert counts(builders.Suite.objects.get())["subjects"] == {"model-a": 12, "model-b": 11}
