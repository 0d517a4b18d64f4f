"""Whose suites a study may be made of, and that nobody is told what exists elsewhere."""

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from annotation.importing import import_responses
from annotation.models import Membership, Study, SuiteAccess
from annotation.suiteaccess import grant, grant_study, owned_suites, usable_suites
from arbiter.core.errors import UserError
from arbiter.studies.setup.applying import apply
from arbiter.studies.setup.studydocument import document, spec_from_document, version_of
from arbiter.studies.setup.studyedits import preview_edit, save_edit
from arbiter.studies.setup.studyfile import StudySpec
from benchmark.models import Response
from tests import builders
from tests.arbiter.studies.setup.editing import everything
from tests.commands import as_json as printed
from tests.judging.studyfiles import HUMANS, file, responses

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner():
    """Make the owner of the study `pump` of the suite `tiny`, who was granted nothing."""
    responses()
    made = User.objects.create_user("owner")
    Membership.objects.create(study=apply(file(humans=HUMANS)).study, user=made, role="owner")
    return made


@pytest.fixture
def secret():
    """Make another's study and suite, with a judge and raters of its own."""
    study = builders.study("secret")
    Membership.objects.create(study=study, user=User.objects.create_user("zoe"), role="owner")
    builders.rate(study.items.first(), builders.rater("their-judge"))
    builders.rate(study.items.first(), builders.human(User.objects.get(username="zoe")))
    return study


def fresh(**changes):
    return StudySpec.model_validate({"study": "fresh", "suite": "tiny", **changes})


def refusal(spec, user, study=None):
    before = everything()
    said = []
    for do in (preview_edit, lambda *given: save_edit(*given, version_of(study) if study else "")):
        with pytest.raises(UserError) as caught:
            do(spec, user, study)
        said.append(str(caught.value))
    assert everything() == before and said[0] == said[1]
    return said[0]


def test_a_suite_is_used_only_where_somebody_lets_them(owner):
    assert "there is no suite 'tiny' that you may use (you may use: none)" in refusal(fresh(), owner)
    grant("tiny", owner)
    study = save_edit(fresh(), owner).study
    assert study.items.count() == 24 and usable_suites(owner, study) == ["tiny"]


def test_a_study_keeps_its_suite_and_may_lose_it(owner):
    """By command it was made of it; whoever owns it goes on with that suite, in this study alone."""
    study = Study.objects.get(slug="pump")
    spec = spec_from_document(document(study) | {"responses": {"epochs": [1, 2]}}, study)
    save_edit(spec, owner, study, version_of(study))
    assert usable_suites(owner) == [] and usable_suites(owner, study) == ["tiny"]
    SuiteAccess.objects.all().delete()
    items = study.items.count()
    assert "no suite 'tiny' that you may use" in refusal(spec, owner, study)
    assert study.items.count() == items


def test_without_its_suite_the_page_of_a_study_tells_nothing_of_it(client, owner):
    SuiteAccess.objects.all().delete()
    builders.response(
        builders.run(Response.objects.first().run.suite, "secret-model"), Response.objects.first().task
    )
    client.force_login(owner)
    body = client.get("/studies/pump/edit/").content.decode()
    assert "not open to this study any more" in body and "secret-model" not in body


def test_a_study_cannot_be_turned_to_another_suite(owner, secret):
    study = Study.objects.get(slug="pump")
    for name in ("secret", "nowhere", "secret@1", "nowhere@1"):
        spec = spec_from_document(document(study) | {"suite": name}, study)
        assert f"there is no suite {name.partition('@')[0]!r} that you may use" in refusal(spec, owner, study)


@pytest.mark.parametrize(
    ("there", "not_there"),
    [
        ({"suite": "secret"}, {"suite": "nowher"}),
        ({"suite": "secret@1"}, {"suite": "nowher@1"}),
        ({"suite": "secret@9"}, {"suite": "nowher@9"}),
        ({"settlement": {"voters": ["their-judge"]}}, {"settlement": {"voters": ["their-wrong"]}}),
        ({"settlement": {"voters": ["their-judge@1"]}}, {"settlement": {"voters": ["their-wrong@1"]}}),
        ({"settlement": {"voters": ["zoe"]}}, {"settlement": {"voters": ["zed"]}}),
    ],
    ids=str,
)
def test_what_is_another_s_and_what_is_not_there_get_one_answer(owner, secret, there, not_there):
    grant("tiny", owner)

    def said(changes):
        name = changes.get("suite") or changes["settlement"]["voters"][0]
        return refusal(fresh(**changes), owner).replace(name.partition("@")[0], "NAME")

    assert said(there) == said(not_there)


def test_endpoints_that_exist_elsewhere_are_refused_as_those_that_do_not(owner):
    """`local` is the endpoint of the study `pump`; a new study of the same person may not bring it in."""
    grant("tiny", owner)
    one = {"name": "local", "base_url": "http://127.0.0.1:8001/v1"}
    there, not_there = (
        refusal(fresh(endpoints=[one | {"name": name}]), owner) for name in ("local", "other")
    )
    assert there.replace("local", "NAME") == not_there.replace("other", "NAME")


def test_who_else_bears_the_name_of_a_judge_is_not_told(owner, secret):
    study = Study.objects.get(slug="pump")
    old = document(study)
    builders.rater("their-scorer", "scorer")
    said = []
    for name in ("zoe", "Zoe", "their-scorer"):
        spec = spec_from_document(
            old | {"judges": [*old["judges"], old["judges"][0] | {"name": name}]}, study
        )
        said.append(refusal(spec, owner, study).replace(name, "NAME"))
    assert set(said) == {f"judges.{len(old['judges'])}.name: 'NAME' can't be a judge's name; choose another."}


def test_a_suite_in_another_case_is_told_of_as_it_was_typed(owner, secret):
    builders.suite("House")
    assert "there is no suite 'house' that you may use" in refusal(fresh(suite="house"), owner)


def test_whether_another_study_has_a_name_is_not_told(owner, secret):
    grant("tiny", owner)
    made = [save_edit(fresh(study=name), owner).study.slug for name in ("secret", "pump", "nobody-has-it")]
    assert made == [f"{name}_{owner.pk}" for name in ("secret", "pump", "nobody-has-it")]
    again = fresh(study="secret")
    assert "you have a study 'secret' already" in refusal(again, owner)


def test_nobody_takes_a_name_that_would_be_anothers(owner):
    grant("tiny", owner)
    assert "and no _" in refusal(fresh(study=f"x_{owner.pk + 1}"), owner)


def test_a_name_leaves_room_for_the_number(owner):
    grant("tiny", owner)
    assert "the name may have" in refusal(fresh(study="x" * 80), owner)


def test_the_page_says_what_is_put_behind_a_name(client, owner):
    grant("tiny", owner)
    for user, says in [(owner, True), (User.objects.create_superuser("root"), False)]:
        client.force_login(user)
        body = client.get("/new-study", {"suite": "tiny"}, follow=True).content.decode()
        assert (f"becomes pressure_{user.pk}." in body) is says
    client.force_login(owner)
    assert "becomes pressure" not in client.get("/studies/pump/edit/").content.decode()


def test_a_superuser_names_studies_as_they_like(owner):
    root = User.objects.create_superuser("root")
    assert save_edit(fresh(), root).study.slug == "fresh"


def test_importing_lets_the_study_use_its_suite(db):
    suite = builders.suite("mine")
    import_responses(suite, "mine", [])
    study = Study.objects.get(slug="mine")
    assert SuiteAccess.objects.get().study == study


# The page


@pytest.fixture
def root(db):
    return User.objects.create_superuser("root")


def test_a_superuser_lets_people_and_makes_owners(client, owner, root):
    client.force_login(root)
    client.post("/suites/give", {"suite": "tiny", "username": "owner"})
    assert usable_suites(owner) == ["tiny"] and owned_suites(owner) == []
    client.post("/suites/give", {"suite": "tiny", "username": "owner", "owner": "on"})
    assert owned_suites(owner) == ["tiny"] and SuiteAccess.objects.filter(user=owner).count() == 1
    body = client.get("/suites/").content.decode()
    assert "owner" in body and "pump" in body  # the study that keeps it, too
    for row in SuiteAccess.objects.all():
        client.post("/suites/take", {"access": row.pk})
    assert usable_suites(owner) == [] and not SuiteAccess.objects.exists()


def test_a_suites_owner_lets_those_they_work_with_and_is_told_of_nobody_else(client, owner, root):
    grant("tiny", owner, owner=True)
    builders.suite("other")
    ann = User.objects.create_user("ann")
    User.objects.create_user("zoe")
    Membership.objects.create(study=Study.objects.get(slug="pump"), user=ann, role="viewer")
    client.force_login(owner)
    page = client.get("/suites/").content.decode()
    assert 'id="suite-tiny"' in page and "other" not in page
    client.post("/suites/give", {"suite": "tiny", "username": "ann"})
    assert usable_suites(ann) == ["tiny"]
    assert [str(one) for one in client.get("/suites/").context["messages"]] == ["ann may use tiny now."]
    said = []
    for name in ("zoe", "nil"):
        answer = client.post("/suites/give", {"suite": "tiny", "username": name})
        [(_, _, form)] = answer.context["suites"]
        said.append((answer.status_code, form.errors["username"], form["username"].value()))
    assert said == [
        (422, [f"There is nobody called {name!r} in a study of yours."], name) for name in ("zoe", "nil")
    ]
    for slug in ("other", "nowhere"):
        client.post("/suites/give", {"suite": slug, "username": "ann"})
    assert usable_suites(ann) == ["tiny"]
    theirs = SuiteAccess.objects.create(suite="other", user=ann)
    for which in (theirs.pk, 0, "x", "9" * 30):
        answer = client.post("/suites/take", {"access": which}, follow=True)
        assert "There is no such access to a suite of yours" in answer.content.decode()
    assert SuiteAccess.objects.filter(pk=theirs.pk).exists()


def test_who_owns_no_suite_has_no_such_page(client, owner):
    for user, status in [(owner, 403), (User.objects.create_user("stranger"), 404)]:
        client.force_login(user)
        assert client.get("/suites/").status_code == status
        assert client.post("/suites/give", {"suite": "tiny", "username": "owner"}).status_code == status
        assert "/suites/" not in client.get("/").content.decode()


def test_without_a_suite_a_new_study_says_whom_to_ask(client, owner):
    client.force_login(owner)
    assert "No suite&#x27;s responses" in client.get("/new-study").content.decode().replace("'", "&#x27;")
    assert "tiny" not in client.get("/new-study?suite=tiny").content.decode()


# The command


def test_the_command_grants_lists_and_revokes(owner):
    SuiteAccess.objects.all().delete()
    assert printed("suiteaccess", "grant", "tiny", "--user", "owner") == {
        "suite": "tiny",
        "who": "owner",
        "changed": True,
    }
    assert not printed("suiteaccess", "grant", "tiny", "--user", "owner")["changed"]
    assert printed("suiteaccess", "grant", "tiny", "--user", "owner", "--owner")["changed"]
    printed("suiteaccess", "grant", "tiny", "--study", "pump")
    rows = printed("suiteaccess", "list", "tiny")["rows"]
    assert [(row["who"], row["kind"]) for row in rows] == [("owner", "owner"), ("pump", "study")]
    assert printed("suiteaccess", "revoke", "tiny", "--study", "pump")["changed"]
    assert not printed("suiteaccess", "revoke", "tiny", "--study", "pump")["changed"]
    assert usable_suites(owner) == ["tiny"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["grant", "none", "--user", "owner"], "There is no suite 'none'"),
        (["grant", "tiny", "--user", "none"], "nobody called 'none'"),
        (["grant", "tiny", "--study", "none"], "There is no study 'none'"),
        (["grant", "tiny", "--study", "pump", "--owner"], "a study can't own a suite"),
    ],
)
def test_the_command_says_what_is_wrong(owner, arguments, said):
    with pytest.raises(CommandError, match=said):
        call_command("suiteaccess", *arguments)


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_studies_that_stand_keep_their_access():
    latest = MigrationExecutor(connection).loader.graph.leaf_nodes()
    responses()
    apply(file(study="by-file"))
    study = builders.study("by-rows")
    loader = MigrationExecutor(connection).loader
    made = next(name for room, name in loader.disk_migrations if name.endswith("_suite_access"))
    parent = next(
        one for one in loader.disk_migrations["annotation", made].dependencies if one[0] == "annotation"
    )
    try:
        MigrationExecutor(connection).migrate([parent])
    finally:
        MigrationExecutor(connection).migrate(latest)
    assert sorted(SuiteAccess.objects.values_list("suite", "study__slug", "user")) == [
        ("by-rows", "by-rows", None),
        ("tiny", "by-file", None),
    ]
    assert not grant_study("by-rows", study)
