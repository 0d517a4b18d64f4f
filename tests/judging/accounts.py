"""The provider's books against ours: what it says it sent, what is stored, and what the verdicts came to."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.db.models import Count, F

from annotation.models import Rating, Study
from arbiter.simulator.running import RunningSimulator
from judging.models import Attempt, Budget, StudyJudge, Verdict
from tests.judging.helpers import PANEL
from tests.ledgers import assert_sound

# What the provider calls a request's end, and the outcome under which an attempt tells it. Those that their
# client left before they were answered stand with the hangs: a client that is alive leaves because its time
# is up.
OUTCOMES = {
    "ok": "answer",
    "garble": "answer",
    "refusal": "refusal",
    "length": "length",
    "429": "rate_limited",
    "500": "server_error",
    "cut": "connection",
    "garbage": "not_json",
    "hang": "timeout",
    "abandoned": "timeout",
    "400": "rejected",
    "404": "rejected",
}
FAULTS = {
    "rate_limit_share": 0.1,
    "error_share": 0.05,
    "cut_share": 0.03,
    "garbage_share": 0.03,
    "hang_share": 0.01,
    "garble_share": 0.03,
    "refusal_share": 0.03,
    "length_share": 0.03,
}
FINAL = {"done", "unparsed", "refused", "failed"}


def sent(simulator: RunningSimulator) -> Counter[str]:
    """Count what the provider sent, by outcome. It may still be about to notice that somebody left."""
    counts: Counter[str] = Counter()
    for kind, count in simulator.stats()["kinds"].items():
        counts[OUTCOMES[kind]] += count
    return counts


def stored(study: Study) -> Counter[str]:
    return Counter(Attempt.objects.filter(study_judge__study=study).values_list("outcome", flat=True))


def assert_books_agree(simulator: RunningSimulator, study: Study, timeout: float) -> None:
    """Assert that each request that the provider ended is stored once, under its outcome.

    On a busy machine an answer that was sent to its end may come too late, and a call may be given up before
    the provider has seen it: both are timeouts here, of calls that lasted for as long as calls may.
    """
    missing = unrecorded(simulator, study)
    assert missing <= 0, f"{missing} of what was sent is not stored"
    given_up = Attempt.objects.filter(study_judge__study=study, outcome="timeout")
    assert -missing <= given_up.count()
    assert not given_up.filter(latency__lt=timeout).exists()


def unrecorded(simulator: RunningSimulator, study: Study) -> int:
    """Count requests that the provider ended, in one way or another, and of which nothing is stored."""
    ours, theirs = stored(study), sent(simulator)
    ours["timeout"] += ours.pop("abandoned", 0)  # given up by a worker that was told to stop
    never_sent = set(ours - theirs) - {"timeout"}
    assert not never_sent, f"stored, though never sent: {never_sent}"
    return theirs.total() - ours.total()


def answered_and_unrecorded(simulator: RunningSimulator, study: Study) -> int:
    """Count requests of which nothing is stored, but only those that were answered to the end: what a
    provider would have charged for, and nobody has."""
    ours, theirs = stored(study), sent(simulator)
    del theirs["timeout"]
    return (theirs - ours).total()


def assert_whole(study: Study, judges: Sequence[str] = PANEL, repeats: int = 1) -> None:
    """Assert that none is lost and none doubled: one verdict an item, judge and repeat, each final; one
    rating for each that is done."""
    wanted = study.items.count() * len(judges) * repeats
    verdicts = Verdict.objects.filter(item__study=study)
    places = verdicts.values("item", "study_judge__judge__rater__name", "repeat").distinct()
    assert (verdicts.count(), places.count()) == (wanted, wanted)
    assert_final(verdicts)
    assert_no_label_is_made_up(study)
    assert_counted(study)
    assert_sound()


def assert_final(verdicts: Any) -> None:
    assert set(verdicts.values_list("state", flat=True)) <= FINAL
    assert not verdicts.exclude(lease="", leased_until=None, reserved=None).exists()
    assert not verdicts.filter(finished_at=None).exists()
    assert not verdicts.exclude(state="done").filter(reason="").exists()


def assert_no_label_is_made_up(study: Study) -> None:
    """Assert that every rating says what its verdict's answer says, word for word,
    and that the answer is one to that very question."""
    done = Verdict.objects.filter(item__study=study, state="done")
    ratings = Rating.objects.filter(item__study=study, rater__kind="judge")
    assert ratings.count() == done.count()
    same = done.filter(
        rating__item=F("item"),
        rating__rater=F("study_judge__judge__rater"),
        rating__ordinal=F("repeat"),
        rating__revision=1,
    )
    assert same.count() == done.count()
    for label, raw, cached, own in done.values_list(
        "rating__label__key", "answer__raw", "cached", F("answer__verdict") - F("pk")
    ):
        assert label == said(raw)
        assert cached or own == 0
    for raw in Verdict.objects.filter(item__study=study, state="unparsed").values_list(
        "answer__raw", flat=True
    ):
        assert said(raw) is None


def said(raw: str) -> str | None:
    """Return the label in a simulated judge's answer, read without our parser."""
    try:
        return str(json.loads(json.loads(raw)["choices"][0]["message"]["content"])["label"])
    except (ValueError, LookupError, TypeError):
        return None


def assert_counted(study: Study) -> None:
    """Assert that each judge's own count is that of its attempts, no body is stored twice,
    and no verdict has two answers in one."""
    attempts = Attempt.objects.filter(study_judge__study=study)
    for judge in StudyJudge.objects.filter(study=study):
        costs = [cost or 0 for cost in attempts.filter(study_judge=judge).values_list("cost", flat=True)]
        assert (judge.calls, judge.cost) == (len(costs), sum(costs))
    answered_calls = attempts.filter(outcome="answer").values_list("study_judge__judge__endpoint", "raw")
    answers = [(endpoint, json.loads(raw)["id"]) for endpoint, raw in answered_calls]
    assert len(answers) == len(set(answers))


def assert_asked_once(study: Study) -> None:
    """Assert that no verdict has a call after one that could be read."""
    answered = Attempt.objects.filter(study_judge__study=study, outcome__in=["answer", "refusal"])
    twice = answered.values("verdict").annotate(times=Count("pk")).filter(times__gt=1)
    assert list(twice) == []


def assert_balanced(study: Study) -> Budget:
    """Assert that with nothing on its way, what counts as spent is what is stored, and the calls of
    workers that died; return the budget."""
    budget = Budget.objects.get(study=study)
    assert not Verdict.objects.filter(item__study=study, reserved__isnull=False).exists()
    costs = [
        cost or 0 for cost in Attempt.objects.filter(study_judge__study=study).values_list("cost", flat=True)
    ]
    assert budget.calls == len(costs) + budget.lost_calls
    if budget.lost_calls:
        assert budget.cost >= sum(costs)
    else:
        assert budget.cost == sum(costs)
    return budget
