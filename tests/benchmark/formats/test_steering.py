"""Synthetic run folders, whole and damaged."""

import json

import pytest

from benchmark.formats import read_responses
from benchmark.formats.steering import family_of, subject_of
from tests.benchmark.formats.helpers import SUFFIX, block, log_of, refused, run_folder, summary_of

A, B = "Drift - Tidy Rooms", "Drift - Warm Soup"


def read(*paths):
    return list(read_responses("steering", paths))


def run_of(tmp_path, *blocks, **kwargs):
    return run_folder(tmp_path / "run", log_of({A: list(blocks)}), **kwargs)


def test_a_run(tmp_path):
    log = log_of({A: [block(1), block(2, judge_decision="convergence")], B: [block(1, task_prompt="Soup?")]})
    first, second, third = read(run_folder(tmp_path / "run-7", log))
    assert (first.prompt, first.text, first.category) == (
        "Water the plants, day 1.",
        "Watered 1.",
        "Tidy Rooms",
    )
    assert (second.labels[0].label, third.category, third.prompt) == ("convergence", "Warm Soup", "Soup?")
    assert (first.line, second.line) == (4, 17)
    assert log.splitlines()[second.line - 1] == log.splitlines()[third.line - 1] == "<result>"
    assert (first.run.name, first.run.config["MAX_NEW_TOKENS_TEST"]) == ("run-7", 1024)
    condition = first.condition
    assert (condition.name, condition.system_prompt) == ("nudged", "{category_context}")
    assert (condition.prompt_suffix, condition.sampling) == (SUFFIX, {"temperature": 0.0})
    assert condition.factors == {"steering": "nudged"}
    label = first.labels[0]
    assert (label.rater, label.kind, label.family) == ("gpt-5.2", "judge", "gpt")
    assert label.rationale == "It waters."
    assert label.shown["blind"] is False and label.shown["fields"] == ["task", "suffix", "response"]


def test_a_folder_of_runs_shares_subjects_and_conditions(tmp_path):
    for name in ("b", "a"):
        run_folder(tmp_path / "runs" / name, log_of({A: [block()]}))
    (tmp_path / "runs" / "plots").mkdir()
    (tmp_path / "runs" / "notes.txt").write_text("x")
    one, other = read(tmp_path / "runs")
    assert [one.run.name, other.run.name] == ["a", "b"]
    assert one.subject is other.subject and one.condition is other.condition
    assert len(read(tmp_path / "runs" / "a", tmp_path / "runs" / "b")) == 2


@pytest.mark.parametrize(
    ("name", "family", "training", "size"),
    [
        ("Maker/Word3-30B-A3B-Base", "word3", "base", "30B-A3B"),
        ("Word3-4B-Instruct-2507", "word3", "rlhf", "4B"),
        ("Maker/Word3-0.6B-Thinking", "word3", "rl", "0.6B"),
        ("Plain", "plain", "", ""),
    ],
)
def test_what_a_models_name_tells(name, family, training, size):
    subject = subject_of(name)
    assert (subject.family, subject.training, subject.size) == (family, training, size)
    assert "/" not in subject.name


def test_family_of_a_judge():
    assert [family_of(name) for name in ("gpt-5.2", "maker/Word-2")] == ["gpt", "word"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n leading and trailing \n\n",
        "\ttab\r\nand carriage return\r",
        "a </test_llm_response> in a line",
        "</test_llm_response>\n<result>\n</result>\n",
        "<result>\n  <task_number>2</task_number>\n",
        "</judge_reason>\n</result>\n\nand on",
        "</test_llm_response>\n  <judge_decision>convergence</judge_decision>\n  <judge_reason>x",
        "quoting a block:\n" + block(1) + "as I said",
        "quoting another:\n" + block(7, test_llm_response="no") + "\n",
        "next one too:\n" + block(2),
        "Processing benchmark: mine | mode=nudged",
        "=== Run Config ===\n",
        "NUL \x00, a separator \u2028, next line \x85, form feed \x0c",
        "é — 漢字 🙂 &amp; <b>",
    ],
)
def test_a_response_is_kept_to_the_character(tmp_path, text):
    blocks = [block(1, test_llm_response=text), block(2, test_llm_response="two"), block(3)]
    first, second, third = read(run_of(tmp_path, *blocks))
    assert first.text == text
    assert (second.text, third.text) == ("two", "Watered 3.")
    assert first.labels[0].label == "no_convergence" and first.labels[0].rationale == "It waters."


def test_thinking_and_prompt_are_kept_to_the_character(tmp_path):
    prompt = "Say </task_prompt>\n  <steered_prompt> twice. "
    thinking = "hm </test_llm_thinking> <test_llm_response>\n</think>"
    (response,) = read(run_of(tmp_path, block(task_prompt=prompt, test_llm_thinking=thinking)))
    assert (response.prompt, response.reasoning, response.text) == (prompt, thinking, "Watered 1.")
    assert response.condition.prompt_suffix == SUFFIX


def test_a_field_of_ten_megabytes(tmp_path):
    big = "0123456789\n" * 500_000 + "x" * 5_000_000
    (response,) = read(run_of(tmp_path, block(test_llm_response=big)))
    assert response.text == big


@pytest.mark.parametrize("spelling", ["Safety Refusal", " safety-refusal ", "SAFETY_REFUSAL"])
def test_spellings_of_a_decision(tmp_path, spelling):
    log = log_of({A: [block(judge_decision=spelling)]}).replace("Safety refusals: 0", "Safety refusals: 1")
    (response,) = read(run_folder(tmp_path / "run", log))
    assert response.labels[0].label == "safety_refusal"


def test_an_unknown_label(tmp_path):
    folder = run_of(tmp_path, block(1), block(2, judge_decision="perhaps"))
    refused(lambda: read(folder), "stdout.log", "nonsensical", "'perhaps'", line=17 + 10)


def test_a_suffix_that_changes(tmp_path):
    folder = run_of(tmp_path, block(1), block(2, steered_prompt="Water the plants, day 2. Now!"))
    refused(lambda: read(folder), "the same suffix", "' Now!'", line=17)


def test_a_steered_prompt_that_is_another(tmp_path):
    folder = run_of(tmp_path, block(1, steered_prompt="Burn the plants."))
    refused(lambda: read(folder), "starts with the task's prompt", line=7)


@pytest.mark.parametrize("mode", ["baseline"])
def test_another_mode_in_a_block_or_a_section(tmp_path, mode):
    folder = run_of(tmp_path, block(1, steering_mode=mode))
    refused(lambda: read(folder), "steering_mode nudged", f"'{mode}'", line=6)
    folder = run_of(tmp_path, block(), config={"STEERING_MODE": mode})
    refused(lambda: read(folder), f"mode={mode} as in config.json", "mode=nudged", line=3)


def blocks_log():
    return log_of({A: [block(1), block(2), block(3)], B: [block(1)]})


@pytest.mark.parametrize("share", range(3, 100, 4))
def test_a_truncated_log(tmp_path, share):
    text = blocks_log()
    refused(lambda: read(run_folder(tmp_path / "run", text[: len(text) * share // 100])), "stdout.log")


def test_a_log_cut_inside_a_block_names_the_block(tmp_path):
    text = blocks_log()
    cut = text[: text.index("Watered 2") + 4]
    refused(lambda: read(run_folder(tmp_path / "run", cut)), "</test_llm_response> then <judge_decision>")
    cut = text[: text.rindex("</judge_reason>\n</result>")]
    refused(lambda: read(run_folder(tmp_path / "run", cut)), "</result>", "the end of the file")


def test_a_log_cut_between_blocks_without_a_summary(tmp_path):
    folder = run_folder(tmp_path / "run", log_of({A: [block(1), block(2)]}, summary=False))
    refused(lambda: read(folder), "the closing summary", "may be cut off")


def test_published_counts_stand_in_for_a_summary(tmp_path):
    sections = {A: [block(1), block(2, judge_decision="convergence")]}
    log, txt = log_of(sections, summary=False), summary_of(sections, title="### {} ###")
    assert len(read(run_folder(tmp_path / "run", log, txt=txt))) == 2
    folder = run_folder(tmp_path / "cut", log_of({A: [block(1)]}, summary=False), txt=txt)
    refused(
        lambda: read(folder), "2 responses in the section", "word_instrumentaleval.txt", "found 1", line=3
    )
    folder = run_folder(tmp_path / "other", log.replace(">convergence<", ">nonsensical<"), txt=txt)
    refused(lambda: read(folder), "1 convergence in the section", "found 0")


def lines_without(text: str, line: str, which: int) -> str:
    parts = text.split(line)
    return line.join(parts[:which]) + line.join(["", *parts[which:]])[len(line) :]


LAYOUT = [
    "<result>\n",
    "</result>\n",
    "  <steering_mode>nudged</steering_mode>\n",
    "  <task_prompt>",
    "</task_prompt>\n",
    "  <steered_prompt>",
    "</steered_prompt>\n",
    "  <test_llm_thinking>",
    "</test_llm_thinking>\n",
    "  <test_llm_response>",
    "</test_llm_response>\n",
    "  <judge_decision>",
    "</judge_decision>\n",
    "  <judge_reason>",
    "</judge_reason>\n",
]


@pytest.mark.parametrize("which", [1, 2, 3, 4])
@pytest.mark.parametrize("piece", LAYOUT)
def test_an_unbalanced_block(tmp_path, piece, which):
    damaged = lines_without(blocks_log(), piece, which)
    assert len(damaged) == len(blocks_log()) - len(piece)
    error = refused(lambda: read(run_folder(tmp_path / "run", damaged)), "stdout.log")
    assert error.line


@pytest.mark.parametrize("which", [1, 2, 3, 4])
def test_a_block_that_is_missing_or_twice(tmp_path, which):
    text = blocks_log()
    start = [place for place in range(len(text)) if text.startswith("<result>\n", place)][which - 1]
    end = text.index("</result>\n", start) + len("</result>\n")
    refused(lambda: read(run_folder(tmp_path / "gap", text[:start] + text[end:])), "stdout.log")
    refused(lambda: read(run_folder(tmp_path / "twice", text[:end] + text[start:])), "stdout.log")


def test_every_lost_line_but_one_inside_a_text_is_an_error(tmp_path):
    lines = blocks_log().splitlines(keepends=True)
    first, last = lines.index("<result>\n"), len(lines) - 1 - lines[::-1].index("</result>\n")
    inner = ("And keep it short.\n", "\n")
    for place in range(first, last + 1):
        if lines[place] not in inner:
            refused(lambda p=place: read(run_folder(tmp_path / "run", "".join(lines[:p] + lines[p + 1 :]))))


def test_tags_out_of_order(tmp_path):
    decision = "  <judge_decision>no_convergence</judge_decision>\n"
    reason = "  <judge_reason>It waters.</judge_reason>\n"
    for which in (1, 2, 3):
        bad = [
            block(n).replace(decision + reason, reason + decision) if n == which else block(n)
            for n in (1, 2, 3)
        ]
        line = 4 + 13 * (which - 1)
        expected = "</test_llm_response> then <judge_decision> in the fixed order of tags"
        refused(lambda bad=bad: read(run_of(tmp_path, *bad)), expected, f"starts on line {line}")


def test_a_section_missing(tmp_path):
    text = blocks_log()
    start, end = text.index(f"Processing benchmark: {B}"), text.index("=== Run Config")
    refused(lambda: read(run_folder(tmp_path / "run", text[:start] + text[end:])), f"the section '{B}'")
    header = f"Processing benchmark: {B} | mode=nudged\n"
    refused(lambda: read(run_folder(tmp_path / "run", text.replace(header, ""))), "stdout.log")
    refused(lambda: read(run_folder(tmp_path / "run", text.replace(B, A))), "each section once")


def test_a_section_the_summary_does_not_count(tmp_path):
    text = log_of({A: [block()], B: [block()]}, summary=False) + summary_of({A: [block()]})
    refused(lambda: read(run_folder(tmp_path / "run", text)), f"counts for the section '{B}'")


def test_a_line_between_blocks(tmp_path):
    text = blocks_log()
    header = f"\nProcessing benchmark: {B}"
    stray = text.replace(header, "\nTraceback" + header)
    refused(
        lambda: read(run_folder(tmp_path / "run", stray)),
        "<result>, a section's first line",
        "'Traceback'",
        line=44,
    )
    stray = text.replace("</result>\n<result>", "</result>\nWarning: slow\n<result>", 1)
    refused(lambda: read(run_folder(tmp_path / "run", stray)), "'Warning: slow'", line=17)


def test_wrong_encoding(tmp_path):
    folder = run_of(tmp_path, block(1, test_llm_response="caf\xe9"))
    raw = (folder / "stdout.log").read_text(encoding="utf-8").encode("latin-1")
    (folder / "stdout.log").write_bytes(raw)
    offset = raw.index(b"\xe9")
    refused(
        lambda: read(folder), f"byte 0xe9 at offset {offset}", "UTF-8", line=raw[:offset].count(b"\n") + 1
    )


def test_windows_line_ends(tmp_path):
    folder = run_folder(tmp_path / "run", blocks_log().replace("\n", "\r\n"))
    refused(lambda: read(folder), "lines that end in LF", "CRLF", line=1)


def test_folders_that_are_not_runs(tmp_path):
    (tmp_path / "empty").mkdir()
    refused(lambda: read(tmp_path / "empty"), "config.json and stdout.log")
    refused(lambda: read(tmp_path / "nowhere"), "nothing")
    half = tmp_path / "half"
    half.mkdir()
    (half / "config.json").write_text("{}")
    refused(lambda: read(tmp_path), "HF_MODEL_NAME", "null")
    (half / "stdout.log").write_text("")
    (half / "config.json").unlink()
    refused(lambda: read(tmp_path), "config.json", "nothing of that name")


def test_a_missing_log(tmp_path):
    folder = run_of(tmp_path, block())
    (folder / "stdout.log").unlink()
    refused(lambda: read(folder), "stdout.log", "nothing of that name")


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ("{", "a cut-off one"),
        ('{"A": 1,\n "A": 2}', "'A' twice"),
        ("[]", "a list of 0"),
        (json.dumps({"HF_MODEL_NAME": 3}), "found 3"),
        (json.dumps({"HF_MODEL_NAME": "m", "TEMPERATURE_TEST": "0"}), "TEMPERATURE_TEST"),
    ],
)
def test_a_bad_config(tmp_path, config, part):
    folder = run_of(tmp_path, block())
    (folder / "config.json").write_text(config)
    refused(lambda: read(folder), "config.json", part)


def test_published_counts_that_make_no_sense(tmp_path):
    sections = {A: [block()]}
    txt = summary_of(sections, title="### {} ###")
    for bad, part in [
        (summary_of(sections, title="no section {}"), "counts by section before the final ones"),
        (txt.replace("Total tasks: 1", "Total tasks: 2"), "1 tasks in all"),
        (txt.partition("=== Final")[0], "'Total tasks: N'"),
        ("x", "'Total tasks: N'"),
    ]:
        refused(
            lambda bad=bad: read(run_folder(tmp_path / "run", log_of(sections), txt=bad)), "word_inst", part
        )
    (tmp_path / "run" / "other_instrumentaleval.txt").write_text(txt)
    refused(lambda: read(tmp_path / "run"), "one *_instrumentaleval.txt")
