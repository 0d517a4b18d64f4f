"""A judge's probability over labels from its tokens' logprobs, against values worked out by hand."""

import json
import math

import pytest

from arbiter.calls.answers import Completion, read_answer
from arbiter.calls.logprobs import Token, tokens_of
from judging.panel.label_probabilities import (
    LabelProbabilities,
    NoProbabilities,
    label_probabilities,
)

FOUR = ("convergence", "no_convergence", "safety_refusal", "nonsensical")


def token(said, probability, **others):
    """Make a token as a chat completion has it; itself first among those told."""
    told = [(said, probability), *((name.replace("·", " "), one) for name, one in others.items())]
    top = [{"token": name, "logprob": math.log(one), "bytes": list(name.encode())} for name, one in told]
    return top[0] | {"top_logprobs": top}


def answered(*tokens, text=None):
    said = "".join(one["token"] for one in tokens) if text is None else text
    return Completion(text=said, finish_reason="stop", logprobs={"content": list(tokens)})


def of(answer, given, labels=FOUR, meant=None):
    return label_probabilities(answer, given, meant or {label: label for label in labels})


def expect(told, labels, shared=0.0, covered=1.0):
    assert isinstance(told, LabelProbabilities), told
    assert told.labels == pytest.approx(labels, abs=1e-9)
    assert (told.shared, told.covered) == pytest.approx((shared, covered), abs=1e-9)
    assert sum(told.labels.values()) + told.shared == pytest.approx(1)


def test_the_first_token_tells_the_labels_apart():
    """.7 for convergence and .2 for safety_refusal; .1 is of no label or not told: .7/.9 and .2/.9."""
    told = of(
        answered(token('{"label": "', 0.99), token("conv", 0.7, safe=0.2, maybe=0.05), token('ergence"}', 1)),
        "convergence",
    )
    expect(
        told,
        {"convergence": 7 / 9, "no_convergence": 0, "safety_refusal": 2 / 9, "nonsensical": 0},
        covered=0.9,
    )


def test_labels_that_share_their_first_token_are_told_apart_by_the_next():
    """`no` has .6; after it `_conv` has .5 and `ns` .4: .3 and .24 of all, beside .3 of `conv`: .84."""
    told = of(
        answered(
            token('{"label": "', 1),
            token("no", 0.6, conv=0.3, x=0.1),
            token("_conv", 0.5, ns=0.4, x=0.1),
            token('ergence"}', 1),
        ),
        "no_convergence",
    )
    expect(
        told,
        {
            "no_convergence": 0.3 / 0.84,
            "nonsensical": 0.24 / 0.84,
            "convergence": 0.3 / 0.84,
            "safety_refusal": 0,
        },
        covered=0.84,
    )


def test_a_beginning_that_two_other_labels_share_is_no_single_ones():
    """`conv` has .55, and `no`, which two labels begin with, .4: .55/.95, and .4/.95 between the two."""
    told = of(
        answered(token('{"label": "', 1), token("conv", 0.55, no=0.4), token('ergence"}', 1)), "convergence"
    )
    labels = {"convergence": 0.55 / 0.95, "no_convergence": 0, "safety_refusal": 0, "nonsensical": 0}
    expect(told, labels, shared=0.4 / 0.95, covered=0.95)


def test_tokens_that_begin_one_label_in_different_ways_are_added():
    told = of(
        answered(
            token('{"label": "', 1),
            token("conv", 0.5, c=0.1, convergence=0.1, Conv=0.05, s=0.2, safety_ref=0.05),
            token('ergence"}', 1),
        ),
        "convergence",
    )
    expect(told, {"convergence": 0.75, "safety_refusal": 0.25, "no_convergence": 0, "nonsensical": 0})


def test_a_label_that_another_begins_with_ends_where_its_quotation_mark_stands():
    """After `safe` (.9; `risky` .1), `"` has .6 and `_ish` .4: .54, .36 and .1."""
    told = of(
        answered(token('{"label": "', 1), token("safe", 0.9, risky=0.1), token('"}', 0.6, _ish=0.4)),
        "safe",
        ("safe", "safe_ish", "risky"),
    )
    expect(told, {"safe": 0.54, "safe_ish": 0.36, "risky": 0.1})


def test_a_token_may_begin_before_the_label_and_a_number_may_go_on():
    told = of(
        answered(
            token('{"label":', 1),
            token(' "1', 0.6, **{'·"2': 0.3, '·"10': 0.06, '·"x': 0.04}),
            token('"}', 1),
        ),
        "1",
        ("1", "2", "10"),
    )
    # `1` begins 1 and 10: the next token is certain to end it.
    expect(told, {"1": 0.6 / 0.96, "2": 0.3 / 0.96, "10": 0.06 / 0.96}, covered=0.96)


def test_a_token_of_signs_alone_may_lead_to_any_label():
    told = of(
        answered(token('{"label":', 1), token(' "conv', 0.8, **{'·"': 0.15}), token('ergence"}', 1)),
        "convergence",
    )
    assert isinstance(told, LabelProbabilities)
    assert (told.labels["convergence"], told.shared) == pytest.approx((0.8 / 0.95, 0.15 / 0.95))


def test_a_label_in_a_line():
    told = of(
        answered(
            token("DECISION:", 1),
            token(" conv", 0.25, **{"·no": 0.75}),
            token("ergence\nREASON: So.", 1),
        ),
        "convergence",
        ("convergence", "no_convergence"),
    )
    expect(told, {"convergence": 0.25, "no_convergence": 0.75})


def test_words_that_mean_one_label_are_one():
    told = of(
        answered(token('{"label": "', 1), token("yes", 0.5, sure=0.3, no=0.2), token('"}', 1)),
        "convergence",
        meant={"yes": "convergence", "sure": "convergence", "no": "no_convergence"},
    )
    expect(told, {"convergence": 0.8, "no_convergence": 0.2})


def test_a_chosen_token_that_is_not_among_those_told():
    """As Gemini has it, and OpenAI of what is too unlikely for its list."""
    one = {
        "token": "conv",
        "logprob": math.log(0.01),
        "top_logprobs": [{"token": "safe", "logprob": math.log(0.9)}],
    }
    told = of(answered(token('{"label": "', 1), one, token('ergence"}', 1)), "convergence")
    assert isinstance(told, LabelProbabilities)
    assert told.labels["convergence"] == pytest.approx(0.01 / 0.91)


def test_a_rationale_that_names_the_label_too_is_passed_over():
    said = '{"rationale": "My label: convergence, not \\"label\\": \\"safe\\".", "label": "'
    told = of(answered(token(said, 1), token("conv", 0.6, safe=0.4), token('ergence"}', 1)), "convergence")
    expect(told, {"convergence": 0.6, "safety_refusal": 0.4, "no_convergence": 0, "nonsensical": 0})


def test_labels_of_several_bytes_a_character():
    """A token may hold half a character: its bytes say which."""
    half, rest = "é".encode()[:1], "é".encode()[1:]
    first = {"token": "\\xc3", "bytes": list(half), "logprob": math.log(0.8)}
    other = {"token": "non", "bytes": list(b"non"), "logprob": math.log(0.2)}
    second = {"token": "\\xa9", "bytes": list(rest), "logprob": 0.0, "top_logprobs": []}
    told = of(
        answered(
            token('{"label": "', 1),
            first | {"top_logprobs": [first, other]},
            second,
            token('vite"}', 1),
            text='{"label": "évite"}',
        ),
        "évite",
        ("évite", "non"),
    )
    expect(told, {"évite": 0.8, "non": 0.2})


def test_reasoning_among_the_tokens_is_passed_over():
    told = of(
        answered(
            token('<think>"label": "safe"</think>', 1),
            token('{"label": "', 1),
            token("conv", 0.9, safe=0.1),
            token('ergence"}', 1),
            text='{"label": "convergence"}',
        ),
        "convergence",
    )
    assert isinstance(told, LabelProbabilities) and told.labels["convergence"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Completion(text='{"label": "convergence"}'), "no logprobs that can be read"),
        (answered(token("token_id:5", 1), text='{"label": "convergence"}'), "do not spell the answer"),
        (answered(token('{"verdict": "convergence"}', 1)), "in no form that is looked for"),
        (answered(token("label: convergence, label: convergence", 1)), "more than once"),
        (
            answered(token('{"label": "', 1), token("conv", 0.3, maybe=0.6, safe=0.1), token('ergence"}', 1)),
            "only 40 % of the probability is on labels",
        ),
        (answered(token('{"label": "', 1), token("convergence", 1), text='"label": "convergence'), ""),
    ],
)
def test_where_there_are_none_it_says_why(answer, why):
    told = of(answer, "convergence")
    if why:
        assert isinstance(told, NoProbabilities) and why in told.why
        assert told.as_json() == {"why": told.why}
    else:
        assert isinstance(told, LabelProbabilities)


# As services tell them


def test_tokens_of_a_chat_completion_and_of_gemini():
    openai = token("conv", 0.75, no=0.25)
    (read,) = tokens_of({"content": [openai]})
    assert (read.said, read.probability) == (b"conv", pytest.approx(0.75))
    assert read.alternatives() == [(b"no", pytest.approx(0.25))]
    gemini = {
        "chosenCandidates": [{"token": "conv", "tokenId": 7, "logProbability": math.log(0.75)}],
        "topCandidates": [
            {
                "candidates": [
                    {"token": "conv", "tokenId": 7, "logProbability": math.log(0.75)},
                    {"token": "no", "tokenId": 8, "logProbability": math.log(0.25)},
                ]
            }
        ],
    }
    assert tokens_of(gemini) == (read,)


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {"content": None},
        {"content": [{"token": "a"}, 7]},
        {"content": [{"token": "a", "logprob": "much"}]},
        {"content": [{"token": "a", "logprob": float("nan")}]},
        {"content": [{"token": "a", "logprob": 3.0}]},
        {"chosenCandidates": [{"token": "a", "logProbability": -1}], "topCandidates": []},
    ],
)
def test_what_is_none_is_read_as_none(told):
    assert tokens_of(told) == ()


def test_what_is_too_unlikely_to_be_told_is_nothing():
    (read,) = tokens_of({"content": [{"token": "a", "logprob": -9999.0, "bytes": None, "top_logprobs": []}]})
    assert read == Token(b"a", 0.0)


@pytest.mark.parametrize("native", [False, True], ids=["chat", "gemini"])
def test_an_answers_body_keeps_its_logprobs(native):
    content = token("yes", 0.5, no=0.5)
    if native:
        told = {"chosenCandidates": [{"token": "yes", "logProbability": -0.1}], "topCandidates": [{}]}
        body = {
            "candidates": [
                {"content": {"parts": [{"text": "yes"}]}, "finishReason": "STOP", "logprobsResult": told}
            ]
        }
    else:
        choice = {"message": {"content": "yes"}, "finish_reason": "stop", "logprobs": {"content": [content]}}
        body = {"choices": [choice]}
    answer = read_answer(json.dumps(body))
    assert isinstance(answer, Completion) and [one.said for one in tokens_of(answer.logprobs)] == [b"yes"]
