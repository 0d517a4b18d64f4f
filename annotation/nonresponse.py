"""Non-response: what raters were given and did not label, by stratum. It is reported, for an estimate that
passed over it in silence would take those who answered for everybody."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import Exists, OuterRef, Q, QuerySet

from annotation.humanplan import humans_of
from annotation.models import (
    Assignment,
    Draw,
    Enrolment,
    Gold,
    Item,
    Membership,
    PlacePurpose,
    Rating,
    Skip,
    Study,
)
from annotation.studyprogress import strata_of
from benchmark.models import Response, Task

REASONS = 3  # most given, of a stratum
MOST = 20_000  # items looked at one by one
OUTSIDE = "outside the draw"
Group = tuple[str, str]  # language, key of the category


@dataclass
class NonResponse:
    stratum: str
    skips: int = 0
    reasons: list[tuple[str, int]] = field(default_factory=list)
    unwanted: int = 0  # items with an open slot that no rater can be given any more
    surplus: int = 0  # labels that came when the slots were taken: kept, not counted


def nonresponse(study: Study, draw: Draw) -> list[NonResponse]:
    """Count what raters were given and did not label, by stratum, in order; what lies outside the draw at the
    end, where there is any."""
    names = list(draw.strata.order_by("position").values_list("name", flat=True))
    rows = {name: NonResponse(name) for name in [*names, OUTSIDE]}
    # Who skipped an item in one window and labelled it in another has answered.
    labelled = Rating.objects.filter(
        item=OuterRef("item"), rater=OuterRef("rater"), purpose=PlacePurpose.SLOT
    )
    skips = list(
        Skip.objects.filter(~Exists(labelled), item__study=study, purpose=PlacePurpose.SLOT).values_list(
            "item_id", "reason"
        )
    )
    late, wanted_by_none = _surplus(study), unwanted(study)
    strata = strata_of(draw, [*(item for item, _ in skips), *late, *wanted_by_none])
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for item, reason in skips:
        reasons[strata.get(item, OUTSIDE)][reason] += 1
    for stratum, counted in reasons.items():
        rows[stratum].skips, rows[stratum].reasons = counted.total(), counted.most_common(REASONS)
    for item in late:
        rows[strata.get(item, OUTSIDE)].surplus += 1
    for item in wanted_by_none:
        rows[strata.get(item, OUTSIDE)].unwanted += 1
    outside = rows[OUTSIDE]
    if not (outside.skips or outside.unwanted or outside.surplus):
        del rows[OUTSIDE]
    return list(rows.values())


def surplus_of(study: Study) -> QuerySet[Rating]:
    """Return the study's surplus labels. Which study an item is of is asked rating by rating: joined, a
    database may begin with all the study's items."""
    of = Item.objects.filter(pk=OuterRef("item")).values("study")[:1]
    late = Rating.objects.given_as_votes().filter(surplus=True)
    return late.annotate(of_study=of).filter(of_study=study.pk)


def _surplus(study: Study) -> list[int]:
    """Return the items of the study's surplus labels, an item once for each rater."""
    rows = surplus_of(study).order_by().values_list("item_id", "rater_id")
    return [
        item for item, _ in set(rows)
    ]  # made one here: for DISTINCT, SQLite walks an index of all ratings


# Items that no rater wants


def served_raters(study: Study) -> list[Enrolment]:
    """Return the enrolments of those who are given slots: raters, and owners where they label; enrolled, in
    the study still, not paused, below their cap."""
    plan = humans_of(study)
    roles = [Membership.Role.RATER, *([Membership.Role.OWNER] if plan.owner_labels else [])]
    present = Membership.objects.filter(study=study, role__in=roles, user__rater=OuterRef("rater"))
    enrolled = Enrolment.objects.filter(Exists(present), study=study, paused=False)
    caps = ((one, one.cap or plan.per_rater) for one in enrolled.select_related("rater"))
    return [one for one, cap in caps if cap is None or one.done < cap]


def may_be_given(one: Enrolment, group: Group) -> bool:
    """Tell whether somebody is given items of this language and category."""
    language, category = group
    return (not one.languages or language in one.languages) and (
        not one.categories or category in one.categories
    )


def unwanted(study: Study) -> list[int]:
    """Return items with an open slot on which each rater who might take it has a place, a label or a gold of
    theirs, or which they skipped. Only items that enough raters have had can be such: those alone are looked
    at one by one."""
    raters = served_raters(study)
    if not raters:
        return []
    groups = {group: {one.rater_id for one in raters if may_be_given(one, group)} for group in _groups(study)}
    nobody = [group for group, who in groups.items() if not who]
    items = set(_open_in(study, nobody)) if nobody else set()
    least = min((len(who) for who in groups.values() if who), default=0)
    if least:
        looked_at = _had_by(study, least)
        items |= _wanted_by_none(looked_at, groups)
    return sorted(items)


def _groups(study: Study) -> list[Group]:
    here = Response.objects.filter(task=OuterRef("pk"), items__study=study)
    tasks = Task.objects.filter(Exists(here)).order_by()
    return list(tasks.values_list("language", "category__key").distinct())


def _open_places() -> QuerySet[Assignment]:
    return Assignment.objects.slots(PlacePurpose.SLOT).claimable().filter(item=OuterRef("pk"))


def _open_in(study: Study, groups: Iterable[Group]) -> list[int]:
    which = Q()
    for language, category in groups:
        which |= Q(response__task__language=language, response__task__category__key=category)
    items = study.items.filter(which).filter(Exists(_open_places()))
    return list(items.order_by("pk").values_list("pk", flat=True)[:MOST])


def _had_by(study: Study, least: int) -> list[int]:
    """Return items with an open slot that so many raters may have had, by what the items keep of votes and
    the few things beside them."""
    beside: Counter[int] = Counter()
    for rows in (
        Skip.objects.filter(item__study=study),
        Gold.objects.filter(item__study=study, author__isnull=False),
        Assignment.objects.filter(study=study).claimed(),
        surplus_of(study),
    ):
        beside.update(rows.order_by().values_list("item_id", flat=True))
    voted = study.items.filter(Exists(_open_places()), human_votes__gte=least)
    many = set(voted.values_list("pk", flat=True)[:MOST])
    few = sorted(pk for pk in beside if pk not in many)
    for start in range(0, len(few), 500):
        items = study.items.filter(pk__in=few[start : start + 500]).filter(Exists(_open_places()))
        many |= {pk for pk, votes in items.values_list("pk", "human_votes") if votes + beside[pk] >= least}
    return sorted(many)[:MOST]


def _wanted_by_none(items: list[int], groups: dict[Group, set[int]]) -> set[int]:
    wanted_by_none = set()
    for start in range(0, len(items), 500):
        part = items[start : start + 500]
        had: dict[int, set[int]] = defaultdict(set)
        for rows, rater in (
            (Assignment.objects.filter(item__in=part, rater__isnull=False), "rater_id"),
            (Rating.objects.filter(item__in=part), "rater_id"),
            (Skip.objects.filter(item__in=part), "rater_id"),
            (Gold.objects.filter(item__in=part, author__isnull=False), "author_id"),
        ):
            for item, who in rows.order_by().values_list("item_id", rater):
                had[item].add(who)
        where = Item.objects.filter(pk__in=part).values_list(
            "pk", "response__task__language", "response__task__category__key"
        )
        wanted_by_none |= {
            pk for pk, language, category in where if groups.get((language, category), set()) <= had[pk]
        }
    return wanted_by_none
