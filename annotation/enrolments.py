"""One person's work in one study: finding it, and what an owner decides about it."""

from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db.models import Exists, F, OuterRef

from annotation.access import WORKING, Role, may_label
from annotation.models import Enrolment, Rater, Study
from annotation.raters import make_way, rater_of
from arbiter.core.errors import UserError
from benchmark.models import Response, Task

MOST_ITEMS = 1_000_000


def enrolment_of(study: Study, rater: Rater) -> Enrolment:
    """Return the rater's enrolment in the study, made at first need: a namesake whom a file named is then
    shown apart."""
    enrolment, made = Enrolment.objects.get_or_create(study=study, rater=rater)
    if made:
        make_way(study, rater)
    return enrolment


def enrolment_for(study: Study, user: User) -> Enrolment:
    """Return a signed-in person's enrolment, with their rater; both are made at first need."""
    enrolment = Enrolment.objects.select_related("rater").filter(study=study, rater__user=user).first()
    return enrolment or enrolment_of(study, rater_of(user))


def enrolled_with_role(slug: str, user: User) -> tuple[Enrolment, str] | None:
    """Return, of somebody who has been at work there before, all that makes their desk, and their role, by
    one query."""
    of_user = Enrolment.objects.select_related("rater", "study__scheme").defer("study__config")
    enrolments = of_user.filter(
        study__slug=slug,
        rater__user=user.pk,
        study__memberships__user=user.pk,
        study__memberships__role__in=[*WORKING, Role.OWNER],
    )
    mine = enrolments.annotate(role=F("study__memberships__role")).first()
    return (mine, mine.role) if mine and may_label(mine.study, mine.role) else None


# What its owner decides


def pause(enrolment: Enrolment, paused: bool) -> None:
    """Pause somebody's work, or let it go on. Who is paused is given nothing new; what they hold they may
    finish."""
    Enrolment.objects.filter(pk=enrolment.pk).update(paused=paused)
    enrolment.paused = paused


def limit(
    enrolment: Enrolment, *, cap: int | None, languages: Sequence[str], categories: Sequence[str]
) -> None:
    """Set how many items somebody may label at most, and of which languages and categories. Empty: as
    everybody else."""
    if cap is not None and not 1 <= cap <= MOST_ITEMS:
        raise UserError(f"The most items somebody may label is a number from 1 to {MOST_ITEMS:,}, or empty.")
    known_languages, known_categories = offered(enrolment.study)
    for chosen, known, what in (
        (languages, known_languages, "language"),
        (categories, dict(known_categories), "category"),
    ):
        if strange := [one for one in chosen if one not in known]:
            raise UserError(f"No item of this study has the {what} {strange[0]!r}; reload the page.")
    enrolment.cap, enrolment.languages, enrolment.categories = cap, list(languages), list(categories)
    # From the start again: places that were not for them before may be now.
    Enrolment.objects.filter(pk=enrolment.pk).update(
        cap=cap, languages=enrolment.languages, categories=enrolment.categories, position=0, left_base=-1
    )


def offered(study: Study) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the languages of the study's items, and their categories by key and title."""
    here = Response.objects.filter(task=OuterRef("pk"), items__study=study)
    rows = Task.objects.filter(Exists(here)).order_by()
    kinds = set(rows.values_list("language", "category__key", "category__title").distinct())
    languages = sorted({language for language, _, _ in kinds})
    return languages, sorted({(key, title) for _, key, title in kinds}, key=lambda one: one[1])
