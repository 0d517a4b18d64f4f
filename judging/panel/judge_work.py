"""Verdicts as the engine's work: claimed, asked, stored, concluded."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from annotation.models import LabelScheme, Study
from arbiter.calls.answers import Completion, read_answer
from arbiter.calls.client import Call, body_hash
from arbiter.calls.costs import call_fields
from arbiter.calls.engine import MadeCall
from arbiter.calls.lanes import CallJob
from arbiter.calls.prices import larger_budget, price_of, worst_case
from arbiter.calls.service import Service
from arbiter.core.bulkinsert import insert
from benchmark.endpoints import NotesEndpoints, awake
from benchmark.models import Endpoint, Response, Run, Task
from judging.models import Attempt, Budget, Judge, StudyJudge, Verdict
from judging.panel import metering
from judging.panel.label_probabilities import NoProbabilities, label_probabilities
from judging.panel.parsing import Unread, parse
from judging.panel.prompting import JudgeRequest, ask, token_limit
from judging.panel.verdict_outcomes import conclude
from judging.panel.wanted_verdicts import tidy_cancelled

ANSWERED = [Attempt.Outcome.ANSWER, Attempt.Outcome.REFUSAL, Attempt.Outcome.LENGTH]
CLAIM_AT_MOST = 128


@dataclass(frozen=True, slots=True)
class PendingVerdict:
    """A verdict and what is asked for it: all that is needed to conclude it without reading it again."""

    verdict: Verdict
    scheme: LabelScheme
    asked: JudgeRequest
    max_tokens: int | None = None  # the larger budget of a retry
    source: int | None = None  # the attempt that holds the cached answer
    cut: Call | None = None  # the answer that a larger budget was asked for

    @property
    def keys(self) -> list[str]:
        return [label.key for label in self.scheme.labels.all()]


@dataclass
class JudgeWork(NotesEndpoints):
    """The engine's work: verdicts of one study and its chosen judges, or of all studies."""

    study: Study | None = None
    judges: Sequence[int] | None = None  # StudyJudge ids
    endpoint: str = ""  # only at this one
    limit: int | None = None  # verdicts this work may still claim
    _schemes: dict[tuple[int, str, int], LabelScheme] = field(default_factory=dict)
    _stored: dict[UUID, int] = field(
        default_factory=dict
    )  # calls to their attempts, until they are concluded

    def asked(self) -> QuerySet[StudyJudge]:
        """Return the judges whose verdicts are to be worked on. One that was replaced, is paused or has no
        money left is not, nor one whose endpoint rests."""
        capped = Budget.objects.filter(study=OuterRef("study"), reached=True)
        judges = StudyJudge.objects.filter(~Exists(capped), active=True, status=StudyJudge.Status.RUNNING)
        judges = judges.filter(judge__endpoint__in=Endpoint.objects.filter(awake()))
        if self.study:
            judges = judges.filter(study=self.study)
        if self.endpoint:
            judges = judges.filter(judge__endpoint__name=self.endpoint)
        return judges if self.judges is None else judges.filter(pk__in=self.judges)

    def endpoints(self) -> list[Service]:
        if self.limit == 0:
            return []
        # In the index's order: PostgreSQL expects open rows anywhere,
        # and would read all final ones that come before them.
        of_judge = Verdict.objects.filter(study_judge=OuterRef("pk")).order_by("pk")
        todo, lapsed = of_judge.open().values("pk")[:1], of_judge.lapsed().values("pk")[:1]
        waiting = self.asked().annotate(open=Coalesce(Subquery(todo), Subquery(lapsed)))
        endpoints = Endpoint.objects.filter(pk__in=waiting.filter(open__gt=0).values("judge__endpoint"))
        return [endpoint.service for endpoint in endpoints]

    def claim(self, endpoint: Service, lease: str, room: int) -> list[CallJob]:
        room = min(room, CLAIM_AT_MOST, room if self.limit is None else self.limit)
        asked = list(
            self.asked()
            .filter(judge__endpoint=endpoint.pk)
            .select_related("judge__rater", "judge__endpoint", "study__scheme")
        )
        ids = self._open(asked, lease, room)
        # Another worker may have taken some since we looked: only rows that are still open become ours.
        verdicts = Verdict.objects.filter(pk__in=ids)
        verdicts.claim(lease, settings.LEASE_SECONDS)
        jobs = self._jobs(verdicts.claimed_by(lease), {judge.pk: judge for judge in asked})
        if self.limit is not None:
            self.limit -= len(jobs)
        return jobs

    def _open(self, judges: Sequence[StudyJudge], lease: str, room: int) -> list[int]:
        """Return the keys of rows that are wanted, then of those that other workers let go. A judge at a
        time: so the index gives them in order, however many there are."""
        ids: list[int] = []
        for judge in judges:
            todo = Verdict.objects.open().filter(study_judge=judge).order_by("pk")
            ids += todo.values_list("pk", flat=True)[: room - len(ids)]
        if len(ids) < room:
            # Not those whose lease we let run out ourselves: their calls are still in flight.
            lapsed = Verdict.objects.lapsed().filter(study_judge__in=judges)
            let_go = list(lapsed.exclude(lease=lease).values_list("pk", "reserved")[: room - len(ids)])
            metering.forfeit([pk for pk, reserved in let_go if reserved is not None])
            ids += [pk for pk, _ in let_go]
        return ids

    def _jobs(self, mine: QuerySet[Verdict], judges: dict[int, StudyJudge]) -> list[CallJob]:
        metered = metering.metered(judge.study_id for judge in judges.values())
        questions: list[PendingVerdict] = []
        verdicts = list(mine.select_related("item__response").order_by("pk"))
        _complete([verdict.item.response for verdict in verdicts])
        for verdict in verdicts:
            verdict.study_judge = judges[verdict.study_judge_id]
            verdict.item.study = verdict.study_judge.study
            scheme = self._scheme(verdict.study_judge)
            asked = ask(verdict.study_judge.judge, verdict.item, scheme, verdict.repeat)
            questions.append(PendingVerdict(verdict, scheme, asked))
        answers = self._answers([question.asked.cache_key for question in questions])
        return [self._job(question, metered, answers) for question in questions]

    def _scheme(self, of: StudyJudge) -> LabelScheme:
        """Return the judge's scheme with its labels, read once. A study that nobody was asked for may be
        given another while we work."""
        place = (of.study_id, of.judge.question, of.study.scheme_id)
        if place not in self._schemes:
            scheme = of.study.scheme_of(of.judge.question)
            self._schemes[place] = LabelScheme.objects.prefetch_related("labels").get(pk=scheme.pk)
        return self._schemes[place]

    def _answers(self, keys: Sequence[str]) -> dict[str, tuple[int, str, int | None]]:
        """Return the answers to equal questions that were asked before, by cache key; of several answers the
        last, which had the larger budget."""
        answered = Attempt.objects.filter(cache_key__in=keys, outcome__in=ANSWERED).order_by("pk")
        rows = answered.values_list("cache_key", "pk", "raw", "max_tokens")
        # An earlier version took a body without an answer in it for an empty one: then it is asked anew.
        return {
            key: (pk, raw, limit) for key, pk, raw, limit in rows if isinstance(read_answer(raw), Completion)
        }

    def _job(
        self, question: PendingVerdict, metered: set[int], answers: dict[str, tuple[int, str, int | None]]
    ) -> CallJob:
        judge = question.verdict.study_judge
        source, raw, max_tokens = answers.get(question.asked.cache_key, (None, None, None))
        return CallJob(
            question.verdict.pk,
            judge.judge.endpoint.service,
            question.asked.request,
            cached=raw,
            metered=judge.study_id in metered,
            context=replace(question, source=source, max_tokens=max_tokens),
        )

    def permit(self, lease: str, jobs: Sequence[CallJob]) -> tuple[Sequence[CallJob], set[int]]:
        return metering.permit(lease, [(job, worst_of(job.context)) for job in jobs])

    @transaction.atomic
    def capped(self, lease: str, jobs: Sequence[CallJob]) -> bool:
        studies = metering.metered(job.context.verdict.study_judge.study_id for job in jobs)
        if studies:  # with the cap each was taken for a call on its way
            metering.give_back(Verdict.objects.claimed_by(lease).filter(pk__in=[job.pk for job in jobs]))
        return bool(studies)

    def renew(self, lease: str) -> None:
        Verdict.objects.claimed_by(lease).renew(settings.LEASE_SECONDS)

    def withdrawn(self, lease: str) -> set[int]:
        claimed = Verdict.objects.claimed_by(lease).exclude(study_judge__in=self.asked())
        return set(claimed.values_list("pk", flat=True))

    def again(self, job: CallJob, call: Call) -> CallJob | None:
        """Return the job to ask once more, with a larger budget,
        where the answer was cut off before it could be read; else None."""
        question: PendingVerdict = job.context
        judge, answer = question.verdict.study_judge.judge, call.answer
        if call.outcome != Attempt.Outcome.LENGTH or question.max_tokens or answer is None:
            return None
        if not _is_unparsed(judge, answer, question.keys):
            return None
        used = token_limit(judge) or answer.completion_tokens or 0
        larger = larger_budget(used)
        asked = ask(
            judge,
            question.verdict.item,
            question.scheme,
            question.verdict.repeat,
            marker=question.asked.marker,
            max_tokens=larger,
        )
        return replace(
            job,
            request=asked.request,
            cached=None,
            context=replace(question, asked=asked, max_tokens=larger, cut=call),
        )

    @transaction.atomic
    def store(self, lease: str, made: Sequence[MadeCall]) -> None:
        """Store the attempts, and what they cost.
        Those that are there already were stored by a try that was cut off."""
        there = dict(
            Attempt.objects.filter(uid__in=[made_call.call.uid for made_call in made]).values_list(
                "uid", "pk"
            )
        )
        new = [made_call for made_call in made if made_call.call.uid not in there]
        attempts = [attempt_of(made_call) for made_call in new]
        insert(attempts)
        _count(attempts)
        metering.settle_costs(
            lease,
            [
                (made_call.job, made_call.call, attempt.cost)
                for made_call, attempt in zip(new, attempts, strict=True)
            ],
        )
        stored = there | {attempt.uid: attempt.pk for attempt in attempts}
        self._stored |= {
            made_call.call.uid: stored[made_call.call.uid]
            for made_call in made
            if made_call.final or made_call.call.answered
        }

    def conclude(self, lease: str, made: Sequence[MadeCall]) -> None:
        with transaction.atomic():
            conclude(lease, made, self._stored)
            # A cap that came after the call was stored took the row for one whose call is on its way.
            metering.give_back(
                Verdict.objects.filter(pk__in=[made_call.job.pk for made_call in made], leased_until=None)
            )
        for made_call in made:
            cut: Call | None = made_call.job.context.cut
            for call in (made_call.call, cut) if cut else (made_call.call,):
                self._stored.pop(call.uid, None)

    @transaction.atomic
    def release(self, lease: str, *, only: Collection[int] | None = None, keep: Collection[int] = ()) -> None:
        claimed = Verdict.objects.claimed_by(lease)
        if only is not None:
            claimed = claimed.filter(pk__in=only)
        if keep:
            claimed = claimed.exclude(pk__in=keep)
        metering.give_back(claimed)
        judges = set(claimed.values_list("study_judge", flat=True))
        given_back = claimed.release()
        if self.limit is not None:
            self.limit += given_back
        for pk in StudyJudge.objects.filter(pk__in=judges, status=StudyJudge.Status.CANCELLED).values_list(
            "pk", flat=True
        ):
            tidy_cancelled(pk)

    def waiting(self) -> bool:
        wanted = Verdict.objects.unfinished().filter(study_judge__in=self.asked())
        return self.limit != 0 and wanted.exists()


def _complete(responses: Sequence[Response]) -> None:
    """Give the responses their tasks and runs:
    many share one, so that a join would make most of them many times over."""
    tasks = Task.objects.select_related("category").in_bulk({response.task_id for response in responses})
    runs = Run.objects.select_related("condition").in_bulk({response.run_id for response in responses})
    for response in responses:
        response.task, response.run = tasks[response.task_id], runs[response.run_id]


def _is_unparsed(judge: Judge, answer: Completion, keys: Sequence[str]) -> bool:
    try:
        return isinstance(parse(judge, answer, keys), Unread)
    except Exception:  # concluding it says so; here it would end the whole run
        return False


def worst_of(question: PendingVerdict) -> int | None:
    """Return what a call for a verdict may cost at most; None where that is not known."""
    judge = question.verdict.study_judge
    limit = question.max_tokens or token_limit(judge.judge)
    return worst_case(question.asked.request, price_of(judge), limit)


def attempt_of(made: MadeCall) -> Attempt:
    call, question = made.call, made.job.context
    judge = question.verdict.study_judge
    return Attempt(
        uid=call.uid,
        verdict_id=made.job.pk,
        study_judge_id=judge.pk,
        cache_key=question.asked.cache_key,
        request_hash=body_hash(question.asked.request),
        marker=question.asked.marker,
        max_tokens=question.max_tokens,
        probabilities=_probabilities(made),
        **call_fields(call, price_of(judge), lambda: worst_of(question)),
    )


def _probabilities(made: MadeCall) -> dict[str, Any] | None:
    """Return what an answer's logprobs say of the labels, or why nothing; None where none were asked for."""
    question, answer = made.job.context, made.call.answer
    if not (made.call.answered and answer and question.asked.request.get("logprobs")):
        return None
    judge: Judge = question.verdict.study_judge.judge
    try:
        parsed = parse(judge, answer, question.keys)
        if isinstance(parsed, Unread):
            return NoProbabilities("the answer has no label").as_json()
        meant = judge.mapping or {key: key for key in question.keys}
        return label_probabilities(answer, parsed.label, meant).as_json()
    except Exception as error:  # concluding it tells; what was paid for is stored all the same
        return NoProbabilities(f"they could not be read ({type(error).__name__})").as_json()


def _count(attempts: Sequence[Attempt]) -> None:
    """Add the attempts to the count that a study's judge keeps of its calls, so that no page has to add them
    up. In one order for every worker."""
    by_judge: dict[int, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        by_judge[attempt.study_judge_id].append(attempt)
    for pk in sorted(by_judge):
        attempts_of_judge = by_judge[pk]
        StudyJudge.objects.filter(pk=pk).update(
            calls=F("calls") + len(attempts_of_judge),
            prompt_tokens=F("prompt_tokens")
            + sum(attempt.prompt_tokens or 0 for attempt in attempts_of_judge),
            completion_tokens=F("completion_tokens")
            + sum(attempt.completion_tokens or 0 for attempt in attempts_of_judge),
            cost=F("cost") + sum(attempt.cost or 0 for attempt in attempts_of_judge),
            cost_at_most=F("cost_at_most")
            + sum(attempt.cost or 0 for attempt in attempts_of_judge if attempt.cost_at_most),
            cost_told=F("cost_told")
            + sum(attempt.cost or 0 for attempt in attempts_of_judge if attempt.cost_told),
        )
