"""Who labels a study, and how they are getting on: what is quick to say, and the figures that take a pass over all votes."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from django.db.models import Count, F, OuterRef, Q, QuerySet
from django.utils import timezone

from annotation.models import (
    Assignment,
    Enrolment,
    Gold,
    Item,
    Membership,
    Purpose,
    Rater,
    Rating,
    Study,
    TrainingAnswer,
    newest,
)
from annotation.nonresponse import surplus_of
from benchmark.batching import batches
from benchmark.remembering import remembered

KEPT_FOR = 60  # seconds, of the figures that take a while
LATELY = 500  # of a rater's labels, that their median time is told from
SAMPLED = 100  # of a program's first and last labels, that tell whether it is simulated
State = Assignment.State


@dataclass
class Person:
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
        """Whether they are here to label, or did."""
        return self.membership is None or bool(self.enrolment) or self.membership.role in ("rater", "expert")


def people(study: Study) -> list[Person]:
    enrolments = {one.rater_id: one for one in study.enrolments.select_related("rater__user")}
    found = []
    for member in study.memberships.select_related("user__rater").order_by("role", "user__username"):
        rater = getattr(member.user, "rater", None)
        enrolment = enrolments.pop(rater.pk, None) if rater else None
        found.append(Person(member.user.get_username(), member, enrolment))
    found += [Person(one.rater.name, None, one) for one in enrolments.values()]
    _fill(study, {one.rater_id: one for one in found if one.rater_id})
    return found


def person(study: Study, membership: Membership) -> Person:
    rater = Rater.objects.filter(user=membership.user_id).first()
    enrolment = (
        study.enrolments.filter(rater=rater).select_related("rater", "study").first() if rater else None
    )
    found = Person(membership.user.get_username(), membership, enrolment)
    if found.rater_id:
        _fill(study, {found.rater_id: found})
    return found


def _fill(study: Study, by_rater: dict[int, Person]) -> None:
    held = Assignment.objects.filter(study=study, state=State.LEASED, leased_until__gte=timezone.now())
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
    return Rating.objects.current().filter(flagged=True, question="").annotate(of=of).filter(of=study.pk)


def _training(study: Study) -> dict[int, str]:
    """By rater, how the round they are in went so far; of those who passed that they did."""
    answers = TrainingAnswer.objects.filter(enrolment__study=study, round=F("enrolment__training_round"))
    scores = (
        answers.order_by()
        .values_list("enrolment")
        .annotate(Count("pk"), right=Count("pk", filter=Q(correct=True)))
    )
    found = {enrolment: (count, right) for enrolment, count, right in scores}
    words = {}
    for one in study.enrolments.all():
        count, right = found.get(one.pk, (0, 0))
        score = f"{right} of {count} right" if count else "not begun"
        if one.trained_at:
            words[one.rater_id] = f"passed, {score}" if count else "passed"
        else:
            words[one.rater_id] = f"round {one.training_round}: {score}"
    return words


# What takes a pass over all votes


@dataclass
class Figures:
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
class Counted:
    raters: dict[int, Figures] = field(default_factory=lambda: defaultdict(Figures))
    programs: list[tuple[Rater, int, bool]] = field(
        default_factory=list
    )  # labels that vote, whether simulated


def figures(study: Study) -> Counted:
    """Kept for a minute."""
    return remembered(f"people-figures:{study.pk}", lambda: _figures(study), seconds=KEPT_FOR)


def _figures(study: Study) -> Counted:
    found = Counted()
    _count_votes(study, found)
    _count_gold(study, found)
    for rater in study.enrolments.values_list("rater_id", flat=True):
        found.raters[rater].seconds = _seconds(study, rater)
    found.raters = dict(found.raters)
    return found


def _count_votes(study: Study, found: Counted) -> None:
    """One pass over what items keep of their votes. Where people agree, nobody's label needs to be looked at."""
    kinds = dict(Rater.objects.values_list("pk", "kind"))
    people: dict[str, int | None] = {}  # vote to its person; None: a program's
    votes_of: Counter[str] = Counter()
    rows = study.items.exclude(votes="").order_by().values_list("votes", "human_votes", "humans_split")
    for votes, humans, split in rows.iterator(chunk_size=5000):
        cast = votes.split()
        votes_of.update(cast)
        if humans < 2:
            continue
        labels: Counter[str] = Counter()
        mine = []
        for vote in cast:
            if vote not in people:
                rater = int(vote.partition(":")[0])
                people[vote] = rater if kinds.get(rater) == Rater.Kind.HUMAN else None
            if (who := people[vote]) is not None:
                mine.append((who, vote))
        if split:
            labels.update(vote.partition(":")[2] for _, vote in mine)
        for who, vote in mine:
            one = found.raters[who]
            one.pairs += humans - 1
            one.pairs_agree += (labels[vote.partition(":")[2]] if split else humans) - 1
    _name_programs(found, votes_of, kinds)


def _name_programs(found: Counted, votes_of: Counter[str], kinds: dict[int, str]) -> None:
    counts: Counter[int] = Counter()
    for vote, count in votes_of.items():
        counts[int(vote.partition(":")[0])] += count
    programs = [rater for rater in counts if kinds.get(rater) != Rater.Kind.HUMAN]
    for rater in Rater.objects.filter(pk__in=programs).order_by("name", "version"):
        found.programs.append((rater, counts[rater.pk], _simulated(rater)))


def _simulated(rater: Rater) -> bool:
    ratings = Rating.objects.filter(rater=rater)
    ends = (ratings.order_by("pk")[:SAMPLED], ratings.order_by("-pk")[:SAMPLED])
    return any(flag for rows in ends for flag in rows.values_list("simulated", flat=True))


def _count_gold(study: Study, found: Counted) -> None:
    """Checks, and labels in places on items with gold. Who wrote a gold is not measured by it, nor who made its consensus."""
    golds = {
        item: (label, author, origin)
        for item, label, author, origin in newest(Gold.objects.filter(item__study=study)).values_list(
            "item_id", "label_id", "author_id", "origin"
        )
    }
    for part in batches(sorted(golds), 500):
        latest: dict[tuple[Any, ...], int] = {}
        rows = Rating.objects.filter(
            item__in=part, question="", surplus=False, purpose__in=[Purpose.SLOT, Purpose.GOLD_CHECK], rater__kind=Rater.Kind.HUMAN
        )  # fmt: skip
        for item, rater, purpose, label in rows.order_by("revision").values_list(
            "item_id", "rater_id", "purpose", "label_id"
        ):
            latest[item, rater, purpose] = label
        for (item, rater, purpose), label in latest.items():
            gold, author, origin = golds[item]
            if author == rater or (purpose == Purpose.SLOT and origin == Gold.Origin.CONSENSUS):
                continue
            found.raters[rater].gold += 1
            found.raters[rater].gold_agrees += label == gold


def _seconds(study: Study, rater: int) -> float | None:
    of = Item.objects.filter(pk=OuterRef("item")).values("study")[:1]
    timed = Rating.objects.filter(rater=rater, question="", active_seconds__isnull=False)
    lately = timed.annotate(of=of).filter(of=study.pk).order_by("-pk")[:LATELY]
    seconds: list[Any] = list(lately.values_list("active_seconds", flat=True))
    return median(seconds) if seconds else None
