"""Studies made and edited in the browser: the same rules as for files, nothing half-done, and nothing that reads or runs."""

import re

import pytest
import yaml
from django.contrib.auth.models import User
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation.models import Item, Membership, Study
from benchmark.errors import UserError
from benchmark.models import Endpoint
from judging.models import Judge
from judging.studies.applying import apply, apply_file
from judging.studies.editing import (
    Changed,
    as_file,
    as_yaml,
    differences,
    document,
    explained,
    guard,
    save,
    spec_from_text,
    trial,
    version_of,
)
from judging.studies.file import Mistake, StudySpec
from judging.studies.form import StudyForm, counts, initial
from tests import builders
from tests.judging.studies.test_applying import everything
from tests.judging.studyfiles import ENDPOINT, HUMANS, JUDGE, OTHER, SEVERITY, file, responses
from tests.together import together

pytestmark = pytest.mark.django_db
OWN_SCHEME = {
    "key": "mine", "title": "Mine", "evidence": "target",
    "labels": [
        {"key": "yes", "title": "Yes", "role": "target", "definition": "It did."},
        {"key": "no", "title": "No", "role": "other", "definition": "It did not."},
    ],
}  # fmt: skip
FULL = {
    "title": "Pumps: a “test”", "description": "Two lines,\nand a # that is no comment.", "responses": {"epochs": [1], "controls": False},
    "scheme": OWN_SCHEME, "questions": SEVERITY, "caps": {"calls": 10},
    "settlement": {"voters": ["careful", "humans"], "gold_decides": True},
    "humans": {
        "per_item": 3, "strata": [{"name": "a", "where": {"categories": ["Alpha"]}, "probability": 0.5}, {"name": "rest", "probability": 0.25}],
        "seed": 7, "extra_when_split": 1, "gold": {"share": 0.5}, "training": {"score": 0.5}, "checks": {"gold": 0.1},
        "show": ["reasoning"], "guidelines": "# What counts\n\n- one: *this*\n- two", "consent": "Yes?\nYes.", "break_after": 30,
        "raters_see": ["accuracy"], "adjudication": {"names": True},
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def there_are_responses(db):
    responses()


@pytest.fixture
def owner():
    """Owns a study, and so may make others."""
    return User.objects.create_user("owner")


@pytest.fixture
def root():
    return User.objects.create_superuser("root")


@pytest.fixture
def pump(owner):
    study = apply(file(humans=HUMANS)).study
    Membership.objects.create(study=study, user=owner, role="owner")
    return study


def edited(study, **changes):
    return StudySpec.model_validate(document(study) | changes)


# The document and the file


def test_a_document_leaves_out_what_is_usual_and_keeps_the_order_of_the_docs(pump):
    assert document(pump) == {"study": "pump", "suite": "tiny", "endpoints": [ENDPOINT], "judges": [JUDGE, OTHER], "humans": HUMANS | {"per_item": 2}} | {
        "humans": {"share": 0.5, "seed": 7}
    }  # fmt: skip
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
    assert trial(StudySpec.model_validate(told), root, study).added == 0


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


# Saving


def test_an_edit_is_applied_as_its_file_is(pump, owner):
    applied = save(
        edited(pump, title="New", humans={"share": 0.75, "seed": 7}), owner, pump, version_of(pump)
    )
    assert (applied.created, applied.study.title) == (False, "New")
    assert applied.study.draws.get().strata.get().probability == 0.75


def test_a_new_study_belongs_to_its_maker(owner):
    applied = save(StudySpec(study="fresh", suite="tiny"), owner)
    assert applied.created and applied.study.items.count() == 24
    assert list(applied.study.memberships.values_list("user__username", "role")) == [("owner", "owner")]


def test_a_new_study_never_takes_over_one_there_is(pump, owner):
    stranger = User.objects.create_user("stranger")
    before = everything()
    with pytest.raises(Mistake, match="there is a study 'pump' already"):
        save(StudySpec(study="pump", suite="tiny", title="Mine now"), stranger)
    assert everything() == before and not Membership.objects.filter(user=stranger).exists()


def test_an_edit_never_reaches_another_study(pump, owner):
    other = save(StudySpec(study="other", suite="tiny"), owner).study
    before = everything()
    with pytest.raises(Mistake, match="this is the study 'other', and its name can't change"):
        save(edited(pump), owner, other, version_of(other))
    assert everything() == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"humans": {"share": 0.1, "seed": 7}}, "humans.share can only grow"),
        ({"responses": {"subjects": ["model-z"]}}, "no responses of 'model-z'"),
        ({"settlement": {"voters": ["nobody"]}}, "nobody is called 'nobody'"),
        ({"suite": "none"}, "There is no suite 'none'"),
    ],
)
def test_what_apply_refuses_leaves_nothing(pump, owner, changes, said):
    before = everything()
    with pytest.raises(UserError, match=said):
        save(edited(pump, title="New", **changes), owner, pump, version_of(pump))
    assert everything() == before


def test_an_edit_of_what_was_changed_meanwhile_is_told_and_not_saved(pump, owner):
    seen = version_of(pump)
    apply(file(humans=HUMANS, title="By command"))
    before = everything()
    with pytest.raises(Changed, match="changed after you opened this page"):
        save(edited(pump, title="Mine"), owner, pump, seen)
    assert everything() == before


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_of_two_edits_at_once_one_is_told():
    responses_there = Study.objects.exists()
    assert not responses_there
    owner = User.objects.create_superuser("root")
    pump = apply(file()).study
    seen = version_of(pump)
    specs = [edited(pump, title=title) for title in ("One", "Two", "Three")]
    results = together(*[lambda spec=spec: save(spec, owner, pump, seen) for spec in specs])
    assert sorted(type(result).__name__ for result in results) == ["Applied", "Changed", "Changed"]


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_of_two_who_make_one_name_at_once_one_is_told():
    people = [User.objects.create_superuser(name) for name in ("one", "two")]
    results = together(*[lambda by=by: save(StudySpec(study="same", suite="tiny"), by) for by in people])
    assert sorted(type(result).__name__ for result in results) == ["Applied", "Mistake"]
    assert Membership.objects.count() == 1


def test_trying_tells_what_saving_would_do_and_leaves_nothing(pump, owner):
    builders.response(builders.run(builders.Suite.objects.get()), pump.items.first().response.task, epoch=3)
    before = everything()
    found = trial(edited(pump, humans={"share": 1.0, "seed": 7}), owner, pump)
    assert everything() == before
    assert found.added == 1 and found.draws[0]["strata"] == [
        {"stratum": "all", "probability": 1.0, "items": 25, "drawn": 25}
    ]
    fresh = trial(StudySpec(study="fresh", suite="tiny", humans={"budget": 5}), owner)
    assert fresh.added == 25 and fresh.draws == [] and "25 items have fewer than two" in fresh.waiting[0]
    assert everything() == before and not Study.objects.filter(slug="fresh").exists()


def test_what_would_add_very_much_is_counted_alone(pump, owner, monkeypatch):
    monkeypatch.setattr("judging.studies.editing.TRIED", 10)
    found = trial(StudySpec(study="fresh", suite="tiny"), owner)
    assert (found.added, found.draws) == (24, None)


# What may not come from a browser


FILES = [
    ({"scheme": "mine.yaml"}, r"scheme: 'mine\.yaml' names a file, and from the browser no file is read"),
    ({"scheme": "/etc/passwd.yml"}, "names a file"),
    ({"questions": [{"name": "severity", "scheme": "../x.yaml"}]}, r"questions\.0\.scheme: .*names a file"),
    (
        {"humans": {"share": 0.5, "seed": 7, "guidelines": "/etc/motd.md"}},
        r"humans\.guidelines: .*names a file",
    ),
    (
        {"humans": {"share": 0.5, "seed": 7, "guidelines": " rules.md \n"}},
        r"humans\.guidelines: .*names a file",
    ),
    ({"judges": [JUDGE | {"template": "/etc/passwd"}, OTHER]}, r"judges\.0\.template: .*names a file"),
    ({"judges": [JUDGE | {"template": "own.txt"}, OTHER]}, r"judges\.0\.template: .*names a file"),
    (
        {"judges": [JUDGE | {"template": "../prompts/scheme-json"}, OTHER]},
        r"judges\.0\.template: .*names a file",
    ),
]


@pytest.mark.parametrize(("changes", "said"), FILES, ids=str)
@pytest.mark.parametrize("person", ["owner", "root"])
def test_nobody_reads_a_file_through_an_edit(pump, owner, root, person, changes, said):
    before = everything()
    with pytest.raises(Mistake, match=said):
        save(edited(pump, **changes), {"owner": owner, "root": root}[person], pump, version_of(pump))
    assert everything() == before


def test_even_past_the_guard_an_edit_reads_no_file(tmp_path, monkeypatch, pump):
    """What `apply` is given instead of a folder holds all it may look at."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(OWN_SCHEME))
    (tmp_path / "own.txt").write_text("{{ task }} {{ response }} {{ label_keys }}")
    (tmp_path / "rules.md").write_text("secret")
    with pytest.raises(UserError, match="no built-in scheme"):
        apply(edited(pump, scheme="mine.yaml"), {})
    with pytest.raises(UserError, match=r"'own\.txt': there is no such file"):
        apply(edited(pump, judges=[JUDGE | {"template": "own.txt"}]), {})
    apply(edited(pump, humans={"share": 0.5, "seed": 7, "guidelines": "rules.md"}), {})
    assert pump.guidelines.get().text == "rules.md"


CALLS = "tests.judging.scorers_for_tests:keywords"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"endpoints": [ENDPOINT | {"base_url": "http://evil.invalid/v1"}]}, r"endpoints\.0: 'local' is not as the study has it"),
        ({"endpoints": [ENDPOINT | {"key_variable": "SECRET_KEY"}]}, "where it would send the server's key"),
        ({"endpoints": [ENDPOINT | {"timeout": 5}]}, "only a superuser"),
        ({"endpoints": [ENDPOINT, ENDPOINT | {"name": "evil"}]}, r"endpoints\.1: 'evil'"),
        ({"scorers": [{"name": "x", "entry_point": "os:system"}]}, r"scorers\.0: 'x' .*which program it would run"),
    ],
    ids=str,
)  # fmt: skip
def test_only_a_superuser_says_where_calls_go_and_what_runs(pump, owner, root, changes, said):
    before = everything()
    with pytest.raises(Mistake, match=said):
        save(edited(pump, **changes), owner, pump, version_of(pump))
    with pytest.raises(Mistake):
        save(StudySpec.model_validate({"study": "fresh", "suite": "tiny"} | changes), owner)
    assert everything() == before
    guard(edited(pump, **changes), pump, root)


def test_a_program_is_not_even_imported_for_who_may_not_add_it(pump, owner, monkeypatch):
    monkeypatch.setattr("judging.studies.editing.load_program", lambda *_: pytest.fail("imported"))
    with pytest.raises(Mistake):
        save(edited(pump, scorers=[{"name": "x", "entry_point": "os:system"}]), owner, pump, version_of(pump))


def test_an_owner_keeps_and_removes_what_is_there(tmp_path, owner):
    (tmp_path / "own.txt").write_text("{{ task }} {{ response }} {{ label_keys }}")
    study = apply(file(judges=[JUDGE | {"template": "own.txt"}, OTHER]), tmp_path).study
    (tmp_path / "own.txt").unlink()
    judges = Judge.objects.count()
    save(edited(study, title="New"), owner, study, version_of(study))
    assert Judge.objects.count() == judges
    study.refresh_from_db()
    save(
        edited(study, judges=[JUDGE | {"template": "own.txt", "repeats": 2}]), owner, study, version_of(study)
    )
    assert study.judges.get(active=True).judge.template_text.startswith("{{ task }}")
    study.refresh_from_db()
    save(edited(study, endpoints=[], judges=[]), owner, study, version_of(study))
    assert not study.judges.filter(active=True).exists()


# YAML as people type it


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("study: pump\nsuite: tiny\ntitel: x\n", "The file, line 3, titel: there is no such key"),
        ("study: pump\nsuite: [tiny\n", "The file, line 3: is not valid YAML"),
        ("- a\n", "The file: expected a study as keys and values"),
        ("study: pump\nsuite: tiny\nhumans:\n  share: 0\n", "The file, line 4, humans.share: should be above 0"),
        ("study: pump\nsuite: tiny\ndescription: 2024-13-45\n", "The file: is not valid YAML: .*quotes"),
        ("study: pump\nsuite: tiny\nhumans: {seed: " + "9" * 5000 + "}\n", "The file"),
        ("study: !!python/object:os.system x\n", "The file, line 1: is not valid YAML"),
        ("study: !!map [a]\n", "The file"),
        ("a: &a [x, x]\nb: &b [*a, *a]\n", r"The file, line 2: aliases \(\*a\) are not taken"),
        ("[" * 5000, "The file"),
        ('study: pump\nsuite: tiny\ntitle: "\\0"\n', "The file: holds a NUL"),
        ("x" * 400_000, "The file has 400000 characters, more than the 300000 a page takes"),
        ("study: pump\nsuite: tiny\njudges:\n- {name: j, endpoint: e, model: m}\n", "The file, line 3, judges: judge 'j' names the endpoint"),
    ],
    ids=range(13),
)  # fmt: skip
def test_a_mistake_in_the_text_is_one_sentence_with_its_line(pump, text, said):
    with pytest.raises(UserError) as error:
        spec_from_text(text, pump)
    sentence = explained(error.value, text)[1]
    assert re.match(said, sentence), sentence
    assert "\n" not in sentence and sentence.endswith(".") and len(sentence) < 500


def test_what_apply_refuses_is_told_with_its_line_too(pump, owner):
    text = "study: pump\nsuite: tiny\nhumans:\n  share: 0.1\n  seed: 7\n"
    with pytest.raises(UserError) as error:
        save(spec_from_text(text, pump), owner, pump, version_of(pump))
    assert explained(error.value, text) == (
        ["humans", "share"],
        "The file, line 4, humans.share: can only grow: the draw has 0.5, the file says 0.1; items already handed out can't be taken back.",
    )


def test_differences_are_lines_with_what_became_of_them():
    assert differences("a\nb\nc\n", "a\nx\nc\n") == [
        ("gap", ""), ("kept", "a"), ("removed", "b"), ("added", "x"), ("kept", "c"),
    ]  # fmt: skip


# The form


def posted(base, **typed):
    """What a browser sends for the form as it stands, with what was typed."""
    found = {}
    for name, value in {**initial(base), **typed}.items():
        if value is True:
            found[name] = "on"
        elif value is not False and value != "" and value != []:
            found[name] = value
    return found


def form(base, new=False, **typed):
    made = StudyForm(base, builders.Suite.objects.get(), posted(base, **typed), new=new)
    assert made.is_valid(), made.errors
    return made


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"humans": {}}, {"humans": HUMANS}, FULL, {"humans": {"budget": 9, "split_share": 0.5}},
        {"humans": {"plan": "strata", "by": "category", "probabilities": {"Alpha": 0.5, "default": 1}}},
        {"humans": {"plan": "everyone"}}, {"humans": {"training": {}}}, {"humans": {"consent": "Yes?\n"}},
        {"responses": {"subjects": ["model-b"], "categories": ["Beta"]}, "scheme": "graded"},
    ],
    ids=str,
)  # fmt: skip
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
        ({"plan": "by", "by": "category", "probabilities": "Alpha: 0.5\r\na: b: 1\r\n"}, ["humans", "probabilities"], {"Alpha": 0.5, "a: b": 1}),
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
)  # fmt: skip
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
        ({"plan": "random", "share": "0"}, "share", r"humans\.share: should be above 0 .*no rate can be estimated"),
        ({"plan": "random", "share": ""}, "plan", "humans: the plan random needs a share"),
        ({"plan": "random", "share": "half"}, "share", r"humans\.share: .*valid number.*found 'half'"),
        ({"plan": "disagreement", "budget": ""}, "plan", "needs a budget"),
        ({"plan": "by", "by": "category", "probabilities": "Alpha"}, "probabilities", r"humans\.probabilities\.Alpha: "),
        ({"plan": "by", "by": "category", "probabilities": ""}, "plan", "needs probabilities"),
        ({"per_item": "0"}, "per_item", r"humans\.per_item: "),
        ({"training": True, "score": "2"}, "score", r"humans\.training\.score"),
        ({"checks_repeats": "1"}, "checks_repeats", r"humans\.checks\.repeats"),
        ({"voters": "nobody"}, "voters", "nobody is called 'nobody'"),
        ({"seed": "8"}, "seed", "can't change once items are drawn"),
        ({"guidelines": "x.md"}, "guidelines", "names a file"),
    ],
    ids=str,
)  # fmt: skip
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


# Pages


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
    assert answer.url == "/studies/fresh/"
    study = Study.objects.get(slug="fresh")
    assert study.items.count() == 12 and study.memberships.get().user == owner
    again = client.post("/new-study", data)
    assert again.context["form"].errors["name"] == [
        "study: there is a study 'fresh' already; choose another name."
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
