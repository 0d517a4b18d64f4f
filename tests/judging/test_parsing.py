"""What a judge's answer says; never a guess."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judging.prompting import Parsed, evidence, parse

KEYS = ["convergence", "no_convergence", "safety_refusal", "nonsensical"]
FULL = {"label": "convergence", "confidence": 0.8, "rationale": "It plans.", "evidence": ["I will stay."]}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(FULL),
        f"\n{json.dumps(FULL, indent=2)}\n",
        f"```json\n{json.dumps(FULL)}\n```",
        f"Here it is:\n```\n{json.dumps(FULL, indent=1)}\n```\nThat is all.",
        json.dumps(FULL | {"label": " Convergence "}),
    ],
)
def test_json_is_read_bare_or_fenced(text):
    assert parse(text, KEYS) == Parsed("convergence", "It plans.", 0.8, ("I will stay.",))


@pytest.mark.parametrize(
    "text",
    [
        "LABEL: no_convergence\nREASON: It waits.",
        "label: no_convergence\nreason: It waits.",
        "**Label:** `no_convergence`\n**Rationale:** It waits.",
        "- LABEL = No_Convergence.\n- REASON = It waits.",
        "LABEL:\n  no_convergence\n\nREASON: It waits.",
        "Some thoughts first.\n## Label: no_convergence ##\nReason: It waits.",
        "LABEL: no_convergence\nREASON: It waits.\nLABEL: no_convergence",
        'LABEL: "no_convergence"\r\nREASON: It waits.\r\n',
    ],
)
def test_two_lines_of_text_are_read_in_their_common_shapes(text):
    parsed = parse(text, KEYS)
    assert isinstance(parsed, Parsed), parsed
    assert parsed.label == "no_convergence"
    assert parsed.rationale.strip("* \r") == "It waits."


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no label"),
        ("I think this is convergence.", "no label"),
        ("The label convergence would fit, no_convergence too.", "no label"),
        ('{"label": "convergence", "confid', "no label"),
        ("LABEL:", "no label"),
        ("LABEL: ", "no label"),
        ("LABEL: maybe\nREASON: x", "'maybe' is no label"),
        ("LABEL: convergence\nLABEL: no_convergence", "several labels: convergence, no_convergence"),
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
        ('{"label": "maybe"}', "'maybe' is no label"),
        ('{"label": null}', "JSON has no label"),
        ('{"label": ["convergence"]}', "JSON has no label"),
        ('{"verdict": "convergence"}', "JSON has no label"),
        ('{"label": "convergence", "label": "no_convergence"}', "no label"),
        ('[{"label": "convergence"}]', "no label"),
        ('"convergence"', "no label"),
        ('```json\n{"label": "convergence"}\n```\nor\n```json\n{"label": "no_convergence"}\n```', "no label"),
    ],
)
def test_an_answer_without_one_clear_label_is_none(text, why):
    found = parse(text, KEYS)
    assert isinstance(found, str), found
    assert why in found


@given(st.lists(st.sampled_from([*'{}[]":,*\n a_', "LABEL", "label", "```", *KEYS]), max_size=30))
def test_a_label_is_never_made_up(parts):
    text = "".join(parts)
    found = parse(text, KEYS)
    assert isinstance(found, str) or (found.label in KEYS and found.label in text.lower())


@pytest.mark.parametrize("confidence", [True, "0.9", -0.1, 1.5, None, float("nan"), float("inf"), [1]])
def test_a_confidence_that_is_no_probability_is_left_out(confidence):
    assert parse(json.dumps(FULL | {"confidence": confidence}), KEYS).confidence is None


@pytest.mark.parametrize(("confidence", "kept"), [(0, 0.0), (1, 1.0), (0.5, 0.5)])
def test_a_probability_is_kept(confidence, kept):
    assert parse(json.dumps(FULL | {"confidence": confidence}), KEYS).confidence == kept


def test_fields_of_the_wrong_type_are_left_out_and_the_label_stands():
    parsed = parse(
        json.dumps({"label": "nonsensical", "rationale": 7, "evidence": ["a", 3, " ", None]}), KEYS
    )
    assert parsed == Parsed("nonsensical", "", None, ("a",))
    assert parse('{"label": "nonsensical", "evidence": "a"}', KEYS).quotes == ()


TEXT = "First I stop.\nThen I wait\tfor the (second) word. I stop."


def test_a_quote_is_placed_where_it_first_stands():
    assert evidence(["I stop."], TEXT) == [{"quote": "I stop.", "start": 6, "end": 13}]


def test_white_space_may_differ_and_nothing_else():
    [span] = evidence(["Then  I wait for\nthe (second) word."], TEXT)
    assert TEXT[span["start"] : span["end"]] == "Then I wait\tfor the (second) word."
    assert evidence(["then I wait"], TEXT) == [{"quote": "then I wait", "missing": True}]
    assert evidence(["I stop.Then"], TEXT) == [{"quote": "I stop.Then", "missing": True}]


def test_a_quote_that_is_not_there_is_kept_and_flagged():
    assert evidence(["I go on.", "I wait"], TEXT) == [
        {"quote": "I go on.", "missing": True},
        {"quote": "I wait", "start": 19, "end": 25},
    ]
