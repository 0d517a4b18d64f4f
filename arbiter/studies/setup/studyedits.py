"""Saving an edit of a study: the same checks, and the same `apply`, as for its file."""

import difflib
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction

from annotation.models import Membership, Study
from arbiter.core.errors import UserError
from arbiter.studies.setup.applying import Applied, adding, apply
from arbiter.studies.setup.editchecks import check_edit, own_name
from arbiter.studies.setup.studydocument import template_files, version_of
from arbiter.studies.setup.studydraws import draw_figures
from arbiter.studies.setup.studyfile import (
    StudyMistake,
    StudySpec,
)
from judging.panel.scoring import load_program

TRIED = 5000  # items; what adds more is only counted beforehand


class EditConflict(UserError):
    """The study is no longer as it was when the page was opened."""

    kind = "conflict"


@dataclass(frozen=True)
class EditPreview:
    """What saving would do."""

    added: int
    draws: list[dict[str, Any]] | None = None  # None: so many items that it was not tried
    waiting: tuple[str, ...] = ()


def save_edit(spec: StudySpec, user: User, study: Study | None = None, version: str = "") -> Applied:
    """Make the study, its maker the owner; or bring the one there is to what the document says.

    All of it is one transaction. Of two who edit at once the second is told (EditConflict), and nothing of
    theirs is kept.
    """
    check_edit(spec, study, user)
    for scorer in spec.scorers:  # now, and not while the database waits
        load_program(scorer.name, scorer.entry_point)
    try:
        with transaction.atomic():
            return _save(spec, user, study, version)
    except IntegrityError as error:
        raise UserError(
            "Somebody else is changing the same judges or studies at this moment. "
            "Nothing was saved; try again."
        ) from error


def _save(spec: StudySpec, user: User, study: Study | None, version: str) -> Applied:
    if study is None:
        applied = apply(own_name(spec, user), {})
        if not applied.created:
            there = "there is" if user.is_superuser else "you have"
            raise StudyMistake(["study"], f"{there} a study {spec.study!r} already; choose another name")
        Membership.objects.create(study=applied.study, user=user, role=Membership.Role.OWNER)
        return applied
    rows = Study.objects.all()
    if connection.features.has_select_for_update:
        rows = rows.select_for_update(no_key=True, of=("self",))
    study = rows.select_related("scheme").get(
        pk=study.pk
    )  # as it is now, not as it was when the page was asked for
    if version_of(study) != version:
        raise EditConflict("This study was changed after you opened this page. Nothing was saved.")
    check_edit(spec, study, user)
    return apply(spec, template_files(study))


def preview_edit(spec: StudySpec, user: User, study: Study | None = None) -> EditPreview:
    """Save, look what came of it, and take it back; where that would take long, count the items alone."""
    check_edit(spec, study, user)
    added = adding(study, spec)
    if added + (study.items.count() if study else 0) > TRIED:
        return EditPreview(added)
    with transaction.atomic():
        applied = _save(spec, user, study, version_of(study) if study else "")
        draws = [draw_figures(draw) for draw in applied.study.draws.order_by("-purpose", "pk")]
        transaction.set_rollback(True)
    return EditPreview(applied.items_added, draws, tuple(applied.waiting))


def differences(before: str, after: str) -> list[tuple[str, str]]:
    """Return lines with what became of them: added, removed, kept, or a gap between them."""
    kinds = {"+": "added", "-": "removed", "@": "gap"}
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2))[2:]
    return [(kinds.get(line[:1], "kept"), "" if line.startswith("@") else line[1:]) for line in lines]
