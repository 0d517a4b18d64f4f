"""How a table's delimiter is found from its header."""

import pytest

from benchmark.formats import read_responses
from benchmark.formats.records import FormatError


def _read(tmp_path, text):
    path = tmp_path / "responses.csv"
    path.write_bytes(text.encode())
    return [(row.text, dict(row.meta)) for row in read_responses("csv", [path])]


def test_a_delimiter_within_quotes_parts_no_header(tmp_path):
    text = 'task;prompt;subject;response;"meta.a,b,c,d,e,f"\nt1;P?;m;x;1\n'
    assert _read(tmp_path, text) == [("x", {"a,b,c,d,e,f": "1"})]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_lines_that_end_in_a_carriage_return_alone_are_refused_in_words(tmp_path, delimiter):
    names = delimiter.join(["task", "prompt", "subject", "response"])
    with pytest.raises(FormatError, match="lines that end in LF or CRLF"):
        _read(tmp_path, f"{names}\r{delimiter.join(['t1', 'P?', 'm', 'x'])}\r")
