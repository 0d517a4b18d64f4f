"""Who labels: making raters and finding them by name."""

import re
from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.crypto import salted_hmac

from annotation.models import Rater, Rating, Study
from benchmark.errors import UserError

RESERVED = {"majority", "settled", "gold", "humans"}
LONGEST_USERNAME = 110  # leaves room for a number in a rater's name
LIKE_A_VERSION = re.compile(r"@\d+$")


def rater_named(name: str, kind: str, family: str = "") -> Rater:
    """The rater of that name, made where there is none. Of a judge run here, a version of its own beside those run."""
    refuse_reserved(name)
    same = list(Rater.objects.filter(name=name).order_by("version"))
    if same and same[0].kind != kind:
        raise UserError(f"{name!r} is already the name of a {same[0].kind}; give this {kind} another name.")
    found = next((rater for rater in same if not rater.definition), None)
    return found or Rater.objects.create(name=name, version=len(same) + 1, kind=kind, family=family)


def refuse_reserved(name: str) -> None:
    if name in RESERVED or "@" in name or "," in name or not name.strip():
        raise UserError(
            f"{name!r} can't be a rater's name: it is empty, holds @ or a comma, or is one of {', '.join(sorted(RESERVED))}."
        )


def rater_of(user: User) -> Rater:
    """A signed-in person's rater, made at first need. A name that is taken, reserved or like NAME@2 gets a number."""
    found = Rater.objects.filter(user_id=user.pk).first()
    if found:
        return found
    username = user.get_username()[:LONGEST_USERNAME]
    name, number = username, 2
    while name in RESERVED or LIKE_A_VERSION.search(name) or Rater.objects.filter(name=name).exists():
        name, number = f"{username}-{number}", number + 1
    rater, _ = Rater.objects.get_or_create(user_id=user.pk, defaults={"name": name, "kind": Rater.Kind.HUMAN})
    return rater


def raters_of(study: Study) -> QuerySet[Rater]:
    """Everybody with a rating in the study, all versions."""
    return Rater.objects.filter(Exists(Rating.objects.filter(rater=OuterRef("pk"), item__study=study)))


def primary_raters(study: Study) -> QuerySet[Rater]:
    """Those among them who answered the primary question: whom votes, agreement and rates are about."""
    primary = Rating.objects.filter(rater=OuterRef("pk"), item__study=study, question="")
    return Rater.objects.filter(Exists(primary))


def latest_raters(study: Study) -> list[Rater]:
    """Everybody who answered the study's primary question, of each name the latest version."""
    latest = {rater.name: rater for rater in primary_raters(study).order_by("name", "version")}
    return list(latest.values())


def find_raters(study: Study, names: Iterable[str]) -> list[Rater]:
    """NAME is that rater's latest version in the study, NAME@VERSION that one."""
    present = list(primary_raters(study).order_by("name", "version"))
    by_name = {rater.name: rater for rater in present}
    by_version = {f"{rater.name}@{rater.version}": rater for rater in present}
    missing = [name for name in names if name not in by_name and name not in by_version]
    if missing:
        known = ", ".join(by_name) or "nobody yet"
        raise UserError(f"{missing[0]!r} has no rating in study {study.slug!r}; those who have: {known}.")
    return [by_version.get(name) or by_name[name] for name in names]


def voters_of(study: Study) -> list[Rater]:
    """Those whose ratings make the majority. A voter named in the study file who has not rated yet is no error."""
    latest = latest_raters(study)
    if not study.voters:
        return latest
    versions = {f"{rater.name}@{rater.version}": rater for rater in primary_raters(study)}
    names = {rater.name: rater for rater in latest}
    humans = [rater for rater in latest if rater.kind == Rater.Kind.HUMAN] if "humans" in study.voters else []
    named = [versions.get(name) or names.get(name) for name in study.voters]
    return list({rater.pk: rater for rater in [*named, *humans] if rater}.values())


def pseudonym(study: Study, rater: Rater) -> str:
    """A person's name in exports: stable in a study, useless outside it. Programs keep their names."""
    if rater.kind != Rater.Kind.HUMAN:
        return str(rater)
    return "rater-" + salted_hmac("arbiter.pseudonym", f"{study.pk}:{rater.pk}").hexdigest()[:8]
