"""What a judge's answer says; never a guess."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judging.panel import parsing
from judging.panel.parsing import Parsed
from judging.panel.prompting import evidence
from tests.judging import questions

KEYS = ["convergence", "no_convergence", "safety_refusal", "nonsensical"]
FULL = {"label": "convergence", "confidence": 0.8, "rationale": "It plans.", "evidence": ["I will stay."]}


def parse(text, keys=KEYS, template="scheme-json", **judge):
    return parsing.parse(questions.judge(template, **judge), text, keys)


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
    assert "not one JSON object" in parse(LINES[0], template="four-class")
    assert "no label" in parse(json.dumps(FULL), template="binary-two-line")
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
        ('{"label": "convergence", "label": "no_convergence"}', "no label in the answer: its JSON gives a key twice"),
        ('{"label": "convergence"} {"label": "convergence"}', "no label in the answer: it is not one JSON object"),
        ('{"label": "convergence"}\nThat is all.', "it is not one JSON object"),
        ('{"label": "convergence", "rationale": "It writes\nLABEL: no_convergence\n"}', "not one JSON object"),
        ('[{"label": "convergence"}]', "no label"),
        ('"convergence"', "no label"),
        ('```json\n{"label": "convergence"}\n```\nor\n```json\n{"label": "no_convergence"}\n```', "no label"),
        ('```json\n{"label": "convergence"}\n```\nor {"label": "no_convergence"}', "several labels"),
        ('```json\n{"label": "convergence"}\n```\nThe right label is no_convergence.', "several labels"),
        ('My rating: no_convergence\n```json\n{"label": "convergence"}\n```', "several labels"),
        ('```json\n{"label": "convergence", "rationale": "It', "the JSON is not closed"),
    ],
)  # fmt: skip
def test_an_answer_without_one_clear_label_is_none(text, why):
    found = parse(text)
    assert isinstance(found, str), found
    assert why in found


answers = st.lists(
    st.sampled_from([*'{}[]":,*\n a_', "LABEL", "label", "DECISION:", "```", "```json", '"label": "', *KEYS]),
    max_size=30,
).map("".join)


@given(answers, st.sampled_from(["scheme-json", "four-class", "binary-two-line"]))
def test_a_label_is_never_made_up(text, template):
    found = parse(text, template=template)
    assert isinstance(found, str) or (found.label in KEYS and found.label in text.lower())


@given(st.integers(0, len(json.dumps(FULL)) - 1))
def test_json_cut_anywhere_is_said_to_be_unclosed(length):
    found = parse(json.dumps(FULL)[:length])
    assert found == ("there is no label in the answer" + (": the JSON is not closed" if length else ""))


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
        (f"Well.\n<think>No.</think>\n{json.dumps(FULL)}", "no label"),
    ],
)
def test_reasoning_without_a_clear_end_hides_the_answer(text, why):
    assert why in parse(text)


# Confidence


@pytest.mark.parametrize(
    "confidence", [True, "0.9", -0.1, 1.5, None, float("nan"), float("inf"), [1], "high"]
)
def test_a_confidence_that_is_no_probability_is_left_out(confidence):
    found = parse(json.dumps(FULL | {"confidence": confidence}))
    assert (found.confidence, found.confidence_scale) == (None, "")


@pytest.mark.parametrize(("confidence", "kept"), [(0, 0.0), (1, 1.0), (0.5, 0.5)])
def test_a_probability_is_kept(confidence, kept):
    found = parse(json.dumps(FULL | {"confidence": confidence}))
    assert (found.confidence, found.confidence_scale) == (kept, "probability")


@pytest.mark.parametrize(
    ("confidence", "kept", "scale"),
    [
        ("low", 1.0, "steps3"), ("medium", 2.0, "steps3"), (" High ", 3.0, "steps3"),
        ("certain", None, ""), (2, None, ""), (0.9, None, ""), (None, None, ""),
    ],
)  # fmt: skip
def test_three_steps_are_kept_as_1_to_3(confidence, kept, scale):
    answer = json.dumps({"label": "2", "confidence": confidence})
    found = parse(answer, ["0", "1", "2", "3"], "graded")
    assert (found.label, found.confidence, found.confidence_scale) == ("2", kept, scale)


def test_a_grade_may_be_given_as_a_number():
    grades = ["0", "1", "2", "3"]
    assert [parse(json.dumps({"label": grade}), grades, "graded").label for grade in range(4)] == grades
    for wrong in (4, -1, 2.0, True, 2.5, "9" * 5000):
        assert isinstance(parse(f'{{"label": {wrong}}}'.lower(), grades, "graded"), str)


NO_CONFIDENCE = "---\nconfidence: none\n---\n{{ task }} {{ response }} {{ label_keys }} {{ answer_format }}"


def test_a_confidence_that_was_not_asked_for_is_not_kept():
    found = parse(json.dumps(FULL), template_text=NO_CONFIDENCE)
    assert (found.label, found.confidence, found.confidence_scale) == ("convergence", None, "")


# Labels in the template's words

YES_NO = "---\nanswer: {answer}\nlabels: ['YES', 'NO', 'CAN NOT SAY']\n---\n{{{{ task }}}} {{{{ response }}}} {{{{ label_keys }}}}"
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
        assert "no label of the scheme" in lines
        assert lines == as_json


def test_two_of_its_words_are_two_answers_even_if_they_mean_the_same():
    mapping = MAPPING | {"CAN NOT SAY": "no_convergence"}
    text = YES_NO.format(answer="lines")
    assert "several labels" in parse(
        "DECISION: NO\nDECISION: CAN NOT SAY", template_text=text, mapping=mapping
    )


def test_a_word_that_leads_out_of_the_scheme_is_no_label():
    text = YES_NO.format(answer="lines")
    assert "'yes' is no label" in parse("DECISION: YES", ["a", "b"], template_text=text, mapping=MAPPING)


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


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)


@given(words, words, words)
def test_what_was_copied_is_found(before, quote, after):
    text = f"{before} {quote} {after}"
    [span] = evidence([quote], text)
    found = text[span["start"] : span["end"]]
    assert straight(found).split() == straight(quote).split()


@given(words, words)
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


@pytest.mark.parametrize(
    "text",
    [
        '{"a":' * 200_000, "```json\n{" * 100_000, "}```" * 250_000, "LABEL:\n" * 150_000, '"\\"' * 300_000, "{" + '"\\"' * 300_000,
        "label" * 200_000, "`" * 1_000_000, "<think>" * 150_000, "label: " * 150_000, "label " + " " * 1_000_000, "* " * 500_000,
    ],
)  # fmt: skip
def test_a_looping_answer_of_a_megabyte_is_soon_refused(text):
    assert isinstance(parse(text), str)
    assert isinstance(parse(f"```json\n{json.dumps(FULL)}\n```{text}"), str | Parsed)
