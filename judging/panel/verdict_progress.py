"""How far a study's judges are, for a page that asks every two seconds.

However many verdicts and attempts there are, a look costs one grouped scan of the verdicts' index, a count of
the items and each judge's latest calls.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from django.db.models import Count
from django.utils import timezone

from annotation.models import Study
from arbiter.calls.call_progress import (
    CALM_SECONDS,
    PACE_CALLS,
    POLL_SECONDS,
    STILL,
    CallPace,
    RecentCall,
    RowCounts,
    pace,
)
from benchmark.models import Endpoint
from judging.models import FINAL, Attempt, Budget, StudyJudge, Verdict
from judging.panel.metering import reached
from judging.panel.prompting import not_sent
from judging.panel.wanted_verdicts import State, Status, tally

WITHOUT_LABEL = (State.UNPARSED, State.REFUSED, State.FAILED)


class VerdictCounts(RowCounts):
    """Verdicts by state, of one judge or of all."""

    FINAL = FINAL
    SHOWN = (State.DONE, *WITHOUT_LABEL, State.LEASED, State.TODO)


@dataclass
class JudgeProgress(VerdictCounts):
    study_judge: StudyJudge = field(kw_only=True)
    simulated: bool = False
    capped: bool = False

    @property
    def down(self) -> bool:
        """Tell whether the judge waits because its endpoint is down, and for nothing else."""
        running = self.study_judge.status == Status.RUNNING and not self.capped
        return bool(running and self.open and not self.alive and self.study_judge.judge.endpoint.down_since)

    @property
    def resting(self) -> bool:
        """Tell whether the judge waits because its endpoint asked to be left alone for long, and for nothing
        else."""
        until = self.study_judge.judge.endpoint.rests_until
        running = self.study_judge.status == Status.RUNNING and not self.capped
        return bool(running and self.open and not self.alive and until and until > timezone.now())

    @property
    def not_sent(self) -> list[str]:
        """Say what its calls go without, as a check of its endpoint found it refused."""
        return not_sent(self.study_judge.judge)

    @property
    def waiting(self) -> bool:
        """Tell whether the judge waits for a worker."""
        return self.phase == "waiting"

    @property
    def phase(self) -> str:
        status = self.study_judge.status
        if status == Status.PAUSED and (self.open or self.missing):
            return "paused"
        if self.alive:
            return "working"
        if self.open:
            if status == Status.CANCELLED:
                return "cancelled"
            if self.capped:
                return "at the cap"
            return "resting" if self.resting else "endpoint down" if self.down else "waiting"
        if not self.missing:
            return "finished"
        return "cancelled" if status == Status.CANCELLED else "partly asked" if self.finished else "not asked"

    @property
    def seconds_left(self) -> float | None:
        """Return how long the judge's open verdicts take at its present pace; None where nothing moves."""
        return self.open / self.pace.rows if self.open and self.alive and self.pace.rows else None


@dataclass
class PanelProgress:
    """Of all judges that are active in a study."""

    judges: list[JudgeProgress]
    budget: Budget | None
    replaced: list[StudyJudge] = field(
        default_factory=list
    )  # earlier versions: asked no more, and what they cost counts
    still: int = 0  # looks in a row that saw rows wait and nobody work

    @cached_property
    def total(self) -> VerdictCounts:
        states = {state: sum(judge.states.get(state, 0) for judge in self.judges) for state in State.values}
        paces = [judge.pace for judge in self.judges]
        together = CallPace(sum(one.calls for one in paces), sum(one.rows for one in paces))
        return VerdictCounts(states, _sum("wanted", self.judges), _sum("alive", self.judges), together)

    @property
    def seconds_left(self) -> float | None:
        """Return how long all open verdicts take; None where nothing moves. Judges of one endpoint take
        turns, those of others run side by side."""
        each = [judge.seconds_left for judge in self.judges if judge.seconds_left is not None]
        moving = sum(judge.open for judge in self.judges if judge.phase == "working" or judge.waiting)
        return max([*each, moving / self.total.pace.rows]) if each else None

    @property
    def phases(self) -> set[str]:
        return {judge.phase for judge in self.judges}

    @property
    def waiting(self) -> bool:
        return "waiting" in self.phases and "working" not in self.phases

    @property
    def unattended(self) -> bool:
        return self.waiting and self.still >= STILL

    @property
    def poll(self) -> int | None:
        """Return the seconds until the page looks again; None where nothing can change by itself."""
        if self.phases & {"working", "waiting", "endpoint down"}:
            return POLL_SECONDS
        return CALM_SECONDS if self.total.open else None

    @property
    def missing(self) -> int:
        """Return how many verdicts asking the judges would ask for: not of those that are paused."""
        return sum(judge.missing for judge in self.judges if judge.study_judge.status != Status.PAUSED)

    @property
    def can_pause(self) -> bool:
        return any(judge.open and judge.study_judge.status == Status.RUNNING for judge in self.judges)

    @property
    def paused(self) -> bool:
        return any(judge.phase == "paused" for judge in self.judges)

    @property
    def spent(self) -> dict[str, int]:
        names = ("calls", "prompt_tokens", "completion_tokens", "cost", "cost_at_most")
        return {name: sum(getattr(judge.study_judge, name) for judge in self.judges) for name in names}

    @property
    def spent_before(self) -> dict[str, int]:
        """Return the calls and cost of versions that were replaced."""
        return {name: sum(getattr(one, name) for one in self.replaced) for name in ("calls", "cost")}

    @property
    def unpriced(self) -> bool:
        of = [judge.study_judge for judge in self.judges]
        return any(one.output_price is None and not one.cost for one in of)

    @property
    def reached(self) -> str:
        """Say that the cap stands in the way of something, in a sentence; empty where it doesn't."""
        return reached(self.budget) if self.budget and self.budget.reached and self.total.open else ""

    @property
    def resting(self) -> list[Endpoint]:
        by_endpoint = {judge.study_judge.judge.endpoint_id: judge for judge in self.judges if judge.resting}
        return [judge.study_judge.judge.endpoint for judge in by_endpoint.values()]

    @property
    def down(self) -> list[Endpoint]:
        by_endpoint = {judge.study_judge.judge.endpoint_id: judge for judge in self.judges if judge.down}
        return [judge.study_judge.judge.endpoint for judge in by_endpoint.values()]

    @property
    def news(self) -> str:
        """Say where things stand, in words that change only when that does: they are read aloud."""
        if "working" in self.phases:
            return "The judges are working; this page keeps up by itself."
        for phase, words in (
            ("waiting", "Waiting for a worker."),
            ("endpoint down", "Waiting for an endpoint."),
            ("resting", "Waiting until an endpoint may be asked again."),
        ):
            if phase in self.phases:
                return words
        if self.reached:
            return "Stopped at the study's cap."
        if self.paused:
            return "Paused: what is wanted stays wanted, and is not asked."
        if self.total.missing:
            asked = self.total.finished or self.total.open
            return (
                f"{self.total.missing:,} verdict{'s' * (self.total.missing != 1)} "
                f"{'more ' if asked else ''}to ask for."
            )
        without = sum(self.total.count(state) for state in WITHOUT_LABEL)
        return f"Every verdict is in{f', {without:,} of them without a label' if without else ''}."


def _sum(name: str, judges: Iterable[JudgeProgress]) -> int:
    return sum(getattr(judge, name) for judge in judges)


def progress(study: Study, still: int = 0) -> PanelProgress:
    """Return how far the study's judges are. `still`: how many looks before this one saw nobody work."""
    now = timezone.now()
    every = list(study.judges.select_related("judge__rater", "judge__endpoint"))
    judges = [one for one in every if one.active]
    budget = Budget.objects.filter(study=study).first()
    items = study.items.count() if judges else 0
    states, alive = tally(study), _alive(judges)
    of_judges = []
    for study_judge in judges:
        calls = _latest(study_judge)
        one = JudgeProgress(
            states.get(study_judge.pk, {}),
            items * study_judge.judge.repeats,
            alive.get(study_judge.pk, 0),
            pace(calls, now),
            study_judge=study_judge,
            capped=bool(budget and budget.reached),
        )
        one.simulated = (
            any(call.simulated for call in calls) if calls else _labelled_by_simulation(study_judge)
        )
        of_judges.append(one)
    seen = PanelProgress(of_judges, budget, [one for one in every if not one.active])
    seen.still = still + 1 if seen.waiting else 0
    return seen


def _alive(judges: Sequence[StudyJudge]) -> dict[int, int]:
    """Count by StudyJudge id how many of its rows are held by a worker that lives."""
    leased = Verdict.objects.under_lease().filter(study_judge__in=judges)
    return dict(leased.order_by().values_list("study_judge").annotate(Count("pk")))


def _latest(study_judge: StudyJudge) -> list[RecentCall]:
    # Not `study_judge=`: for that PostgreSQL may walk the primary key past all that other judges called
    # since. The order is the index's own, whose next rows are another judge's.
    calls = Attempt.objects.filter(study_judge__lte=study_judge.pk).order_by("-study_judge_id", "-pk")[
        :PACE_CALLS
    ]
    fields = ("verdict", "outcome", "started_at", "latency", "simulated", "study_judge")
    return [RecentCall(*row) for *row, whose in calls.values_list(*fields) if whose == study_judge.pk]


def _labelled_by_simulation(study_judge: StudyJudge) -> bool:
    """Tell by a judge's last rating whether its answers are simulated,
    where all was answered from earlier calls."""
    done = Verdict.objects.filter(study_judge=study_judge, state=State.DONE).order_by("-pk")
    return bool(done.values_list("rating__simulated", flat=True).first())
