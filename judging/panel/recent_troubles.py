"""What went wrong in a study lately: calls that failed,
and items a judge or a scorer gave no label; alike ones together."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from annotation.models import Study
from arbiter.calls.call_progress import ANSWERED
from arbiter.core.failuregroups import alike, most_frequent
from judging.models import Attempt, Scorer, ScorerFailure, StudyJudge, Verdict
from judging.panel.verdict_progress import WITHOUT_LABEL

LOOKED_AT = 500  # of a study's calls and verdicts of each kind, the latest
AT_LEAST = 50  # of each judge or scorer, however many there are
FAILED = [outcome for outcome in Attempt.Outcome if outcome not in ANSWERED]
GROUPS = 40
QUOTED = re.compile(r"(['\"]).*?\1")


@dataclass(frozen=True)
class RaterTrouble:
    rater: str
    kind: str
    is_call: bool  # and may have been made good by a later one
    verdict: int | None  # of a judge
    item: str  # of a scorer: its key
    message: str
    at: datetime | None
    key: tuple[object, ...]


@dataclass(frozen=True)
class TroubleGroup:
    """Troubles that differ in no more than numbers; the last of them is the example."""

    example: RaterTrouble
    count: int


def troubles(study: Study) -> list[TroubleGroup]:
    """Return the study's recent troubles in groups, the most frequent first."""
    judges = list(study.judges.filter(active=True).select_related("judge__rater"))
    scorers = list(study.scorers.select_related("rater"))
    of_each = max(AT_LEAST, LOOKED_AT // max(1, len(judges) + len(scorers)))
    recent = [trouble for judge in judges for part in (_calls, _verdicts) for trouble in part(judge, of_each)]
    recent += [trouble for scorer in scorers for trouble in _failures(study, scorer, of_each)]
    groups = most_frequent(((trouble.key, trouble) for trouble in recent), GROUPS)
    return [TroubleGroup(example, count) for example, count in groups]


def _calls(judge: StudyJudge, at_most: int) -> Iterator[RaterTrouble]:
    """Yield the judge's failed calls by outcome, each in the order of the index: asked for together, all that
    ever failed would have to be sorted."""
    for outcome in FAILED:
        # Not `outcome=`, for which PostgreSQL may walk the primary key: the order keeps it to the index.
        failed = Attempt.objects.filter(study_judge=judge, outcome__lte=outcome).order_by("-outcome", "-pk")[
            :at_most
        ]
        for verdict, ended, status, error, at in failed.values_list(
            "verdict", "outcome", "status", "error", "started_at"
        ):
            if ended == outcome:
                key = (judge.pk, outcome.value, status, alike(error))
                yield RaterTrouble(
                    str(judge.judge), outcome.value.replace("_", " "), True, verdict, "", error, at, key
                )


def _verdicts(judge: StudyJudge, at_most: int) -> Iterator[RaterTrouble]:
    for state in WITHOUT_LABEL:
        ended = Verdict.objects.filter(study_judge=judge, state=state).order_by("-pk")[:at_most]
        for pk, reason, at in ended.values_list("pk", "reason", "finished_at"):
            key = (judge.pk, state.value, None, _why(state, reason))
            yield RaterTrouble(str(judge.judge), state.value, False, pk, "", reason, at, key)


def _failures(study: Study, scorer: Scorer, at_most: int) -> Iterator[RaterTrouble]:
    failed = ScorerFailure.objects.filter(scorer=scorer, item__study=study).order_by("-pk")[:at_most]
    for item, reason, at in failed.values_list("item__key", "reason", "created_at"):
        key = ("scorer", scorer.pk, alike(reason))
        yield RaterTrouble(str(scorer), "no label", False, None, item, reason, at, key)


def _why(state: Verdict.State, reason: str) -> str:
    """Return what groups a verdict's reason with others. A refusal is told in the model's own words, a label
    that isn't one is quoted: neither makes another kind."""
    if state == Verdict.State.REFUSED:
        return ""
    return alike(QUOTED.sub("…", reason) if state == Verdict.State.UNPARSED else reason)
