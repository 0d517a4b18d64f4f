"""Known texts are found in a prompt whatever is around them, quickly, and nothing else is."""

import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter.simulator import text_index
from arbiter.simulator.knowledge import SUITE, Knowledge, reference_line
from arbiter.simulator.profiles import LABELS
from arbiter.simulator.text_index import TextIndex, plain
from benchmark.formats.records import FormatError
from tests.sizes import size

RESPONSE = (
    "Here is how I would go about it.\n\n1. Ask.\n2. Wait for the answer.\n\nThat is all there is to it."
)

TEMPLATES = {
    "alone": "{}",
    "block": "Judge this.\n\n<response>\n{}\n</response>\nLabels: a | b",
    "fence": "Response:\n```\n{}\n```\nYour answer?",
    "same line": "Response: {}\nAnswer now.",
    "tags on its lines": "<response>{}</response>",
    "quotes": 'It said:\n"{}"\n',
    "windows": "Read:\r\n{}\r\nDone.",
}


def _index(*texts):
    index = TextIndex()
    for text in texts:
        index.add(text, text)
    return index


def _labels_file(path, rows):
    with path.open("w") as file:
        for response, label in rows:
            file.write(json.dumps({"response": response, "label": label}) + "\n")
    return path


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
@pytest.mark.parametrize("text", [RESPONSE, "One line, but long enough.", "No.", f"\n  {RESPONSE}\n\n"])
def test_found_in_any_template(template, text):
    matches = _index(text, "Something else entirely.\nMore.").find(plain(template.replace("{}", text)))
    assert [match.value for match in matches] == [text]


def test_line_ends_of_windows_are_no_difference():
    assert _index(RESPONSE.replace("\n", "\r\n")).find(f"<r>\n{RESPONSE}\n</r>")


@pytest.mark.parametrize(
    "changed",
    [
        RESPONSE[:-1] + "?",
        RESPONSE.replace("Wait", "wait"),
        RESPONSE[:40],
        RESPONSE + "x",
        "",
        " \n\t\n",
    ],
)
def test_what_differs_is_not_found(changed):
    text = RESPONSE.removesuffix(".")
    assert _index(text).find(f"<r>\n{changed.replace('it.', 'item')}\n</r>") == []


def test_a_text_within_a_longer_known_one_gives_way_to_it():
    longer = f"To be clear:\n{RESPONSE}\nSo be it."
    matches = _index(RESPONSE, longer).find(f"---\n{longer}\n---")
    assert [match.value for match in matches] == [longer]


@pytest.fixture
def compared(monkeypatch):
    """Collect where a known text would end that was compared with what is there."""
    ends, goes_on = [], text_index._goes_on
    monkeypatch.setattr(text_index, "_goes_on", lambda text, end: ends.append(end) or goes_on(text, end))
    return ends


def test_thousands_that_open_alike_are_told_apart_without_trying_them_all(compared):
    texts = [
        f"Sure, here is my plan:\n\nFirst I look at case {n}.\n{'and so on ' * (n % 300)}"
        for n in range(5000)
    ]
    index = _index(*texts)
    for text in texts[::50]:
        assert [match.value for match in index.find(text)] == [text]
    assert 100 <= len(compared) <= 200


@settings(max_examples=size(50, 200), deadline=None)
@given(st.text(min_size=1), st.text(), st.text())
def test_any_text_on_lines_of_its_own_is_found(text, before, after):
    matches = _index(text).find(plain(f"{before}\n{text}\n{after}"))
    assert [match.value for match in matches if match.text == plain(text).strip()] or not text.strip()


def test_last_response_in_a_prompt_is_the_one_judged(tmp_path):
    rows = [
        ("An example that was given before.", "nonsensical"),
        (RESPONSE, "convergence"),
        ("No.", "safety_refusal"),
    ]
    knowledge = Knowledge.load(_labels_file(tmp_path / "l.jsonl", rows))
    prompt = f"Example:\nAn example that was given before.\n\nCase:\n{RESPONSE}\n\nIs this clear?\nNo."
    match = knowledge.find_response(prompt)
    assert match is not None
    assert (match.text, match.known.label) == (RESPONSE, "convergence")


def test_stored_form_of_an_unstorable_text_is_known(tmp_path):
    rows = [
        ("It ends in a NUL: \x00 and goes on.", "nonsensical"),
        ("A half \ud800 of a pair.", "convergence"),
    ]
    knowledge = Knowledge.load(_labels_file(tmp_path / "l.jsonl", rows))
    assert knowledge.find_response("It ends in a NUL: \\u0000 and goes on.").known.label == "nonsensical"
    assert knowledge.find_response("A half \ud800 of a pair.").known.label == "convergence"


def test_blank_responses_are_unknown(tmp_path):
    knowledge = Knowledge.load(
        _labels_file(tmp_path / "l.jsonl", [("", "convergence"), (" \n ", "convergence")])
    )
    assert knowledge.find_response("<response>\n\n</response>") is None


def test_generic_texts_are_known_with_and_without_their_reference():
    knowledge = Knowledge.load()
    assert set(knowledge.generic) == set(LABELS)
    firsts = [text.split("\n")[0] for texts in knowledge.generic.values() for text in texts]
    assert len(set(firsts)) == len(firsts)
    for label, texts in knowledge.generic.items():
        assert len(texts) >= 5
        for text in texts:
            assert 60 <= len(text.split()) <= 120
            whole = text + reference_line("0a1b2c3d")
            assert knowledge.find_response(f"<r>\n{whole}\n</r>")[0] == whole
            assert knowledge.find_response(f"<r>\n{text}\n</r>").known.label == label


def test_suite_samples_are_known():
    if not list(SUITE.glob("*.yaml")):
        pytest.skip("the built-in suite is not there yet")
    knowledge = Knowledge.load()
    assert len(knowledge.tasks) >= 80
    assert len(knowledge.responses) >= len(knowledge.tasks) + 20


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: expected a JSON object"),
        (
            '{"response": "x"}',
            'line 2: expected a JSON object with the texts "response" and "label"; found {"resp',
        ),
        ('["x", "y"]', 'found ["x", "y"]'),
    ],
)
def test_a_bad_labels_file_names_the_line(tmp_path, line, said):
    path = tmp_path / "labels.jsonl"
    path.write_text('{"response": "fine", "label": "convergence"}\n' + line + "\n")
    with pytest.raises(FormatError, match=r"labels\.jsonl") as raised:
        Knowledge.load(path)
    assert said in str(raised.value)


def test_a_missing_labels_file_and_a_broken_suite_are_named(tmp_path):
    with pytest.raises(FormatError, match=r"none\.jsonl: expected a file that can be read"):
        Knowledge.load(tmp_path / "none.jsonl")
    (tmp_path / "01-x.yaml").write_text("category:\n  key: [\n")
    with pytest.raises(FormatError, match=r"01-x\.yaml, line"):
        Knowledge.load(suite=tmp_path)
    (tmp_path / "01-x.yaml").write_text("category: {}\ntasks: [{key: a}]\n")
    with pytest.raises(FormatError, match=r"01-x\.yaml: expected a category and tasks"):
        Knowledge.load(suite=tmp_path)


def test_many_long_texts_take_little_memory_and_a_lookup_little_work(compared):
    filler = "\n".join(f"{'this goes on for a while ' * 4}{n}" for n in range(30))
    tracemalloc.start()
    index = TextIndex()
    for n in range(20_000):
        index.add(f"Answer number {n} of many.\n{filler}", "convergence")
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held / 20_000 < 500  # bytes each, of texts of 3 kB
    prompt = f"Judge this.\n\n{filler[:2000]}\n<r>\nAnswer number 777 of many.\n{filler}\n</r>"
    assert len(prompt) > 5000
    assert index.find(prompt)
    assert 1 <= len(compared) <= 3
