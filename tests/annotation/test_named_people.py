"""A person whom a file names belongs to that study; judges, scorers and accounts are known everywhere."""

import json

import pytest
from django.db import IntegrityError, transaction

from annotation.enrolments import enrolment_of
from annotation.models import Rater, Rating, Study
from annotation.raters import (
    find_raters,
    known_everywhere,
    next_version,
    pseudonym,
    rater_named,
    rater_of,
    voters_of,
)
from arbiter.core.errors import UserError
from tests import builders
from tests.annotation.tables import jsonl, row
from tests.commands import as_json, refusal
from tests.together import expect_no_errors, together

pytestmark = [pytest.mark.django_db, pytest.mark.engine]
SPELLINGS = ["José", "Jose\u0301", " JOSÉ ", "jose\u0301"]


@pytest.fixture(autouse=True)
def suite(db):
    return builders.suite(tasks=4)


def load(path, study="one"):
    return as_json("importresponses", path, "--format", "jsonl", "--suite", "tiny", "--study", study)


def people():
    return list(Rater.objects.order_by("pk").values_list("name", "study__slug", "kind"))


def test_the_same_name_in_another_study_is_somebody_else(tmp_path):
    path = jsonl(tmp_path, row(label_ann="convergence"))
    load(path)
    load(path, "two")
    assert people() == [("ann", "one", "human"), ("ann", "two", "human")]
    one, two = Study.objects.order_by("slug")
    assert Rating.objects.filter(rater__study=one).get().item.study == one
    assert (
        len({pseudonym(study, rater) for study in (one, two) for rater in Rater.objects.filter(study=study)})
        == 2
    )


def test_it_never_blocks_a_judges_name(tmp_path):
    load(jsonl(tmp_path, row(**{"label:human:careful": "convergence"})))
    load(jsonl(tmp_path, row(**{"label:judge:careful": "convergence"})), "two")
    assert people() == [("careful", "one", "human"), ("careful", None, "judge")]
    assert next_version("careful", "judge", definition="x").version == 2


def test_in_one_study_a_name_is_of_one_kind(tmp_path):
    load(
        jsonl(tmp_path, row(label_ann="convergence"), row(task="task-2", **{"label:judge:J": "convergence"}))
    )
    for column in ("label:judge:Ann", "label:scorer:ANN", "label:human:j"):
        path = jsonl(tmp_path, row(task="task-3", **{column: "convergence"}))
        message = refusal("importresponses", path, "--format", "jsonl", "--suite", "tiny", "--study", "one")
        assert "is already the name of a" in message
    assert Rater.objects.count() == 2


def test_a_judge_that_comes_to_a_study_takes_its_name_and_the_person_is_shown_apart(tmp_path):
    load(jsonl(tmp_path, row(label_ann="convergence")))
    study = Study.objects.get()
    study.voters = ["Ann"]
    study.save()
    ann = Rater.objects.get()
    user = builders.User.objects.create_user("ann")
    account = rater_of(user)
    assert (account.name, account.study) == (
        "ann",
        None,
    )  # what a file named elsewhere takes no account's name
    enrolment_of(study, account)
    builders.rate(study.items.get(), account, "no_convergence")
    ann.refresh_from_db()
    study.refresh_from_db()
    assert (ann.name, study.voters) == ("ann (file)", ["ann (file)"])
    assert find_raters(study, ["ann", "ANN (file)"]) == [account, ann] and voters_of(study) == [ann]
    assert (
        load(jsonl(tmp_path, row(label_ann="nonsensical")))["ratings"] == 1
    )  # a file finds its own ann as before
    assert Rating.objects.votes().get(rater=ann).label.key == "nonsensical"
    assert Rating.objects.votes().get(rater=account).label.key == "no_convergence"


@pytest.mark.parametrize("first", range(len(SPELLINGS)))
def test_four_spellings_are_one_rater_shown_as_first_written(tmp_path, first):
    order = SPELLINGS[first:] + SPELLINGS[:first]
    rows = [
        row(task=f"task-{n}", **{f"label:human:{name}": "convergence"})
        for n, name in enumerate(order, start=1)
    ]
    load(jsonl(tmp_path, *rows))
    assert people() == [(order[0].strip(), "one", "human")] and Rating.objects.count() == 4
    study = Study.objects.get()
    assert {rater.pk for name in SPELLINGS for rater in find_raters(study, [name, f"{name}@1"])} == {
        Rater.objects.get().pk
    }
    as_json("exportstudy", "one", tmp_path / "o.jsonl", "--names")
    rows = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert {rating["rater"] for each in rows for rating in each["ratings"]} == {order[0].strip()}


def test_spellings_of_a_judge_are_versions_of_one(db):
    first = rater_named("Café", "judge")
    assert rater_named("CAFE\u0301", "judge") == first
    second = next_version(" café", "judge", definition="y")
    assert (second.name, second.version) == ("Café", 2)
    with pytest.raises(UserError, match="already the name of a judge"):
        next_version("CAFÉ", "scorer", definition="z")
    for reserved in ("Gold", "HUMANS"):
        with pytest.raises(UserError, match="can't be a rater's name"):
            rater_named(reserved, "judge")


def test_accounts_that_differ_in_case_get_names_apart(db):
    made = [rater_of(builders.User.objects.create_user(name)).name for name in ("ann", "Ann", "gold", "GOLD")]
    assert made == ["ann", "Ann-2", "gold-2", "GOLD-3"]


def test_the_database_holds_each_name_once():
    study = builders.study("held")
    Rater.objects.create(name="ann", kind="human", study=study)
    Rater.objects.create(name="ann", kind="judge")
    for fields in ({"name": "ANN", "kind": "human", "study": study}, {"name": " Ann", "kind": "scorer"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Rater.objects.create(**fields)
    with pytest.raises(IntegrityError), transaction.atomic():
        Rater.objects.create(name="bo", kind="judge", study=study)


@pytest.mark.django_db(transaction=True)
def test_two_imports_at_once_name_one_person():
    study = builders.study("busy")
    raters = expect_no_errors(
        together(*[lambda name=name: rater_named(name, "human", study=study) for name in SPELLINGS])
    )
    assert len({rater.pk for rater in raters}) == 1


def test_names_that_stood_apart_are_found_as_written_and_the_oldest_otherwise(db):
    old, new = (
        Rater.objects.create(name=name, folded=form, kind="judge")
        for name, form in [("GPT", "gpt"), ("gpt", "gpt\n9")]
    )
    assert known_everywhere("GPT") == known_everywhere("Gpt") == [old] and known_everywhere("gpt") == [new]
    assert next_version("gpt", "judge", definition="x").folded == "gpt\n9"
