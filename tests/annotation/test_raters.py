"""Raters by name and version, who votes, and what exports call people."""

import pytest

from annotation.models import PlacePurpose, Rater
from annotation.raters import (
    find_raters,
    latest_raters,
    pseudonym,
    rater_named,
    rater_of,
    refuse_reserved,
    voters_of,
)
from arbiter.core.errors import UserError
from tests import builders
from tests.together import expect_no_errors, together

pytestmark = pytest.mark.django_db


def version(name, number, kind="judge"):
    return Rater.objects.create(name=name, version=number, kind=kind)


@pytest.fixture
def raters(study):
    """Make the raters: two versions of one judge, another judge and a person have rated; `idle` has not."""
    by_name = {
        "old": version("strict", 1),
        "new": version("strict", 2),
        "mild": version("mild", 1),
        "ann": version("ann", 1, "human"),
    }
    for rater in by_name.values():
        builders.rate(study.items.first(), rater)
    version("idle", 1)
    return by_name


def names(raters):
    return sorted(f"{rater.name}@{rater.version}" for rater in raters)


def test_a_name_is_the_latest_version_and_any_version_can_be_named(study, raters):
    assert find_raters(study, ["strict", "strict@1", "strict@2", "mild"]) == [
        raters["new"],
        raters["old"],
        raters["new"],
        raters["mild"],
    ]
    assert names(latest_raters(study)) == ["ann@1", "mild@1", "strict@2"]
    assert [str(raters[key]) for key in ("old", "new")] == ["strict", "strict@2"]


def test_the_latest_version_is_the_latest_that_rated_in_this_study(study, raters):
    other = builders.study("other")
    builders.rate(other.items.first(), raters["old"])
    assert find_raters(other, ["strict"]) == [raters["old"]]


@pytest.mark.parametrize("name", ["idle", "strict@3", "nobody", "strict@"])
def test_whoever_has_not_rated_is_refused_with_those_who_have(study, raters, name):
    with pytest.raises(
        UserError, match=f"'{name}' has no rating in study 'tiny'; those who have: ann, mild, strict"
    ):
        find_raters(study, ["mild", name])


# Voters


@pytest.mark.parametrize(
    ("voters", "expected"),
    [
        ([], ["ann@1", "mild@1", "strict@2"]),
        (["mild", "strict"], ["mild@1", "strict@2"]),
        (["strict@1"], ["strict@1"]),
        (["humans"], ["ann@1"]),
        (["mild", "humans", "ann", "mild"], ["ann@1", "mild@1"]),
        (["mild", "idle", "somebody-later"], ["mild@1"]),
    ],
)
def test_who_votes(study, raters, voters, expected):
    study.voters = voters
    assert names(voters_of(study)) == expected


def test_somebody_who_only_trained_votes_with_nothing(study, raters):
    builders.rate(study.items.last(), version("trainee", 1, "human"), purpose=PlacePurpose.TRAINING)
    voters = voters_of(study)
    assert "trainee@1" in names(voters)
    assert not study.items.last().ratings.votes().filter(rater__in=voters).exists()


# Names


@pytest.mark.parametrize("name", ["majority", "settled", "gold", "humans", "a@2", "a,b", "", "  "])
def test_reserved_names_are_refused(name):
    with pytest.raises(UserError, match="can't be a rater's name"):
        rater_named(name, "judge")
    with pytest.raises(UserError):
        refuse_reserved(name)


def test_a_name_is_one_rater_and_one_kind():
    assert rater_named("m", "judge", "fam") == rater_named("m", "judge", "other")
    with pytest.raises(UserError, match="already the name of a judge; give this human another"):
        rater_named("m", "human")
    assert Rater.objects.get().family == "fam"


def test_labels_from_elsewhere_are_not_those_of_a_judge_run_here_under_that_name():
    ours = Rater.objects.create(name="m", kind="judge", definition="x" * 64)
    theirs = rater_named("m", "judge")
    assert (theirs.version, rater_named("m", "judge")) == (2, theirs) and theirs != ours


def person(username):
    return builders.User.objects.create_user(username)


@pytest.mark.parametrize(
    ("username", "name"),
    [
        ("ann", "ann"),
        ("taken", "taken-3"),
        ("gold", "gold-2"),
        ("ann@example.org", "ann@example.org"),
        ("judge@2", "judge@2-2"),
        ("x" * 150, "x" * 110),
    ],
)
def test_a_person_rates_under_a_name_of_their_own(username, name):
    for other in ("taken", "taken-2"):
        rater_named(other, "judge")
    made = rater_of(person(username))
    assert (made.name, made.kind) == (name, "human")
    assert rater_of(made.user) == made


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_two_first_requests_of_one_person_make_one_rater():
    user = person("ann")
    made = expect_no_errors(together(*[lambda: rater_of(user)] * 4))
    assert {rater.pk for rater in made} == {Rater.objects.get().pk}


# Pseudonyms


def test_people_have_pseudonyms_and_programs_their_names(study, raters):
    other = builders.study("other")
    ben = version("ben", 1, "human")
    shown = pseudonym(study, raters["ann"])
    assert shown.startswith("rater-") and "ann" not in shown
    assert shown == pseudonym(study, Rater.objects.get(pk=raters["ann"].pk))
    assert len({shown, pseudonym(other, raters["ann"]), pseudonym(study, ben)}) == 3
    assert pseudonym(study, raters["new"]) == "strict@2"


def test_pseudonyms_can_not_be_recomputed_without_the_secret_key(study, raters, settings):
    shown = pseudonym(study, raters["ann"])
    settings.SECRET_KEY = "another key of at least so many characters"
    assert pseudonym(study, raters["ann"]) != shown
