"""Who may see and do what, sign-in links and invitations.

Every view of a study starts with one of the helpers here. A stranger gets 404, a member whose role is not
enough gets 403.
"""

import secrets
from collections.abc import Collection
from datetime import timedelta
from ipaddress import ip_address

from django.contrib.auth.models import AnonymousUser, User
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlsafe_base64_encode

from annotation.humanplan import humans_of
from annotation.models import AccessLink, Item, Membership, Study, SuiteAccess
from arbiter.core.errors import UserError
from arbiter.core.text import digest

Role = Membership.Role
MOST_DAYS = 90  # that an invitation may be open
FORWARDING = ("X-Forwarded", "Forwarded", "X-Real-Ip", "Via")
WORKING = {Role.RATER, Role.EXPERT}
READERS = {Role.OWNER, Role.ADJUDICATOR, Role.VIEWER}  # of results: never a rater, who would see other labels
ADJUDICATORS = {Role.ADJUDICATOR, Role.OWNER}
OWNERS = {Role.OWNER}


def role_in(study: Study, user: User | AnonymousUser) -> str | None:
    role = Membership.objects.filter(study=study, user=user.pk).values_list("role", flat=True).first()
    return role or (Role.OWNER if getattr(user, "is_superuser", False) else None)


def membership_in(request: HttpRequest, slug: str, roles: Collection[str]) -> Membership:
    """Return the membership, with its study, of whoever asks and has one of the roles; a superuser is an
    owner everywhere."""
    members = Membership.objects.select_related("study__scheme").defer("study__config")
    member = members.filter(study__slug=slug, user=request.user.pk).first()
    if member is None:
        if not (isinstance(request.user, User) and request.user.is_superuser):
            raise Http404
        study = get_object_or_404(Study.objects.select_related("scheme"), slug=slug)
        member = Membership(study=study, user=request.user, role=Role.OWNER)
    if member.role not in roles:
        raise PermissionDenied
    return member


def labelling_in(request: HttpRequest, slug: str) -> Membership:
    """Return the membership, as `membership_in` does, of whoever may label: raters and experts, since
    everybody else can see other labels, and owners where the study says so."""
    member = membership_in(request, slug, WORKING | OWNERS)
    if not may_label(member.study, member.role):
        raise PermissionDenied
    return member


def may_label(study: Study, role: str) -> bool:
    """Tell whether somebody in that role labels in the study. What an owner labels is told as the owner's."""
    return role in WORKING or (role == Role.OWNER and humans_of(study).owner_labels)


def may_make_studies(user: User | AnonymousUser) -> bool:
    """Tell whether this person may make a study: a superuser, and whoever owns one. So the first is made by a
    superuser, or by the command."""
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
    """Make a link and return its token, which is shown this once: only its hash is stored."""
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
    """Mark the link as used. Of two requests with one link, the row count says which was first, and the other
    is refused."""
    if AccessLink.objects.filter(pk=link.pk, used_at=None).update(used_at=timezone.now()) != 1:
        raise UserError("This link has been used. Ask whoever sent it for a new one.")


def spend_link(token: str) -> None:
    """End a sign-in link that came to a wrong place, and so may be in somebody's log by now: it works no
    more."""
    AccessLink.objects.filter(token_hash=digest(token), user__isnull=False, used_at=None).update(
        used_at=timezone.now()
    )


def from_this_machine(request: HttpRequest) -> bool:
    """Tell whether a request comes straight from loopback. One that came through a proxy carries a forwarding
    header, and is not taken for such."""
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


def invite(study: Study, role: str, days: int) -> str:
    """Make an invitation that is open for so many days, and return its token, which is never told again."""
    if role not in Membership.Role.values:
        raise UserError("Choose what the invited person will be.")
    if not 1 <= days <= MOST_DAYS:
        raise UserError(f"An invitation can be open for 1 to {MOST_DAYS} days.")
    return make_link(study=study, role=role, hours=24 * days)


def open_invitations(study: Study) -> QuerySet[AccessLink]:
    usable = Q(used_at=None, expires_at__gt=timezone.now())
    return AccessLink.objects.filter(usable, study=study).order_by("expires_at", "pk")


def revoke_invitation(study: Study, pk: int) -> None:
    """End an open invitation. Somebody who uses it at this very moment is in, or is not: its row says
    which."""
    ended = AccessLink.objects.filter(pk=pk, study=study, used_at=None).update(used_at=timezone.now())
    if not ended:
        raise UserError("This invitation has been used or revoked meanwhile.")


# Links to set a password


class LinkTokens(PasswordResetTokenGenerator):
    """Django's, signed over the password as it is, and over what its person reaches and whose that is: an
    owner may make a link for somebody who is in their studies alone, and it ends where that one comes to
    another, or its owners change."""

    key_salt = "arbiter.password-link"

    def _make_hash_value(self, user: User, timestamp: int) -> str:
        theirs = Membership.objects.filter(study__memberships__user=user.pk)
        who = theirs.filter(Q(user=user.pk) | Q(role=Role.OWNER)).values_list("study", "user").distinct()
        suites = SuiteAccess.objects.filter(user=user.pk).values_list("suite", flat=True)
        rights = [getattr(user, name, False) for name in ("is_superuser", "is_staff")]
        told = [sorted(who), sorted(suites), *rights]
        return f"{super()._make_hash_value(user, timestamp)}{told}"


link_tokens = LinkTokens()


def password_path(user: User) -> str:
    """Return the path where this person sets a password, once. Nothing of it is stored here."""
    uid = urlsafe_base64_encode(str(user.pk).encode())
    return reverse("password-set", args=[uid, link_tokens.make_token(user)])


def refuse_reset(maker: User, user: User) -> None:
    """Refuse that `maker` makes a link to set the password of `user`, as whoever sets it can be them: an
    owner makes one only for somebody who reaches nothing that this owner doesn't own."""
    if maker.is_superuser:
        return
    owned = Membership.objects.filter(user=maker, role=Role.OWNER).values("study")
    elsewhere = Membership.objects.filter(user=user).exclude(study__in=owned)
    owns_suites = SuiteAccess.objects.filter(user=user).exists()
    if user.is_superuser or user.is_staff or owns_suites or elsewhere.exists():
        raise UserError(
            f"{user.get_username()} can reach what isn't yours, so only a superuser makes a link to set "
            "their password."
        )
