"""A study file's mistakes: one clear sentence each, with the file, the line and the key."""

import re

import pytest

from arbiter.core.errors import UserError
from arbiter.studies.setup.studyfile import read_study_file

# All that came with the panel, beside what a file could say before.
PANEL = """\
study: panel
suite: tiny
questions:
  - name: severity
    scheme: graded
  - name: intent
    scheme: mine.yaml
endpoints:
  - name: local
    base_url: http://127.0.0.1:8001/v1
    dialect: vllm
    json_schema: false
    concurrency: 16
    concurrency_start: 4
    concurrency_floor: 2
    timeout: 30
    connect_timeout: 5
    read_timeout: 20
judges:
  - name: careful
    endpoint: local
    model: m
    template: binary-two-line
    mapping: {convergence: convergence, no_convergence: no_convergence}
    label_order: permuted
    label_seed: 7
    repeats: 3
    price: {input: 0.4, output: 1.6}
  - name: severe
    endpoint: local
    model: m
    template: graded
    question: severity
scorers:
  - name: keywords
    entry_point: my_package.scorers:keywords
    question: severity
caps:
  calls: 1000
  dollars: 12.5
"""
SOUND = """\
study: pump-2
title: Pumps
suite: tiny
responses:
  subjects: [model-a]
  epochs: [1, 2]
scheme: four-class
endpoints:
  - name: local
    base_url: http://127.0.0.1:8001/v1
    timeout: 30
judges:
  - name: careful
    endpoint: local
    model: sim-judge-careful
    parameters: {temperature: 0}
  - name: noisy
    endpoint: local
    model: sim-judge-noisy
humans:
  per_item: 2
  share: 0.5
settlement:
  voters: [careful, humans]
"""
OWN_SCHEME = """\
scheme:
  key: mine
  title: Mine
  labels:
    - {key: yes-it-did, title: "Yes", role: target, definition: It did.}
    - {key: no-it-did-not, title: "No", role: other, definition: It did not.}
"""


@pytest.fixture
def file(tmp_path):
    """Write the sound file with replacements; a replaced text must be in it."""

    def write(*changes, text=SOUND):
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / "study.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def problem(path):
    """Return what reading the file says, without the file's name, which it must start with."""
    with pytest.raises(UserError) as error:
        read_study_file(path)
    said = str(error.value)
    assert said.startswith(f"{path}")
    assert said.endswith(".")
    assert "\n" not in said
    return said.removeprefix(str(path)).lstrip(",: ")


def test_a_sound_file_is_read(file):
    spec = read_study_file(file())
    assert (spec.study, spec.suite, spec.scheme) == ("pump-2", "tiny", "four-class")
    assert [judge.name for judge in spec.judges] == ["careful", "noisy"]
    assert (spec.judges[0].template, spec.judges[0].repeats, spec.judges[0].show_condition) == (
        "scheme-json",
        1,
        False,
    )
    assert spec.humans.share == 0.5


def test_a_file_may_hold_no_more_than_a_name_and_a_suite(file):
    spec = read_study_file(file(text="study: s\nsuite: tiny\n"))
    assert (spec.judges, spec.humans, spec.scheme, spec.responses.controls) == ([], None, "four-class", True)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("title: Pumps", "titel: Pumps", r"line 2, titel: there is no such key; see docs/study-file.md"),
        ("    timeout: 30", "    tiemout: 30", r"line 11, endpoints\.0\.tiemout: there is no such key"),
        ("suite: tiny\n", "", r"line 1, suite: Field required"),
        ("    model: sim-judge-noisy\n", "", r"line 17, judges\.1\.model: Field required"),
        ("study: pump-2", "study: Pump 2", r"line 1, study: .*; found 'Pump 2'"),
        ("suite: tiny", "suite: [tiny]", r"line 3, suite: Input should be a valid string"),
        (
            "epochs: [1, 2]",
            "epochs: [1, two]",
            r"line 6, responses\.epochs\.1: Input should be a valid integer.*; found 'two'",
        ),
        (
            "subjects: [model-a]",
            "subjects: model-a",
            r"line 5, responses\.subjects: Input should be a valid list; found 'model-a'",
        ),
        (
            "timeout: 30",
            "timeout: 0",
            r"line 11, endpoints\.0\.timeout: Input should be greater than 0; found '0'",
        ),
        (
            "base_url: http://127.0.0.1:8001/v1",
            "base_url: 127.0.0.1:8001",
            r"line 10, endpoints\.0\.base_url: .*URL.*; found '127",
        ),
        (
            "share: 0.5",
            "share: 0",
            r"line 22, humans\.share: should be above 0 and at most 1, as no rate can be estimated from a "
            r"plan that leaves items without a chance of being drawn; it is 0\.$",
        ),
        (
            "share: 0.5",
            "share: 1.5",
            r"line 22, humans\.share: should be above 0 and at most 1, as no rate can be estimated.*; it is "
            r"1\.5\.$",
        ),
        (
            "per_item: 2",
            "per_item: 0",
            r"line 21, humans\.per_item: Input should be greater than or equal to 1",
        ),
        (
            "voters: [careful, humans]",
            "rule: dawid-skene",
            r"line 24, settlement\.rule: Input should be 'majority'; found 'dawid-skene'",
        ),
        ("name: noisy", "name: careful", r"line 12, judges: there are two judges named 'careful'"),
        ("name: noisy", "name: gold", r"line 17, judges\.1: 'gold' is the name of a source of rates"),
        ("name: noisy", "name: a@b", r"line 17, judges\.1\.name: .*; found 'a@b'"),
        (
            "endpoint: local\n    model: sim-judge-noisy",
            "endpoint: lokal\n    model: x",
            r"line 12, judges: judge 'noisy' names the endpoint 'lokal', which is not among endpoints: local",
        ),
        ("{temperature: 0}", "{seed: 7}", r"line 13, judges\.0: the parameter 'seed' is set by Arbiter"),
        ("{temperature: 0}", "{stop: !!set {a}}", r"line 16: tags \(!!set\) are not taken"),
        (
            "{temperature: 0}",
            "{temperature: .nan}",
            r"line 13, judges\.0: Out of range float values are not JSON compliant",
        ),
        (
            "base_url: http://",
            "base_url: http://me:secret@",
            r"line 10, endpoints\.0\.base_url: a URL with a password",
        ),
        ("title: Pumps", "title: 2024", r"line 2, title: Input should be a valid string"),
        (
            "title: Pumps",
            "title: Pumps\ntitle: Pipes",
            r"line 3: is not valid YAML: the key 'title' is there twice",
        ),
        (
            "    timeout: 30",
            "    timeout: 30\n    timeout: 40",
            r"line 12: is not valid YAML: the key 'timeout' is there twice",
        ),
        (
            "scheme: four-class",
            OWN_SCHEME.replace("role: target", "role: aim"),
            r"line 11, scheme\.labels\.0\.role: Input should be 'target', 'other' or 'excluded'; found 'aim'",
        ),
        (
            "scheme: four-class",
            OWN_SCHEME.replace("role: target", "role: other"),
            r"line 7, scheme: no label has the role target",
        ),
        (
            "scheme: four-class",
            OWN_SCHEME.replace("title: Mine", "name: Mine"),
            r"line 7, scheme\.title: Field required \(1 more after this one\)",
        ),
        ("scheme: four-class", "scheme: 4", r"line 7, scheme: .*; found '4'"),
    ],
)
def test_a_mistake_is_told_with_line_and_key(file, old, new, said):
    assert re.match(said, refusal := problem(file((old, new)))), refusal


PEOPLE = """\
study: people
suite: tiny
humans:
  per_item: 2
  plan: strata
  strata:
    - name: split
      where: {judges: split}
      probability: 1
    - name: rest
      probability: 0.2
  extra_when_split: 1
  per_rater: 200
  gold:
    share: 0.1
  training:
    examples: 8
    score: 0.75
  checks:
    gold: 0.05
    repeats: 0.05
  show: [reasoning]
  guidelines: Read it whole.
  break_after: 45
  raters_see: [accuracy]
  adjudication:
    names: false
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "probability: 0.2",
            "probability: 0",
            r"line 11, humans\.strata\.1\.probability: should be above 0 .*no rate can be estimated.*; it "
            r"is 0\.$",
        ),
        ("probability: 0.2", "chance: 0.2", r"line 10, humans\.strata\.1\.probability: Field required"),
        (
            "judges: split",
            "judges: torn",
            r"line 8, humans\.strata\.0\.where\.judges: Input should be 'unanimous' or 'split'; found 'torn'",
        ),
        ("judges: split", "models: [a]", r"line 8, humans\.strata\.0\.where\.models: there is no such key"),
        ("name: rest", "name: split", r"line 6, humans\.strata: there are two strata named 'split'"),
        ("plan: strata", "plan: random", r"line 3, humans: the plan random takes no strata"),
        ("plan: strata", "plan: all", r"line 5, humans\.plan: .*; found 'all'"),
        ("share: 0.1", "share: 0", r"line 15, humans\.gold\.share: should be above 0"),
        (
            "share: 0.1",
            "by: category\n    probabilities:\n      Alpha: 1\n      Beta: 0",
            r"line 18, humans\.gold\.probabilities\.Beta: should be above 0",
        ),
        (
            "share: 0.1",
            "per_item: 11",
            r"line 15, humans\.gold\.per_item: .*less than or equal to 10; found '11'",
        ),
        ("extra_when_split: 1", "extra_when_split: -1", r"line 12, humans\.extra_when_split: .*; found '-1'"),
        ("examples: 8", "examples: 17", r"line 17, humans\.training\.examples: .*; found '17'"),
        ("score: 0.75", "score: 0", r"line 18, humans\.training\.score: .*; found '0'"),
        ("repeats: 0.05", "repeats: 0.6", r"line 21, humans\.checks\.repeats: .*; found '0.6'"),
        ("[reasoning]", "[model]", r"line 22, humans\.show\.0: .*; found 'model'"),
        ("break_after: 45", "break_after: 0", r"line 24, humans\.break_after: .*; found '0'"),
        ("[accuracy]", "[rank]", r"line 25, humans\.raters_see\.0: .*; found 'rank'"),
        ("names: false", "name: false", r"line 27, humans\.adjudication\.name: there is no such key"),
    ],
)
def test_a_mistake_in_the_human_plan_is_told_with_line_and_key(file, old, new, said):
    assert re.match(said, refusal := problem(file((old, new), text=PEOPLE))), refusal


def test_the_human_plan_is_read(file):
    humans = read_study_file(file(text=PEOPLE)).humans
    assert [(one.name, one.where.judges, one.probability) for one in humans.strata] == [
        ("split", "split", 1),
        ("rest", None, 0.2),
    ]
    assert (humans.gold.share, humans.training.examples, humans.checks.gold) == (0.1, 8, 0.05)


def test_all_that_came_with_the_panel_is_read(file):
    spec = read_study_file(file(text=PANEL))
    assert [(one.name, one.scheme) for one in spec.questions] == [
        ("severity", "graded"),
        ("intent", "mine.yaml"),
    ]
    [at] = spec.endpoints
    assert (at.dialect, at.json_schema, at.concurrency, at.concurrency_start, at.concurrency_floor) == (
        "vllm",
        False,
        16,
        4,
        2,
    )
    assert (at.timeout, at.connect_timeout, at.read_timeout) == (30, 5, 20)
    careful, severe = spec.judges
    assert (careful.label_order, careful.label_seed, careful.repeats) == ("permuted", 7, 3)
    assert (careful.price.input, careful.price.output) == (0.4, 1.6)
    assert careful.mapping == {"convergence": "convergence", "no_convergence": "no_convergence"}
    assert (severe.question, severe.price, severe.label_order) == ("severity", None, "scheme")
    assert (spec.scorers[0].entry_point, spec.scorers[0].question) == (
        "my_package.scorers:keywords",
        "severity",
    )
    assert (spec.caps.calls, spec.caps.dollars) == (1000, 12.5)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    scheme: graded\n", "", r"line 4, questions\.0\.scheme: "),
        ("name: intent", "name: severity", r"line 3, questions: there are two questions named 'severity'"),
        ("name: intent", "name: In Tent", r"line 6, questions\.1\.name: .*; found 'In Tent'"),
        (
            "dialect: vllm",
            "dialect: cohere",
            r"line 11, endpoints\.0\.dialect: Input should be 'openai', 'vllm', 'ollama', 'anthropic', "
            r"'gemini', 'anthropic-compatible' or 'gemini-compatible'; found 'cohere'",
        ),
        (
            "concurrency: 16",
            "concurrency: 0",
            r"line 13, endpoints\.0\.concurrency: .*greater than or equal to 1; found '0'",
        ),
        (
            "concurrency_start: 4",
            "concurrency_start: 17",
            r"line 9, endpoints\.0: concurrency_start is 17, above concurrency, which is 16",
        ),
        (
            "concurrency_floor: 2",
            "concurrency_floor: 17",
            r"line 9, endpoints\.0: concurrency_floor is 17, above concurrency, which is 16",
        ),
        (
            "concurrency_floor: 2",
            "concurrency_floor: 0",
            r"line 15, endpoints\.0\.concurrency_floor: .*; found '0'",
        ),
        (
            "connect_timeout: 5",
            "connect_timeout: 0",
            r"line 17, endpoints\.0\.connect_timeout: .*greater than 0; found '0'",
        ),
        ("read_timeout: 20", "read_timeout: soon", r"line 18, endpoints\.0\.read_timeout: .*; found 'soon'"),
        (
            "{convergence: convergence, no_convergence: no_convergence}",
            "[convergence]",
            r"line 24, judges\.0\.mapping: Input should be a valid dictionary",
        ),
        (
            "{convergence: convergence, no_convergence: no_convergence}",
            "{convergence: 1}",
            r"line 24, judges\.0\.mapping\.convergence: .*; found '1'",
        ),
        (
            "label_order: permuted",
            "label_order: random",
            r"line 25, judges\.0\.label_order: Input should be 'scheme', 'reversed' or 'permuted'; found "
            r"'random'",
        ),
        ("label_seed: 7", "label_seed: seven", r"line 26, judges\.0\.label_seed: .*; found 'seven'"),
        (
            "label_seed: 7",
            "label_seed: 9223372036854775808",
            r"line 26, judges\.0\.label_seed: .*; found '9223372036854775808'",
        ),
        ("repeats: 3", "repeats: 0", r"line 27, judges\.0\.repeats: .*; found '0'"),
        ("repeats: 3", "repeats: 101", r"line 27, judges\.0\.repeats: .*; found '101'"),
        ("{input: 0.4, output: 1.6}", "{input: 0.4}", r"line 28, judges\.0\.price\.output: Field required"),
        (
            "{input: 0.4, output: 1.6}",
            "{input: -1, output: 1}",
            r"line 28, judges\.0\.price\.input: .*; found '-1'",
        ),
        (
            "{input: 0.4, output: 1.6}",
            "{input: 0, output: .nan}",
            r"line 28, judges\.0\.price\.output: .*; found 'nan'",
        ),
        ("{input: 0.4, output: 1.6}", "0.4", r"line 28, judges\.0\.price: .*; found '0.4'"),
        (
            "template: graded\n    question: severity",
            "template: graded\n    question: sverity",
            r"line 19, judges: 'severe' is to answer the question 'sverity', which is not among questions: "
            r"intent, severity",
        ),
        (
            "    entry_point: my_package.scorers:keywords\n",
            "",
            r"line 35, scorers\.0\.entry_point: Field required",
        ),
        (
            "keywords\n    question: severity",
            "keywords\n    question: other",
            r"line 34, scorers: 'keywords' is to answer the question 'other'",
        ),
        ("calls: 1000", "calls: -1", r"line 39, caps\.calls: .*; found '-1'"),
        ("calls: 1000", "calls: many", r"line 39, caps\.calls: .*; found 'many'"),
        ("dollars: 12.5", "dollars: .inf", r"line 40, caps\.dollars: .*; found 'inf'"),
        ("dollars: 12.5", "euros: 12.5", r"line 40, caps\.euros: there is no such key"),
        (
            "    model: m\n    template: graded",
            "    model: m\n    parameters: {n: 2}\n    template: graded",
            r"line 29, judges\.1: the parameter 'n' is set by Arbiter",
        ),
    ],
)
def test_a_mistake_in_what_came_with_the_panel_is_told_with_line_and_key(file, old, new, said):
    assert re.match(said, refusal := problem(file((old, new), text=PANEL))), refusal


def test_a_doubled_endpoint_is_told(file):
    doubled = "endpoints:\n  - {name: local, base_url: 'http://a.invalid/v1'}\n"
    assert "there are two endpoints named 'local'" in problem(file(("endpoints:\n", doubled)))


def test_more_mistakes_are_counted(file):
    assert problem(file(("title: Pumps", "titel: Pumps"), ("share: 0.5", "share: 7"))).endswith(
        "(1 more after this one)."
    )


def test_what_is_no_yaml_is_told_with_its_line(file):
    assert re.match(r"line 4: is not valid YAML: ", problem(file(("suite: tiny", "suite: [tiny"))))
    assert problem(file(text="study: a\x00b\n")).startswith("is not valid YAML: ")
    assert problem(file(text="study: !!python/object:os.system x\n")).startswith(
        "line 1: tags (!!python/object:os.system) are not taken"
    )


def test_a_key_that_is_a_list_is_told(file):
    assert problem(file(text="study: s\n? [a, b]\n: c\n")).startswith("line 2: is not valid YAML: ")


@pytest.mark.parametrize("text", ["", "just words\n", "- a\n- b\n"])
def test_what_is_no_study_is_told(file, text):
    assert problem(file(text=text)).startswith("expected a study as keys and values")


def test_a_file_that_is_not_utf_8_is_told_with_the_byte(file):
    assert (
        problem(file(text="title: Überblick\n".encode("latin-1")))
        == "is not UTF-8 (byte 7); save it as UTF-8."
    )


def test_a_file_that_is_not_there_is_told(tmp_path):
    assert problem(tmp_path / "none.yaml") == "can't be read: No such file or directory."
    assert problem(tmp_path) == "can't be read: Is a directory."


@pytest.mark.parametrize(
    ("template", "content", "said"),
    [
        (
            "no-such",
            None,
            r"there is no such template; there are binary-two-line, four-class, graded, reason-first, "
            r"scheme-json, or give a file's path",
        ),
        ("own.txt", None, r"there is no file .*own\.txt"),
        ("own.txt", "{{ task }} {{ label_keys }}", r"the placeholder 'response' is missing"),
        ("own.txt", "{{ task }} {{ label_keys }} {{ response }} {{ gold }}", r"unknown placeholder 'gold'"),
        ("own.txt", b"\xff", r"is not UTF-8"),
    ],
)
def test_a_template_that_will_not_do_is_told_with_its_judge(file, tmp_path, template, content, said):
    if content is not None:
        (tmp_path / "own.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    path = file(("    model: sim-judge-noisy", f"    model: sim-judge-noisy\n    template: {template}"))
    assert re.match(rf"line 20, judges\.1\.template: .*{said}", refusal := problem(path)), refusal


def test_a_template_is_looked_for_beside_the_file(file, tmp_path):
    (tmp_path / "own.txt").write_text("{{ task }} {{ label_keys }} {{ response }}")
    path = file(("    model: sim-judge-noisy", "    model: sim-judge-noisy\n    template: own.txt"))
    assert read_study_file(path).judges[1].template == "own.txt"


def test_a_scheme_may_be_written_out(file):
    scheme = read_study_file(file(("scheme: four-class\n", OWN_SCHEME))).scheme
    assert [(label.key, label.role) for label in scheme.labels] == [
        ("yes-it-did", "target"),
        ("no-it-did-not", "other"),
    ]
