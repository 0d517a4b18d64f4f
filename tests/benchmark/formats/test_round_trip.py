"""Whatever text is written to a table is read back from it."""

import csv
import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.formats import read_responses

any_text = st.text(st.characters(exclude_categories=()), max_size=200)
csv_text = st.text(max_size=200) | st.text(st.sampled_from('",\r\n\x00 a'), max_size=12)
name = st.from_regex(r"[a-z][a-z0-9 ._-]{0,10}[a-z0-9]", fullmatch=True)


def rows(text):
    return st.lists(
        st.fixed_dictionaries(
            {"task": name, "subject": name, "response": text},
            optional={
                "epoch": st.integers(1, 999_999_999),
                "condition": name,
                "reasoning": text,
                "system_prompt": text,
                "prompt_suffix": text,
                "label:judge:word 3:x": name,
                "gold": name,
                "meta.any": text,
            },
        ),
        min_size=1,
        max_size=5,
    )


def check(row, found):
    assert (found.task_key, found.subject.name, found.text) == (row["task"], row["subject"], row["response"])
    assert found.epoch == row.get("epoch", 1)
    assert found.condition.name == row.get("condition", "baseline")
    assert found.condition.system_prompt == row.get("system_prompt", "")
    assert found.condition.prompt_suffix == row.get("prompt_suffix", "")
    assert found.reasoning == row.get("reasoning", "")
    assert found.gold == row.get("gold")
    assert [label.label for label in found.labels] == [row[key] for key in row if key.startswith("label:")]


def read(format, path, written):
    found = list(read_responses(format, [path]))
    assert len(found) == len(written)
    for row, response in zip(written, found, strict=True):
        check(row, response)
    return found


@settings(deadline=None)
@given(rows(any_text), st.booleans())
def test_jsonl(written, ascii_only):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.jsonl")
        with path.open("w", encoding="utf-8", errors="surrogatepass", newline="") as file:
            for row in written:
                file.write(json.dumps(row, ensure_ascii=ascii_only) + "\n")
        found = read("jsonl", path, written)
        assert [response.line for response in found] == list(range(1, len(written) + 1))


@settings(deadline=None)
@given(rows(csv_text), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
def test_csv(written, quoting):
    columns = list(dict.fromkeys(["task", "subject", "response", *(key for row in written for key in row)]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.csv")
        starts = []
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, quoting=quoting)
            writer.writeheader()
            for row in written:
                file.flush()
                starts.append(path.read_bytes().count(b"\n") + 1)
                writer.writerow(row)
        found = read("csv", path, written)
        assert [response.line for response in found] == starts
