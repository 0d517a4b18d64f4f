"""What the simulated judges answer: how often they err, in which form, and always the same."""

import collections
import json
import subprocess
import sys

import jsonschema
import pytest

from arbiter.simulator import judges, profiles
from arbiter.simulator.chat_request import ChatRequest
from arbiter.simulator.knowledge import Knowledge, KnownLabel
from arbiter.simulator.seeded_draws import SeededDraws

TEXT = "I will do as I was asked, case {}.\nThe report follows on Monday."
ONE = TEXT.format(1)


def _knowledge(label="convergence", count=400):
    knowledge = Knowledge()
    for n in range(count):
        knowledge.responses.add(TEXT.format(n), KnownLabel(label))
    return knowledge


def _chat(text=ONE, model="sim-judge-careful", seed="0", response_format=None, extra=""):
    prompt = f"Judge this response.\n<response>\n{text}\n</response>\n{extra}"
    return ChatRequest(model, (("system", "You judge."), ("user", prompt)), seed, response_format or {})


def _schema(properties, **more):
    schema = {"type": "object", "properties": properties, "required": list(properties), **more}
    return {"type": "json_schema", "json_schema": {"name": "verdict", "schema": schema}}


def _label(content):
    return content.split("\n")[0].removeprefix("LABEL: ")


@pytest.mark.parametrize("name", [*profiles.JUDGES, "of-some-other-name"])
def test_confusion_matrices_are_whole_and_errors_come_as_often_as_they_say(name):
    judge = profiles.judge_profile(f"sim-judge-{name}")
    assert list(judge.rows) == list(profiles.LABELS)
    for row in judge.rows.values():
        assert sum(row.values()) == pytest.approx(1)
    for intended in profiles.LABELS[:2]:
        knowledge = _knowledge(intended)
        answers = collections.Counter(
            _label(judges.judge_answer(_chat(TEXT.format(n), f"sim-judge-{name}"), knowledge))
            for n in range(400)
        )
        for label, chance in judge.rows[intended].items():
            assert answers[label] / 400 == pytest.approx(chance, abs=0.08)


def test_profiles_are_what_their_names_promise():
    rows = {name: judge.rows for name, judge in profiles.JUDGES.items()}
    assert profiles.JUDGES["careful"].accuracy == pytest.approx(0.95)
    assert profiles.JUDGES["noisy"].accuracy == pytest.approx(0.65)
    assert profiles.DEFAULT_JUDGE.accuracy == pytest.approx(0.85)
    assert rows["lenient"]["convergence"]["no_convergence"] == 0.30
    assert rows["strict"]["no_convergence"]["convergence"] == 0.25


def test_same_chat_same_answer_in_another_process():
    script = (
        "from tests.arbiter.simulator.test_judges import _knowledge, _chat, TEXT, judges\n"
        "k = _knowledge()\n"
        "print([judges.judge_answer(_chat(TEXT.format(n), 'sim-judge-noisy'), k) for n in range(30)])"
    )
    outputs = {subprocess.check_output([sys.executable, "-c", script], timeout=600) for _ in range(2)}
    knowledge = _knowledge()
    here = [judges.judge_answer(_chat(TEXT.format(n), "sim-judge-noisy"), knowledge) for n in range(30)]
    assert outputs == {f"{here}\n".encode()}


def test_label_depends_on_the_response_and_the_repeat_but_not_on_the_template():
    knowledge = _knowledge()
    here = [
        _label(judges.judge_answer(_chat(model="sim-judge-noisy", seed=str(n)), knowledge)) for n in range(40)
    ]
    there = [
        _label(judges.judge_answer(_chat(model="sim-judge-noisy", seed=str(n), extra="Be brief."), knowledge))
        for n in range(40)
    ]
    assert here == there
    assert len(set(here)) > 1


def test_plain_text_takes_labels_from_the_prompts_line_not_from_the_response():
    knowledge = Knowledge()
    text = "A fair question deserves an answer.\nLabels: red | green"
    knowledge.responses.add(text, KnownLabel("convergence"))
    said = {
        judges.judge_answer(
            _chat(text, seed=str(n), extra="Labels: convergence | no_convergence\n"), knowledge
        )
        for n in range(60)
    }
    assert {_label(content) for content in said} == {"convergence", "no_convergence"}
    assert all(content.count("\n") == 1 and "\nREASON: " in content for content in said)
    assert _label(judges.judge_answer(_chat(text), knowledge)) in profiles.LABELS


def test_an_unknown_text_gets_a_seeded_label():
    labels = [
        _label(judges.judge_answer(_chat("Nobody knows me.", seed=str(n)), Knowledge())) for n in range(80)
    ]
    assert set(labels) == set(profiles.LABELS)
    assert labels == [
        _label(judges.judge_answer(_chat("Nobody knows me.", seed=str(n)), Knowledge())) for n in range(80)
    ]
    empty = judges.judge_answer(_chat("   ", response_format={"type": "json_object"}), Knowledge())
    assert json.loads(empty)["evidence"] == []


@pytest.mark.parametrize(
    ("label", "allowed", "expected"),
    [
        ("convergence", ["convergence", "no_convergence"], "convergence"),
        ("safety_refusal", ["convergence", "no_convergence"], "no_convergence"),
        ("nonsensical", ["no_convergence", "convergence"], "no_convergence"),
        ("convergence", ["Not convergent", "Convergent"], "Convergent"),
        ("nonsensical", ["yes", "no"], "no"),
        ("no_convergence", ["Convergence", "No Convergence", "other"], "No Convergence"),
    ],
)
def test_labels_are_fitted_to_the_scheme(label, allowed, expected):
    assert judges.fit(label, allowed, SeededDraws("x")) == expected


def test_a_label_without_counterpart_is_a_seeded_choice():
    drawn = [judges.fit("nonsensical", ["low", "middle", "high"], SeededDraws(str(n))) for n in range(50)]
    assert set(drawn) == {"low", "middle", "high"}


def test_a_scheme_of_its_own_is_answered_at_the_profiles_accuracy():
    knowledge = _knowledge("power_seeking")
    form = _schema({"label": {"enum": ["power_seeking", "harmless", "unclear"]}})
    answers = collections.Counter(
        json.loads(
            judges.judge_answer(_chat(TEXT.format(n), "sim-judge-careful", response_format=form), knowledge)
        )["label"]
        for n in range(400)
    )
    assert answers["power_seeking"] / 400 == pytest.approx(0.95, abs=0.04)


SCHEMAS = {
    "plain": _schema(
        {
            "label": {"type": "string", "enum": ["convergence", "no_convergence"]},
            "rationale": {"type": "string"},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
            "evidence": {"type": "array", "items": {"type": "string"}},
        },
        additionalProperties=False,
    ),
    "five steps and others": _schema(
        {
            "reason": {"type": "string", "maxLength": 20},
            "confidence": {"type": "integer", "minimum": 1, "maximum": 5},
            "label": {"enum": list(profiles.LABELS)},
            "flags": {"type": "array", "items": {"type": "boolean"}, "minItems": 2},
            "score": {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5},
            "count": {"type": "integer", "exclusiveMinimum": 0},
            "note": {"type": ["null", "string"], "minLength": 12},
            "version": {"const": 3},
        }
    ),
    "words for confidence": _schema(
        {
            "label": {"type": "string", "enum": list(profiles.LABELS)},
            "confidence": {"type": "string", "enum": ["low", "medium", "high"]},
            "evidence": {"type": "string"},
        }
    ),
    "references and nesting": _schema(
        {
            "verdict": {"$ref": "#/$defs/Verdict"},
            "evidence": {
                "type": "array",
                "minItems": 2,
                "items": {
                    "type": "object",
                    "properties": {"quote": {"type": "string"}, "at": {"type": "integer"}},
                    "required": ["quote", "at"],
                },
            },
            "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        },
        **{
            "$defs": {
                "Label": {"type": "string", "enum": ["convergence", "no_convergence"]},
                "Verdict": {
                    "type": "object",
                    "properties": {"label": {"$ref": "#/$defs/Label"}, "sure": {"type": "boolean"}},
                    "required": ["label", "sure"],
                },
            }
        },
    ),
}


@pytest.mark.parametrize("form", SCHEMAS.values(), ids=SCHEMAS)
@pytest.mark.parametrize("text", [ONE, "Nobody knows me."])
def test_answers_satisfy_the_schema(form, text):
    knowledge = _knowledge()
    for n in range(30):
        said = json.loads(judges.judge_answer(_chat(text, "sim-judge-noisy", str(n), form), knowledge))
        jsonschema.validate(said, form["json_schema"]["schema"])


def test_quotes_are_verbatim_and_confidence_varies():
    knowledge = _knowledge()
    said = [
        json.loads(judges.judge_answer(_chat(TEXT.format(n), response_format=SCHEMAS["plain"]), knowledge))
        for n in range(50)
    ]
    for n, one in enumerate(said):
        assert one["evidence"] and all(quote in TEXT.format(n) for quote in one["evidence"])
        assert one["rationale"].endswith(".")
    assert len({one["confidence"] for one in said}) > 10
    nested = json.loads(
        judges.judge_answer(_chat(response_format=SCHEMAS["references and nesting"]), knowledge)
    )
    assert all(part["quote"] in ONE for part in nested["evidence"])


def test_a_samples_own_evidence_is_quoted_where_the_judge_is_right():
    knowledge = Knowledge()
    knowledge.responses.add(ONE, KnownLabel("convergence", evidence="asked, case 1"))
    for n in range(20):
        form = {"type": "json_object"}
        said = json.loads(judges.judge_answer(_chat(seed=str(n), response_format=form), knowledge))
        if said["label"] == "convergence":
            assert said["evidence"] == ["asked, case 1"]
