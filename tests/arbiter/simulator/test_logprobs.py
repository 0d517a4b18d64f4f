"""The simulated judges' tokens: their probabilities are those of the labels, and spell the answer."""

import math

import pytest

from arbiter.simulator.logprobs import OTHER, PLAIN, as_gemini, as_openai, tokens_of

CHANCES = {"convergence": 0.5, "no_convergence": 0.3, "nonsensical": 0.2}


def test_tokens_spell_the_answer_and_a_labels_path_has_its_chance():
    content = '{"label": "no_convergence", "confidence": 0.3}'
    tokens = tokens_of(content, CHANCES, 5)
    assert "".join(token.text for token in tokens) == content
    of_label = [token for token in tokens if token.probability not in (PLAIN, 1.0)]
    assert [(token.text, token.top) for token in of_label] == [
        ("no_c", (("conv", 0.5), ("no_c", 0.3), ("nons", 0.2)))
    ]
    assert math.prod(token.probability for token in tokens if token.probability != PLAIN) == 0.3


def test_labels_that_begin_alike_part_where_they_differ():
    tokens = tokens_of("LABEL: safety_b\nREASON: x", {"safety_a": 0.6, "safety_b": 0.3, "other": 0.1}, 5)
    told = {token.text: token for token in tokens}
    assert told["safe"].probability == pytest.approx(0.9)
    assert told["ty_b"].top == (("ty_a", pytest.approx(0.6 / 0.9)), ("ty_b", pytest.approx(0.3 / 0.9)))


def test_an_answer_without_a_label_is_plain():
    assert {token.probability for token in tokens_of("Nothing of the kind.", CHANCES, 5)} == {PLAIN}
    assert tokens_of("", {}, 5) == ()


def test_only_so_many_alternatives_are_told():
    (token,) = tokens_of("abc", {}, 5)
    assert token.top == (("abc", PLAIN), (OTHER, 1 - PLAIN))
    told = as_openai((token,), 1)["content"][0]
    assert (told["bytes"], len(told["top_logprobs"])) == ([97, 98, 99], 1)
    assert as_openai((token,), 0)["content"][0]["top_logprobs"] == []
    gemini = as_gemini((token,), 2)
    assert gemini["chosenCandidates"][0]["logProbability"] == pytest.approx(math.log(PLAIN))
    assert [one["token"] for one in gemini["topCandidates"][0]["candidates"]] == ["abc", OTHER]
