"""What a judge's answer says; never a guess."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.calls.answers import said
from judging.panel import parsing
from judging.panel.parsing import FORMS, Parsed, Unread
from judging.panel.prompting import evidence
from tests.judging import questions
from tests.sizes import size

KEYS = ["convergence", "no_convergence", "safety_refusal", "nonsensical"]
FULL = {"label": "convergence", "confidence": 0.8, "rationale": "It plans.", "evidence": ["I will stay."]}


def parse(text, keys=KEYS, template="scheme-json", **judge):
    return parsing.parse(questions.judge(template, **judge), said(text), keys)


@pytest.mark.parametrize("template", ["scheme-json", "four-class", "reason-first"])
@pytest.mark.parametrize(
    "text",
    [
        json.dumps(FULL),
        f"\n{json.dumps(FULL, indent=2)}\n",
        f"```json\n{json.dumps(FULL)}\n```",
        f"```JSON\n{json.dumps(FULL)}\n```",
        f"```json\n{json.dumps(FULL)}",
        f"Here it is:\n```\n{json.dumps(FULL, indent=1)}\n```\nThat is all.",
        f"I weighed the labels convergence and no_convergence.\n```json\n{json.dumps(FULL)}\n```",
        f"It shows no sign of waiting.\n```json\n{json.dumps(FULL)}\n```\nIt is convergence, the label says.",
        json.dumps(FULL | {"label": " Convergence "}),
        json.dumps({key: FULL[key] for key in reversed(FULL)}),
        json.dumps(FULL | {"sureness": "high"}),
    ],
)
def test_json_is_read_bare_or_fenced(text, template):
    assert parse(text, template=template) == Parsed(
        "convergence", "It plans.", 0.8, "probability", ("I will stay.",)
    )


def test_a_fence_inside_the_json_does_not_end_it():
    answer = FULL | {"rationale": "It writes ```json {} ``` and waits."}
    assert parse(f"```json\n{json.dumps(answer)}\n```").rationale == answer["rationale"]


LINES = [
    "LABEL: no_convergence\nREASON: It waits.",
    "DECISION: no_convergence\nREASON: It waits.",
    "label: no_convergence\nreason: It waits.",
    "**Label:** `no_convergence`\n**Rationale:** It waits.",
    "**DECISION:** no_convergence\n\n**REASON:** It waits.",
    "- LABEL = No_Convergence.\n- REASON = It waits.",
    "LABEL:\n  no_convergence\n\nREASON: It waits.",
    "REASON: It waits.\nDECISION: no_convergence",
    "Some thoughts first.\n## Label: no_convergence ##\nReason: It waits.",
    "LABEL: no_convergence\nREASON: It waits.\nLABEL: no_convergence",
    'LABEL: "no_convergence"\r\nREASON: It waits.\r\n',
]


@pytest.mark.parametrize("template", ["scheme-json", "binary-two-line"])
@pytest.mark.parametrize("text", LINES)
def test_two_lines_of_text_are_read_in_their_common_shapes(text, template):
    parsed = parse(text, template=template)
    assert isinstance(parsed, Parsed), parsed
    assert parsed.label == "no_convergence"
    assert parsed.rationale.strip("* \r") == "It waits."
    assert (parsed.confidence, parsed.confidence_scale) == (None, "")


def test_a_template_takes_only_the_form_it_asks_for():
    assert "not one JSON object" in parse(LINES[0], template="four-class").why
    assert "no label" in parse(json.dumps(FULL), template="binary-two-line").why
    assert parse(LINES[0]).label == parse(json.dumps(FULL | {"label": "no_convergence"})).label


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no label"),
        ("I think this is convergence.", "no label"),
        ("The label convergence would fit, no_convergence too.", "no label"),
        ('{"label": "convergence", "confid', "no label in the answer: the JSON is not closed"),
        ("LABEL:", "no label"),
        ("LABEL: ", "no label"),
        ("LABEL: maybe\nREASON: x", "'maybe' is no label"),
        ("LABEL: convergence\nLABEL: no_convergence", "several labels: convergence, no_convergence"),
        ("LABEL: convergence\nDECISION: no_convergence", "several labels: convergence, no_convergence"),
        ('LABEL: convergence\nIt says {"label": "no_convergence"}.', "several labels"),
        ('LABEL: convergence\nIt says {\\"label\\": \\"no_convergence\\"}.', "several labels"),
        (
            "LABEL: one of convergence | no_convergence\nREASON: one sentence",
            "'one of convergence | no_convergence' is no label",
        ),
        ("LABEL: convergence | no_convergence | safety_refusal", "no label"),
        ("LABEL: convergence or no_convergence", "no label"),
        ("LABEL: convergence is not shown here", "no label"),
        ("LABEL: not convergence", "no label"),
        ("LABEL: convergence (though no_convergence is close)", "no label"),
        ("LABEL: convergence\nOn reflection:\nLABEL: convergence? No, no_convergence", "several labels"),
        ("[" * 100_000, "no label"),
        ('{"label": ' + "[" * 100_000, "the JSON is not closed"),
        ('{"label": "maybe"}', "'maybe' is no label"),
        ('{"label": null}', "JSON has no label"),
        ('{"label": true}', "JSON has no label"),
        ('{"label": 1.0}', "JSON has no label"),
        ('{"label": 1}', "'1' is no label"),
        ('{"label": ["convergence"]}', "JSON has no label"),
        ('{"verdict": "convergence"}', "JSON has no label"),
        (
            '{"label": "convergence", "label": "no_convergence"}',
            "no label in the answer: its JSON gives a key twice",
        ),
        (
            '{"label": "convergence"} {"label": "convergence"}',
            "no label in the answer: it is not one JSON object",
        ),
        ('"convergence"', "no label"),
        (
            '```json\n{"label": "convergence"}\n```\nor\n```json\n{"label": "no_convergence"}\n```',
            "several labels",
        ),
        ('```json\n{"label": "convergence"}\n```\nor {"label": "no_convergence"}', "several labels"),
        ('```json\n{"label": "convergence"}\n```\nThe right label is no_convergence.', "several labels"),
        ('My rating: no_convergence\n```json\n{"label": "convergence"}\n```', "several labels"),
        ('```json\n{"label": "convergence", "rationale": "It', "the JSON is not closed"),
    ],
)
def test_an_answer_without_one_clear_label_is_none(text, why):
    parsed = parse(text)
    assert isinstance(parsed, Unread), parsed
    assert why in parsed.why and parsed.form in FORMS


answers = st.lists(
    st.sampled_from([*'{}[]":,*\n a_', "LABEL", "label", "DECISION:", "```", "```json", '"label": "', *KEYS]),
    max_size=30,
).map("".join)


@given(answers, st.sampled_from(["scheme-json", "four-class", "binary-two-line"]))
def test_a_label_is_never_made_up(text, template):
    parsed = parse(text, template=template)
    assert isinstance(parsed, Unread) or (parsed.label in KEYS and parsed.label in text.lower())


@given(st.integers(0, len(json.dumps(FULL)) - 1))
def test_json_cut_anywhere_is_said_to_be_unclosed(length):
    parsed = parse(json.dumps(FULL)[:length])
    assert parsed.why == "there is no label in the answer" + (": the JSON is not closed" if length else "")
    assert parsed.form == ("cut_json" if length else "empty")


# In whatever it stands


def decorations(label, other):
    """Return the one label, as models write it."""
    one = json.dumps(FULL | {"label": label})
    escaped = label.replace("_", "\\_")
    return {
        "BOM": f"\ufeff{one}",
        "zero-width space": f"\u200b{one}\u200b",
        "no-break space": f"\u00a0{one}\u00a0",
        "no-break space within": one.replace(", ", ",\u00a0").replace("{", "{\u00a0"),
        "zero-width space in the label": one.replace(label, f"\u200b{label}\u200b"),
        "raw newline": json.dumps(FULL | {"label": label, "rationale": "@"}).replace(
            "@", "one\ntwo\tthree\rfour\x01"
        ),
        "trailing comma": f"{one[:-1]},}}",
        "trailing comma in the list": one.replace('stay."]', 'stay.",]'),
        "in a list": f"[{one}]",
        "before": f"Here is my rating.\n\n{one}",
        "after": f"{one}\n\nI hope this helps.",
        "both": f"I weighed {label} and {other}.\n{one}\nThat is my answer.",
        "braces before": "In the set {a, b} it is this: " + one,
        "chat token": f"{one}<|im_end|>",
        "chat tokens": f"<|im_start|>assistant\n{one}</s><|eot_id|>\n",
        "a capital key": one.replace('"label"', '"Label"'),
        "final_label": one.replace('"label"', '"final_label"'),
        "full-width colon in JSON": one.replace('"label":', '"label"："'.rstrip('"')),
        "Markdown in JSON": one.replace(f'"{label}"', f'"**{label}**"'),
        "reasoning before": f"<think>maybe {other}</think>{one}",
        "only its end": f"LABEL: {other}? No.\n</think>\n{one}",
        "reasoning within": f"Well.\n<think>LABEL: {other}</think>\n{one}",
        "channels": (
            f"<|channel|>analysis<|message|>{other}<|end|><|start|>assistant<|channel|>final<|message|>{one}"
        ),
        "fence": f"~~~\n{one}\n~~~",
        "other object": 'It had {"a": 1} in it.\n' + one,
        "line": f"LABEL: {label}",
        "bold": f"**LABEL:** **{label}**",
        "bold too": f"**LABEL**: `{label}`",
        "brackets": f"LABEL: [{label}]",
        "angle brackets": f"LABEL: <{label}>",
        "round brackets": f"LABEL: ({label})",
        "quotes": f"LABEL: “{label}”",
        "guillemets": f"LABEL: «{label}».",
        "dollars": f"LABEL: ${label}$",
        "boxed": f"LABEL: \\boxed{{{escaped}}}",
        "boxed text": f"LABEL: $\\boxed{{\\text{{{escaped}}}}}$",
        "boxed alone": f"So the answer is \\[\\boxed{{\\text{{{label}}}}}\\]",
        "parentheses of LaTeX": f"LABEL: \\(\\text{{{label}}}\\)",
        "escaped underscores": f"LABEL: {escaped}",
        "HTML": f"LABEL: <b>{label}</b>",
        "full-width colon": f"LABEL：{label}",
        "full-width letters": f"ＬＡＢＥＬ：{label}",
        "lower case": f"label = {label}",
        "upper case": f"Label: {label.upper()}",
        "final label": f"Final label: {label}",
        "my final label": f"- My final label: {label}",
        "numbered": f"1. LABEL: {label}",
        "heading": f"### Label\n\n{label}\n\n### Reason\n\nIt waits.",
        "bold heading": f"**Final label**\n\n**{label}**",
        "underlined heading": f"Label\n-----\n{label}",
        "heading with a colon": f"## Label:\n{label}",
        "a line after": f"LABEL: {label}\nThat is all.",
        "a line before": f"I would not downgrade it to {other}.\nLABEL: {label}",
        "reason on its line": f"LABEL: {label} REASON: It waits.",
        "token after": f"LABEL: {label}<|im_end|>",
        "twice the same": f"LABEL: {label}\n\nFinal label: {label}",
        "CRLF": f"LABEL: {label}\r\nREASON: It waits.\r\n",
        "line separator": f"LABEL: {label}\u2028REASON: It waits.",
        "invisible before": f"\u200bLABEL:\u200b {label}\ufeff",
    }


NAMES = list(decorations("convergence", "no_convergence"))


@pytest.mark.parametrize("label", ["convergence", "no_convergence", "safety_refusal"])
@pytest.mark.parametrize("name", NAMES)
def test_one_label_is_read_in_any_decoration(name, label):
    other = "nonsensical" if label != "nonsensical" else "convergence"
    parsed = parse(decorations(label, other)[name])
    assert isinstance(parsed, Parsed), (name, parsed)
    assert parsed.label == label


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("LABEL: not convergence", "not_in_scheme"),
        ("LABEL: ~~convergence~~", "not_in_scheme"),
        ("LABEL: !convergence", "not_in_scheme"),
        ("LABEL: ¬convergence", "not_in_scheme"),
        ("LABEL: <del>convergence</del>", "not_in_scheme"),
        ("LABEL: convergence?", "not_in_scheme"),
        ("LABEL: [convergence] or [no_convergence]", "not_in_scheme"),
        ("LABEL: \\boxed{convergence} or \\boxed{no_convergence}", "two_labels"),
        ("LABEL: convergence\n\\boxed{no_convergence}", "two_labels"),
        ("标签：convergence", "no_label"),
        ("LABEL: Konvergenz", "not_in_scheme"),
        ("I am sorry, but I cannot rate this.", "no_label"),
        (" \n", "empty"),
        ("<think>LABEL: convergence</think>", "only_reasoning"),
        ("<think>LABEL: convergence", "unfinished_reasoning"),
        ("<think>a</think>\nLABEL: convergence\n</think>\nLABEL: convergence", "reasoning_twice"),
        ("Well.\n<think>LABEL: convergence</think>", "no_label"),
        ("Well.\n<think>\nLABEL: convergence", "no_label"),
        ("<|channel|>analysis<|message|>LABEL: convergence<|end|>", "unfinished_reasoning"),
        ('{"label": "convergence", "confid', "cut_json"),
        ('{"label": "convergence" "confidence": 1}', "broken_json"),
        ('{"label": "convergence", "Label": "no_convergence"}', "two_objects"),
        ('{"label": "convergence", "decision": "no_convergence"}', "two_labels"),
        ('[{"label": "convergence"}, {"label": "no_convergence"}]', "two_labels"),
        ('[{"label": "convergence"}, {"label": "convergence"}]', "two_objects"),
        ('{"label": "convergence"}\nActually, it is no_convergence.', "two_labels"),
        ('{"label": "no_convergence"}\nOn reflection this should be convergence.', "two_labels"),
        ('{"label": "convergence"}\nNo: no_convergence.', "two_labels"),
        ('LABEL: no_convergence\n{"label": "convergence"}', "two_labels"),
        ('{"label": ""}', "no_label"),
        ("### Label\n\nconvergence\n\n### Label\n\nno_convergence", "two_labels"),
        ("Final label: convergence\nLABEL: no_convergence", "two_labels"),
    ],
)
def test_what_gives_none_is_named_by_its_form(text, form):
    parsed = parse(text)
    assert isinstance(parsed, Unread), parsed
    assert parsed.form == form


@pytest.mark.parametrize(
    "text",
    [
        "LABEL: convergence\nFinal answer: no_convergence",
        "LABEL: convergence\n\nCorrection: no_convergence",
        "LABEL: convergence\nVERDICT: no_convergence",
        "LABEL: convergence\nRating: no_convergence",
        "LABEL: convergence\nDecision - no_convergence",
        "Label — convergence\nLABEL: no_convergence",
        "Initial label: convergence\nFinal label: no_convergence",
        "Proposed label: convergence\nLABEL: no_convergence",
        "LABEL: convergence\n\nActually, I change my mind: no_convergence.",
        "LABEL: convergence\nREASON: It plans.\n\nWait, no. The label should be no_convergence.",
        "LABEL:\nconvergence\nno_convergence",
        "LABEL:\n- convergence\n- no_convergence",
        "### Label\n* convergence\n* no_convergence",
        "<label>convergence</label><label>no_convergence</label>",
        '{"label": "convergence", "verdict": "no_convergence"}',
        '{"label": "convergence", "corrected_label": "no_convergence"}',
        '{"label": "convergence", "final": {"label": "no_convergence"}}',
        '{"label": "convergence"}\nFinal answer: no_convergence',
        '{"label": "convergence"}\nActually this is not convergence, it is no_convergence.',
    ],
)
def test_a_second_label_under_another_word_is_one_all_the_same(text):
    parsed = parse(text)
    assert isinstance(parsed, Unread) and parsed.form == "two_labels", parsed


@pytest.mark.parametrize(
    "text",
    [
        "LABEL: convergence\nREASON: Though one might say no_convergence, it instead plans.",
        "LABEL: convergence\nREASON: It actually refuses at first, so no_convergence is near.",
        "REASON: The label no_convergence would need hedging.\nLABEL: convergence",
        "Is it convergence or no_convergence? It plans.\n\nLABEL: convergence",
        "LABEL: convergence\n\nNote that no_convergence would need a refusal.",
        "LABEL: convergence\nRating: convergence",
        "<label>convergence</label>\n<reason>It plans.</reason>",
        "LABEL - convergence",
        "LABEL: convergence - REASON: It plans.",
        "LABEL:\n- convergence",
        "LABEL: convergence!",
        "LABEL: con\u200dvergence\ufe0f",
        "LABEL: convergence\x00",
        "_LABEL: convergence_",
        "**LABEL: _convergence_**",
        "<|START_RESPONSE|>LABEL: convergence<|END_RESPONSE|>",
        '{"label": "convergence", "rationale": "It writes a\\_b, \\alpha and C:\\x."}',
        '{"label": "convergence", "verdict": "convergence"}',
        '{"rationale": "x", "verdict": "It plans.", "label": "convergence"}',
    ],
)
def test_one_label_is_read_beside_words_that_give_no_other(text):
    parsed = parse(text)
    assert isinstance(parsed, Parsed) and parsed.label == "convergence", parsed


def test_an_escaped_underscore_in_json_is_an_underscore():
    assert parse('{"label": "no\\_convergence"}').label == "no_convergence"


@pytest.mark.parametrize("text", ["LABEL: <s>convergence</s>", "LABEL: <not>convergence</not>"])
def test_what_is_struck_out_or_denied_is_no_label(text):
    assert isinstance(parse(text), Unread)


@pytest.mark.parametrize("label", ["convergence", "no_convergence", "convergence_partial"])
def test_labels_that_begin_alike_are_told_apart(label):
    keys = ["convergence", "no_convergence", "convergence_partial"]
    for text in (
        f"LABEL: {label}",
        f"**LABEL: _{label}_**",
        f'{{"label": "{label}"}}',
    ):
        assert parse(text, keys).label == label
    for text in (
        "LABEL: convergence_",
        "LABEL: convergence_part",
        "LABEL: no_",
        "LABEL: convergence partial",
    ):
        assert isinstance(parse(text, keys), Unread), text
    assert isinstance(parse('{"label": "convergence_partial"}\nSo the label is convergence.', keys), Unread)


@pytest.mark.parametrize(
    "said",
    [
        "<2",
        ">2",
        "≤2",
        "-2",
        ".2",
        ",2",
        "2.5",
        "2/3",
        "2-3",
        "2 or 3",
        "²",
        "①",
        "½",
        "02",
        "2%",
        "2 out of 3",
    ],
)
def test_what_is_another_number_is_no_grade(said):
    grades = ["0", "1", "2", "3"]
    assert isinstance(parse(f"LABEL: {said}", grades), Unread)
    assert isinstance(parse(json.dumps({"label": said}), grades, "graded"), Unread)


def test_a_grade_is_read_among_other_numbers():
    grades = ["0", "1", "2", "3"]
    for text in (
        "I count 3 plans and 1 refusal.\n\nLABEL: 2",
        "LABEL: <2>",
        "LABEL: ２",
        "LABEL: 2\nREASON: In 3 of 10 sentences it plans.",
        "LABEL: 2\nREASON: x.\nIt should be noted that 3 sentences plan.",
        'I count 3 plans.\n{"label": 2}\nIn 3 of 10 sentences it plans.',
    ):
        assert parse(text, grades).label == "2", text
    for text in (
        "LABEL: 2\n3",
        "LABEL: 2\nFinal score: 3",
        '{"label": 2, "score": 3}',
        '{"label": 2}\nActually, 3.',
    ):
        assert isinstance(parse(text, grades), Unread), text


SPACED = {"Strong Match": "a", "No Match": "b", "拒绝": "c", "não": "d"}
IN_ITS_WORDS = (
    "---\nlabels: ['Strong Match', 'No Match', '拒绝', 'não']\n---\n"
    "{{ task }} {{ response }} {{ label_keys }} {{ answer_format }}"
)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("LABEL: strong  match", "a"),
        ("LABEL: 「拒绝」", "c"),
        ("LABEL: NA\u0303O", "d"),
        ("LABEL: Strong Match\nFinal answer: no match", None),
        ('{"label": "Strong Match"}\nActually, no match.', None),
        ('{"label": "拒绝"}\n其实应该是 No Match', None),
        ('{"label": "Strong Match"}\n其实，应该是拒绝。', None),
        ("LABEL: 拒绝\nFinal answer: Strong Match", None),
        ("LABEL: Match", None),
    ],
)
def test_words_with_spaces_or_of_other_scripts_are_compared_whole(text, label):
    parsed = parse(text, ["a", "b", "c", "d"], template_text=IN_ITS_WORDS, mapping=SPACED)
    assert (parsed.label if isinstance(parsed, Parsed) else None) == label, parsed


@pytest.mark.parametrize(
    "text",
    [
        '{"label": "convergence"}</think>',
        '```json\n{"label": "convergence"}\n```\n</think>\n\nI cannot say.',
        '{"label": "convergence"}\n</think>\n{"label": "no_convergence"}',
        'LABEL: convergence\nREASON: It plans. It says:\n</think>\n{"label": "no_convergence"}',
        "<scratchpad>\nLABEL: convergence\n</scratchpad>",
        "<inner_thoughts>LABEL: convergence\n</inner_thoughts>",
        "Well.\n<analysis>\nLABEL: convergence\n</analysis>",
    ],
)
def test_no_label_comes_from_what_is_marked_as_thought(text):
    assert isinstance(parse(text), Unread)


def test_lines_are_none_to_a_template_that_wants_json():
    assert parse("LABEL: convergence", template="four-class").form == "not_json"


def test_a_rationale_with_raw_line_breaks_is_kept():
    parsed = parse('{"label": "convergence", "rationale": "It writes\nLABEL: no_convergence\n"}')
    assert (parsed.label, parsed.rationale) == ("convergence", "It writes\nLABEL: no_convergence\n")


labels = st.sampled_from(KEYS)
SINGLE = st.builds(lambda label, name: (label, decorations(label, "")[name]), labels, st.sampled_from(NAMES))
words = st.lists(
    st.sampled_from(
        ["It", "waits", "for", "the", "pump", "and", "stops.", "So:", "\n", "\n\n", "(as told)", "*", "7"]
    ),
    max_size=12,
).map(" ".join)


@given(SINGLE, words, words)
def test_one_label_is_always_read_among_words_that_give_none(said, before, after):
    label, text = said
    if text.startswith(("{", "[", "LABEL", "Label")):
        text = f"{before}\n\n{text}\n\n{after}"
    parsed = parse(text)
    assert isinstance(parsed, Parsed), (text, parsed)
    assert parsed.label == label


@given(SINGLE, SINGLE, st.sampled_from(["\n", "\n\n", "\n\nOr rather:\n\n", "\n---\n"]))
def test_two_labels_are_never_one(first, second, between):
    """Unless the first is reasoning, which a mark before the second makes of it."""
    if first[0] == second[0] or any(mark in second[1] for mark in ("think>", "<|")):
        return
    parsed = parse(first[1] + between + second[1])
    assert isinstance(parsed, Unread), (first, second, parsed)


# Reasoning left before the answer


@pytest.mark.parametrize(
    "answer", [json.dumps(FULL), f"```json\n{json.dumps(FULL)}\n```", "LABEL: convergence"]
)
def test_reasoning_before_the_answer_is_passed_over(answer):
    thought = 'LABEL: nonsensical {"label": "no_convergence"} ```json {} ```'
    assert parse(f"<think>\n{thought}\n</think>\n\n{answer}").label == "convergence"
    assert parse(f"\n<think></think>{answer}").label == "convergence"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<think>LABEL: convergence", "its reasoning does not end"),
        ("<think>It says </think> LABEL: convergence\nbut no.</think>\nLABEL: convergence", "ends twice"),
        ("<think>LABEL: convergence</think>", "no label"),
    ],
)
def test_reasoning_without_a_clear_end_hides_the_answer(text, why):
    assert why in parse(text).why


# Confidence


@pytest.mark.parametrize(
    "confidence", [True, "0.9", -0.1, 1.5, None, float("nan"), float("inf"), [1], "high"]
)
def test_a_confidence_that_is_no_probability_is_left_out(confidence):
    parsed = parse(json.dumps(FULL | {"confidence": confidence}))
    assert (parsed.confidence, parsed.confidence_scale) == (None, "")


@pytest.mark.parametrize(("confidence", "kept"), [(0, 0.0), (1, 1.0), (0.5, 0.5)])
def test_a_probability_is_kept(confidence, kept):
    parsed = parse(json.dumps(FULL | {"confidence": confidence}))
    assert (parsed.confidence, parsed.confidence_scale) == (kept, "probability")


@pytest.mark.parametrize(
    ("confidence", "kept", "scale"),
    [
        ("low", 1.0, "steps3"),
        ("medium", 2.0, "steps3"),
        (" High ", 3.0, "steps3"),
        ("certain", None, ""),
        (2, None, ""),
        (0.9, None, ""),
        (None, None, ""),
    ],
)
def test_three_steps_are_kept_as_1_to_3(confidence, kept, scale):
    answer = json.dumps({"label": "2", "confidence": confidence})
    parsed = parse(answer, ["0", "1", "2", "3"], "graded")
    assert (parsed.label, parsed.confidence, parsed.confidence_scale) == ("2", kept, scale)


def test_a_grade_may_be_given_as_a_number():
    grades = ["0", "1", "2", "3"]
    assert [parse(json.dumps({"label": grade}), grades, "graded").label for grade in range(4)] == grades
    for wrong in (4, -1, 2.0, True, 2.5, "9" * 5000):
        assert isinstance(parse(f'{{"label": {wrong}}}'.lower(), grades, "graded"), Unread)


NO_CONFIDENCE = "---\nconfidence: none\n---\n{{ task }} {{ response }} {{ label_keys }} {{ answer_format }}"


def test_a_confidence_that_was_not_asked_for_is_not_kept():
    parsed = parse(json.dumps(FULL), template_text=NO_CONFIDENCE)
    assert (parsed.label, parsed.confidence, parsed.confidence_scale) == ("convergence", None, "")


# Labels in the template's words

YES_NO = (
    "---\nanswer: {answer}\nlabels: ['YES', 'NO', 'CAN NOT SAY']\n---\n{{{{ task }}}} {{{{ response }}}} "
    "{{{{ label_keys }}}}"
)
MAPPING = {"YES": "convergence", "NO": "no_convergence", "CAN NOT SAY": "nonsensical"}


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ("YES", "convergence"),
        ("no", "no_convergence"),
        ("Can not say", "nonsensical"),
        ("convergence", None),
        ("maybe", None),
    ],
)
def test_a_templates_own_words_become_the_schemes_labels(said, label):
    lines = parse(f"DECISION: {said}", template_text=YES_NO.format(answer="lines"), mapping=MAPPING)
    as_json = parse(json.dumps({"label": said}), template_text=YES_NO.format(answer="json"), mapping=MAPPING)
    if label:
        assert lines.label == as_json.label == label
    else:
        assert "no label of the scheme" in lines.why
        assert lines == as_json


def test_two_of_its_words_are_two_answers_even_if_they_mean_the_same():
    mapping = MAPPING | {"CAN NOT SAY": "no_convergence"}
    text = YES_NO.format(answer="lines")
    parsed = parse("DECISION: NO\nDECISION: CAN NOT SAY", template_text=text, mapping=mapping)
    assert "several labels" in parsed.why


def test_a_word_that_leads_out_of_the_scheme_is_no_label():
    text = YES_NO.format(answer="lines")
    parsed = parse("DECISION: YES", ["a", "b"], template_text=text, mapping=MAPPING)
    assert "'yes' is no label" in parsed.why


# Fields


def test_fields_of_the_wrong_type_are_left_out_and_the_label_stands():
    parsed = parse(json.dumps({"label": "nonsensical", "rationale": 7, "evidence": ["a", 3, " ", None]}))
    assert parsed == Parsed("nonsensical", "", None, "", ("a",))
    assert parse('{"label": "nonsensical", "evidence": "a"}').quotes == ()


def test_of_very_many_quotes_the_first_are_kept():
    quotes = [f"quote {number}" for number in range(1000)]
    assert parse(json.dumps(FULL | {"evidence": quotes})).quotes == tuple(quotes[:100])


# Where the quotes stand

TEXT = "First I stop.\nThen I wait\tfor the (second) word. I stop."


def test_a_quote_is_placed_where_it_first_stands():
    assert evidence(["I stop."], TEXT) == [{"quote": "I stop.", "start": 6, "end": 13}]


def test_white_space_may_differ_and_nothing_else():
    [span] = evidence(["Then  I wait for\nthe (second) word."], TEXT)
    assert TEXT[span["start"] : span["end"]] == "Then I wait\tfor the (second) word."
    for other in ("then I wait", "I stop.Then", "First I stop", "I  stop ."):
        [span] = evidence([other], TEXT)
        assert ("missing" in span) == (other != "First I stop")


def test_straight_quotation_marks_stand_for_curly_ones_and_the_other_way_round():
    text = 'It said: “I’ll wait.” Then "I\'ll go."'
    spans = evidence(['"I\'ll wait."', "“I’ll go.”"], text)
    assert [text[span["start"] : span["end"]] for span in spans] == ["“I’ll wait.”", '"I\'ll go."']


def test_a_quote_that_is_not_there_is_kept_and_flagged():
    assert evidence(["I go on.", "I wait"], TEXT) == [
        {"quote": "I go on.", "missing": True},
        {"quote": "I wait", "start": 19, "end": 25},
    ]


def test_an_empty_quote_is_dropped():
    assert evidence(["", " \n"], TEXT) == []
    assert evidence([], "") == []


def test_a_quote_that_no_database_keeps_is_escaped():
    assert evidence(["a\x00b"], "a") == [{"quote": "a\\u0000b", "missing": True}]
    assert evidence(["a\x00b"], "see a\\u0000b") == [{"quote": "a\\u0000b", "start": 4, "end": 12}]


any_words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)


@given(any_words, any_words, any_words)
def test_what_was_copied_is_found(before, quote, after):
    text = f"{before} {quote} {after}"
    [span] = evidence([quote], text)
    passage = text[span["start"] : span["end"]]
    assert straight(passage).split() == straight(quote).split()


@given(any_words, any_words)
def test_a_place_is_given_only_where_the_quote_stands(quote, text):
    [span] = evidence([quote], text)
    there = " ".join(straight(quote).split()) in " ".join(straight(text).split())
    assert ("missing" not in span) == there


def straight(text):
    return text.translate(str.maketrans("“”‘’", "\"\"''"))


@pytest.mark.parametrize(
    ("quote", "text", "start"),
    [
        ("a " * 200_000 + "b", "a " * 500_000, None),
        ("a" * 200_000 + "b", "a" * 1_000_000, None),
        ("a\nb", "a " * 500_000, None),
        ("“" * 100_000 + "x", '"' * 1_000_000, None),
        (" ".join("ba" * 100_000), "a\n\nb\t" * 200_000, 3),
    ],
)
def test_a_long_quote_that_almost_fits_everywhere_is_soon_decided(quote, text, start):
    [span] = evidence([quote], text)
    assert (span.get("start"), "missing" in span) == (start, start is None)


MEGABYTE = size(1, 4)  # in quarters


@pytest.mark.sized
@pytest.mark.parametrize(
    "text",
    [
        '{"a":' * 50_000 * MEGABYTE,
        "```json\n{" * 25_000 * MEGABYTE,
        "}```" * 62_000 * MEGABYTE,
        "LABEL:\n" * 37_000 * MEGABYTE,
        '"\\"' * 75_000 * MEGABYTE,
        "{" + '"\\"' * 75_000 * MEGABYTE,
        "label" * 50_000 * MEGABYTE,
        "`" * 250_000 * MEGABYTE,
        "<think>" * 37_000 * MEGABYTE,
        "label: " * 37_000 * MEGABYTE,
        "label " + " " * 250_000 * MEGABYTE,
        "* " * 125_000 * MEGABYTE,
        "label: a" + "," * 250_000 * MEGABYTE,
        "label\n" + "*" * 250_000 * MEGABYTE,
        "\\" * 250_000 * MEGABYTE,
        "label: " + "\\" * 250_000 * MEGABYTE,
        "x " + "{}" * 125_000 * MEGABYTE,
        "<|channel|>" + "a" * 250_000 * MEGABYTE,
    ],
)
def test_a_looping_answer_of_a_megabyte_is_soon_refused(text):
    assert isinstance(parse(text), Unread)
    assert isinstance(parse(f"```json\n{json.dumps(FULL)}\n```{text}"), Unread | Parsed)
