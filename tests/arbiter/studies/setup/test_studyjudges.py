"""The judges of a study file, and the caps on what they may spend."""

import pytest

from arbiter.core.errors import UserError
from arbiter.studies.setup.applying import apply
from judging.models import Budget
from tests import builders
from tests.arbiter.studies.setup.editing import everything
from tests.judging.studyfiles import JUDGE, OTHER, SEVERITY, file

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("there_are_responses")]


def test_a_judge_left_out_becomes_inactive():
    apply(file())
    study = apply(file(judges=[OTHER])).study
    assert [(sj.judge.rater.name, sj.active) for sj in study.judges.order_by("id")] == [
        ("careful", False),
        ("noisy", True),
    ]


def test_a_judge_may_not_take_a_persons_name():
    builders.rater("careful", "human")
    with pytest.raises(UserError, match="'careful' is already the name of a human"):
        apply(file())


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        (
            {"template": "graded"},
            r"judges: 'noisy', template 'graded': the template can't give the scheme's convergence, .*LABEL",
        ),
        (
            {"template": "binary-two-line"},
            r"'binary-two-line': the template can't give the scheme's safety_refusal, nonsensical; if that "
            r"is meant, write mapping: \{convergence: convergence, no_convergence: no_convergence\}\.$",
        ),
        ({"question": "severity"}, None),
        (
            {"question": "severity", "template": "four-class"},
            r"template 'four-class': the template can't give the scheme's 0, 1, 2, 3",
        ),
        (
            {
                "template": "binary-two-line",
                "mapping": {"convergence": "convergence", "no_convergence": "nothing"},
            },
            r"mapping leads to nothing, which the scheme has not",
        ),
        (
            {"template": "binary-two-line", "mapping": {"convergence": "convergence"}},
            r"mapping leaves out the template's no_convergence",
        ),
        (
            {
                "template": "binary-two-line",
                "mapping": {"convergence": "convergence", "no_convergence": "no_convergence"},
            },
            None,
        ),
        (
            {"mapping": {"a": "convergence"}},
            r"the template takes the scheme's own labels, so it has no use for a mapping",
        ),
    ],
    ids=str,
)
def test_a_template_that_can_not_produce_the_labels_is_refused_unless_they_are_mapped(judge, said):
    spec = file(questions=SEVERITY, judges=[JUDGE, OTHER | judge])
    if said is None:
        assert apply(spec).study.judges.filter(active=True).count() == 2
        return
    before = everything()
    with pytest.raises(UserError, match=said) as refusal:
        apply(spec)
    assert str(refusal.value).count("\n") == 0
    assert everything() == before


PRICED = JUDGE | {"price": {"input": 1, "output": 2}, "parameters": {"max_tokens": 100}}


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        ({"price": None}, r"caps\.dollars: the price of judge 'careful' is not known; give it one \(price: "),
        (
            {"parameters": {}},
            r"caps\.dollars: what a call of judge 'careful' may cost has no limit; set max_tokens",
        ),
        (
            {"parameters": {"max_tokens": -1}},
            r"caps\.dollars: what a call of judge 'careful' may cost has no limit",
        ),
        (
            {"parameters": {"max_tokens": "100"}},
            r"caps\.dollars: what a call of judge 'careful' may cost has no limit",
        ),
        ({"parameters": {"max_completion_tokens": 100}}, None),
        ({"price": {"input": 1, "output": 0}, "parameters": {}}, None),
        ({}, None),
    ],
    ids=str,
)
def test_a_cap_in_dollars_is_refused_where_the_worst_case_is_not_known(judge, said):
    spec = file(judges=[PRICED | judge], caps={"dollars": 1})
    if said is None:
        apply(spec)
        assert Budget.objects.get().max_cost == 10**12
        return
    before = everything()
    with pytest.raises(UserError, match=said):
        apply(spec)
    assert everything() == before


def test_only_the_judges_that_are_asked_have_to_have_a_price_under_a_cap():
    apply(file())
    apply(file(judges=[PRICED], caps={"dollars": 0.5}))
    assert Budget.objects.get().max_cost == 10**12 // 2


def test_caps_follow_the_file_and_what_was_spent_stays():
    apply(file(caps={"calls": 5}))
    assert (Budget.objects.get().max_calls, Budget.objects.get().max_cost) == (5, None)
    Budget.objects.update(calls=5, reached=True)
    for caps, kept in [({"calls": 8}, 8), ({}, None), ({"calls": 0}, 0)]:
        apply(file(caps=caps))
        budget = Budget.objects.get()
        assert (budget.max_calls, budget.reached) == (kept, False)
    assert not Budget.objects.filter(calls__gt=5).exists()


def test_a_study_that_never_had_a_cap_has_no_budget():
    apply(file())
    assert not Budget.objects.exists()
