"""Erasing a person: what names them goes, and what they said stays under a name that says nothing.

Labels stay, as the figures rest on them. Free text stays too unless it is asked for: only who reads it can
tell whether it names anybody. Files that were exported, and backups made before, are not touched.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q

from annotation.models import (
    Adjudication,
    Gold,
    Membership,
    Rater,
    Rating,
    Referral,
    Serving,
    Skip,
    Study,
)
from arbiter.core.errors import UserError
from arbiter.core.models import Job
from arbiter.core.purging import purge
from arbiter.core.text import folded
from judging.models import Settlement, SettlementVersion
from judging.settlement.settledinputs import deciders_of, ever_said, hash_of_inputs

AT_ONCE = 500
FREE_TEXT: Mapping[str, tuple[Any, str, Mapping[str, Any]]] = {
    "ratings": (Rating, "rater", {"rationale": "", "evidence": []}),
    "gold": (Gold, "author", {"rationale": "", "evidence": []}),
    "decisions": (Adjudication, "adjudicator", {"reason": ""}),
    "referrals": (Referral, "by", {"reason": ""}),
    "skips": (Skip, "rater", {"reason": ""}),
    "drafts": (Serving, "rater", {"draft": None}),
}


def find_person(name: str, study: Study | None = None) -> tuple[User | None, Rater | None]:
    """Return the account of this name with its rater, which it has if it labelled; with a study, the person
    whom that study's files named so."""
    if study:
        rater = Rater.objects.filter(study=study, name=name).first()
        if rater is None:
            raise UserError(f"No file of study {study.slug!r} named a person {name!r}.")
        return None, rater
    user = User.objects.filter(username=name).first()
    if user is None:
        raise UserError(f"There is nobody called {name!r}; whom a file named is found with --study.")
    return user, Rater.objects.filter(user=user).first()


def erase_person(
    user: User | None, rater: Rater | None, *, who: str, why: str, texts: bool = False
) -> dict[str, int]:
    """Erase a person, in one transaction, and return of what how much was changed or went."""
    _refuse_sole_owner(user)
    studies = _studies_of(user, rater)
    if Job.objects.unfinished().filter(study__in=[study.pk for study in studies]).exists():
        raise UserError("A job is at work on a study in which they labelled; wait until it is done.")
    with purge(who=who, what=_unnamed(user, rater), why=why) as changed:
        if rater:
            before, after = str(rater), f"erased-{rater.pk}"
            changed["settlements"] = sum(_rename_in_settlements(study, before, after) for study in studies)
            for study in studies:
                _rename_in_study(study, before, after)
            Rater.objects.filter(pk=rater.pk).update(name=after, folded=folded(after))
            if texts:
                changed.update(_erase_texts(rater))
        if user:
            user.delete()
            changed["accounts"] = 1
    return changed


def _unnamed(user: User | None, rater: Rater | None) -> str:
    """Return by what a person is told who must not be named."""
    return f"person, rater {rater.pk}" if rater else f"person, account {user.pk if user else None}"


def _refuse_sole_owner(user: User | None) -> None:
    owners = Membership.objects.filter(role=Membership.Role.OWNER)
    for mine in owners.filter(user=user).select_related("study") if user else ():
        if not owners.filter(study=mine.study).exclude(user=user).exists():
            raise UserError(f"They alone own study {mine.study.slug!r}: make somebody else an owner first.")


def _studies_of(user: User | None, rater: Rater | None) -> list[Study]:
    """Return the studies that may name them: where they labelled, are a member, or were named by a file."""
    where = Q(pk=None)
    if user:
        where |= Q(pk__in=Membership.objects.filter(user=user).values("study"))
    if rater:
        rated = Rating.objects.filter(rater=rater).order_by().values("item__study")
        where |= Q(pk__in=rated) | Q(pk=rater.study_id)
    return list(Study.objects.filter(where))


def _erase_texts(rater: Rater) -> dict[str, int]:
    counts = {}
    for name, (model, whose, empty) in FREE_TEXT.items():
        counts[f"texts of {name}"] = model._base_manager.filter(**{whose: rater}).update(**empty)
    return counts


# Where others name them


def _rename_in_study(study: Study, before: str, after: str) -> None:
    study.voters = renamed(study.voters, before, after)
    if "settlement" in study.config:
        study.config["settlement"] = renamed(study.config["settlement"], before, after)
    study.save(update_fields=["voters", "config"])
    for version in SettlementVersion.objects.filter(study=study).iterator():
        fit, options = (renamed(kept, before, after) for kept in (version.fit, version.options))
        SettlementVersion.objects.filter(pk=version.pk).update(fit=fit, options=options)


def _rename_in_settlements(study: Study, before: str, after: str) -> int:
    """Have settlements say the other name, and their hashes be of what they then say; how many they are."""
    count = 0
    for one in _naming(study, before):
        votes = {label: sorted(renamed(raters, before, after)) for label, raters in one.votes.items()}
        said = deciders_of(one, ever_said([one.item_id])[one.item_id])
        changed: dict[str, Any] = {"votes": votes}
        if said:
            decided, rule = said
            rest = renamed(list(rule), before, after)
            changed["inputs_hash"] = hash_of_inputs(votes, decided, one.simulated, rest)
        count += Settlement._base_manager.filter(pk=one.pk).update(**changed)
    return count


def _naming(study: Study, name: str) -> Iterator[Settlement]:
    """Yield the settlements that they voted in, or whose hash is of the weight of their votes."""
    settlements = Settlement.objects.filter(item__study=study).select_related("version")
    for one in settlements.iterator(AT_ONCE):
        weights = one.version.fit.get("weights", {}) if one.version else {}
        if name in weights or any(name in raters for raters in one.votes.values()):
            yield one


def renamed(said: Any, before: str, after: str) -> Any:
    """Return plain data with the one name instead of the other, where it is a word or a key by itself."""
    if isinstance(said, dict):
        return {renamed(key, before, after): renamed(inner, before, after) for key, inner in said.items()}
    if isinstance(said, list):
        return [renamed(inner, before, after) for inner in said]
    return after if said == before else said
