"""Who labels a study, and how they get on: what is quick to count, and what takes a pass over all votes."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from django.db.models import Count, F, OuterRef, Q, QuerySet

from annotation.models import (
    Assignment,
    Enrolment,
    Gold,
    Item,
    Membership,
    PlacePurpose,
    Rater,
    Rating,
    Study,
    TrainingAnswer,
)
from annotation.nonresponse import surplus_of
from annotation.votes import unpacked
from arbiter.core.batching import batches
from arbiter.core.countcache import remembered

KEPT_FOR = 60  # seconds, of the figures that take a while
LATELY = 500  # of a rater's labels, that their median time is told from
SAMPLED = 100  # of a program's first and last labels, that tell whether it is simulated


@dataclass
class Participant:
    """A member of the study, or somebody who left it and had begun to label."""

    name: str
    membership: Membership | None = None
    enrolment: Enrolment | None = None
    held: int = 0
    flags: int = 0
    surplus: int = 0
    training: str = ""

    @property
    def rater_id(self) -> int | None:
        return self.enrolment.rater_id if self.enrolment else None

    @property
    def labels(self) -> bool:
        """Tell whether they are here to label, or did."""
        return self.membership is None or bool(self.enrolment) or self.membership.role in ("rater", "expert")


def participants(study: Study) -> list[Participant]:
    """Return everybody in the study: its members, then those who left it and had begun to label."""
    enrolments = {row.rater_id: row for row in study.enrolments.select_related("rater__user")}
    everybody = []
    for member in study.memberships.select_related("user__rater").order_by("role", "user__username"):
        rater = getattr(member.user, "rater", None)
        enrolment = enrolments.pop(rater.pk, None) if rater else None
        everybody.append(Participant(member.user.get_username(), member, enrolment))
    everybody += [Participant(row.rater.name, None, row) for row in enrolments.values()]
    _fill(study, {person.rater_id: person for person in everybody if person.rater_id})
    return everybody


def participant(study: Study, membership: Membership) -> Participant:
    """Return one member of the study."""
    rater = Rater.objects.filter(user=membership.user_id).first()
    enrolment = (
        study.enrolments.filter(rater=rater).select_related("rater", "study").first() if rater else None
    )
    person = Participant(membership.user.get_username(), membership, enrolment)
    if person.rater_id:
        _fill(study, {person.rater_id: person})
    return person


def _fill(study: Study, by_rater: dict[int, Participant]) -> None:
    """Count what participants hold, flagged and labelled in surplus, and say how their training goes."""
    held = Assignment.objects.filter(study=study).under_lease()
    for rater in held.values_list("rater_id", flat=True):
        if rater in by_rater:
            by_rater[rater].held += 1
    for rater in _flagged(study).values_list("rater_id", flat=True):
        if rater in by_rater:
            by_rater[rater].flags += 1
    for _, rater in set(surplus_of(study).order_by().values_list("item_id", "rater_id")):
        if rater in by_rater:
            by_rater[rater].surplus += 1
    for enrolment, text in _training(study).items():
        if enrolment in by_rater:
            by_rater[enrolment].training = text


def _flagged(study: Study) -> QuerySet[Rating]:
    of = Item.objects.filter(pk=OuterRef("item")).values("study")[:1]
    return Rating.objects.newest().primary().filter(flagged=True).annotate(of=of).filter(of=study.pk)


def _training(study: Study) -> dict[int, str]:
    """Say by rater how the training round they are in went so far; of those who passed, that they did."""
    answers = TrainingAnswer.objects.filter(enrolment__study=study, round=F("enrolment__training_round"))
    scores = (
        answers.order_by()
        .values_list("enrolment")
        .annotate(Count("pk"), right=Count("pk", filter=Q(correct=True)))
    )
    counts = {pk: (count, right) for pk, count, right in scores}
    words = {}
    for enrolment in study.enrolments.all():
        count, right = counts.get(enrolment.pk, (0, 0))
        score = f"{right} of {count} right" if count else "not begun"
        if enrolment.trained_at:
            words[enrolment.rater_id] = f"passed, {score}" if count else "passed"
        else:
            words[enrolment.rater_id] = f"round {enrolment.training_round}: {score}"
    return words


# What takes a pass over all votes


@dataclass
class RaterFigures:
    """How one rater's labels go with gold and with other people's, and how long they take for one."""

    gold_agrees: int = 0
    gold: int = 0
    pairs_agree: int = 0
    pairs: int = 0
    seconds: float | None = None

    @property
    def with_gold(self) -> float | None:
        return self.gold_agrees / self.gold if self.gold else None

    @property
    def with_others(self) -> float | None:
        return self.pairs_agree / self.pairs if self.pairs else None


@dataclass
class ParticipantFigures:
    raters: dict[int, RaterFigures] = field(default_factory=lambda: defaultdict(RaterFigures))
    # Of each program how many of its labels vote, and whether it is simulated.
    programs: list[tuple[Rater, int, bool]] = field(default_factory=list)


def participant_figures(study: Study) -> ParticipantFigures:
    """Return the figures that take a pass over all votes, kept for a minute."""
    return remembered(f"people-figures:{study.pk}", lambda: _figures(study), seconds=KEPT_FOR)


def _figures(study: Study) -> ParticipantFigures:
    figures = ParticipantFigures()
    _count_votes(study, figures)
    _count_gold(study, figures)
    for rater in study.enrolments.values_list("rater_id", flat=True):
        figures.raters[rater].seconds = _seconds(study, rater)
    figures.raters = dict(figures.raters)
    return figures


def _count_votes(study: Study, figures: ParticipantFigures) -> None:
    """Count in one pass over items' votes how often people agree with others.

    Where they all agree, nobody's label needs to be looked at.
    """
    kinds = dict(Rater.objects.values_list("pk", "kind"))
    votes_by: Counter[int] = Counter()
    rows = study.items.voted_on().order_by().values_list("votes", "human_votes", "humans_split")
    for key, humans, split in rows.iterator(chunk_size=5000):
        votes = unpacked(key)
        votes_by.update([rater for rater, _ in votes])
        if humans < 2:
            continue
        theirs = [vote for vote in votes if kinds.get(vote.rater) == Rater.Kind.HUMAN]
        labels = Counter([label for _, label in theirs]) if split else Counter()
        for rater, label in theirs:
            rater_figures = figures.raters[rater]
            rater_figures.pairs += humans - 1
            rater_figures.pairs_agree += (labels[label] if split else humans) - 1
    programs = Rater.objects.filter(pk__in=list(votes_by)).exclude(kind=Rater.Kind.HUMAN)
    for program in programs.order_by("name", "version"):
        figures.programs.append((program, votes_by[program.pk], _simulated(program)))


def _simulated(rater: Rater) -> bool:
    ratings = Rating.objects.filter(rater=rater)
    ends = (ratings.order_by("pk")[:SAMPLED], ratings.order_by("-pk")[:SAMPLED])
    return any(flag for rows in ends for flag in rows.values_list("simulated", flat=True))


def _count_gold(study: Study, figures: ParticipantFigures) -> None:
    """Count how often checks, and labels in places on items with gold, agree with gold.

    Who wrote a gold is not measured by it, nor who made its consensus.
    """
    golds = {
        item: (label, author, origin)
        for item, label, author, origin in Gold.objects.current_in(study).values_list(
            "item_id", "label_id", "author_id", "origin"
        )
    }
    for part in batches(sorted(golds), 500):
        latest: dict[tuple[Any, ...], int] = {}
        rows = (
            Rating.objects.primary()
            .counting()
            .filter(
                item__in=part,
                purpose__in=[PlacePurpose.SLOT, PlacePurpose.GOLD_CHECK],
                rater__kind=Rater.Kind.HUMAN,
            )
        )
        for item, rater, purpose, label in rows.history().values_list(
            "item_id", "rater_id", "purpose", "label_id"
        ):
            latest[item, rater, purpose] = label
        for (item, rater, purpose), label in latest.items():
            gold, author, origin = golds[item]
            if author == rater or (purpose == PlacePurpose.SLOT and origin == Gold.Origin.CONSENSUS):
                continue
            figures.raters[rater].gold += 1
            figures.raters[rater].gold_agrees += label == gold


def _seconds(study: Study, rater: int) -> float | None:
    of = Item.objects.filter(pk=OuterRef("item")).values("study")[:1]
    timed = Rating.objects.primary().filter(rater=rater, active_seconds__isnull=False)
    lately = timed.annotate(of=of).filter(of=study.pk).order_by("-pk")[:LATELY]
    seconds: list[Any] = list(lately.values_list("active_seconds", flat=True))
    return median(seconds) if seconds else None
