"""Label schemes: the two built in, versions, and what the database holds to."""

import pytest
from django.db import IntegrityError, transaction
from pydantic import ValidationError

from annotation.models import Label, LabelScheme, Membership, Study
from annotation.schemes import BUILTIN, LabelSpec, SchemeSpec, builtin_scheme, save_scheme
from arbiter.core.errors import UserError
from tests import builders

pytestmark = pytest.mark.django_db


def label(key="yes", role="target", **fields):
    return {"key": key, "title": key.capitalize(), "role": role, "definition": f"It is {key}.", **fields}


def spec(*labels, **fields):
    return SchemeSpec.model_validate(
        {"key": "mine", "title": "Mine", "labels": list(labels) or [label(), label("no", "other")], **fields}
    )


def test_the_builtin_schemes_have_these_labels_roles_and_hotkeys():
    four, binary = builtin_scheme("four-class"), builtin_scheme("binary")
    assert list(four.labels.values_list("position", "key", "role")) == [
        (1, "convergence", "target"),
        (2, "no_convergence", "other"),
        (3, "safety_refusal", "other"),
        (4, "nonsensical", "excluded"),
    ]
    assert list(binary.labels.values_list("key", "role")) == [
        ("convergence", "target"),
        ("no_convergence", "other"),
    ]


@pytest.mark.parametrize("key", BUILTIN)
def test_every_builtin_label_can_be_applied(key):
    for each in BUILTIN[key].labels:
        assert each.title and each.definition.endswith(".") and each.example


def test_a_scheme_is_saved_once_and_a_changed_one_is_a_new_version():
    first = save_scheme(spec())
    assert save_scheme(spec()) == first
    changed = save_scheme(spec(label(), label("no", "other", definition="It is not.")))
    assert [str(scheme) for scheme in LabelScheme.objects.all()] == ["mine@1", "mine@2"]
    assert first.labels.get(key="no").definition == "It is no."
    assert save_scheme(spec()) == first and changed.labels.count() == 2


def test_the_order_of_labels_is_content():
    assert save_scheme(spec()) != save_scheme(spec(label("no", "other"), label()))


@pytest.mark.parametrize(
    ("labels", "part"),
    [
        ([label()], "at least 2"),
        ([label(), label()], "'yes' is there twice"),
        ([label(role="other"), label("no", "other")], "no label has the role target"),
        ([label(), label("no", "wrong")], "target"),
        ([label(), label("No!", "other")], "pattern"),
        ([label(), label("no", "other", definition="")], "at least 1"),
        ([label(), label("no", "other", hotkey=2)], "Extra"),
        ([label(), *(label(f"l{n}", "other") for n in range(9))], "at most 9"),
    ],
)
def test_a_scheme_that_could_not_be_used_is_refused(labels, part):
    with pytest.raises(ValidationError, match=part):
        spec(*labels)


def test_an_unknown_builtin_scheme_is_refused():
    with pytest.raises(UserError, match="there are four-class, binary"):
        builtin_scheme("five-class")


def a_label_key_twice(study, first):
    Label.objects.create(scheme=study.scheme, key=first.key, title="A", position=9, role="other")


def a_position_twice(study, first):
    Label.objects.create(scheme=study.scheme, key="new", title="A", position=first.position, role="other")


def an_unknown_role(study, first):
    Label.objects.create(scheme=study.scheme, key="new", title="A", position=9, role="odd")


def a_scheme_version_twice(study, first):
    LabelScheme.objects.create(key=study.scheme.key, version=1, title="A", content_hash="x")


def a_scheme_content_twice(study, first):
    LabelScheme.objects.create(
        key=study.scheme.key, version=2, title="A", content_hash=study.scheme.content_hash
    )


def a_study_twice(study, first):
    Study.objects.create(slug=study.slug, title="A", scheme=study.scheme)


def an_item_twice(study, first):
    study.items.create(response=study.items.first().response)


def an_unknown_membership(study, first):
    Membership.objects.create(study=study, user=builders.User.objects.create_user("x"), role="king")


@pytest.mark.engine
@pytest.mark.parametrize(
    "wrong",
    [
        a_label_key_twice,
        a_position_twice,
        an_unknown_role,
        a_scheme_version_twice,
        a_scheme_content_twice,
        a_study_twice,
        an_item_twice,
        an_unknown_membership,
    ],
)
def test_the_database_refuses(study, wrong):
    with pytest.raises(IntegrityError), transaction.atomic():
        wrong(study, study.scheme.labels.first())


def test_specs_are_frozen():
    with pytest.raises(ValidationError):
        LabelSpec.model_validate(label()).title = "Other"
