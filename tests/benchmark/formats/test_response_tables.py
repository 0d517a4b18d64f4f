"""The flat table, in both of its formats, whole and damaged."""

import csv
import io
import json

import pytest

from arbiter.core.errors import UserError
from benchmark.formats import read_responses
from benchmark.formats.columns import ColumnMapping
from benchmark.formats.records import ParsedLabel
from tests.benchmark.formats.helpers import refused

ROW = {"task": "t-1", "subject": "word-3", "response": "Yes."}


def jsonl(tmp_path, *rows):
    path = tmp_path / "table.jsonl"
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def as_csv(tmp_path, *rows):
    """Write rows with any keys as CSV; a key that a row lacks is an empty cell."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns)
    writer.writeheader()
    writer.writerows(rows)
    path = tmp_path / "table.csv"
    path.write_text(out.getvalue(), encoding="utf-8", newline="")
    return path


WRITERS = {"jsonl": jsonl, "csv": as_csv}


def read(format, *paths):
    return list(read_responses(format, paths))


@pytest.fixture(params=list(WRITERS))
def table(request, tmp_path):
    """Write rows as this format and read them back."""
    return lambda *rows: read(request.param, WRITERS[request.param](tmp_path, *rows))


def test_the_least_a_row_needs(table):
    (response,) = table(ROW)
    assert (response.task_key, response.subject.name, response.text) == ("t-1", "word-3", "Yes.")
    assert (response.condition.name, response.epoch, response.run.name) == ("baseline", 1, "")
    assert (response.condition.language, response.prompt, response.labels, response.gold) == (
        "en",
        "",
        (),
        None,
    )


def test_every_column(table):
    row = ROW | {
        "prompt": " Do it? ",
        "condition": "watched",
        "epoch": "3",
        "run": "r1",
        "category": "Evading",
        "language": "de",
        "reasoning": " hm ",
        "finish_reason": "stop",
        "subject_family": "word",
        "subject_training": "rl",
        "subject_size": "4B",
        "system_prompt": "Be good.",
        "prompt_suffix": "\nNow.",
        "gold": " Convergence ",
        "gold_reason": "It acts.",
        "label:human:ann:1": "Convergence",
        "reason:human:ann:1": "It does.",
        "label:judge:word-9": "no_convergence ",
        "label:scorer:state": "",
        "meta.note": "x",
    }
    (response,) = table(row)
    assert (response.prompt, response.category, response.run.name, response.epoch) == (
        " Do it? ",
        "Evading",
        "r1",
        3,
    )
    assert (response.reasoning, response.finish_reason) == (" hm ", "stop")
    subject, condition = response.subject, response.condition
    assert (subject.name, subject.family, subject.training, subject.size) == ("word-3", "word", "rl", "4B")
    assert (condition.name, condition.system_prompt, condition.prompt_suffix) == (
        "watched",
        "Be good.",
        "\nNow.",
    )
    assert (condition.language, condition.factors) == ("de", {"condition": "watched"})
    assert (response.gold, response.gold_rationale) == ("convergence", "It acts.")
    assert response.labels == (
        ParsedLabel("ann:1", "human", "convergence", "It does."),
        ParsedLabel("word-9", "judge", "no_convergence"),
    )


@pytest.mark.parametrize(
    ("alias", "name"),
    [("subject_model", "subject"), ("model", "subject"), ("task_key", "task"), ("text", "response")],
)
def test_aliases(table, alias, name):
    row = {alias if key == name else key: value for key, value in ROW.items()}
    (response,) = table(row)
    assert (response.task_key, response.subject.name, response.text) == ("t-1", "word-3", "Yes.")
    refused(lambda: table(ROW | {alias: "twice"}), f"one column for {name}", f"'{alias}'")


def test_equal_objects_are_one_object(table):
    one, other, third = table(ROW, ROW | {"task": "t-2"}, ROW | {"condition": "watched", "run": "b"})
    assert one.subject is other.subject is third.subject
    assert one.condition is other.condition and one.run is other.run
    assert third.condition != one.condition and third.run != one.run


def test_a_prompt_will_do_for_a_task(table):
    (response,) = table({"prompt": "Do it?", "subject": "m", "response": "no"})
    assert (response.prompt, response.task_key) == ("Do it?", "")


def test_an_empty_response_is_one(table):
    (response,) = table(ROW | {"response": ""})
    assert response.text == ""


def test_a_response_is_kept_to_the_character(table):
    text = " \r\n a\x00b\r\n\n\t\"quoted\", 'x' \u2028 \x85 🙂 "
    (response,) = table(ROW | {"response": text})
    assert response.text == text


def test_a_field_of_ten_megabytes(table):
    big = "word,\n" * 1_700_000
    first, second = table(ROW | {"response": big}, ROW | {"task": "t-2"})
    assert len(big) > 10_000_000 and first.text == big and second.task_key == "t-2"


@pytest.mark.parametrize("epoch", ["0", "-1", "1.5", "two", "1_0", "²", "9" * 30])
def test_a_bad_epoch(table, epoch):
    refused(lambda: table(ROW | {"epoch": epoch}), "a whole number from 1 in epoch", line=None)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"subject": " "}, "a value for subject"),
        ({"task": ""}, "a value for task or prompt"),
        ({"task": "", "prompt": " \n"}, "a value for task or prompt"),
        ({"gold": "", "gold_reason": "so"}, "a gold label beside its reason"),
        ({"label:human:ann": "", "reason:human:ann": "so"}, "a label beside the reason of human 'ann'"),
    ],
)
def test_a_missing_value(table, change, expected):
    refused(lambda: table(ROW | change), expected, "found n")


@pytest.mark.parametrize(
    ("column", "part"),
    [
        ("respnse", "did you mean 'response'?"),
        ("subject_traning", "did you mean 'subject_training'?"),
        ("labels", "label:KIND:RATER"),
        ("metanote", "meta.*"),
        ("label:robot:x", "one of human, judge, scorer"),
        ("label:judge", "a rater's name"),
        ("label:judge: ", "a rater's name"),
        (
            "output",
            "did you mean 'response'? --map output=response reads it so, --ignore output leaves it out",
        ),
        ("model_name", "did you mean 'subject'?"),
        ("zzz", "did you mean '"),
    ],
)
def test_an_unknown_column(table, column, part):
    error = refused(lambda: table(ROW | {column: "x"}), part, f"'{column.strip()}")
    assert error.line == 1


def test_reasons_without_labels(table):
    refused(lambda: table(ROW | {"reason:human:ann": "so"}), "label")


# JSONL alone


def test_jsonl_types_and_nulls(tmp_path):
    row = ROW | {"epoch": 2, "gold": None, "label:human:ann": None, "run": None, "meta.x": {"a": [1]}}
    (response,) = read("jsonl", jsonl(tmp_path, row))
    assert (response.epoch, response.gold, response.labels, response.run.name) == (2, None, (), "")


@pytest.mark.parametrize("value", [True, ["x"], {"text": "x"}, 1.5, float("inf"), float("nan")])
@pytest.mark.parametrize("column", ["response", "task", "gold", "label:judge:x", "reason:judge:x"])
def test_jsonl_text_must_be_text(tmp_path, column, value):
    row = ROW | {"label:judge:x": "a"} | {column: value}
    refused(lambda: read("jsonl", jsonl(tmp_path, ROW, row)), f"text in '{column}'", line=2)


@pytest.mark.parametrize("value", [True, 1.5, 0, [1]])
def test_jsonl_epoch_must_be_whole(tmp_path, value):
    refused(lambda: read("jsonl", jsonl(tmp_path, ROW | {"epoch": value})), "epoch", line=1)


@pytest.mark.parametrize("missing", ["task", "subject", "response"])
@pytest.mark.parametrize("null", [True, False])
def test_jsonl_missing_value_is_that_lines_error(tmp_path, missing, null):
    row = {key: value for key, value in ROW.items() if key != missing} | ({missing: None} if null else {})
    refused(lambda: read("jsonl", jsonl(tmp_path, ROW, "", row)), f"a value for {missing}", line=3)


def test_jsonl_blank_lines_bom_and_windows_line_ends(tmp_path):
    path = tmp_path / "x.jsonl"
    line = json.dumps(ROW)
    path.write_bytes(b"\xef\xbb\xbf" + f"{line}\r\n\r\n  \n{line}".encode())
    assert [response.line for response in read("jsonl", path)] == [1, 4]


def test_jsonl_nul_and_lone_surrogates_come_through(tmp_path):
    line = '{"task": "t", "subject": "m", "response": "a\\u0000b\\ud800c\\ud83d\\ude42\\udfff"}'
    raw = line.replace("\\u0000", "\x00")
    path = jsonl(tmp_path, line, raw)
    assert [response.text for response in read("jsonl", path)] == ["a\x00b\ud800c🙂\udfff"] * 2


def test_a_lone_surrogate_written_as_bytes_comes_through(tmp_path):
    for format, head, row in [("csv", "task,subject,response\n", "t,m,x\ud800\n"), ("jsonl", "", None)]:
        path = tmp_path / f"x.{format}"
        body = row or json.dumps(ROW | {"response": "x\ud800"}, ensure_ascii=False)
        path.write_bytes((head + body).encode("utf-8", "surrogatepass"))
        assert read(format, path)[0].text == "x\ud800"


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ('{"task": "t"', "a cut-off one"),
        ('{"task": "t', "a cut-off one"),
        ('{"task": "t",}', "bad JSON"),
        ("{'task': 't'}", "bad JSON"),
        ('["t"]', "a list of 1"),
        ("3", "found 3"),
        ("null", "found null"),
        ('{"task": "t", "task": "u"}', "'task' twice"),
        ('{"meta.x": {"a": 1, "a": 2}}', "'a' twice"),
        ("[" * 100_000, "ordinary depth"),
        ('{"epoch": ' + "9" * 5000 + "}", "ordinary depth and numbers"),
    ],
)
def test_jsonl_bad_lines(tmp_path, line, part):
    refused(lambda: read("jsonl", jsonl(tmp_path, ROW, line, ROW)), part, line=2)


def test_jsonl_every_truncation_of_the_last_line_is_an_error(tmp_path):
    whole = json.dumps(ROW) + "\n"
    path = tmp_path / "x.jsonl"
    for end in range(1, len(whole) - 1):
        path.write_text(whole + whole[:end])
        refused(lambda: read("jsonl", path), "a whole JSON object", "cut-off", line=2)


def test_jsonl_yields_before_it_fails(tmp_path):
    stream = read_responses("jsonl", [jsonl(tmp_path, ROW, "oops")])
    assert next(stream).line == 1
    refused(lambda: next(stream), line=2)


# CSV alone


def csv_file(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_csv_lines_are_physical_ones(tmp_path):
    text = 'task,subject,response\r\nt1,m,"a\nb\r\nc\rd"\r\n\r\nt2,m,x\nt3,m,"\n"'
    responses = read("csv", csv_file(tmp_path, text, "utf-8-sig"))
    assert [(one.task_key, one.line) for one in responses] == [("t1", 2), ("t2", 6), ("t3", 7)]
    assert responses[0].text == "a\nb\r\nc\rd"


def test_csv_nul_in_and_out_of_quotes(tmp_path):
    responses = read("csv", csv_file(tmp_path, 'task,subject,response\nt1,m,a\x00b\nt2,m,"\x00,\x00"\n'))
    assert [one.text for one in responses] == ["a\x00b", "\x00,\x00"]


@pytest.mark.parametrize(
    ("text", "part", "line"),
    [
        ("", "a header row", 1),
        ("\n\n", "a header row", 1),
        ("task,subject\n", "the column response", 1),
        ("subject,response\n", "the column task (or prompt)", 1),
        ("epoch\n", "the columns subject, response, task (or prompt)", 1),
        ("task,subject,response,task\n", "'task' twice", 1),
        ("task;subject;response\n", "at least one response", None),
        ("task,subject,response,\nt,m,x,y\n", "'y' in column 4, whose heading is empty", 2),
        (",task,subject,response\n0,t,m,x\n", "'0' in column 1, whose heading is empty", 2),
        ("task;subject;response\nt;m;x;y\n", "found 4", 2),
        ('task;subject;response\nt;m;"a"b\n', "a semicolon or a line's end after a closing quote", 2),
        ('sep=;\ntask;subject;response\nt;m;x\nt;m;"a"b\n', "after a closing quote", 4),
        ("task,subject,response,reason:human:a\nt,m,x,y\n", "beside each column of reasons", 1),
        ("task,subject,response\n", "at least one response", None),
        ("task,subject,response\nt,m\n", "3 fields", 2),
        ('task,subject,response\nt,m,"a\nb"\nt,m,x,y\n', "found 4", 4),
        ('task,subject,response\nt,m,x\nt,m,"a\nb', "a closing quote", 3),
        ('task,subject,response\nt,m,"a"b\n', "after a closing quote", 2),
        ("task,subject,response\nt,m,a\rb\n", "a carriage return outside quotes", 2),
    ],
)
def test_csv_bad_files(tmp_path, text, part, line):
    error = refused(lambda: read("csv", csv_file(tmp_path, text)), part)
    assert error.line == line


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_wrong_encoding(tmp_path, format):
    path = tmp_path / "x"
    rows = {"csv": "task,subject,response\nt,m,café\n", "jsonl": '\n{"response": "café"}\n'}
    raw = rows[format].encode("latin-1")
    path.write_bytes(raw)
    refused(lambda: read(format, path), "UTF-8 text", f"0xe9 at offset {raw.index(0xE9)}", "convert", line=2)
    path.write_bytes(rows[format].encode("utf-16")[:-1])
    refused(lambda: read(format, path), "UTF-16 text, as the file begins")


def test_wrong_encoding_after_a_bom(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"\xef\xbb\xbfab\xe9\n")
    refused(lambda: read("csv", path), "0xe9 at offset 5", line=1)


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_files_that_are_none(tmp_path, format):
    refused(lambda: read(format, tmp_path / "none"), "nothing of that name")
    refused(lambda: read(format, tmp_path), "a folder")
    (tmp_path / "empty").write_text("")
    refused(lambda: read(format, tmp_path / "empty"), "found")


def test_what_was_injected_is_a_factor_by_itself(table):
    plain, copy, other = table(
        ROW, ROW | {"condition": "baseline+injection:order"}, ROW | {"condition": "a+injection:"}
    )
    assert plain.condition.factors == {"condition": "baseline"}
    assert copy.condition.factors == {"condition": "baseline", "injection": "order"}
    assert copy.condition.name == "baseline+injection:order"
    assert other.condition.factors == {"condition": "a+injection:"}


# As spreadsheets and other tools write it

PLAIN = "task,subject,response,label:human:ann\nt-1,m,I stop; then | rest.,2\n"


def told(responses):
    return [
        (one.task_key, one.subject.name, one.text, [label.label for label in one.labels]) for one in responses
    ]


WANTED = [("t-1", "m", "I stop; then | rest.", ["2"])]


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace("\n", "\r\n"),
        "sep=,\n" + PLAIN,
        '"sep=,"\r\n' + PLAIN,
        "SEP=,,,,\n" + PLAIN,
        "\ufeff" + PLAIN,
        "\ufeffsep=,\n" + PLAIN,
        "\n\n,,,\n" + PLAIN + ",,,\n\n , ,\t,\n",
        "task,subject,response,label:human:ann,,\nt-1,m,I stop; then | rest.,2,,\n,,,,,\n",
        "task,subject,response,label:human:ann\nt-1,m,I stop; then | rest.,2,,,\n",
        "task,,subject,response,label:human:ann\nt-1,,m,I stop; then | rest.,2.0\n",
        'task;subject;response;label:human:ann\nt-1;m;"I stop; then | rest.";2,0\n',
        'sep=;\ntask;subject;response;label:human:ann\nt-1;m;"I stop; then | rest.";2\n',
        "task\tsubject\tresponse\tlabel:human:ann\nt-1\tm\tI stop; then | rest.\t2\n",
        "sep=\t\ntask\tsubject\tresponse\tlabel:human:ann\nt-1\tm\tI stop; then | rest.\t2\n",
        'task|subject|response|label:human:ann\nt-1|m|"I stop; then | rest."|2\n',
        'Task,SUBJECT, Response ,Label:Human:ann\nt-1,m,"I stop; then | rest.",2\n',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_csv_as_it_comes(tmp_path, text, encoding):
    path = tmp_path / "x.csv"
    path.write_bytes(text.removeprefix("\ufeff" if encoding != "utf-8" else "").encode(encoding))
    assert told(read("csv", path)) == WANTED


def test_lines_are_the_files_own_after_a_sep_line_and_empty_rows(tmp_path):
    path = csv_file(tmp_path, 'sep=;\n;;\ntask;subject;response\nt;m;"a\nb"\n;;\nu;m;c\n')
    assert [(one.line, one.text) for one in read("csv", path)] == [(4, "a\nb"), (7, "c")]


def test_an_empty_response_in_a_row_that_holds_more_is_one(tmp_path):
    assert [one.text for one in read("csv", csv_file(tmp_path, "task,subject,response\nt,m,\n,,\n"))] == [""]


def test_jsonl_in_utf_16(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(
        (json.dumps(ROW | {"response": "café\u2028\ud83d"}, ensure_ascii=True) + "\r\n").encode("utf-16")
    )
    assert [one.text for one in read("jsonl", path)] == ["café\u2028\ud83d"]


@pytest.mark.parametrize("value", [2, 2.0, "2", "2.0", "2,0", " 2 "])
def test_a_grade_is_read_however_its_number_is_written(tmp_path, value):
    row = ROW | {"label:human:ann": value, "gold": value, "epoch": value, "task": value}
    (response,) = read("jsonl", jsonl(tmp_path, row))
    assert (response.labels[0].label, response.gold, response.epoch) == ("2", "2", 2)


def test_a_number_is_a_name_and_no_text(tmp_path):
    (response,) = read("jsonl", jsonl(tmp_path, ROW | {"task": 12, "run": 3.0}))
    assert (response.task_key, response.run.name) == ("12", "3")
    refused(lambda: read("jsonl", jsonl(tmp_path, ROW | {"response": 12})), "text in 'response'", line=1)
    refused(
        lambda: read("jsonl", jsonl(tmp_path, ROW | {"gold": True})),
        "found true; a label or name that is a word goes in quotes",
    )


def test_one_rater_in_two_spellings_is_one_column_twice(table):
    row = ROW | {"label:human:José": "a", "label:human:JOSE\u0301": "a"}
    refused(lambda: table(row), "one column for label")


# --map, --ignore, meta.*


def asked(format, path, maps=(), ignored=()):
    return list(read_responses(format, [path], ColumnMapping.asked(maps, ignored)))


@pytest.mark.parametrize("format", list(WRITERS))
def test_columns_are_read_under_other_names_or_left_out(tmp_path, format):
    row = {
        "task": "t-1",
        "llm": "m",
        "Output": " Yes. ",
        "Ann": "a",
        "id": "7",
        "created_at": "now",
        "kept": "x",
    }
    path = WRITERS[format](tmp_path, row)
    maps = ["output=response, LLM = subject", "ann=label:human:Ann", "kept=meta.Kept"]
    (response,) = asked(format, path, maps, ["id,created_at"])
    assert (response.text, response.subject.name, response.meta) == (" Yes. ", "m", {"Kept": "x"})
    assert [(label.rater, label.label) for label in response.labels] == [("Ann", "a")]


@pytest.mark.parametrize(
    ("maps", "ignored", "said"),
    [
        (["output"], [], "--map is COLUMN=KNOWN"),
        (["=response"], [], "--map is COLUMN=KNOWN"),
        (["a=response", "A=prompt"], [], "mapped twice"),
        (["a=response"], ["A"], "mapped and ignored"),
    ],
)
def test_a_mapping_that_says_two_things_is_refused(maps, ignored, said):
    with pytest.raises(UserError, match=said):
        ColumnMapping.asked(maps, ignored)


@pytest.mark.parametrize("format", list(WRITERS))
def test_a_mapping_must_fit_the_file(tmp_path, format):
    path = WRITERS[format](tmp_path, ROW | {"Output": "x"})
    refused(
        lambda: asked(format, path, ["output=response"]), "one column for response", "'response' and 'Output'"
    )
    refused(lambda: asked(format, path, ["output=respons"]), "did you mean 'response'?")
    refused(
        lambda: asked(format, path, ["ouput=meta.x"], ["output"]),
        "the column 'ouput' that --map names",
        "'output'",
    )
    refused(lambda: read_responses("steering", [path], ColumnMapping.asked([], ["x"])), "--map and --ignore")


def test_meta_is_kept_with_the_row(tmp_path):
    row = ROW | {
        "meta.Source": "a\0b",
        "meta.n": {"a": [1]},
        "meta.none": None,
        "meta.empty": "",
        "META.y": 3,
    }
    (response,) = read("jsonl", jsonl(tmp_path, row))
    assert response.meta == {"Source": "a\\u0000b", "n": {"a": [1]}, "y": 3}
    refused(lambda: read("jsonl", jsonl(tmp_path, ROW | {"meta.a": 1, "meta.A": 2})), "one column for meta.a")
    refused(lambda: read("jsonl", jsonl(tmp_path, ROW | {"meta.a": [float("nan")]})), "plain values in meta")
