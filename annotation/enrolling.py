"""What an owner decides about one person's work in a study, and the invitations that are still open."""

from collections.abc import Sequence

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from annotation.access import make_link
from annotation.models import AccessLink, Enrolment, Membership, Study
from benchmark.errors import UserError
from benchmark.models import Response, Task

MOST_DAYS = 90  # that an invitation may be open
MOST_ITEMS = 1_000_000


def pause(enrolment: Enrolment, paused: bool) -> None:
    """Somebody who is paused is given nothing new; what they hold they may finish."""
    Enrolment.objects.filter(pk=enrolment.pk).update(paused=paused)
    enrolment.paused = paused


def limit(
    enrolment: Enrolment, *, cap: int | None, languages: Sequence[str], categories: Sequence[str]
) -> None:
    """How many items they may label at most, and of which languages and categories. Empty: as everybody else."""
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
    """The languages of the study's items, and their categories by key and title."""
    here = Response.objects.filter(task=OuterRef("pk"), items__study=study)
    rows = Task.objects.filter(Exists(here)).order_by()
    found = set(rows.values_list("language", "category__key", "category__title").distinct())
    languages = sorted({language for language, _, _ in found})
    return languages, sorted({(key, title) for _, key, title in found}, key=lambda one: one[1])


# Invitations


def invite(study: Study, role: str, days: int) -> str:
    """A new invitation's token, which is never told again."""
    if role not in Membership.Role.values:
        raise UserError("Choose what the invited person will be.")
    if not 1 <= days <= MOST_DAYS:
        raise UserError(f"An invitation can be open for 1 to {MOST_DAYS} days.")
    return make_link(study=study, role=role, hours=24 * days)


def open_invitations(study: Study) -> QuerySet[AccessLink]:
    usable = Q(used_at=None, expires_at__gt=timezone.now())
    return AccessLink.objects.filter(usable, study=study).order_by("expires_at", "pk")


def revoke(study: Study, pk: int) -> None:
    """End an open invitation. Somebody who uses it at this very moment is in, or is not: its row says which."""
    ended = AccessLink.objects.filter(pk=pk, study=study, used_at=None).update(used_at=timezone.now())
    if not ended:
        raise UserError("This invitation has been used or revoked meanwhile.")
