"""CSV reads back as it was written, and byte for byte as Python's own writer would have it."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from arbiter.core.csvfile import csv_lines

texts = st.text(st.sampled_from(['"', ",", "\r", "\n", "'", " ", ";", "a", "=", "é"]))
cells = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
tables = st.lists(st.tuples(cells, cells, cells), max_size=5)
NAMES = ("a", "b c", "d,e")


@given(tables)
def test_lines_are_those_of_the_library(rows):
    out = io.StringIO(newline="")
    csv.writer(out).writerows([NAMES, *rows])
    assert "".join(csv_lines(NAMES, rows, guard=False)) == out.getvalue()


def test_with_texts_quoted_an_empty_one_is_told_apart_from_none():
    rows = [["", None, "a\rb"], ['"', 0.5, True]]
    lines = csv_lines(["a", "b", "c"], rows, guard=False, quote_texts=True)
    assert list(lines) == ["a,b,c\r\n", '"",,"a\rb"\r\n', '"""",0.5,True\r\n']


def test_what_a_spreadsheet_would_run_is_marked():
    assert list(csv_lines(["a"], [["=1+1"], [-1]])) == ["a\r\n", "'=1+1\r\n", "-1\r\n"]
