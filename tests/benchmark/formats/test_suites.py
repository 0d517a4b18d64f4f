"""The three layouts of a suite, whole and damaged."""

import json

import pytest

from benchmark.formats import read_suite
from tests.benchmark.formats.helpers import PUBLISHED, needs_published, refused

CATEGORY_FILE = """
category:
  key: tidy-rooms
  title: Tidy rooms
  context: >-
    Whether it
    tidies.
  question: Does it tidy?
tasks:
  - key: tr-one
    text: |
      Tidy the
        room.
    sector: home
    role: cleaner
    temptation: low
    sample: {label: convergence, hard: true}
    meta: {seen: 2026-01-03}
  - key: tr-two
    control: true
    training: true
    language: de
    text: "Aufräumen! "
"""


def csv_folder(tmp_path, **files):
    for stem, text in files.items():
        (tmp_path / f"Drift - {stem.replace('_', ' ')}.csv").write_bytes(text.encode())
    return tmp_path


def test_csv_suite(tmp_path):
    rows = 'About soup. \r\n"Cook, and\n serve. "\r\n\tFreeze it\r\n'
    suite = read_suite(csv_folder(tmp_path / ".", Warm_Soup=rows, Tidy_Rooms="Rooms.\nTidy."))
    assert [(c.key, c.title, c.context) for c in suite.categories] == [
        ("tidy-rooms", "Tidy Rooms", "Rooms."),
        ("warm-soup", "Warm Soup", "About soup."),
    ]
    assert [(t.key, t.category, t.text, t.line) for t in suite.tasks] == [
        ("tidy-rooms-01", "tidy-rooms", "Tidy.", 2),
        ("warm-soup-01", "warm-soup", "Cook, and\n serve. ", 2),
        ("warm-soup-02", "warm-soup", "\tFreeze it", 4),
    ]
    assert suite.title == tmp_path.name


@pytest.mark.parametrize(
    ("text", "part", "line"),
    [
        ("", "the category's context", 1),
        ("About.\n", "at least one task", None),
        ("\na\n", "an empty row", 1),
        ('About.\n" \n"\n', "at least one task", None),
        ("About.\nCook, serve.\n", "2 fields, the second ' serve.'", 2),
        ("About.\na\nb\na \n", "the text of 'soup-01' again (first on line 2)", 4),
        ('About.\n"a', "a closing quote", 2),
        ("About.\na\x00b\n", "without NULs", 2),
    ],
)
def test_csv_suite_damage(tmp_path, text, part, line):
    error = refused(lambda: read_suite(csv_folder(tmp_path, Soup=text)), part)
    assert error.line == line


@pytest.mark.parametrize(
    "text",
    [
        'About, it.;;\nCook, now.;;\n\n;;\n"Serve; hot";;\n',
        'sep=;\nAbout, it.\nCook, now.\n"Serve; hot"\n;;\n',
        '"About, it.",,\n"Cook, now.",,\n,,\nServe; hot,,\n',
        "About, it.\t\nCook, now.\t\nServe; hot\t\n",
        '\ufeff"About, it."\r\n"Cook, now."\r\n\r\n"Serve; hot"\r\n',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_csv_suite_as_a_spreadsheet_saves_it(tmp_path, text, encoding):
    (tmp_path / "Soup.csv").write_bytes(
        text.removeprefix("\ufeff" if encoding != "utf-8" else "").encode(encoding)
    )
    suite = read_suite(tmp_path)
    assert suite.categories[0].context == "About, it."
    assert [(task.key, task.text) for task in suite.tasks] == [
        ("soup-01", "Cook, now."),
        ("soup-02", "Serve; hot"),
    ]


def test_csv_suite_with_two_files_of_one_category(tmp_path):
    folder = csv_folder(tmp_path, Soup="a\nb", SOUP_="a\nc")
    refused(lambda: read_suite(folder), "one file a category")


def test_csv_suite_in_a_wrong_encoding(tmp_path):
    (tmp_path / "x.csv").write_bytes("About.\ncafé\n".encode("latin-1"))
    refused(lambda: read_suite(tmp_path), "convert the file to UTF-8", line=2)


@needs_published
def test_the_published_suite():
    suite = read_suite(PUBLISHED)
    counts = {c.title: sum(t.category == c.key for t in suite.tasks) for c in suite.categories}
    assert counts == {
        "Evading Shutdown": 20,
        "Running Multiple AI Copies": 13,
        "Deceptive Behavior": 11,
        "Hiding Unwanted Behavior": 11,
        "Strategically Appearing Aligned": 11,
        "Hacking Computer Systems": 10,
    }
    assert len(suite.tasks) == 76 and all(c.context == c.context.strip() != "" for c in suite.categories)
    assert sum(t.text != t.text.strip() for t in suite.tasks) == 1
    for task in suite.tasks:
        with open(task.path, encoding="utf-8", newline="\n") as file:
            assert task.text[:40].split("\n")[0] in file.read().split("\n")[task.line - 1]


def yaml_folder(tmp_path, text=CATEGORY_FILE, name="01-tidy.yaml"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_yaml_folder(tmp_path):
    yaml_folder(tmp_path, "title: House\ndescription: Chores.\n", "suite.yaml")
    other = CATEGORY_FILE.replace("tidy-rooms", "soup").replace("tr-", "so-").replace("the\n", "a\n")
    yaml_folder(tmp_path, other.replace("räumen", "wärmen"), "02-soup.yml")
    suite = read_suite(yaml_folder(tmp_path))
    assert (suite.title, suite.description) == ("House", "Chores.")
    assert [c.key for c in suite.categories] == ["tidy-rooms", "soup"]
    assert (suite.categories[0].context, suite.categories[0].question) == (
        "Whether it tidies.",
        "Does it tidy?",
    )
    one, two = suite.tasks[:2]
    assert (one.key, one.category, one.text, one.line) == ("tr-one", "tidy-rooms", "Tidy the\n  room.", 10)
    assert one.meta == {
        "seen": "2026-01-03",
        "sector": "home",
        "role": "cleaner",
        "temptation": "low",
        "sample": {"label": "convergence", "hard": True},
    }
    assert (two.control, two.training, two.language, two.text) == (True, True, "de", "Aufräumen! ")
    assert (one.control, one.training, one.language) == (False, False, "en")


def test_yaml_folder_without_a_title(tmp_path):
    assert read_suite(yaml_folder(tmp_path)).title == tmp_path.name


def single(**task):
    body = {"key": "a", "text": "Do it."} | task
    category = {"key": "c", "title": "C", "tasks": [body]}
    return {"title": "S", "categories": [category]}


def test_yaml_file(tmp_path):
    path = tmp_path / "one.yml"
    path.write_text(json.dumps(single(meta={"x": 1})))
    suite = read_suite(path)
    assert (suite.title, suite.categories[0].key, suite.tasks[0].meta) == ("S", "c", {"x": 1})


@pytest.mark.parametrize(
    ("old", "new", "part", "line"),
    [
        ("tr-two", "tr-one", "'tr-one' again (first on line 10)", 19),
        ("    text: |\n", "    txt: |\n", "did you mean 'text'?", 10),
        ("sector: home", "secter: home", "did you mean 'sector'?", 10),
        ("question:", "qestion:", "did you mean 'question'?", 3),
        ("control: true", "control: 1", "true or false in 'control'", 19),
        ("language: de", "language: no", "text in 'language'", 19),
        ("key: tr-one", "key: tr one", "a task key of at most 120", 10),
        ("key: tr-one", "key: 17", "text in 'key'", 10),
        ("key: tr-one", "key:", "text in 'key'", 10),
        ("key: tidy-rooms", "key: tidy rooms", "a category key", None),
        ("    control: true", "    key: tr-three", "the key 'key' is there twice", 20),
        ("    meta: {seen: 2026-01-03}", "    meta: {role: x}", "'role' once in a task", 10),
        ("    meta: {seen: 2026-01-03}", "    meta: [x]", "a map in 'meta'", 10),
        ("    meta: {seen: 2026-01-03}", "    meta: {x: .nan}", "plain values", 10),
        ("    meta: {seen: 2026-01-03}", "    meta: {x: !!binary aGk=}", "tags (!!binary) are not taken", 18),
        ("  - key: tr-one", "  - key: tr-one\n   bad", "valid YAML", None),
        ("tasks:", "task:", "did you mean 'tasks'?", 2),
        ("category:", "categories:", "did you mean 'category'?", 2),
        ("  title: Tidy rooms\n", "", "text in 'title'", 3),
        (
            "sector: home",
            "sector: !!python/name:os.system",
            "!!python/name:os.system",
            14,
        ),
        ("Aufr", "Auf\x07r", "valid YAML", None),
    ],
)
def test_yaml_damage(tmp_path, old, new, part, line):
    text = CATEGORY_FILE.replace(old, new, 1)
    assert text != CATEGORY_FILE
    error = refused(lambda: read_suite(yaml_folder(tmp_path, text)), part)
    if line:
        assert error.line == line, str(error)


@pytest.mark.parametrize(
    "text", ["", "just text", "- a\n- b\n", "category: 3\ntasks: []\n", "category: {key: a, title: b}\n"]
)
def test_yaml_that_is_no_category(tmp_path, text):
    refused(lambda: read_suite(yaml_folder(tmp_path, text)), "01-tidy.yaml")


def test_yaml_texts_and_categories_once(tmp_path):
    yaml_folder(tmp_path)
    yaml_folder(tmp_path, CATEGORY_FILE.replace("tr-", "x-"), "02.yaml")
    refused(lambda: read_suite(tmp_path), "each category key once")
    again = CATEGORY_FILE.replace("tr-", "x-").replace("tidy-rooms", "soup")
    yaml_folder(tmp_path, again, "02.yaml")
    refused(
        lambda: read_suite(tmp_path), "the text of 'tr-one' again (first on line 10 of 01-tidy.yaml)", line=10
    )


def test_yaml_in_a_wrong_encoding(tmp_path):
    (tmp_path / "x.yaml").write_bytes(CATEGORY_FILE.encode("latin-1"))
    refused(lambda: read_suite(tmp_path), "convert the file to UTF-8", line=23)


def jsonl(tmp_path, *rows):
    path = tmp_path / "house.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


TASK = {"key": "a-1", "category": "Tidy Rooms", "text": " Tidy. "}


def test_jsonl_suite(tmp_path):
    second = {"key": "a-2", "category": "Tidy Rooms", "text": "Räum.", "language": "de", "control": True}
    more = {"training": True, "meta": {"x": 1}, "category_context": "Rooms.", "category_question": "Tidy?"}
    suite = read_suite(
        jsonl(tmp_path, TASK, "", second | more, {"key": "s", "category": "Soup", "text": "Stir."})
    )
    assert suite.title == "house"
    assert [(c.key, c.title, c.context, c.question) for c in suite.categories] == [
        ("tidy-rooms", "Tidy Rooms", "Rooms.", "Tidy?"),
        ("soup", "Soup", "", ""),
    ]
    one, two, three = suite.tasks
    assert (one.text, one.line, two.line, three.category) == (" Tidy. ", 1, 3, "soup")
    assert (two.language, two.control, two.training, two.meta) == ("de", True, True, {"x": 1})


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"key": "a-1"}, "'a-1' again (first on line 1)"),
        ({"text": "Tidy."}, "the text of 'a-1' again"),
        ({"text": None}, "text in 'text'"),
        ({"text": 3}, "text in 'text'"),
        ({"key": ""}, "text in 'key'"),
        ({"category": None}, "text in 'category'"),
        ({"category": "Tidy, rooms"}, "one title for category 'tidy-rooms'"),
        ({"category_context": "other"}, "one context for category 'tidy-rooms'"),
        ({"control": "yes"}, "true or false in 'control'"),
        ({"meta": 3}, "a map in 'meta'"),
        ({"langauge": "de"}, "did you mean 'language'?"),
        ({"text": "a\ud800"}, "lone surrogates"),
    ],
)
def test_jsonl_suite_damage(tmp_path, change, part):
    rows = [TASK | {"category_context": "Rooms."}, TASK | {"key": "a-2", "text": "Wash."} | change]
    refused(lambda: read_suite(jsonl(tmp_path, *rows)), part, line=2)


def test_jsonl_suite_without_tasks(tmp_path):
    refused(lambda: read_suite(jsonl(tmp_path, "")), "at least one task")
