"""Who may see and do what, sign-in links and invitations.

Every view starts with one of the helpers here. A stranger gets 404, a member whose role is not enough gets 403.
"""

import secrets
from datetime import timedelta
from ipaddress import ip_address

from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone

from annotation.models import AccessLink, Item, Membership, Study
from benchmark.errors import UserError
from benchmark.text import digest

Role = Membership.Role
FORWARDING = ("X-Forwarded", "Forwarded", "X-Real-Ip", "Via")
WORKING = {Role.RATER, Role.EXPERT}
READERS = {Role.OWNER, Role.ADJUDICATOR, Role.VIEWER}


def role_in(study: Study, user: User | AnonymousUser) -> str | None:
    found = Membership.objects.filter(study=study, user=user.pk).values_list("role", flat=True).first()
    return found or (Role.OWNER if getattr(user, "is_superuser", False) else None)


def study_for(request: HttpRequest, slug: str, *roles: str) -> Study:
    """The study, for a member with one of the roles."""
    members = Membership.objects.select_related("study__scheme").defer("study__config")
    member = members.filter(study__slug=slug, user=request.user.pk).first()
    if member:
        study, role = member.study, str(member.role)
    elif getattr(request.user, "is_superuser", False):
        study, role = get_object_or_404(Study.objects.select_related("scheme"), slug=slug), str(Role.OWNER)
    else:
        raise Http404
    if role not in roles:
        raise PermissionDenied
    study.role = role  # type: ignore[attr-defined]  # for the page's navigation
    return study


def readable(request: HttpRequest, slug: str) -> Study:
    """The study with its results: never for a rater, who would see other labels."""
    return study_for(request, slug, *READERS)


def owned(request: HttpRequest, slug: str) -> Study:
    return study_for(request, slug, Role.OWNER)


def labelled(request: HttpRequest, slug: str) -> Study:
    """The study's workspace: for raters and experts alone, since everybody else can see other labels."""
    return study_for(request, slug, *WORKING)


def adjudicated(request: HttpRequest, slug: str) -> Study:
    return study_for(request, slug, Role.ADJUDICATOR, Role.OWNER)


def may_make_studies(user: User | AnonymousUser) -> bool:
    """Whoever owns a study may make another; the first is made by a superuser, or by the command."""
    owns = Membership.objects.filter(user=user.pk, role=Role.OWNER)
    return bool(getattr(user, "is_superuser", False)) or owns.exists()


def item_in(study: Study, key: str) -> Item:
    return get_object_or_404(
        study.items.select_related(
            "study__scheme", "response__task__category", "response__run__subject", "response__run__condition"
        ),
        key=key,
    )


# Links


def make_link(
    *, user: User | None = None, study: Study | None = None, role: str = "", hours: float = 72
) -> str:
    """A new link's token; only its hash is stored, so it is shown this once."""
    token = secrets.token_urlsafe(32)
    AccessLink.objects.create(
        token_hash=digest(token),
        user=user,
        study=study,
        role=role,
        expires_at=timezone.now() + timedelta(hours=hours),
    )
    return token


def usable_link(token: str) -> AccessLink:
    link = AccessLink.objects.filter(token_hash=digest(token)).select_related("study", "user").first()
    if link is None or link.used_at or link.expires_at < timezone.now():
        raise UserError("This link has been used or has expired. Ask whoever sent it for a new one.")
    return link


def change_role(study: Study, username: str, role: str) -> None:
    """Give a member another role, or take them out with an empty one. What they labelled stays."""
    if "\x00" in username:  # which PostgreSQL would not even look for
        raise UserError("Nobody's name holds a NUL.")
    member = Membership.objects.filter(study=study, user__username=username)
    if role and role not in Role.values:
        raise UserError(f"{role!r} is no role; there are {', '.join(Role.values)}.")
    others = Membership.objects.filter(study=study, role=Role.OWNER).exclude(user__username=username)
    if role != Role.OWNER and member.filter(role=Role.OWNER).exists() and not others.exists():
        raise UserError("A study needs an owner: make somebody else one first.")
    changed = member.update(role=role) if role else member.delete()[0]
    if not changed:
        raise UserError(f"{username!r} is not in this study.")


def use_link(link: AccessLink) -> None:
    """Of two requests with one link, the row count says which was first."""
    if AccessLink.objects.filter(pk=link.pk, used_at=None).update(used_at=timezone.now()) != 1:
        raise UserError("This link has been used. Ask whoever sent it for a new one.")


def spend_link(token: str) -> None:
    """A sign-in link that came to a wrong place may be in somebody's log by now: it works no more."""
    AccessLink.objects.filter(token_hash=digest(token), user__isnull=False, used_at=None).update(
        used_at=timezone.now()
    )


def from_this_machine(request: HttpRequest) -> bool:
    """Straight from loopback: a request that came through a proxy carries a forwarding header, and is refused."""
    if any(name.startswith(FORWARDING) for name in request.headers):
        return False
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


@transaction.atomic
def accept_invitation(link: AccessLink, user: User) -> Study:
    """Join the study. Somebody who is in it keeps the role they have."""
    assert link.study is not None
    use_link(link)
    Membership.objects.get_or_create(study=link.study, user=user, defaults={"role": link.role})
    return link.study
