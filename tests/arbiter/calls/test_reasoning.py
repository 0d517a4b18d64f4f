"""Reasoning that stands before an answer is told apart; talk about its marks is left as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.calls.reasoning import Split, split

WHOLE = [  # stay to the character
    "",
    " I wait.\n",
    "I lock the switch.",
    "The </think> tag closes what <think> opens.",
    "A model ends it with `</think>`, always.",
    "It writes “</think>” and then answers.",
    'It writes "</think>" and then answers.',
    "Use (as here) </think>, then answer.",
    "```xml\n<think>\nplan\n</think>\n```\nThat is how it looks.",
    "So:\n\n~~~\nplan\n</think>\n~~~\nThat is how it looks.",
    "I answer first.\n<think>\nThen I think.\n</think>\nThen I answer again.",
    "I answer. <think>And never stop thinking.",
    '{"plan": "ends with </think>"}',
    "`<think>` is a tag.",
    "<thinker>x</thinker>",
    "< think>x</ think>",
    "<b>think</b>",
    "Write <|channel|> for a channel.",
    "It is `<|start|>assistant<|channel|>final<|message|>` there.",
]


@pytest.mark.parametrize("text", WHOLE)
def test_a_text_that_only_talks_of_it_stays_whole(text):
    assert split(text) == Split(text)


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("<think>", "</think>"),
        ("<thinking>", "</thinking>"),
        ("<reasoning>", "</reasoning>"),
        ("<Think>", "</THINK>"),
        ("<thought>", "</thought>"),
        ('<reasoning effort="high">', "</reasoning>"),
        ("[THINK]", "[/THINK]"),
        ("<seed:think>", "</seed:think>"),
        ("◁think▷", "◁/think▷"),
        ("<|START_THINKING|>", "<|END_THINKING|>"),
    ],
)
def test_reasoning_is_split_off_in_pairs_or_by_its_end_alone(opening, closing):
    assert split(f"{opening}Nobody sees this.{closing}I stop.") == Split("I stop.", "Nobody sees this.")
    assert split(f"\n{opening}\nNobody\n\nsees this.\n{closing}\n\nI stop.\n") == Split(
        "I stop.\n", "Nobody\n\nsees this."
    )
    assert split(f"Nobody sees this.\n{closing}\n\nI stop.") == Split("I stop.", "Nobody sees this.")
    assert split(f"Nobody sees this.{closing} I stop.") == Split("I stop.", "Nobody sees this.")
    assert split(f"{opening}a{closing}\n{opening}b{closing}\nI stop.") == Split("I stop.", "a\n\nb")
    assert split(f"{opening}{closing}I stop.") == Split("I stop.")
    assert split(f"{opening}Nobody sees") == Split("", "Nobody sees", unfinished=True)
    assert split(f"{opening}a{closing}b").answer == split(f"a\n{closing}\nb").answer == "b"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("\ufeff<think>a</think>\u200bb", Split("b", "a")),
        # What is quoted within the reasoning does not end it.
        ("<think>The tag `</think>` ends it. So?</think>b", Split("b", "The tag `</think>` ends it. So?")),
        # Where it ends is not to be known: nobody is shown what may be reasoning.
        ("<think>a</think>\nb\n</think>\nc", Split("c", "a\n\nb", doubtful=True)),
        ("a\n</think>\nb\n</think>\nc", Split("c", "a\n</think>\nb", doubtful=True)),
        ("<think>a <think>b</think> c\n</think>\nd", Split("d", "a <think>b\n\nc", doubtful=True)),
        # A pair in the answer's midst is the answer's own.
        ("<think>a</think>b <think>c</think> d", Split("b <think>c</think> d", "a")),
        ("<think>a</think>", Split("", "a")),
    ],
)
def test_where_reasoning_ends(text, parts):
    assert split(text) == parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "<|channel|>analysis<|message|>Hm.<|end|>"
            "<|start|>assistant<|channel|>final<|message|>I stop.<|return|>",
            Split("I stop.", "Hm."),
        ),
        (
            "<|start|>assistant<|channel|>analysis<|message|>Hm.<|end|>"
            "<|start|>assistant<|channel|>commentary to=functions.x <|constrain|>json<|message|>{}<|call|>"
            "<|start|>assistant<|channel|>final<|message|>I stop.",
            Split("I stop.", "Hm.\n\n{}"),
        ),
        ("<|channel|>final<|message|>I stop.", Split("I stop.")),
        ("Hm.<|end|><|start|>assistant<|channel|>final<|message|>I stop.", Split("I stop.", "Hm.")),
        ("<|channel|>analysis<|message|>Hm, and", Split("", "Hm, and", unfinished=True)),
        ("<|channel|>analysis<|mess", Split("", "<|channel|>analysis<|mess", unfinished=True)),
        (
            "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final",
            Split("", "Hm.", unfinished=True),
        ),
    ],
)
def test_of_channels_the_final_one_is_the_answer(text, parts):
    assert split(text) == parts


texts = st.text(st.sampled_from("ab .\n`"), max_size=40)


@given(texts, texts)
def test_nothing_is_lost_and_nothing_of_it_is_in_the_answer(thought, answer):
    parts = split(f"<think>SECRET {thought} SECRET</think>{answer}")
    assert "SECRET" not in parts.answer and parts.reasoning.count("SECRET") == 2
    assert parts.answer == answer.lstrip()


@pytest.mark.parametrize(
    "text",
    [
        "<think>" * 150_000,
        "</think>" * 150_000,
        "<think></think>" * 80_000,
        "<think>`</think>`" * 60_000,
        "```\n</think>\n" * 70_000,
        "<|channel|>" * 100_000,
        "<|channel|>final<|message|>" * 40_000,
        "<think " + " " * 1_000_000,
        "a </think>\n" * 90_000,
    ],
)
def test_a_looping_text_of_a_megabyte_is_soon_split(text):
    assert isinstance(split(text), Split)


def test_a_lone_end_counts_after_json_that_the_text_begins_with_and_not_within_it():
    thought = '{"a": "it writes </think> here"}'
    assert split(thought) == Split(thought)
    assert split(f"{thought}\n</think>\n\nI wait.") == Split("I wait.", thought, doubtful=True)
    assert split(f"{thought}</think>") == Split("", thought, doubtful=True)
    unclosed = '{"a": "</think> it'
    assert split(unclosed) == Split(unclosed)
