"""What a final call makes of its verdict: a rating, or the reason why there is none."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from annotation import ledger
from annotation.models import Rating
from benchmark.client import Answer
from benchmark.engine import Made
from benchmark.text import storable
from judging.models import Verdict
from judging.panel.parsing import Parsed, parse
from judging.panel.prompting import evidence, shown_to

State = Verdict.State
LONGEST_REASON = 500
logger = logging.getLogger(__name__)
UPDATE = (
    "UPDATE judging_verdict SET state = %s, reason = %s, rating_id = %s, answer_id = %s, cached = %s, finished_at = %s,"
    " lease = '', leased_until = NULL WHERE id = %s"
)


@dataclass
class Outcome:
    made: Made
    state: str
    reason: str = ""
    entry: ledger.Entry | None = None
    rating: Rating | None = None

    def row(self, now: Any, stored: Mapping[UUID, int]) -> tuple[Any, ...]:
        call, question = self.made.call, self.made.job.context
        answer = question.source if call.cached else stored.get(call.uid)
        rating = self.rating.pk if self.rating else None
        return self.state, in_a_line(self.reason), rating, answer, call.cached, now, self.made.job.pk


def in_a_line(said: str) -> str:
    """A service may answer with a page: the attempt has all of it."""
    line = " ".join(storable(said)[0].split())
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}…"


@transaction.atomic
def conclude(lease: str, made: Sequence[Made], stored: Mapping[UUID, int]) -> None:
    """One transaction a batch: the rows still ours are locked, their ratings written, their outcomes set. `stored` are the
    calls' attempts."""
    by_row = {one.job.pk: one for one in made}
    ours = Verdict.objects.select_for_update().filter(pk__in=list(by_row), lease=lease, state=State.LEASED)
    outcomes = [outcome_of(by_row[pk]) for pk in ours.order_by("pk").values_list("pk", flat=True)]
    by_scheme: dict[int, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.entry:
            by_scheme[outcome.made.job.context.scheme.pk].append(outcome)
    for labelled in by_scheme.values():
        scheme = labelled[0].made.job.context.scheme
        ratings = ledger.record(scheme, [outcome.entry for outcome in labelled if outcome.entry])
        for outcome, rating in zip(labelled, ratings, strict=True):
            outcome.rating = rating
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    with (
        connection.cursor() as cursor
    ):  # bulk_update would put all values into one statement's CASEs, ten times slower
        cursor.executemany(UPDATE, [outcome.row(now, stored) for outcome in outcomes])


def outcome_of(made: Made) -> Outcome:
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
        return Outcome(made, State.FAILED, call.error or call.outcome)
    if call.answer.refused:
        said = call.answer.refusal or "the endpoint's content filter stopped it"
        return Outcome(made, State.REFUSED, said)
    try:
        return _read(made, call.answer)
    except Exception as error:  # one answer that we can't cope with must not hold up the others for ever
        logger.exception("verdict %s: its answer could not be read", made.job.pk)
        return Outcome(
            made, State.FAILED, f"Arbiter could not read the answer ({type(error).__name__}: {error})"
        )


def _read(made: Made, answer: Answer) -> Outcome:
    question = made.job.context
    parsed = parse(question.verdict.study_judge.judge, answer.text, question.keys)
    if isinstance(parsed, str):
        return Outcome(made, State.UNPARSED, parsed + _cut(made, answer))
    return Outcome(made, State.DONE, entry=_entry(made, answer, parsed))


def _cut(made: Made, answer: Answer) -> str:
    if made.call.outcome != "length":
        return ""
    larger = made.job.context.max_tokens
    spent = answer.completion_tokens
    cut = f" (it was cut off at the token limit{f', after {spent} tokens' if spent else ''}"
    return cut + (
        f", as it was before with a smaller one; this time the limit was {larger})" if larger else ")"
    )


def _entry(made: Made, answer: Answer, parsed: Parsed) -> ledger.Entry:
    question = made.job.context
    verdict, judge = question.verdict, question.verdict.study_judge.judge
    return ledger.Entry(
        item_id=verdict.item_id, rater=judge.rater, label=parsed.label, question=judge.question, ordinal=verdict.repeat,
        rationale=parsed.rationale, confidence=parsed.confidence, confidence_scale=parsed.confidence_scale,
        evidence=evidence(parsed.quotes, verdict.item.response.text), simulated=answer.simulated,
        shown=shown_to(judge, verdict.item, question.scheme),
    )  # fmt: skip
