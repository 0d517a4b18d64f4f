"""Who labels: making raters and finding them by name."""

import re
from collections.abc import Iterable
from typing import Annotated, Any, NoReturn

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.crypto import salted_hmac
from pydantic import StringConstraints

from annotation.models import Membership, Rater, Rating, Study
from annotation.votes import latest_versions
from arbiter.core.errors import UserError
from arbiter.core.naming import ByName, among, same_name
from arbiter.core.text import folded

RaterName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,119}$")]
RESERVED = {"majority", "settled", "gold", "humans"}
LONGEST_USERNAME = 110  # leaves room for a number in a rater's name
LIKE_A_VERSION = re.compile(r"@\d+$")


def rater_named(name: str, kind: str, family: str = "", study: Study | None = None) -> Rater:
    """Return the rater whom a file of a study names, made where there is none: a person of this study alone.
    Of a judge run here, that is a version of its own beside those run."""
    there = rater_there(name, kind, study)
    if there:
        return there
    if study and kind == Rater.Kind.HUMAN:
        person = {"name": name.strip(), "kind": Rater.Kind.HUMAN}
        return Rater.objects.get_or_create(study=study, folded=folded(name), version=1, defaults=person)[0]
    return next_version(name, kind, family=family, definition="")


def rater_there(name: str, kind: str, study: Study | None = None) -> Rater | None:
    """Return the rater whom a file of a study names; None where one would be made. A name that is another
    kind's, or that no rater may have, is refused."""
    refuse_reserved(name)
    if study and kind == Rater.Kind.HUMAN:
        return _person_there(name, study)
    if study and (person := _called(Rater.objects.filter(study=study), name)):
        refuse_other_kind(person.name, f"{Rater.Kind.HUMAN} of this study", kind)
    same = known_everywhere(name)
    program = next((rater for rater in same if not rater.definition), None)
    if program and program.kind == kind:
        return program
    if same and same[0].kind != kind:
        refuse_other_kind(name, same[0].kind, kind)
    return None


def _person_there(name: str, study: Study) -> Rater | None:
    """Return somebody of the study: named by a file before, or at work there under this name."""
    person = _called(Rater.objects.filter(study=study), name) or _called(_at_work(study), name)
    if person and person.kind != Rater.Kind.HUMAN:
        refuse_other_kind(person.name, person.kind, Rater.Kind.HUMAN)
    return person


def refuse_other_kind(name: str, there: str, kind: str, where: str = "") -> NoReturn:
    raise UserError(f"{where}{name!r} is already the name of a {there}; give this {kind} another name.")


def _at_work(study: Study) -> QuerySet[Rater]:
    """Return those known everywhere who have labelled in the study, may come to, or are asked there as
    judges."""
    labelled = Exists(Rating.objects.filter(rater=OuterRef("pk"), item__study=study))
    member = Exists(Membership.objects.filter(user=OuterRef("user"), study=study))
    return Rater.objects.filter(labelled | member | Q(judge__studies__study=study), study=None).distinct()


def _called(raters: QuerySet[Rater], name: str) -> Rater | None:
    """Return the first version among these raters by the name as written, else by what names are compared
    by."""
    raters = raters.order_by("version")
    return raters.filter(name=name.strip()).first() or raters.filter(folded=folded(name)).first()


def known_everywhere(name: str) -> list[Rater]:
    """Return all versions of the judge, the scorer or the account of this name."""
    everywhere = Rater.objects.filter(study=None).order_by("version")
    exact = list(everywhere.filter(name=name.strip()))
    return exact or list(everywhere.filter(folded=folded(name)))


def shown_name(name: str) -> str:
    """Return the name as the program of this name was first written; as it is, where there is none."""
    same = known_everywhere(name)
    return same[0].name if same else name.strip()


def next_version(name: str, kind: str, *, where: str = "", **fields: Any) -> Rater:
    """Make a new version of the program of this name, which is shown as its first one was written."""
    same = known_everywhere(name)
    if same and same[0].kind != kind:
        refuse_other_kind(name, same[0].kind, kind, where)
    shown, form = (same[0].name, same[0].folded) if same else (name.strip(), folded(name))
    version = same[-1].version + 1 if same else 1
    return Rater.objects.create(name=shown, folded=form, version=version, kind=kind, **fields)


def make_way(study: Study, rater: Rater) -> None:
    """Show a person whom a file named apart from a rater of the same name who now comes to the study: in one
    study a name is one rater's. Files find them as before."""
    for other in Rater.objects.filter(study=study, folded=rater.folded):
        if not same_name(other.name, rater.name):  # shown apart already
            continue
        shown = f"{other.name[:LONGEST_USERNAME]} (file)"
        Rater.objects.filter(pk=other.pk).update(name=shown)
        if among(other.name, study.voters):
            study.voters = [shown if same_name(name, other.name) else name for name in study.voters]
            study.save(update_fields=["voters"])


def refuse_reserved(name: str) -> None:
    if folded(name) in RESERVED or "@" in name or "," in name or not name.strip():
        raise UserError(
            f"{name!r} can't be a rater's name: it is empty, holds @ or a comma, or is one of "
            f"{', '.join(sorted(RESERVED))}."
        )


def rater_of(user: User) -> Rater:
    """Return a signed-in person's rater, made at first need. A name that is taken, reserved or like NAME@2
    gets a number."""
    rater = Rater.objects.filter(user_id=user.pk).first()
    if rater:
        return rater
    username = user.get_username()[:LONGEST_USERNAME]
    name, number = username, 2
    while folded(name) in RESERVED or LIKE_A_VERSION.search(name) or known_everywhere(name):
        name, number = f"{username}-{number}", number + 1
    rater, _ = Rater.objects.get_or_create(user_id=user.pk, defaults={"name": name, "kind": Rater.Kind.HUMAN})
    return rater


def raters_of(study: Study) -> QuerySet[Rater]:
    """Return everybody with a rating in the study, all versions."""
    return Rater.objects.filter(Exists(Rating.objects.filter(rater=OuterRef("pk"), item__study=study)))


def primary_raters(study: Study) -> QuerySet[Rater]:
    """Return those among the study's raters who answered the primary question: whom votes, agreement and
    rates are about."""
    primary = Rating.objects.primary().filter(rater=OuterRef("pk"), item__study=study)
    return Rater.objects.filter(Exists(primary))


def latest_raters(study: Study) -> list[Rater]:
    """Return everybody who answered the study's primary question, of each name the latest version."""
    return latest_versions(primary_raters(study).order_by("name", "version"))


def owners_who_labelled(study: Study) -> QuerySet[Rater]:
    """Return those who labelled as the study's owner, and so could see other labels."""
    return Rater.objects.filter(enrolments__study=study, enrolments__as_owner=True).order_by("name")


class _Present:
    """Raters of a study by NAME, whose latest version it is, and by NAME@VERSION."""

    def __init__(self, raters: Iterable[Rater]) -> None:
        self.raters = sorted(raters, key=lambda one: (one.name, one.version))
        self.named = ByName((rater.name, rater) for rater in self.raters)

    def find(self, name: str) -> Rater | None:
        base, at, version = name.rpartition("@")
        if at and version.isdecimal():
            exactly = [rater for rater in self.named.find(base) if rater.version == int(version)]
            return exactly[0] if exactly else None
        versions = self.named.find(name)
        return versions[-1] if versions else None


def find_raters(study: Study, names: Iterable[str]) -> list[Rater]:
    """Return the study's raters of these names, in their order: NAME is that rater's latest version in the
    study, NAME@VERSION that one."""
    present = _Present(primary_raters(study))
    wanted = list(names)
    by_name = {name: present.find(name) for name in wanted}
    if missing := [name for name, rater in by_name.items() if rater is None]:
        known = ", ".join(dict.fromkeys(rater.name for rater in present.raters)) or "nobody yet"
        raise UserError(f"{missing[0]!r} has no rating in study {study.slug!r}; those who have: {known}.")
    return [by_name[name] for name in wanted]  # type: ignore[misc]


def voters_of(study: Study) -> list[Rater]:
    """Return those whose ratings make the majority. A voter named in the study file who has not rated yet is
    no error."""
    latest = latest_raters(study)
    if not study.voters:
        return latest
    present = _Present(primary_raters(study))
    humans = [rater for rater in latest if rater.kind == Rater.Kind.HUMAN] if "humans" in study.voters else []
    named = [present.find(name) for name in study.voters]
    return list({rater.pk: rater for rater in [*named, *humans] if rater}.values())


def pseudonym(study: Study, rater: Rater) -> str:
    """Return a person's name in exports: stable in a study, useless outside it. Programs keep their names."""
    if rater.kind != Rater.Kind.HUMAN:
        return str(rater)
    return (
        "rater-"
        + salted_hmac("arbiter.pseudonym", f"{study.pk}:{rater.known_as or rater.pk}").hexdigest()[:8]
    )
