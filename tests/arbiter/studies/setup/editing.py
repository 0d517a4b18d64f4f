"""What tests of editing share: documents, an edit, what a browser sends for the form, all rows there are."""

from django.core import serializers
from django.db.models import Model

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
from arbiter.studies.setup.studydocument import (
    document,
)
from arbiter.studies.setup.studyfile import StudySpec
from arbiter.studies.setup.studyform import initial
from benchmark.models import Endpoint
from judging.models import Judge, StudyJudge
from tests.judging.studyfiles import SEVERITY

OWN_SCHEME = {
    "key": "mine",
    "title": "Mine",
    "evidence": "target",
    "labels": [
        {"key": "yes", "title": "Yes", "role": "target", "definition": "It did."},
        {"key": "no", "title": "No", "role": "other", "definition": "It did not."},
    ],
}
FULL = {
    "title": "Pumps: a “test”",
    "description": "Two lines,\nand a # that is no comment.",
    "responses": {"epochs": [1], "controls": False},
    "scheme": OWN_SCHEME,
    "questions": SEVERITY,
    "caps": {"calls": 10},
    "settlement": {"voters": ["careful", "humans"], "gold_decides": True},
    "humans": {
        "per_item": 3,
        "strata": [
            {"name": "a", "where": {"categories": ["Alpha"]}, "probability": 0.5},
            {"name": "rest", "probability": 0.25},
        ],
        "seed": 7,
        "extra_when_split": 1,
        "gold": {"share": 0.5},
        "training": {"score": 0.5},
        "checks": {"gold": 0.1},
        "show": ["reasoning"],
        "guidelines": "# What counts\n\n- one: *this*\n- two",
        "consent": "Yes?\nYes.",
        "break_after": 30,
        "raters_see": ["accuracy"],
        "owner_labels": True,
        "adjudication": {"names": True},
    },
}
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


def edited(study, **changes):
    return StudySpec.model_validate(document(study) | changes)


def posted(base, **typed):
    """Return what a browser sends for the form as it stands, with what was typed."""
    sent = {}
    for name, value in {**initial(base), **typed}.items():
        if value is True:
            sent[name] = "on"
        elif value is not False and value != "" and value != []:
            sent[name] = value
    return sent


def everything():
    """Return all rows there are, as text."""
    return {
        model.__name__: serializers.serialize("json", model.objects.order_by("pk")) for model in EVERYTHING
    }
