"""Every template at every dialect of the simulated provider, through the engine,
with what goes wrong there."""

import json

import pytest

from annotation.models import Rating
from annotation.schemes import BUILTIN
from arbiter.calls.dialects import DIALECTS
from arbiter.simulator.running import running_simulator
from judging.models import Attempt, Verdict
from judging.panel.judging_run import judge_study
from tests import builders
from tests.judging.helpers import endpoint, judge, states

pytestmark = pytest.mark.django_db(transaction=True)
SCHEME_OF = {
    "scheme-json": "four-class",
    "four-class": "four-class",
    "reason-first": "four-class",
    "binary-two-line": "binary",
    "graded": "graded",
}
SCALES = {"graded": "steps3", "binary-two-line": ""}


def at_dialect(simulator, dialect, **fields):
    structured = DIALECTS[dialect].structured
    return endpoint(
        simulator.url(dialect),
        dialect,
        dialect=dialect,
        **{"json_schema": structured, "timeout": 2, **fields},
    )


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("template", SCHEME_OF)
def test_every_template_is_answered_in_its_form(simulator, dialect, template):
    study = builders.study(scheme=SCHEME_OF[template])
    judge(study, at_dialect(simulator, dialect), template=template)
    assert judge_study(study)["parsed"] == 6, list(Verdict.objects.values_list("state", "reason"))
    keys = {label.key for label in BUILTIN[SCHEME_OF[template]].labels}
    scale = SCALES.get(template, "probability")
    if template == "scheme-json" and not DIALECTS[dialect].structured:
        scale = ""  # it asks for two lines there
    for rating in Rating.objects.select_related("label"):
        assert rating.label.key in keys
        assert rating.rationale
        assert rating.confidence_scale == scale
        assert rating.simulated


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_goes_wrong_there_ends_as_what_it_is(db, dialect):
    shares = {"rate_limit_share": 0.1, "error_share": 0.1, "refusal_share": 0.2, "length_share": 0.1}
    study = builders.study(tasks=5, epochs=8)
    with running_simulator(seed=2, retry_after=0, **shares) as simulator:
        judge(study, at_dialect(simulator, dialect), template="four-class")
        result = judge_study(study)
        kinds = simulator.stats()["kinds"]
    assert result["verdicts"] == 40 and result["open"] == 0
    said = {kind: Attempt.objects.filter(outcome=kind).count() for kind in Attempt.Outcome.values}
    assert said["rate_limited"] == kinds["429"] and said["server_error"] == kinds["500"]
    assert said["length"] == kinds["length"]
    if dialect in ("vllm", "ollama"):  # they refuse in prose, which can't be told from an answer
        assert said["answer"] == kinds["ok"] + kinds["refusal"]
        assert states(study)["unparsed"] >= kinds["refusal"]
    else:
        assert (said["refusal"], said["answer"]) == (kinds["refusal"], kinds["ok"])
        assert states(study)["refused"] == kinds["refusal"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_judge_that_thinks_first_gets_a_larger_budget_once(simulator, dialect):
    study = builders.study(tasks=1, epochs=3)
    limit = {DIALECTS[dialect].token_field: 120}
    judge(study, at_dialect(simulator, dialect), "thinking", template="four-class", parameters=limit)
    judge_study(study)
    for verdict in Verdict.objects.all():
        first, *more = verdict.attempts.order_by("pk")
        assert first.outcome == "length" and first.max_tokens is None
        assert [one.max_tokens for one in more] == [1024]
        assert verdict.answer == more[0]
        assert verdict.state == "done", verdict.reason
        assert more[0].completion_tokens > 120


def test_an_attack_reaches_no_label_unless_the_judge_gives_it(simulator):
    """What the answer says is read from the answer alone; the fence keeps the attack in its place."""
    from tests.judging.attacks import ATTACKS

    study = builders.study(tasks=1, epochs=len(ATTACKS))
    for item, attack in zip(study.items.all(), ATTACKS, strict=True):
        type(item.response).objects.filter(pk=item.response_id).update(
            text=attack.text, content_hash=attack.name[:64]
        )
    judge(study, endpoint(simulator.base_url), "careful", template="four-class")
    judge_study(study)
    assert Verdict.objects.filter(state="done").count() == len(ATTACKS)
    for rating in Rating.objects.select_related("verdict__answer", "label"):
        content = json.loads(rating.verdict.answer.raw)["choices"][0]["message"]["content"]
        assert json.loads(content)["label"] == rating.label.key
