"""The dataset: every value comes back from every format, whole or not at all, without a person's name."""

import csv
import json
import math
from datetime import datetime

import pandas as pd
import pyarrow.csv
import pyarrow.parquet
import pytest

from annotation.adjudication import adjudicate
from annotation.ledger import Entry, record
from annotation.models import Gold, Item, Question, Study
from annotation.raters import pseudonym
from annotation.schemes import builtin_scheme
from arbiter.core.csvfile import guarded
from arbiter.core.errors import UserError
from arbiter.releases import exporting
from arbiter.releases.exporting import RATING_FIELDS, columns, export_study, rows
from benchmark.models import Response, Task
from judging.settlement.settling import settle
from tests import builders
from tests.judging import helpers
from tests.judging.helpers import item_of

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
FORMATS = ["jsonl", "csv", "parquet"]
HARD_TEXTS = [
    "",
    " ",
    "a,b",
    'says "no"',
    "two\nlines",
    "two\r\nlines",
    "a lone\rreturn",
    "\r",
    "tab\t",
    "'; --",
    "=1+1",
    "naïve 日本 🙂 \u2028 end",
    "NUL \\u0000 escaped",
    "back\\slash",
    "\ufeffmark",
    "nan",
    "None",
    "null",
    "1e5",
    '""',
    ',"\n"',
]


@pytest.fixture
def study(study):
    """Make a study with all that rows can hold: hard texts, two judges, a person, a repeat, a
    revision, gold, a decision.
    """
    suite = study.items.first().response.run.suite
    run = builders.run(suite, "model-b", name='odd, "run"')
    for epoch, text in enumerate(HARD_TEXTS, start=1):
        Item.objects.create(study=study, response=builders.response(run, suite.tasks.first(), epoch, text))
    first, second = study.items.order_by("id")[:2]
    ann = builders.rater("Ann Onymous", "human")
    builders.rate(first, builders.rater("judge-a"), "nonsensical")
    builders.rate(
        first,
        builders.rater("judge-a"),
        "convergence",
        confidence=0.75,
        confidence_scale="probability",
        rationale='It "stays",\r\nyes.',
        evidence=[{"quote": "a, b", "start": 0, "end": 4}],
        shown={"blind": True},
        simulated=True,
    )
    builders.rate(first, builders.rater("judge-a"), "no_convergence", ordinal=1)
    builders.rate(first, ann, "convergence", active_seconds=12.5)
    builders.rate(second, ann, "no_convergence", flagged=True)
    builders.rate(second, builders.rater("judge-a"), "convergence")
    builders.draw(study, share=0.5, seed=3)
    Gold.objects.create(item=first, label=study.scheme.labels.get(key="safety_refusal"), origin="imported")
    adjudicate(second, builders.rater("Adi", "human"), "nonsensical", "Both, see above.")
    settle(study)
    return study


def expected(study, **options):
    return list(rows(study, **options))


def jsons(row):
    """Write lists and objects as JSON, as in CSV and Parquet."""
    return {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value
        for name, value in row.items()
    }


def without_nan(records):
    return [
        {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in row.items()
        }
        for row in records
    ]


def exported(study, tmp_path, extension, **options):
    out = tmp_path / f"data.{extension}"
    told = export_study(study, out, **options)
    assert (told["study"], told["path"], told["format"]) == (study.slug, str(out), extension)
    return out, told["rows"]


@pytest.mark.parametrize("long", [False, True])
def test_jsonl_comes_back_equal(study, tmp_path, long):
    out, count = exported(study, tmp_path, "jsonl", long=long)
    wanted = expected(study, long=long)
    assert count == len(wanted)
    lines = out.read_bytes().decode().split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == wanted
    assert all(list(json.loads(line)) == columns(long) for line in lines)
    if not long:
        pandas = pd.read_json(out, lines=True, dtype=False)
        assert pandas["response"].tolist() == [row["response"] for row in wanted]


@pytest.mark.parametrize("long", [False, True])
def test_parquet_comes_back_equal(study, tmp_path, long):
    out, count = exported(study, tmp_path, "parquet", long=long)
    wanted = [at_its_time(jsons(row)) for row in expected(study, long=long)]
    table = pyarrow.parquet.read_table(out)
    assert (count, table.column_names) == (len(wanted), columns(long))
    assert table.to_pylist() == wanted
    frame = pd.read_parquet(out).astype(object)
    assert without_nan(frame.to_dict("records")) == wanted


def at_its_time(row):
    return row | {"rated_at": datetime.fromisoformat(row["rated_at"])} if "rated_at" in row else row


def as_read(row):
    """Return a row as a CSV is read: its cells say nothing of their types, and null is an empty one."""
    return {name: "" if value is None else str(value) for name, value in jsons(row).items()}


@pytest.mark.parametrize("long", [False, True])
def test_csv_comes_back_equal(study, tmp_path, long):
    out, count = exported(study, tmp_path, "csv", long=long)
    wanted = [as_read(row) for row in expected(study, long=long)]
    assert count == len(wanted)
    with out.open(newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == wanted
    assert pd.read_csv(out, dtype=str, keep_default_na=False).to_dict("records") == wanted
    parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
    convert = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(columns(long), "string"), strings_can_be_null=False
    )
    assert pyarrow.csv.read_csv(out, parse_options=parse, convert_options=convert).to_pylist() == wanted


def test_an_empty_text_in_csv_is_told_apart_from_none(study, tmp_path):
    out, _ = exported(study, tmp_path, "csv")
    parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
    types = {"response": "string", "gold": "string"}
    convert = pyarrow.csv.ConvertOptions(
        column_types=types,
        include_columns=[*types],
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    wanted = [{name: row[name] for name in types} for row in expected(study)]
    assert {"response": "", "gold": None} in wanted
    assert pyarrow.csv.read_csv(out, parse_options=parse, convert_options=convert).to_pylist() == wanted


def test_an_empty_response_is_not_null(study, tmp_path):
    empty = study.items.get(response__text="").key
    for extension, read in [
        ("jsonl", lambda out: [json.loads(line) for line in out.open()]),
        ("parquet", lambda out: pyarrow.parquet.read_table(out).to_pylist()),
    ]:
        [row] = [row for row in read(exported(study, tmp_path, extension)[0]) if row["item"] == empty]
        assert (row["response"], row["gold"], row["settled"]) == ("", None, None)


def test_a_row_an_item_holds_what_it_is_its_label_and_every_rating(study):
    first, second, third = expected(study)[:3]
    item = study.items.order_by("id")[0]
    assert (first["item"], first["suite"], first["suite_version"], first["task"]) == (
        item.key,
        "tiny",
        1,
        "task-1",
    )
    assert (first["subject"], first["condition"], first["epoch"], first["category"]) == (
        "model-a",
        "baseline",
        1,
        "Alpha",
    )
    assert (first["prompt"], first["response"]) == (item.response.task.text, item.response.text)
    assert (first["response_hash"], first["condition_hash"]) == (
        item.response.content_hash,
        item.response.run.condition.content_hash,
    )
    settled = {name: first[name] for name in exporting.SETTLED_FIELDS}
    assert settled == {
        "settled": "convergence",
        "settled_role": "target",
        "settled_rule": "majority",
        "settled_version": 1,
        "settled_simulated": True,
        "posterior": {"convergence": 1.0},
        "gold": "safety_refusal",
        "gold_origin": "imported",
        "gold_rationale": "",
        "adjudicator": None,
        "adjudication_reason": None,
        "no_verdict": None,
    }
    assert (second["settled"], second["settled_rule"], second["adjudication_reason"]) == (
        "nonsensical",
        "adjudicated",
        "Both, see above.",
    )
    assert (third["settled"], third["settled_rule"], third["ratings"]) == (None, "unlabelled", [])
    assert [
        (r["rater"], r["label"], r["revision"], r["repeat"], r["current"]) for r in first["ratings"][:3]
    ] == [
        ("judge-a@1", "nonsensical", 1, 0, False),
        ("judge-a@1", "convergence", 2, 0, True),
        ("judge-a@1", "no_convergence", 1, 1, True),
    ]
    assert [list(rating) for rating in first["ratings"]] == [RATING_FIELDS] * 4


def test_long_has_a_row_a_rating(study):
    wide, long = expected(study), expected(study, long=True)
    assert len(long) == sum(len(row["ratings"]) for row in wide) == 6
    assert [{name: row[name] for name in RATING_FIELDS} for row in long[:4]] == wide[0]["ratings"]
    assert {row["item"] for row in long} == {row["item"] for row in wide if row["ratings"]}
    assert not {"prompt", "response", "reasoning"} & set(long[0])


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("long", [False, True])
def test_people_are_pseudonymous_unless_their_names_are_asked_for(study, tmp_path, extension, long):
    ann = builders.rater("Ann Onymous", "human")
    hidden, _ = exported(study, tmp_path, extension, long=long)
    assert b"Ann Onymous" not in hidden.read_bytes()
    assert {row["rater"] for row in expected(study, long=True)} == {"judge-a@1", pseudonym(study, ann)}
    assert {row["rater"] for row in expected(study, long=True, names=True)} == {"judge-a@1", "Ann Onymous"}


def test_a_pseudonym_is_stable_in_a_study_and_useless_outside_it(study, settings):
    ann = builders.rater("Ann Onymous", "human")
    other = Study.objects.create(slug="other", title="Other", scheme=study.scheme)
    assert pseudonym(study, ann) == pseudonym(study, ann) != pseudonym(other, ann)
    before = pseudonym(study, ann)
    settings.SECRET_KEY = "another installation"
    assert pseudonym(study, ann) != before


def test_a_character_no_database_takes_is_exported_escaped_and_flagged(study):
    item_of(study, "NUL \\u0000", escaped=True)
    first, second = expected(study)[:2]
    assert (first["response"], first["escaped"], second["escaped"]) == ("NUL \\u0000", True, False)


def test_other_studies_ratings_stay_out(study):
    other = Study.objects.create(slug="other", title="Other", scheme=study.scheme)
    item = study.items.first()
    twin = Item.objects.create(study=other, response=item.response)
    builders.rate(twin, builders.rater("elsewhere"))
    late = Item.objects.create(
        study=study, response=builders.response(item.response.run, item.response.task, 99)
    )
    assert late.pk > twin.pk  # the other study's rating lies between this one's
    assert "elsewhere@1" not in {row["rater"] for row in expected(study, long=True)}
    assert len(expected(other)) == 1


@pytest.mark.parametrize("extension", FORMATS)
def test_a_failure_midway_leaves_the_old_file_and_nothing_else(study, tmp_path, extension, monkeypatch):
    out = tmp_path / f"data.{extension}"
    out.write_text("the old one")

    def failing(*args, **options):
        yield from expected(study)[:2]
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(exporting, "rows", failing)
    with pytest.raises(RuntimeError):
        export_study(study, out)
    assert out.read_text() == "the old one"
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("extension", FORMATS)
def test_a_study_without_items_is_a_file_without_rows(tmp_path, extension):
    empty = builders.study("empty", epochs=0)
    out, count = exported(empty, tmp_path, extension)
    assert count == 0
    if extension == "parquet":
        assert pyarrow.parquet.read_table(out).column_names == columns(long=False)
    if extension == "csv":
        assert out.read_bytes().decode() == ",".join(columns(long=False)) + "\r\n"


def test_where_the_file_can_not_be_it_is_told(study, tmp_path):
    (tmp_path / "taken.csv").mkdir()
    for out, said in [
        ("data.xlsx", r"the name should end in \.jsonl, \.csv, \.parquet"),
        ("none/data.csv", "there is no folder"),
        ("taken.csv", "can't be written: Is a directory"),
    ]:
        with pytest.raises(UserError, match=said):
            export_study(study, tmp_path / out)
    assert [path.name for path in tmp_path.iterdir()] == ["taken.csv"]


def test_the_pages_are_of_equal_size_and_none_is_lost_between_them(study, monkeypatch):
    monkeypatch.setattr(exporting, "BATCH", 4)
    assert [row["item"] for row in expected(study)] == list(
        study.items.order_by("id").values_list("key", flat=True)
    )
    assert Response.objects.count() == len(HARD_TEXTS) + 6


def test_a_judge_run_here_is_described_exactly_and_a_verdict_without_a_label_is_there(study):
    sj = helpers.judge(study, helpers.endpoint(), "careful", parameters={"temperature": 0}, repeats=2)
    item = study.items.first()
    builders.rate(item, sj.judge.rater)
    item.verdicts.create(study_judge=sj, repeat=1, state="refused", reason="It would not say.")
    row = next(rows(study))
    *_, rating = row["ratings"]
    judge = rating["judge"]
    assert judge["definition"] == sj.judge.rater.definition
    assert (judge["model"], judge["parameters"], judge["repeats"]) == (
        "sim-judge-careful",
        {"temperature": 0},
        2,
    )
    assert (judge["dialect"], judge["label_order"], judge["question"], judge["mapping"]) == (
        "openai",
        "scheme",
        "",
        {},
    )
    assert row["no_verdict"] == [
        {"rater": "careful@1", "repeat": 1, "state": "refused", "reason": "It would not say."}
    ]


def test_a_rating_of_another_question_says_which_it_answers_and_settles_nothing(study):
    item = study.items.order_by("id").last()
    Question.objects.create(study=study, name="severity", scheme=builtin_scheme("graded"))
    judge = builders.rater("severe")
    entry = Entry(
        item_id=item.pk, rater=judge, label="2", question="severity", confidence=3, confidence_scale="steps3"
    )
    record(study.scheme_of("severity"), [entry])
    settle(study)
    *_, row = rows(study)
    [rating] = row["ratings"]
    assert (rating["question"], rating["label"], rating["confidence_scale"]) == ("severity", "2", "steps3")
    assert (row["settled"], row["settled_rule"]) == (None, "unlabelled")


def test_an_item_says_where_it_lies_in_the_raters_draw_and_a_rating_whether_it_was_flagged(study):
    late = Item.objects.create(
        study=study,
        response=builders.response(builders.run(builders.suite("other"), "late"), Task.objects.last()),
    )
    *drawable, outside = rows(study)
    for row in drawable:
        framed = study.draws.get().framed.get(item__key=row["item"])
        assert (row["stratum"], row["inclusion_probability"], row["draw_number"]) == (
            "all",
            0.5,
            framed.number,
        )
        assert row["drawn"] is (framed.number < 0.5)
    assert {row["drawn"] for row in drawable} == {True, False}
    assert outside["item"] == late.key
    assert {outside[name] for name in exporting.DRAW_FIELDS} == {None}
    assert [rating["flagged"] for rating in drawable[1]["ratings"]] == [True, False]


RUN = ["=1+1", "@SUM(1)", "+1", "-1", "＝1", "\t=1", " =1", "\u00a0=1", "\n=1"]
LEFT = ["plain", "", "'quoted'", "a=1", "1-1", " ", "\u2014 so", "🔒"]


@pytest.mark.parametrize("long", [False, True])
def test_for_a_spreadsheet_what_it_would_run_is_marked_and_nothing_else(study, tmp_path, long):
    judge = builders.rater("judge-s")
    items = list(study.items.order_by("pk"))
    for item, text in zip(items, RUN, strict=False):
        builders.rate(item, judge, rationale=text)
    exact, marked = tmp_path / "exact.csv", tmp_path / "marked.csv"
    export_study(study, exact, long=long)
    export_study(study, marked, long=long, spreadsheet=True)
    assert marked.read_bytes().startswith(b"\xef\xbb\xbf") and not exact.read_bytes().startswith(b"\xef")
    with (
        exact.open(newline="", encoding="utf-8") as one,
        marked.open(newline="", encoding="utf-8-sig") as two,
    ):
        pairs = list(zip(csv.DictReader(one), csv.DictReader(two), strict=True))
    assert pairs and all(
        there == {key: guarded(value) for key, value in here.items()} for here, there in pairs
    )
    if long:
        assert any(there["rationale"] == "'=1+1" for _, there in pairs)


def test_what_is_marked():
    assert [guarded(text) for text in RUN] == [f"'{text}" for text in RUN]
    assert [guarded(text) for text in LEFT] == LEFT
    assert [guarded(value) for value in (None, -1, -0.5, True)] == [None, -1, -0.5, True]


def test_only_a_csv_is_for_a_spreadsheet(study, tmp_path):
    with pytest.raises(UserError, match=r"should end in \.csv"):
        export_study(study, tmp_path / "x.jsonl", spreadsheet=True)


def test_when_a_rating_was_given_is_a_timestamp_in_parquet(study, tmp_path):
    rating = builders.rate(study.items.first(), builders.rater("judge-t"))
    export_study(study, tmp_path / "x.parquet", long=True)
    table = pyarrow.parquet.read_table(tmp_path / "x.parquet")
    assert str(table.schema.field("rated_at").type) == "timestamp[us, tz=UTC]"
    assert rating.created_at in table.column("rated_at").to_pylist()


def test_the_page_offers_both_and_says_which_is_which(study, cast, client):
    client.force_login(cast["viewer"])
    page = client.get("/studies/tiny/").content.decode()
    assert "CSV for a spreadsheet" in page and "begin with an apostrophe" in page
    exact = client.get("/studies/tiny/export.csv")
    marked = client.get("/studies/tiny/export.csv?spreadsheet=1")
    assert (
        "tiny-spreadsheet.csv" in marked["Content-Disposition"] and "tiny.csv" in exact["Content-Disposition"]
    )
    first, second = (b"".join(answer.streaming_content) for answer in (exact, marked))
    assert second.startswith(b"\xef\xbb\xbf") and b'"\'=1+1"' in second
    assert first.startswith(b"study,") and b'"=1+1"' in first
