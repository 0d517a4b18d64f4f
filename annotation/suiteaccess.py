"""Whose studies may be about a suite's responses.

A suite that a command loaded has no owner: a superuser says who may use it, and may make somebody its owner,
who says so from then on. A study keeps the suites it was made with. All of it goes by a suite's short name:
what is granted holds for its versions too.
"""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Q, QuerySet

from annotation.models import Study, SuiteAccess
from arbiter.core.errors import UserError
from benchmark.models import Suite


def is_superuser(user: User | AnonymousUser) -> bool:
    return bool(getattr(user, "is_superuser", False))


def every_suite() -> list[str]:
    return list(dict.fromkeys(Suite.objects.order_by("slug").values_list("slug", flat=True)))


def usable_suites(user: User | AnonymousUser, study: Study | None = None) -> list[str]:
    """Return the suites whose responses this person may make a study of, or bring into this study of
    theirs."""
    if is_superuser(user):
        return every_suite()
    granted = Q(user=user.pk) | Q(study=study) if study else Q(user=user.pk)
    known = SuiteAccess.objects.filter(granted).values_list("suite", flat=True)
    return [slug for slug in every_suite() if slug in set(known)]


def owned_suites(user: User | AnonymousUser) -> list[str]:
    """Return the suites of which this person says who may use them."""
    if is_superuser(user):
        return every_suite()
    mine = set(SuiteAccess.objects.filter(user=user.pk, owner=True).values_list("suite", flat=True))
    return [slug for slug in every_suite() if slug in mine]


def access_to(slugs: Iterable[str]) -> QuerySet[SuiteAccess]:
    rows = SuiteAccess.objects.filter(suite__in=list(slugs)).select_related("user", "study", "granted_by")
    return rows.order_by("suite", "-owner", "user__username", "study__slug")


def grant(slug: str, user: User, *, owner: bool = False, by: User | None = None) -> bool:
    """Let somebody use a suite, or own it; return whether that is new. An owner stays one."""
    row, made = SuiteAccess.objects.get_or_create(
        suite=slug, user=user, defaults={"owner": owner, "granted_by": by}
    )
    raised = owner and SuiteAccess.objects.filter(pk=row.pk, owner=False).update(owner=True) == 1
    return made or raised


def grant_study(slug: str, study: Study, by: User | None = None) -> bool:
    """Let a study use a suite, whoever owns the study; return whether that is new."""
    return SuiteAccess.objects.get_or_create(suite=slug, study=study, defaults={"granted_by": by})[1]


def revoke(row: SuiteAccess) -> None:
    """End an access to a suite. What a study has of the suite already stays; it gets nothing more from
    there."""
    row.delete()


def somebody_known_to(giver: User, username: str) -> User:
    """Return the person of that name; for whoever is no superuser only among those in a study of theirs.

    Nobody is told whether a name exists elsewhere: who is not there and who is not known to them get one
    answer.
    """
    people = User.objects.filter(username=username) if "\x00" not in username else User.objects.none()
    if not giver.is_superuser:
        people = people.filter(memberships__study__memberships__user=giver)
    person = people.distinct().first()
    if person is None:
        where = "" if giver.is_superuser else " in a study of yours"
        raise UserError(f"There is nobody called {username[:150]!r}{where}.")
    return person


def access_row(row: SuiteAccess) -> dict[str, Any]:
    return {
        "suite": row.suite,
        "who": row.user.get_username() if row.user else row.study.slug if row.study else "",
        "kind": "study" if row.study else "owner" if row.owner else "user",
        "since": row.created_at.date().isoformat(),
    }
