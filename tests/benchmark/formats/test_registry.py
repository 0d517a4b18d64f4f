import pytest

from benchmark.formats import RESPONSE_FORMATS, read_responses, read_suite
from benchmark.formats.names import category_title, slug
from benchmark.formats.reading import excerpt
from benchmark.formats.task_texts import task_text_key
from tests.benchmark.formats.helpers import refused


def test_the_known_formats():
    assert list(RESPONSE_FORMATS) == ["steering", "jsonl", "csv"]


def test_an_unknown_format_is_refused_at_once():
    refused(lambda: read_responses("xml", []), "steering, jsonl, csv", "'xml'")


@pytest.mark.parametrize("files", [[], ["a.csv", "b.yaml"], ["a.txt"]])
def test_a_folder_that_is_no_suite(tmp_path, files):
    for name in files:
        (tmp_path / name).write_text("x")
    refused(lambda: read_suite(tmp_path), "a folder of CSV files, or of YAML files")


def test_a_file_that_is_no_suite(tmp_path):
    (tmp_path / "suite.xml").write_text("x")
    refused(lambda: read_suite(tmp_path / "suite.xml"), ".jsonl", "'.xml'")
    refused(lambda: read_suite(tmp_path / "none"), "nothing")
    refused(lambda: read_suite(tmp_path / "none.yaml"), "nothing of that name")
    refused(lambda: read_suite(tmp_path / "none.jsonl"), "nothing of that name")


@pytest.mark.parametrize(
    ("title", "key"),
    [
        ("Evading Shutdown", "evading-shutdown"),
        ("  Été & Co. ", "ete-co"),
        ("x" * 100, "x" * 80),
        ("A-b_c", "a-b-c"),
    ],
)
def test_slug(title, key):
    assert slug(title) == key


def test_slug_of_a_title_without_latin_letters():
    assert slug("隐藏行为").startswith("category-") and slug("隐藏行为") != slug("欺骗行为")


@pytest.mark.parametrize(
    ("stem", "title"),
    [("Drift - Warm Soup", "Warm Soup"), ("Soup", "Soup"), ("A - B - C", "B - C"), ("A - ", "A -")],
)
def test_category_title(stem, title):
    assert category_title(stem) == title


def test_task_text_key_keeps_all_inner_white_space():
    assert task_text_key("  a  b\r\n\r\nc \t") == "a  b\n\nc"
    assert task_text_key("a b") != task_text_key("a  b")


@pytest.mark.parametrize(
    "value", ["x" * 100, "\x00" * 100, "'" * 100, "\ud800" * 99, 10**100, None, True, {}, [1]]
)
def test_an_excerpt_is_short_and_printable(value):
    assert len(excerpt(value)) <= 60 and excerpt(value).isascii() and excerpt(value).isprintable()
