"""The pages that make and edit a study, and its file to take away."""

import pytest
from django.contrib.auth.models import User

from annotation.models import Membership, Study
from arbiter.studies.setup.applying import apply
from arbiter.studies.setup.studydocument import (
    as_file,
    as_yaml,
    document,
)
from tests import builders
from tests.arbiter.studies.setup.editing import everything, posted
from tests.judging.studyfiles import HUMANS, file

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("there_are_responses")]


def test_an_edit_by_form_and_by_file(client, pump, owner):
    client.force_login(owner)
    page = client.get("/studies/pump/edit/")
    assert page.context["form"].initial["share"] == 0.5
    data = posted(document(pump), title="By form") | {
        "as": "form",
        "do": "save",
        "version": page.context["version"],
    }
    assert client.post("/studies/pump/edit/", data).status_code == 302
    pump.refresh_from_db()
    assert pump.title == "By form"
    text = as_yaml(document(pump) | {"title": "By file"})
    page = client.get("/studies/pump/edit/")
    client.post(
        "/studies/pump/edit/", {"as": "file", "do": "save", "version": page.context["version"], "text": text}
    )
    pump.refresh_from_db()
    assert pump.title == "By file"


def test_an_edit_from_an_old_page_shows_both_and_saves_at_the_second_time(client, pump, owner):
    client.force_login(owner)
    old = client.get("/studies/pump/edit/").context["version"]
    apply(file(humans=HUMANS, title="Theirs", description="Kept"))
    pump.refresh_from_db()
    data = posted(document(pump), title="Mine") | {"as": "form", "do": "save", "version": old}
    answer = client.post("/studies/pump/edit/", data)
    assert "changed after you opened this page" in answer.content.decode()
    assert ("removed", "title: Theirs") in answer.context["differences"]
    assert ("added", "title: Mine") in answer.context["differences"]
    pump.refresh_from_db()
    assert pump.title == "Theirs"
    client.post("/studies/pump/edit/", data | {"version": answer.context["version"]})
    pump.refresh_from_db()
    assert (pump.title, pump.description) == ("Mine", "Kept")


def test_a_mistake_in_the_file_leaves_it_as_typed(client, pump, owner):
    client.force_login(owner)
    text = "study: pump\nsuite: tiny\nhumans:\n  shore: 1\n"
    answer = client.post("/studies/pump/edit/", {"as": "file", "do": "save", "text": text, "version": "x"})
    assert answer.context["mistake"].startswith("The file, line 4, humans.shore: there is no such key")
    assert answer.context["text"] == text and text.split("\n")[3] in answer.content.decode()


def test_checking_saves_nothing_and_shows_the_guidelines_without_their_html(client, pump, owner):
    client.force_login(owner)
    before = everything()
    typed = {
        "guidelines": "# Hello\n\n<script>alert(1)</script> ![x](http://a.invalid/x.png)",
        "title": "New",
    }
    data = posted(document(pump), **typed) | {"as": "form", "do": "check", "version": "x"}
    answer = client.post("/studies/pump/edit/", data)
    assert everything() == before
    body = answer.content.decode()
    assert "<h1>Hello</h1>" in body and "<script>alert" not in body and "<img" not in body
    assert answer.context["trial"].added == 0 and ("added", "title: New") in answer.context["differences"]


def test_a_study_is_made_by_the_form_for_its_owner(client, pump, owner):
    client.force_login(owner)
    page = client.get("/new-study")
    assert page.context["suite"].slug == "tiny"
    base = {"study": "", "suite": "tiny", "humans": {}}
    data = posted(base, name="fresh", title="Fresh", subjects=["model-a"]) | {"as": "form", "do": "save"}
    answer = client.post("/new-study", data)
    name = f"fresh_{owner.pk}"
    assert answer.url == f"/studies/{name}/"
    study = Study.objects.get(slug=name)
    assert study.items.count() == 12 and study.memberships.get().user == owner
    again = client.post("/new-study", data)
    assert again.context["form"].errors["name"] == [
        "study: you have a study 'fresh' already; choose another name."
    ]


@pytest.mark.parametrize("name", ["", "New Study", "../x", "ü", "new study"])
def test_a_name_that_is_none_is_told_at_its_field(client, pump, owner, name):
    client.force_login(owner)
    data = posted({"study": "", "suite": "tiny", "humans": {}}, name=name) | {"as": "form", "do": "save"}
    assert "name" in client.post("/new-study", data).context["form"].errors
    assert Study.objects.count() == 1


def test_where_there_are_several_suites_one_is_chosen_first(client, root):
    builders.suite("second")
    client.force_login(root)
    assert client.get("/new-study").context["suites"] == ["second", "tiny"]
    assert client.get("/new-study?suite=second").context["suite"].slug == "second"
    assert client.get("/new-study?suite=none").context["suites"]


def test_who_may_make_studies(client, pump, owner, root):
    for user, status in [(owner, 200), (root, 200), (User.objects.create_user("stranger"), 404)]:
        client.force_login(user)
        assert client.get("/new-study").status_code == status
        assert ("New study" in client.get("/").content.decode()) is (status == 200)
    ann = User.objects.create_user("ann")
    Membership.objects.create(study=pump, user=ann, role="rater")
    client.force_login(ann)
    assert client.get("/new-study").status_code == 403
    assert (
        client.post("/new-study", {"as": "file", "do": "save", "text": "study: x\nsuite: tiny\n"}).status_code
        == 403
    )
    assert not Study.objects.filter(slug="x").exists()


def test_the_file_is_taken_away(client, pump, owner):
    client.force_login(owner)
    answer = client.get("/studies/pump/study.yaml")
    assert answer.content.decode() == as_file(pump)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="pump.yaml"'


def test_a_study_that_no_file_can_describe_says_so(client, root):
    Study.objects.create(slug="Old_One", title="Old", scheme=builders.builtin_scheme("binary"))
    client.force_login(root)
    for address in ("/studies/Old_One/edit/", "/studies/Old_One/study.yaml"):
        answer = client.get(address)
        assert answer.status_code == 409 and "can&#x27;t be edited here" in answer.content.decode()
