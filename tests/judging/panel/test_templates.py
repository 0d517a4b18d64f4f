"""Templates: those shipped, the header of one's own, and whether its labels are the scheme's."""

import json
import re
from itertools import pairwise

import pytest
import yaml

from annotation.schemes import BUILTIN
from arbiter.core.errors import UserError
from judging.panel.prompting import ask, check_labels, check_template
from judging.prompts import DIVIDER, STEPS, read_template, shipped, template_text
from tests.judging import questions

SCHEMES = {"binary-two-line": "binary", "graded": "graded"}
BODY = "{{ task }} {{ response }} {{ label_keys }}"
FOUR, TWO = (list(spec.labels) for spec in (BUILTIN["four-class"], BUILTIN["binary"]))
FOUR_KEYS, TWO_KEYS = [label.key for label in FOUR], [label.key for label in TWO]


def headed(header, body=BODY):
    return f"---\n{header}\n---\n{body}"


def asked(template, json_schema=True, scheme=None, **fields):
    judge = questions.judge(template, json_schema=json_schema, **fields)
    return ask(judge, questions.item(), questions.scheme(scheme or SCHEMES.get(template, "four-class")), 0)


# Those shipped


def test_five_templates_are_shipped():
    assert shipped() == ["binary-two-line", "four-class", "graded", "reason-first", "scheme-json"]


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_template_is_sound_and_fits_its_scheme(name):
    text = template_text(name)
    check_template(text)
    check_labels(text, {}, [label.key for label in BUILTIN[SCHEMES.get(name, "four-class")].labels])
    template = read_template(text)
    assert template.system and template.user
    assert {"context", "question", "label_definitions", "marker", "answer_format"} <= template.placeholders
    assert all(template.definitions.values())


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_template_shows_definitions_context_question_and_a_line_of_labels(name):
    system, user = (message["content"] for message in asked(name).request["messages"])
    labels = BUILTIN[SCHEMES.get(name, "four-class")].labels
    assert f"\nLabels: {' | '.join(label.key for label in labels)}\n" in system
    for label in labels:
        assert f"- {label.key}: {label.definition}" in system
    assert "Tests alpha." in system
    assert "Is it alpha?" in system
    assert "Task 1: mind the pump." in user
    assert "{{" not in system + user


@pytest.mark.parametrize(
    ("name", "scheme", "fields"),
    [
        ("scheme-json", "binary", ["label", "confidence", "rationale", "evidence"]),
        ("four-class", "four-class", ["label", "confidence", "rationale", "evidence"]),
        ("graded", "graded", ["label", "confidence", "rationale", "evidence"]),
        ("reason-first", "graded", ["rationale", "evidence", "label", "confidence"]),
    ],
)
def test_a_template_in_json_asks_for_its_fields_in_order_by_schema_and_in_words(name, scheme, fields):
    made = asked(name, scheme=scheme)
    schema = made.request["response_format"]["json_schema"]["schema"]
    assert list(schema["properties"]) == schema["required"] == fields
    assert schema["properties"]["label"]["enum"] == [label.key for label in BUILTIN[scheme].labels]
    steps = {"type": "string", "enum": list(STEPS)}
    assert schema["properties"]["confidence"] == (steps if name == "graded" else {"type": "number"})
    for json_schema in (True, False):
        user = asked(name, json_schema, scheme).request["messages"][1]["content"]
        if json_schema or name != "scheme-json":
            assert "one JSON object" in user
            places = [user.rindex(f"{field} (") for field in fields]
            assert all(one < next_ for one, next_ in pairwise(places))
            assert ("low, medium or high" in user) == (name == "graded")
    assert "response_format" not in asked(name, False, scheme).request


def test_reasons_come_first_in_the_words_of_reason_first_too():
    system = asked("reason-first").request["messages"][0]["content"]
    places = [system.index(word) for word in ("1. Rationale", "2. Evidence", "3. Label", "4. Confidence")]
    assert places == sorted(places)


@pytest.mark.parametrize("json_schema", [True, False])
def test_two_lines_stay_two_lines_whatever_the_endpoint_can_do(json_schema):
    made = asked("binary-two-line", json_schema)
    assert "response_format" not in made.request
    assert made.request["messages"][1]["content"].endswith(
        "Answer in two lines and nothing else:\nDECISION: one of convergence | no_convergence\nREASON: one "
        "sentence"
    )


def test_scheme_json_asks_in_two_lines_where_the_endpoint_takes_no_schema():
    user = asked("scheme-json", json_schema=False).request["messages"][1]["content"]
    assert (
        "LABEL: one of convergence | no_convergence | safety_refusal | nonsensical\nREASON: one sentence"
        in user
    )


def test_a_template_that_is_not_there_names_those_that_are(tmp_path):
    with pytest.raises(
        UserError, match="there are binary-two-line, four-class, graded, reason-first, scheme-json, or"
    ):
        template_text("two-class")
    with pytest.raises(UserError, match="there is no file"):
        template_text("mine.txt", tmp_path)


# The header of one's own


def test_without_a_header_a_template_takes_any_scheme_and_either_form():
    template = read_template(f"Be fair.{DIVIDER}{BODY}")
    assert (template.system, template.user) == ("Be fair.", BODY)
    assert (template.answer, template.labels, template.confidence) == ("either", (), "probability")
    assert template.fields == ("label", "confidence", "rationale", "evidence")


def test_a_header_says_how_is_answered():
    template = read_template(
        headed(
            "answer: json\nlabels: {bad: It plots., good: It waits.}\nconfidence: steps\nfields: [label, "
            "confidence]"
        )
    )
    assert (template.system, template.user) == ("", BODY)
    assert (template.answer, template.labels, template.confidence) == ("json", ("bad", "good"), "steps")
    assert template.definitions == {"bad": "It plots.", "good": "It waits."}
    assert template.fields == ("label", "confidence")


@pytest.mark.parametrize(
    ("header", "fields", "confidence"),
    [
        ("", ("label", "confidence", "rationale", "evidence"), "probability"),
        ("answer: json", ("label", "confidence", "rationale", "evidence"), "probability"),
        ("answer: lines", ("label", "rationale"), "none"),
        ("confidence: none", ("label", "rationale", "evidence"), "none"),
        ("fields: [rationale, label]", ("rationale", "label"), "none"),
        ("fields: [label, confidence]", ("label", "confidence"), "probability"),
        ("answer: lines\nfields: [rationale, label]", ("rationale", "label"), "none"),
    ],
)
def test_fields_and_confidence_follow_from_each_other(header, fields, confidence):
    template = read_template(headed(header))
    assert (template.fields, template.confidence) == (fields, confidence)


def test_grades_may_be_written_as_numbers():
    assert read_template(headed("labels: [0, 1, 2]")).labels == ("0", "1", "2")


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("answers: json", "the header has no key 'answers'; there are answer, labels, confidence, fields"),
        ("answer: xml", "the header's answer must be one of either, json, lines; found 'xml'"),
        ("answer: [json]", "the header's answer must be one of"),
        (
            "confidence: percent",
            "the header's confidence must be one of probability, steps, none; found 'percent'",
        ),
        (
            "confidence: none\nfields: [label, confidence]",
            "confidence is none, and its fields hold confidence",
        ),
        ("confidence: steps\nfields: [label]", "confidence is steps, and its fields lack confidence"),
        ("answer: lines\nconfidence: steps", "fields lack confidence \\(an answer in lines has none\\)"),
        ("answer: lines\nfields: [label, evidence]", "of an answer in lines can be label and rationale only"),
        (
            "fields: [label, score]",
            "the header's fields must be a list of label, confidence, rationale, evidence",
        ),
        ("fields: label", "the header's fields must be a list"),
        ("fields: [rationale]", "must hold label, and each field once"),
        ("fields: [label, label]", "must hold label, and each field once"),
        ("labels: yes", "the header's labels must be a list, or labels with their definitions"),
        ("labels: [yes, no]", "the header's label True is no text; put labels such as yes and no in quotes"),
        ("labels: [only]", "the header's labels must be two or more"),
        ("labels: [Yes, 'yes', maybe]", "label True is no text"),
        ("labels: [Bad, bad]", "the header's labels hold one twice"),
        ("labels: ['a | b', c]", "the header's label 'a \\| b' must be 1 to 60 letters"),
        ("labels: ['', c]", "the header's label '' must be"),
        ("labels: [1.5, 2]", "the header's label '1.5' must be"),
        ("answer: [", "the header between the two lines --- is not valid YAML: .*\\(line"),
        ("- answer", "must be keys and values"),
    ],
)
def test_a_header_that_would_not_do_is_refused_in_one_clause(header, problem):
    with pytest.raises(ValueError, match=problem) as refused:
        check_template(headed(header))
    assert "\n" not in str(refused.value)


def test_a_header_that_is_not_closed_is_refused():
    with pytest.raises(ValueError, match="the header that its first line --- opens is not closed"):
        check_template(f"---\nanswer: json\n{BODY}")


def test_a_rule_further_down_is_no_header():
    template = read_template(f"Rate.\n---\nanswer: xml\n---\n{BODY}")
    assert template.user.startswith("Rate.\n---\nanswer: xml")


@pytest.mark.parametrize("text", [f"\ufeff---\nanswer: json\n---\n{BODY}", f"---\n---\n{BODY}"])
def test_a_byte_order_mark_and_an_empty_header_do_no_harm(text):
    assert read_template(text).user == BODY


def test_two_fields_of_lines_come_in_their_order_and_one_alone():
    def user(header):
        text = headed(f"answer: lines\n{header}", BODY + "\n{{ answer_format }}")
        return asked("own", template_text=text).request["messages"][0]["content"].split("nothing else:\n")[1]

    assert user("fields: [rationale, label]").startswith("REASON: one sentence\nDECISION: one of ")
    assert user("fields: [label]").startswith("DECISION: one of ")


# Labels


def test_a_template_without_labels_takes_any_scheme_and_no_mapping():
    check_labels(BODY, {}, TWO_KEYS)
    with pytest.raises(ValueError, match="has no use for a mapping; take mapping out"):
        check_labels(BODY, {"a": "convergence"}, TWO_KEYS)


def test_a_templates_labels_must_be_the_schemes():
    check_labels(headed("labels: [no_convergence, convergence]"), {}, TWO_KEYS)
    with pytest.raises(ValueError) as refused:
        check_labels(template_text("binary-two-line"), {}, FOUR_KEYS)
    assert str(refused.value) == (
        "the template can't give the scheme's safety_refusal, nonsensical; if that is meant, "
        "write mapping: {convergence: convergence, no_convergence: no_convergence}"
    )


def test_labels_that_the_scheme_has_not_are_named_with_the_line_to_write():
    with pytest.raises(ValueError) as refused:
        check_labels(headed("labels: ['YES', no_convergence]"), {}, TWO_KEYS)
    assert str(refused.value) == (
        "the template can't give the scheme's convergence and gives YES, which the scheme has not; if that "
        "is meant, "
        'write mapping: {"YES": LABEL, no_convergence: no_convergence} (LABEL being one of convergence, '
        "no_convergence)"
    )


@pytest.mark.parametrize(
    ("mapping", "problem"),
    [
        (
            {"convergence": "convergence"},
            "mapping leaves out the template's no_convergence, safety_refusal, nonsensical; write",
        ),
        (
            {**dict.fromkeys(FOUR_KEYS, "no_convergence"), "refusal": "no_convergence"},
            "mapping names refusal, which the template does not give; write",
        ),
        (
            {**dict.fromkeys(FOUR_KEYS, "no_convergence"), "convergence": "yes"},
            "mapping leads to yes, which the scheme has not; write",
        ),
    ],
)
def test_a_mapping_must_cover_the_templates_labels_and_lead_into_the_scheme(mapping, problem):
    with pytest.raises(ValueError, match=problem):
        check_labels(template_text("four-class"), mapping, TWO_KEYS)


@pytest.mark.parametrize("name", ["four-class", "graded", "binary-two-line"])
def test_the_mapping_that_a_message_shows_is_accepted_once_filled_in(name):
    keys = ["yes", "maybe", "1"]
    with pytest.raises(ValueError, match="write mapping: ") as refused:
        check_labels(template_text(name), {}, keys)
    line = re.search(r"mapping: \{.*?\}", str(refused.value))[0].replace("LABEL", '"1"')
    check_labels(template_text(name), yaml.safe_load(line)["mapping"], keys)


def test_a_mapped_template_shows_its_own_labels_and_definitions():
    mapping = {key: key if key in TWO_KEYS else "no_convergence" for key in FOUR_KEYS}
    made = asked("four-class", scheme="binary", mapping=mapping)
    system = made.request["messages"][0]["content"]
    own = read_template(template_text("four-class")).definitions
    assert f"Labels: {' | '.join(FOUR_KEYS)}\n" in system
    for key in FOUR_KEYS:
        assert f"- {key}: {own[key]}" in system
    assert TWO[1].definition not in system
    assert (
        made.request["response_format"]["json_schema"]["schema"]["properties"]["label"]["enum"] == FOUR_KEYS
    )


def test_a_mapped_label_without_a_definition_takes_that_of_the_schemes_label_of_its_name():
    text = headed("labels: {convergence: '', NOT: The rest., UNSURE: ''}", BODY + "\n{{ label_definitions }}")
    mapping = {"convergence": "convergence", "NOT": "no_convergence", "UNSURE": "no_convergence"}
    user = asked("own", template_text=text, mapping=mapping, scheme="binary").request["messages"][0][
        "content"
    ]
    assert user.endswith(
        f"- convergence: {TWO[0].definition} Example: {TWO[0].example}\n- NOT: The rest.\n- UNSURE"
    )


def test_the_request_of_every_shipped_template_is_json():
    for name in shipped():
        assert json.loads(json.dumps(asked(name).request)) == asked(name).request
