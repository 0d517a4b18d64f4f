"""What a final call makes of its verdict: a rating, or the reason why there is none."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from annotation import ledger
from annotation.models import Rating
from arbiter.calls.answers import Completion
from arbiter.calls.engine import MadeCall
from arbiter.core.statements import update_by_key
from arbiter.core.text import storable
from judging.models import Verdict
from judging.panel.parsing import Parsed, Unread, parse
from judging.panel.prompting import evidence, shown_to

State = Verdict.State
LONGEST_REASON = 500
logger = logging.getLogger(__name__)


class FinalFields(NamedTuple):
    """What a verdict's conclusion writes on its row, in the fields of these names."""

    state: str
    reason: str
    form: str
    rating: int | None
    answer: int | None
    cached: bool
    finished_at: Any
    lease: str = Verdict.NOBODY
    leased_until: None = None


@dataclass
class VerdictOutcome:
    """What a call makes of its verdict, with the rating once that is written."""

    made: MadeCall
    state: str
    reason: str = ""
    form: str = ""
    entry: ledger.Entry | None = None
    rating: Rating | None = None

    def fields(self, now: Any, stored: Mapping[UUID, int]) -> FinalFields:
        call, question = self.made.call, self.made.job.context
        answer = question.source if call.cached else stored.get(call.uid)
        rating = self.rating.pk if self.rating else None
        return FinalFields(
            self.state, in_a_line(self.reason), self.form, rating, answer, call.cached, finished_at=now
        )


def in_a_line(said: str) -> str:
    """Return what was said on one line, cut where it is long.
    A service may answer with a page: the attempt has all of it."""
    line = " ".join(storable(said)[0].split())
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}…"


@transaction.atomic
def conclude(lease: str, made: Sequence[MadeCall], stored: Mapping[UUID, int]) -> None:
    """Conclude a batch in one transaction: the rows still ours are locked, their ratings written, their
    outcomes set. `stored` are the calls' attempts."""
    by_row = {made_call.job.pk: made_call for made_call in made}
    ours = Verdict.objects.claimed_by(lease).select_for_update().filter(pk__in=list(by_row))
    outcomes = [outcome_of(by_row[pk]) for pk in ours.order_by("pk").values_list("pk", flat=True)]
    by_scheme: dict[int, list[VerdictOutcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.entry:
            by_scheme[outcome.made.job.context.scheme.pk].append(outcome)
    for labelled in by_scheme.values():
        scheme = labelled[0].made.job.context.scheme
        ratings = ledger.record(scheme, [outcome.entry for outcome in labelled if outcome.entry])
        for outcome, rating in zip(labelled, ratings, strict=True):
            outcome.rating = rating
    now = timezone.now()
    written = {outcome.made.job.pk: outcome.fields(now, stored) for outcome in outcomes}
    update_by_key(Verdict, FinalFields._fields, written)


def outcome_of(made: MadeCall) -> VerdictOutcome:
    call, cut = made.call, made.job.context.cut
    if call.outcome == "rejected" and cut:  # the larger budget was too large; the answer that there is stands
        outcome = outcome_of(
            replace(
                made,
                call=cut,
                job=replace(made.job, context=replace(made.job.context, max_tokens=None, cut=None)),
            )
        )
        outcome.reason += f" (a larger limit was refused: {call.error})"
        return outcome
    if not call.answered or call.answer is None:
        return VerdictOutcome(made, State.FAILED, call.error or call.outcome)
    if call.answer.refused:
        said = call.answer.refusal or call.answer.notice or "the endpoint's content filter stopped it"
        return VerdictOutcome(made, State.REFUSED, said)
    try:
        return _read(made, call.answer)
    except Exception as error:  # one answer that we can't cope with must not hold up the others for ever
        logger.exception("verdict %s: its answer could not be read", made.job.pk)
        return VerdictOutcome(
            made, State.FAILED, f"Arbiter could not read the answer ({type(error).__name__}: {error})"
        )


def _read(made: MadeCall, answer: Completion) -> VerdictOutcome:
    question = made.job.context
    parsed = parse(question.verdict.study_judge.judge, answer, question.keys)
    if isinstance(parsed, Unread):
        return VerdictOutcome(made, State.UNPARSED, parsed.why + _cut(made, answer), parsed.form)
    return VerdictOutcome(made, State.DONE, entry=_entry(made, answer, parsed))


def _cut(made: MadeCall, answer: Completion) -> str:
    if made.call.outcome != "length":
        return ""
    larger = made.job.context.max_tokens
    spent = answer.completion_tokens
    cut = f" (it was cut off at the token limit{f', after {spent} tokens' if spent else ''}"
    return cut + (
        f", as it was before with a smaller one; this time the limit was {larger})" if larger else ")"
    )


def _entry(made: MadeCall, answer: Completion, parsed: Parsed) -> ledger.Entry:
    question = made.job.context
    verdict, judge = question.verdict, question.verdict.study_judge.judge
    return ledger.Entry(
        item_id=verdict.item_id,
        rater=judge.rater,
        label=parsed.label,
        question=judge.question,
        ordinal=verdict.repeat,
        rationale=parsed.rationale,
        confidence=parsed.confidence,
        confidence_scale=parsed.confidence_scale,
        evidence=evidence(parsed.quotes, verdict.item.response.text),
        simulated=answer.simulated,
        shown=shown_to(judge, verdict.item, question.scheme),
    )
