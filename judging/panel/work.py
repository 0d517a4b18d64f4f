"""Verdicts as the engine's work: claimed, asked, stored, concluded."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from annotation.models import LabelScheme, Study
from benchmark.bulk import insert
from benchmark.client import Call, body_hash
from benchmark.engine import Made
from benchmark.lanes import Job
from benchmark.models import Endpoint, Response, Run, Task
from judging.models import Attempt, Budget, Judge, StudyJudge, Verdict
from judging.panel import metering
from judging.panel.asking import free, tidy_cancelled
from judging.panel.concluding import conclude
from judging.panel.money import cost_of, price_of, worst_case
from judging.panel.parsing import parse
from judging.panel.prompting import Asked, ask, token_limit

State = Verdict.State
ANSWERED = [Attempt.Outcome.ANSWER, Attempt.Outcome.REFUSAL, Attempt.Outcome.LENGTH]
CLAIM_AT_MOST = 128
LARGER = 4  # times the token budget that ended before the answer did
SMALLEST_BUDGET, LARGEST_BUDGET = 1024, 2**31 - 1


@dataclass(frozen=True, slots=True)
class Question:
    """A verdict and what is asked for it: all that is needed to conclude it without reading it again."""

    verdict: Verdict
    scheme: LabelScheme
    asked: Asked
    max_tokens: int | None = None  # the larger budget of a retry
    source: int | None = None  # the attempt that holds the cached answer
    cut: Call | None = None  # the answer that a larger budget was asked for

    @property
    def keys(self) -> list[str]:
        return [label.key for label in self.scheme.labels.all()]


@dataclass
class JudgeWork:
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
        """The judges whose verdicts are to be worked on. One that was replaced, is paused or has no money left is not."""
        capped = Budget.objects.filter(study=OuterRef("study"), reached=True)
        found = StudyJudge.objects.filter(~Exists(capped), active=True, status=StudyJudge.Status.RUNNING)
        if self.study:
            found = found.filter(study=self.study)
        if self.endpoint:
            found = found.filter(judge__endpoint__name=self.endpoint)
        return found if self.judges is None else found.filter(pk__in=self.judges)

    def endpoints(self) -> list[Endpoint]:
        if self.limit == 0:
            return []
        # In the index's order: PostgreSQL expects open rows anywhere, and would read all final ones that come before them.
        of_judge = Verdict.objects.filter(study_judge=OuterRef("pk")).order_by("pk").values("pk")
        todo = of_judge.filter(state=State.TODO)[:1]
        expired = of_judge.filter(state=State.LEASED, leased_until__lt=timezone.now())[:1]
        waiting = self.asked().annotate(open=Coalesce(Subquery(todo), Subquery(expired)))
        return list(Endpoint.objects.filter(pk__in=waiting.filter(open__gt=0).values("judge__endpoint")))

    def claim(self, endpoint: Endpoint, lease: str, room: int) -> list[Job]:
        room = min(room, CLAIM_AT_MOST, room if self.limit is None else self.limit)
        asked = list(
            self.asked()
            .filter(judge__endpoint=endpoint)
            .select_related("judge__rater", "judge__endpoint", "study__scheme")
        )
        ids = self._open(asked, lease, room)
        until = timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
        # Another worker may have taken some since we looked: only rows that are still open become ours. No join here:
        # it would move the conditions to a subquery, which PostgreSQL does not look at again after waiting for the other.
        Verdict.objects.filter(free(), pk__in=ids).update(state=State.LEASED, lease=lease, leased_until=until)
        mine = Verdict.objects.filter(pk__in=ids, lease=lease, state=State.LEASED, leased_until=until)
        jobs = self._jobs(mine, {judge.pk: judge for judge in asked})
        if self.limit is not None:
            self.limit -= len(jobs)
        return jobs

    def _open(self, judges: Sequence[StudyJudge], lease: str, room: int) -> list[int]:
        """Rows wanted, then those that other workers let go. A judge at a time: so the index gives them in order, however
        many there are."""
        ids: list[int] = []
        for judge in judges:
            todo = Verdict.objects.filter(study_judge=judge, state=State.TODO).order_by("pk")
            ids += todo.values_list("pk", flat=True)[: room - len(ids)]
        if len(ids) < room:
            # Not those whose lease we let run out ourselves: their calls are still in flight.
            expired = Verdict.objects.filter(
                study_judge__in=judges, state=State.LEASED, leased_until__lt=timezone.now()
            )
            found = list(expired.exclude(lease=lease).values_list("pk", "reserved")[: room - len(ids)])
            metering.forfeit([pk for pk, reserved in found if reserved is not None])
            ids += [pk for pk, _ in found]
        return ids

    def _jobs(self, mine: QuerySet[Verdict], judges: dict[int, StudyJudge]) -> list[Job]:
        metered = metering.metered(judge.study_id for judge in judges.values())
        questions: list[Question] = []
        verdicts = list(mine.select_related("item__response").order_by("pk"))
        _complete([verdict.item.response for verdict in verdicts])
        for verdict in verdicts:
            verdict.study_judge = judges[verdict.study_judge_id]
            verdict.item.study = verdict.study_judge.study
            scheme = self._scheme(verdict.study_judge)
            asked = ask(verdict.study_judge.judge, verdict.item, scheme, verdict.repeat)
            questions.append(Question(verdict, scheme, asked))
        answers = self._answers([question.asked.cache_key for question in questions])
        return [self._job(question, metered, answers) for question in questions]

    def _scheme(self, of: StudyJudge) -> LabelScheme:
        """With its labels, read once. A study that nobody was asked for may be given another while we work."""
        place = (of.study_id, of.judge.question, of.study.scheme_id)
        if place not in self._schemes:
            scheme = of.study.scheme_of(of.judge.question)
            self._schemes[place] = LabelScheme.objects.prefetch_related("labels").get(pk=scheme.pk)
        return self._schemes[place]

    def _answers(self, keys: Sequence[str]) -> dict[str, tuple[int, str, int | None]]:
        """Equal questions answered before; of several answers the last, which had the larger budget."""
        found = Attempt.objects.filter(cache_key__in=keys, outcome__in=ANSWERED).order_by("pk")
        rows = found.values_list("cache_key", "pk", "raw", "max_tokens")
        return {key: (pk, raw, max_tokens) for key, pk, raw, max_tokens in rows}

    def _job(
        self, question: Question, metered: set[int], answers: dict[str, tuple[int, str, int | None]]
    ) -> Job:
        judge = question.verdict.study_judge
        source, raw, max_tokens = answers.get(question.asked.cache_key, (None, None, None))
        return Job(
            question.verdict.pk, judge.judge.endpoint, question.asked.request, cached=raw, metered=judge.study_id in metered,
            context=replace(question, source=source, max_tokens=max_tokens),
        )  # fmt: skip

    def permit(self, lease: str, jobs: Sequence[Job]) -> tuple[Sequence[Job], set[int]]:
        return metering.permit(lease, [(job, worst_of(job.context)) for job in jobs])

    @transaction.atomic
    def capped(self, lease: str, jobs: Sequence[Job]) -> bool:
        studies = metering.metered(job.context.verdict.study_judge.study_id for job in jobs)
        if studies:  # with the cap each was taken for a call on its way
            metering.give_back(Verdict.objects.filter(pk__in=[job.pk for job in jobs], lease=lease))
        return bool(studies)

    def renew(self, lease: str) -> None:
        until = timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
        Verdict.objects.filter(lease=lease, state=State.LEASED).update(leased_until=until)

    def withdrawn(self, lease: str) -> set[int]:
        held = Verdict.objects.filter(lease=lease, state=State.LEASED).exclude(study_judge__in=self.asked())
        return set(held.values_list("pk", flat=True))

    def again(self, job: Job, call: Call) -> Job | None:
        """Once, with a larger budget, where the answer was cut off before it could be read."""
        question: Question = job.context
        judge, answer = question.verdict.study_judge.judge, call.answer
        if call.outcome != Attempt.Outcome.LENGTH or question.max_tokens or answer is None:
            return None
        if not _is_unparsed(judge, answer.text, question.keys):
            return None
        used = token_limit(judge) or answer.completion_tokens or 0
        larger = min(max(SMALLEST_BUDGET, LARGER * used), LARGEST_BUDGET)
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
    def store(self, lease: str, made: Sequence[Made]) -> None:
        """The attempts, and what they cost. Those that are there already were stored by a try that was cut off."""
        there = dict(Attempt.objects.filter(uid__in=[one.call.uid for one in made]).values_list("uid", "pk"))
        new = [one for one in made if one.call.uid not in there]
        attempts = [attempt_of(one) for one in new]
        insert(attempts)
        _count(attempts)
        metering.settle(
            lease, [(one.job, one.call, attempt.cost) for one, attempt in zip(new, attempts, strict=True)]
        )
        stored = there | {attempt.uid: attempt.pk for attempt in attempts}
        self._stored |= {one.call.uid: stored[one.call.uid] for one in made if one.final or one.call.answered}

    def conclude(self, lease: str, made: Sequence[Made]) -> None:
        with transaction.atomic():
            conclude(lease, made, self._stored)
            # A cap that came after the call was stored took the row for one whose call is on its way.
            metering.give_back(Verdict.objects.filter(pk__in=[one.job.pk for one in made], leased_until=None))
        for one in made:
            cut: Call | None = one.job.context.cut
            for call in (one.call, cut) if cut else (one.call,):
                self._stored.pop(call.uid, None)

    @transaction.atomic
    def release(self, lease: str, *, only: Collection[int] | None = None, keep: Collection[int] = ()) -> None:
        held = Verdict.objects.filter(lease=lease, state=State.LEASED)
        if only is not None:
            held = held.filter(pk__in=only)
        if keep:
            held = held.exclude(pk__in=keep)
        metering.give_back(held)
        judges = set(held.values_list("study_judge", flat=True))
        given_back = held.update(state=State.TODO, lease="", leased_until=None)
        if self.limit is not None:
            self.limit += given_back
        for pk in StudyJudge.objects.filter(pk__in=judges, status=StudyJudge.Status.CANCELLED).values_list(
            "pk", flat=True
        ):
            tidy_cancelled(pk)

    def waiting(self) -> bool:
        wanted = Verdict.objects.filter(state__in=[State.TODO, State.LEASED], study_judge__in=self.asked())
        return self.limit != 0 and wanted.exists()


def _complete(responses: Sequence[Response]) -> None:
    """With their tasks and runs: many share one, so that a join would make most of them many times over."""
    tasks = Task.objects.select_related("category").in_bulk({one.task_id for one in responses})
    runs = Run.objects.select_related("condition").in_bulk({one.run_id for one in responses})
    for one in responses:
        one.task, one.run = tasks[one.task_id], runs[one.run_id]


def _is_unparsed(judge: Judge, text: str, keys: Sequence[str]) -> bool:
    try:
        return isinstance(parse(judge, text, keys), str)
    except Exception:  # concluding it says so; here it would end the whole run
        return False


def worst_of(question: Question) -> int | None:
    """What a call for it may cost at most; None where that is not known."""
    judge = question.verdict.study_judge
    limit = question.max_tokens or token_limit(judge.judge)
    return worst_case(question.asked.request, price_of(judge), limit)


def attempt_of(made: Made) -> Attempt:
    call, question = made.call, made.job.context
    answer, judge = call.answer, question.verdict.study_judge
    prompt, completion = (answer.prompt_tokens, answer.completion_tokens) if answer else (None, None)
    cost, bound = _cost(made, prompt, completion)
    return Attempt(
        uid=call.uid, verdict_id=made.job.pk, study_judge_id=judge.pk, outcome=call.outcome,
        cache_key=question.asked.cache_key, request_hash=body_hash(question.asked.request), marker=question.asked.marker,
        max_tokens=question.max_tokens, raw=call.raw, error=call.error, status=call.status,
        finish_reason=answer.finish_reason if answer else "", prompt_tokens=prompt, completion_tokens=completion,
        reasoning_tokens=answer.reasoning_tokens if answer else None, cost=cost, cost_at_most=bound,
        started_at=call.started_at, latency=call.latency, simulated=bool(answer and answer.simulated),
    )  # fmt: skip


def _cost(made: Made, prompt: int | None, completion: int | None) -> tuple[int | None, bool]:
    """Of a call whose answer came, by its tokens; of one that was turned away, nothing; else the worst case."""
    call, question = made.call, made.job.context
    price = price_of(question.verdict.study_judge)
    known = cost_of(price, prompt, completion)
    if known is not None or price is None:
        return known, False
    if call.unreached or (call.status or 0) >= 400:
        return 0, False
    return worst_of(question), True


def _count(attempts: Sequence[Attempt]) -> None:
    """A study's judge keeps count of its calls, so that no page has to add them up. In one order for every worker."""
    by_judge: dict[int, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        by_judge[attempt.study_judge_id].append(attempt)
    for pk in sorted(by_judge):
        of = by_judge[pk]
        StudyJudge.objects.filter(pk=pk).update(
            calls=F("calls") + len(of),
            prompt_tokens=F("prompt_tokens") + sum(one.prompt_tokens or 0 for one in of),
            completion_tokens=F("completion_tokens") + sum(one.completion_tokens or 0 for one in of),
            cost=F("cost") + sum(one.cost or 0 for one in of),
            cost_at_most=F("cost_at_most") + sum(one.cost or 0 for one in of if one.cost_at_most),
        )
