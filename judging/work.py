"""Verdicts as the engine's work: claimed, asked, stored, concluded."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from annotation import ledger
from annotation.models import Label, Study
from benchmark.batching import batches
from benchmark.client import read_answer, request_hash
from benchmark.engine import Job, Made
from benchmark.errors import UserError
from benchmark.models import Endpoint
from benchmark.text import storable
from judging.models import Attempt, Judge, StudyJudge, Verdict
from judging.prompting import evidence, parse, request

State = Verdict.State
FINAL = [State.DONE, State.UNPARSED, State.REFUSED, State.FAILED]
CLAIM_AT_MOST = 64


def want_verdicts(study: Study, judge_name: str = "", limit: int | None = None) -> int:
    """Make the verdict rows that are missing: one an item, judge and repeat. At most `limit`, if given."""
    made = 0
    for study_judge in active_judges(study, judge_name):
        for repeat in range(study_judge.repeats):
            made += _want(study_judge, repeat, None if limit is None else limit - made)
    return made


def _want(study_judge: StudyJudge, repeat: int, limit: int | None) -> int:
    asked = Verdict.objects.filter(item=OuterRef("pk"), judge=study_judge.judge_id, repeat=repeat)
    missing = study_judge.study.items.filter(~Exists(asked)).order_by("pk").values_list("pk", flat=True)
    ids = missing[:limit] if limit is not None else missing
    made = 0
    for batch in batches(ids.iterator(chunk_size=2000), 1000):
        # Somebody else may be asking for the same: whoever comes second makes nothing.
        rows = [Verdict(item_id=pk, judge_id=study_judge.judge_id, repeat=repeat) for pk in batch]
        Verdict.objects.bulk_create(rows, ignore_conflicts=True)
        made += len(rows)
    return made


def active_judges(study: Study, name: str = "") -> list[StudyJudge]:
    judges = list(
        study.judges.filter(active=True).select_related("judge__rater", "judge__endpoint", "study__scheme")
    )
    chosen = [
        sj
        for sj in judges
        if name in ("", sj.judge.rater.name, f"{sj.judge.rater.name}@{sj.judge.rater.version}")
    ]
    if not chosen:
        known = ", ".join(str(sj.judge) for sj in judges) or "none; add judges to its study file and apply it"
        raise UserError(
            f"Study {study.slug!r} has no judge {name!r} (its judges: {known})."
            if name
            else f"Study {study.slug!r} has no judges; add some to its study file and apply it."
        )
    return chosen


def retry_failed(study: Study, judge_name: str = "") -> int:
    """Failed verdicts become wanted again; their attempts stay."""
    judges = [sj.judge_id for sj in active_judges(study, judge_name)]
    return Verdict.objects.filter(item__study=study, judge__in=judges, state=State.FAILED).update(
        state=State.TODO, reason="", finished_at=None
    )


def tally(study: Study) -> dict[int, dict[str, int]]:
    """Judge id to its verdicts by state."""
    counts: dict[int, dict[str, int]] = defaultdict(dict)
    rows = (
        Verdict.objects.filter(item__study=study)
        .order_by()
        .values_list("judge", "state")
        .annotate(Count("pk"))
    )
    for judge_id, state, count in rows:
        counts[judge_id][state] = count
    return counts


def _free() -> Q:
    """Wanted, or held by a worker that let its lease run out."""
    return Q(state=State.TODO) | Q(state=State.LEASED, leased_until__lt=timezone.now())


@dataclass
class JudgeWork:
    """The engine's work: verdicts of one study and its chosen judges, or of all studies."""

    study: Study | None = None
    judge_ids: Sequence[int] | None = None
    limit: int | None = None  # calls' rows this work may still claim

    def open(self) -> QuerySet[Verdict]:
        return self._scope(Verdict.objects.filter(_free()))

    def _scope(self, verdicts: QuerySet[Verdict]) -> QuerySet[Verdict]:
        """What its study still asks for: the verdicts of a judge that was replaced stay as they are."""
        asked = StudyJudge.objects.filter(study=OuterRef("item__study"), judge=OuterRef("judge"), active=True)
        verdicts = verdicts.filter(Exists(asked.filter(repeats__gt=OuterRef("repeat"))))
        if self.study:
            verdicts = verdicts.filter(item__study=self.study)
        return verdicts if self.judge_ids is None else verdicts.filter(judge__in=self.judge_ids)

    def endpoints(self) -> list[Endpoint]:
        if self.limit == 0:
            return []
        waiting = Exists(self.open().filter(judge__endpoint=OuterRef("pk")))
        return list(Endpoint.objects.filter(waiting))

    def claim(self, endpoint: Endpoint, lease: str, room: int) -> list[Job]:
        room = min(room, CLAIM_AT_MOST, room if self.limit is None else self.limit)
        # Not those whose lease we let run out: their calls are still in flight.
        candidates = self.open().filter(judge__endpoint=endpoint).exclude(lease=lease)
        ids = list(candidates.order_by("pk").values_list("pk", flat=True)[:room])
        until = timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
        # Another worker may have taken some since we looked: only rows that are still open become ours. No join here:
        # it would move the conditions to a subquery, which PostgreSQL does not look at again after waiting for the other.
        Verdict.objects.filter(_free(), pk__in=ids).update(
            state=State.LEASED, lease=lease, leased_until=until
        )
        mine = Verdict.objects.filter(pk__in=ids, lease=lease, state=State.LEASED, leased_until=until)
        jobs = self._jobs(
            mine.select_related(
                "judge__rater", "judge__endpoint", "item__study__scheme",
                "item__response__task__category", "item__response__run__condition",
            ).prefetch_related("item__study__scheme__labels").order_by("pk")
        )  # fmt: skip
        if self.limit is not None:
            self.limit -= len(jobs)
        return jobs

    def _jobs(self, verdicts: QuerySet[Verdict]) -> list[Job]:
        asked = []
        for verdict in verdicts:
            body = request(verdict.judge, verdict.item, labels_of(verdict.item.study), verdict.repeat)
            asked.append((verdict, body, request_hash(verdict.judge.endpoint, body)))
        answers = dict(
            Attempt.objects.filter(
                outcome=Attempt.Outcome.ANSWER, request_hash__in=[key for _, _, key in asked]
            )
            .order_by("-pk")
            .values_list("request_hash", "raw")
        )
        return [
            Job(verdict.pk, verdict.judge.endpoint, body, key, answers.get(key))
            for verdict, body, key in asked
        ]

    def renew(self, lease: str) -> None:
        until = timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
        Verdict.objects.filter(lease=lease, state=State.LEASED).update(leased_until=until)

    def release(self, lease: str, endpoint: Endpoint | None = None) -> None:
        held = Verdict.objects.filter(lease=lease, state=State.LEASED)
        held = held.filter(judge__endpoint=endpoint) if endpoint else held
        held.update(state=State.TODO, lease="", leased_until=None)

    def waiting(self) -> bool:
        return (
            self.limit != 0
            and self._scope(Verdict.objects.filter(state__in=[State.TODO, State.LEASED])).exists()
        )

    def store(self, made: Sequence[Made]) -> None:
        Attempt.objects.bulk_create(_attempt(one) for one in made)

    @transaction.atomic
    def conclude(self, lease: str, made: Sequence[Made]) -> None:
        """One transaction a batch: the rows still ours are locked, their ratings written, their outcomes set."""
        ours = Verdict.objects.filter(pk__in=[one.job.pk for one in made], lease=lease, state=State.LEASED)
        verdicts = {
            verdict.pk: verdict
            for verdict in ours.select_for_update(of=("self",))
            .select_related("judge__rater", "item__study__scheme", "item__response")
            .prefetch_related("item__study__scheme__labels")
        }
        concluded = [Outcome.of(verdicts[one.job.pk], one) for one in made if one.job.pk in verdicts]
        by_study: dict[int, list[Outcome]] = defaultdict(list)
        for outcome in concluded:
            if outcome.entry:
                by_study[outcome.verdict.item.study_id].append(outcome)
        for outcomes in by_study.values():
            scheme = outcomes[0].verdict.item.study.scheme
            ratings = ledger.record(scheme, [outcome.entry for outcome in outcomes if outcome.entry])
            for outcome, rating in zip(outcomes, ratings, strict=True):
                outcome.verdict.rating = rating
        Verdict.objects.bulk_update(
            [outcome.verdict for outcome in concluded],
            ["state", "reason", "rating", "cached", "lease", "leased_until", "finished_at"],
        )


@dataclass
class Outcome:
    """What a final call makes of its verdict."""

    verdict: Verdict
    entry: ledger.Entry | None = None

    @classmethod
    def of(cls, verdict: Verdict, made: Made) -> "Outcome":
        outcome = cls(verdict)
        verdict.lease, verdict.leased_until, verdict.finished_at = "", None, timezone.now()
        verdict.cached = made.call.cached
        answer = read_answer(made.call.raw) if made.call.outcome == Attempt.Outcome.ANSWER else None
        if answer is None:
            verdict.state, verdict.reason = State.FAILED, made.call.error or made.call.outcome
        elif answer.refused:
            verdict.state, verdict.reason = (
                State.REFUSED,
                answer.refusal or "the endpoint's content filter stopped it",
            )
        else:
            outcome.read(answer.text, cut=answer.finish_reason == "length", simulated=answer.simulated)
        verdict.reason = storable(verdict.reason)[0]
        return outcome

    def read(self, text: str, *, cut: bool, simulated: bool) -> None:
        verdict, judge = self.verdict, self.verdict.judge
        parsed = parse(text, [label.key for label in labels_of(verdict.item.study)])
        if isinstance(parsed, str):
            verdict.state = State.UNPARSED
            verdict.reason = f"{parsed} (it was cut off at the token limit)" if cut else parsed
            return
        verdict.state, verdict.reason = State.DONE, ""
        self.entry = ledger.Entry(
            item_id=verdict.item_id, rater=judge.rater, label=parsed.label, ordinal=verdict.repeat, rationale=parsed.rationale,
            confidence=parsed.confidence, confidence_scale="" if parsed.confidence is None else "probability",
            evidence=evidence(parsed.quotes, verdict.item.response.text), simulated=simulated, shown=shown_to(judge),
        )  # fmt: skip


def shown_to(judge: Judge) -> dict[str, Any]:
    fields = ["category context", "task", "response"] + (["prompt suffix"] if judge.show_condition else [])
    return {"blind": not judge.show_condition, "fields": fields, "template": judge.template_name}


def _attempt(made: Made) -> Attempt:
    call = made.call
    answer = read_answer(call.raw)
    return Attempt(
        verdict_id=made.job.pk, outcome=call.outcome, request_hash=made.job.request_hash, raw=call.raw, error=call.error,
        status=call.status, started_at=call.started_at, latency=call.latency,
        prompt_tokens=answer.tokens("prompt") if answer else None,
        completion_tokens=answer.tokens("completion") if answer else None,
        simulated=bool(answer and answer.simulated),
    )  # fmt: skip


def labels_of(study: Study) -> list[Label]:
    return list(study.scheme.labels.all())
