"""Whatever text is written to a table is read back from it."""

import csv
import io
import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter.core.text import storable
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


def check(row, response):
    assert (response.task_key, response.subject.name, response.text) == (
        row["task"],
        row["subject"],
        row["response"],
    )
    assert response.epoch == row.get("epoch", 1)
    assert response.condition.name == row.get("condition", "baseline")
    assert response.condition.system_prompt == row.get("system_prompt", "")
    assert response.condition.prompt_suffix == row.get("prompt_suffix", "")
    assert response.reasoning == row.get("reasoning", "")
    assert response.gold == row.get("gold")
    assert response.meta.get("any", "") == storable(row.get("meta.any", ""))[0]
    assert [label.label for label in response.labels] == [row[key] for key in row if key.startswith("label:")]


def read(format, path, written):
    responses = list(read_responses(format, [path]))
    assert len(responses) == len(written)
    for row, response in zip(written, responses, strict=True):
        check(row, response)
    return responses


@settings(deadline=None)
@given(rows(any_text), st.booleans())
def test_jsonl(written, ascii_only):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.jsonl")
        with path.open("w", encoding="utf-8", errors="surrogatepass", newline="") as file:
            for row in written:
                file.write(json.dumps(row, ensure_ascii=ascii_only) + "\n")
        responses = read("jsonl", path, written)
        assert [response.line for response in responses] == list(range(1, len(written) + 1))


@settings(deadline=None)
@given(
    rows(csv_text),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.sampled_from(",;\t|"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]),
    st.booleans(),
)
def test_csv(written, quoting, delimiter, encoding, said):
    """Whatever it is parted by and encoded in, with a `sep=` line or without."""
    columns = list(dict.fromkeys(["task", "subject", "response", *(key for row in written for key in row)]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.csv")
        starts = []
        with io.StringIO(newline="") as file:
            file.write(f"sep={delimiter}\r\n" if said else "")
            writer = csv.DictWriter(file, columns, quoting=quoting, delimiter=delimiter)
            writer.writeheader()
            for row in written:
                starts.append(file.getvalue().count("\n") + 1)
                writer.writerow(row)
            path.write_bytes(file.getvalue().encode(encoding))
        responses = read("csv", path, written)
        assert [response.line for response in responses] == starts
