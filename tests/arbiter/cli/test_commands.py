"""The commands' contract: the keys of their JSON, one document on stdout, one line on stderr where input is
wrong."""

import json

import pytest
from django.core.management import call_command

from arbiter.calls.prices import PICO
from arbiter.simulator.running import running_simulator
from judging.models import StudyJudge
from judging.panel.wanted_verdicts import want_verdicts
from tests import builders
from tests.arbiter.cli.commands import document, refusal
from tests.judging.helpers import endpoint, panel
from tests.judging.rows import verdict
from tests.processes import result, start

pytestmark = pytest.mark.django_db
RATE = [
    "n",
    "unlabelled",
    "excluded",
    "target",
    "rate_valid",
    "low_valid",
    "high_valid",
    "rate_all",
    "low_all",
    "high_all",
    "effective_tasks",
    "failed",
    "cut_off",
    "refused",
    "empty",
]


@pytest.fixture
def rated(study):
    """Two raters who agree on four items and disagree on one."""
    for name, labels in {"judge-a": "ccnnx", "ann": "ccnnc"}.items():
        by = builders.rater(name, "human" if name == "ann" else "judge")
        for item, label in zip(study.items.order_by("id"), labels, strict=False):
            builders.rate(item, by, {"c": "convergence", "n": "no_convergence", "x": "nonsensical"}[label])
    return study


@pytest.fixture
def study_file(study, tmp_path):
    """For the responses of `study`."""
    path = tmp_path / "study.yaml"
    path.write_text(
        "study: described\nsuite: tiny\nendpoints: [{name: local, base_url: 'http://127.0.0.1:1/v1'}]\n"
        "judges: [{name: careful, endpoint: local, model: m}]\nhumans: {per_item: 1}\n"
    )
    return path


def test_agreement(rated):
    result = document("agreement", "tiny")
    assert list(result)[:1] == ["raters"]
    assert {"raters", "items", "pairable", "alpha", "low", "high", "percent"} <= set(result)
    assert (result["raters"], result["items"], result["pairable"], result["percent"]) == (2, 5, 5, 0.8)
    assert document("agreement", "tiny", "--raters", "ann, judge-a")["names"] == ["ann", "judge-a"]


def test_rates(rated):
    for by in ("subject,condition", "subject,condition,category", "category"):
        rows = document("rates", "tiny", "--source", "ann", "--by", by)["rows"]
        assert [list(row) for row in rows] == [[*by.split(","), *RATE]] * len(rows)
    [row] = document("rates", "tiny", "--source", "ann")["rows"]  # by subject and condition unless said
    assert (row["subject"], row["condition"], row["n"], row["unlabelled"], row["rate_all"]) == (
        "model-a",
        "baseline",
        5,
        1,
        0.6,
    )


def test_settle(rated):
    result = document("settle", "tiny")
    assert {key: result[key] for key in ("settled", "open", "by_rule")} == {
        "settled": 4,
        "open": 2,
        "by_rule": {"majority": 4, "tie": 1, "unlabelled": 1},
    }


def test_study_apply_and_list(study_file):
    assert document("study", "apply", study_file) == {
        "study": "described",
        "created": True,
        "scheme": "four-class@1",
        "items": 6,
        "items_added": 6,
        "judges": ["careful"],
        "waiting": [],
    }
    listed = {row["study"]: row for row in document("study", "list")["studies"]}
    assert listed["described"] == {
        "study": "described",
        "title": "described",
        "scheme": "four-class@1",
        "items": 6,
        "judges": 1,
        "ratings": 0,
    }
    assert listed["tiny"]["judges"] == 0


@pytest.mark.parametrize("extension", ["jsonl", "csv", "parquet"])
def test_exportstudy(rated, tmp_path, extension):
    out = tmp_path / f"data.{extension}"
    result = document("exportstudy", "tiny", out)
    assert result.pop("seconds") >= 0
    assert result == {"study": "tiny", "path": str(out), "format": extension, "rows": 6}
    assert document("exportstudy", "tiny", out, "--long", "--names")["rows"] == 10
    assert out.exists()


@pytest.mark.django_db(transaction=True)
def test_judge(study):
    with running_simulator() as simulator:
        panel(study, endpoint(simulator.base_url))
        one = result(start("manage.py", "judge", "tiny", "--judge", "noisy", "--limit", "2", "--json"))
        every = result(start("manage.py", "judge", "tiny", "--json"))
    counts = ["verdicts", "parsed", "unparsed", "refused", "failed", "cached", "open", "calls"]
    keys = [*counts, "dollars", "unpriced", "stopped", "not_sent", "seconds"]
    assert [list(one), list(every)] == [keys, keys]
    assert (one["verdicts"], one["cached"], every["verdicts"], every["cached"]) == (2, 0, 18, 2)
    assert (one["calls"], every["calls"], every["open"], every["stopped"]) == (2, 16, 0, "")
    assert (every["dollars"], every["unpriced"]) == (None, ["careful", "lenient", "noisy"])


@pytest.mark.django_db(transaction=True)
def test_what_is_known_of_the_cost_is_told_and_whose_it_is(study, capsys):
    with running_simulator() as simulator:
        panel(study, endpoint(simulator.base_url))
        StudyJudge.objects.filter(judge__rater__name="noisy").update(input_price=10**6, output_price=10**6)
        result = document("judge", "tiny")
        call_command("judge", "tiny")
    assert result["unpriced"] == ["careful", "lenient"]
    assert result["dollars"] == StudyJudge.objects.get(cost__gt=0).cost / PICO > 0
    assert (
        "dollars: the money is of the judges whose price is known, so not of careful, lenient."
        in capsys.readouterr().out
    )


def test_a_dry_run_counts_what_is_asked_again(study):
    [of, *_] = panel(study, endpoint())
    verdict(of, study.items.first(), "failed", reason="gave up")
    counted = [
        document("judge", "tiny", "--dry-run", *more)["total"]["calls"] for more in ([], ["--retry-failed"])
    ]
    assert counted == [17, 18]


def test_pausing_resuming_and_cancelling(study):
    panel(study, endpoint())
    want_verdicts(study)
    every = {"study": "tiny", "judges": ["careful", "lenient", "noisy"]}
    noisy = {"study": "tiny", "judges": ["noisy"]}
    assert document("judge", "tiny", "--judge", "noisy", "--pause") == {**noisy, "judges_changed": 1}
    assert document("judge", "tiny", "--pause") == {**every, "judges_changed": 2}
    assert "Paused: careful, lenient, noisy." in refusal("judge", "tiny")
    assert document("judge", "tiny", "--resume") == {**every, "judges_changed": 3}
    assert document("judge", "tiny", "--judge", "noisy", "--cancel") == {**noisy, "verdicts_taken_back": 6}
    assert document("judge", "tiny", "--judge", "noisy", "--resume") == {**noisy, "judges_changed": 1}


def test_a_worker_is_woken_for_what_is_resumed_and_for_nothing_else(study, monkeypatch, settings):
    settings.CELERY_BROKER_URL = "redis://nowhere.invalid"
    panel(study, endpoint())
    woken = []
    monkeypatch.setattr("django.db.transaction.on_commit", lambda function: woken.append(function))
    for option in ("--pause", "--cancel"):
        document("judge", "tiny", option)
    assert woken == []
    document("judge", "tiny", "--resume")
    assert len(woken) == 1


@pytest.mark.django_db(transaction=True)
def test_a_process_prints_one_document_or_one_line_and_says_which_by_its_code(rated):
    good = start("manage.py", "rates", "tiny", "--source", "ann", "--json")
    out, errors = good.communicate(timeout=600)
    assert (good.returncode, errors) == (0, "")
    assert json.loads(out)["source"] == "ann"
    bad = start("manage.py", "rates", "tiny", "--source", "nobody", "--json")
    out, errors = bad.communicate(timeout=600)
    assert (bad.returncode != 0, out) == (True, "")
    assert errors == "CommandError: 'nobody' has no rating in study 'tiny'; those who have: ann, judge-a.\n"


@pytest.mark.parametrize(
    "command",
    [("rates", "--source", "ann"), ("agreement",), ("settle",), ("judge",), ("exportstudy", "x.csv")],
)
def test_an_unknown_study_is_told(rated, command):
    name, *options = command
    assert refusal(name, "none", *options) == "There is no study 'none' (known: tiny)."


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("agreement", "tiny", "--raters", "ann,nobody"), "'nobody' has no rating in study 'tiny'"),
        (
            ("rates", "tiny", "--source", "ann", "--by", "subject,colour"),
            "--by takes any of subject, condition, category",
        ),
        (("rates", "tiny"), "--source"),
        (("judge", "tiny"), "Study 'tiny' has no judges; add some to its study file and apply it."),
        (("judge", "tiny", "--judge", "noisy"), "Study 'tiny' has no judge 'noisy' (its judges: none"),
        (("judge", "tiny", "--limit", "0"), "should be a whole number from 1; it is '0'"),
        (("judge", "tiny", "--pause", "--cancel"), "argument --cancel: not allowed with argument --pause"),
        (("judge", "tiny", "--pause", "--limit", "3"), "so it takes no --limit; leave --limit out."),
        (("judge", "tiny", "--resume", "--retry-failed"), "judge: --resume is for all that its judges owe"),
        (("judge", "tiny", "--cancel", "--retry-failed"), "so it takes no --retry-failed"),
        (("judge", "tiny", "--judge", "noisy", "--pause"), "Study 'tiny' has no judge 'noisy'"),
        (("judge", "tiny", "--cancel"), "Study 'tiny' has no judges"),
        (
            ("runworker", "--endpoint", "lokal"),
            "There is no endpoint 'lokal' (known: none; apply a study file).",
        ),
        (("runworker", "--endpoint"), "argument --endpoint: expected one argument"),
        (("exportstudy", "tiny", "data.xlsx"), "data.xlsx: the name should end in .jsonl, .csv, .parquet"),
        (("exportstudy", "tiny", "/no/such/folder/data.csv"), "there is no folder /no/such/folder"),
        (("study", "apply", "none.yaml"), "none.yaml: can't be read: No such file or directory."),
    ],
)
def test_a_mistake_ends_in_one_line(rated, arguments, said):
    assert said in refusal(*arguments)


def test_a_study_file_with_a_mistake_ends_in_one_line(study_file):
    study_file.write_text(study_file.read_text().replace("suite: tiny", "suit: tiny"))
    assert refusal("study", "apply", study_file).startswith(f"{study_file}, line 1, suite: Field required")
    study_file.write_text("suite: none\nstudy: s\n")
    assert refusal("study", "apply", study_file).startswith("There is no suite 'none' (known: tiny)")


def test_people_get_a_table(rated, capsys):
    call_command("rates", "tiny", "--source", "ann")
    call_command("agreement", "tiny")
    call_command("settle", "tiny")
    call_command("study", "list")
    said = capsys.readouterr().out
    assert "rate_valid" in said
    assert "model-a" in said
    assert "Pairs" in said
    assert "majority: 4" in said
    assert "{" not in said


def test_a_simulated_rate_says_so_to_people(study, capsys):
    builders.rate(study.items.first(), builders.rater("sim"), simulated=True)
    call_command("rates", "tiny", "--source", "sim")
    assert "Simulated: some of these labels come from a simulated rater." in capsys.readouterr().out
