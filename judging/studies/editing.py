"""A study as a document that people edit in the browser: the same checks, and the same `apply`, as for its file.

From the browser nobody reads files of the server or runs its programs, and no key of the server goes to another address. So
the document is written out in full, names no file but the templates the study has, and an edit may not bring in endpoints or
scorers (see `guard`).
"""

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction

from annotation.guidelines import current
from annotation.models import LabelScheme, Membership, Study
from annotation.schemes import BUILTIN
from benchmark.dialects import dialect
from benchmark.endpoints import EndpointSpec
from benchmark.errors import UserError
from benchmark.models import Endpoint
from benchmark.text import digest
from benchmark.yamlfile import parse_yaml
from judging.panel.scoring import load_program
from judging.prompts import is_file, shipped
from judging.studies.applying import Applied, adding, apply, draw_figures, names_guidelines, names_scheme
from judging.studies.file import Mistake, StudySpec, place, study_of

LONGEST = 300_000  # characters of a document
ODD_BREAKS = "\r\x85\u2028\u2029"
# How `apply` begins what it refuses: with the key, and a colon or the rest of the sentence.
ABOUT = re.compile(rf"((?:{'|'.join(StudySpec.model_fields)})(?:\.[\w-]+)*):? (.*)", re.DOTALL)
TRIED = 5000  # items; what adds more is only counted beforehand


class Changed(UserError):
    """The study is no longer as it was when the page was opened."""


# The document


def document(study: Study) -> dict[str, Any]:
    """The study as a file would describe it now, without what is as usual, in the order of docs/study-file.md."""
    return spec_of(study).model_dump(mode="json", exclude_defaults=True)


def spec_of(study: Study) -> StudySpec:
    """The study file as last applied, with what it named as files written out and the endpoints as they are by now."""
    told = dict(study.config) or _imported(study)
    told["scheme"] = _written_out(told.get("scheme", "four-class"), study.scheme)
    asked = {question.name: question.scheme for question in study.questions.select_related("scheme")}
    told["questions"] = [
        one | {"scheme": _written_out(one["scheme"], asked[one["name"]])} for one in told.get("questions", [])
    ]
    told["endpoints"] = [_endpoint(one) for one in told.get("endpoints", [])]
    if told.get("humans") is not None:
        now = current(study)
        told["humans"] = told["humans"] | {"guidelines": now.text if now else ""}
    try:
        return study_of(told, template_files(study))
    except Mistake as error:
        raise UserError(
            f"What the study {study.slug!r} was made from can't be edited here ({str(error).rstrip('.')}); apply its file by command."
        ) from error


def _written_out(told: Any, scheme: LabelScheme) -> Any:
    """A built-in scheme by its name, as long as it is still that one; any other in full."""
    if isinstance(told, str) and told in BUILTIN and BUILTIN[told].content_hash() == scheme.content_hash:
        return told
    labels = scheme.labels.order_by("position").values("key", "title", "role", "definition", "example")
    return {
        "key": scheme.key, "title": scheme.title, "question": scheme.question, "ordinal": scheme.ordinal,
        "evidence": "target" if scheme.evidence_for_target else "optional", "labels": list(labels),
    }  # fmt: skip


def _endpoint(told: Mapping[str, Any]) -> dict[str, Any]:
    """As it is now: another study's file may have changed it."""
    found = Endpoint.objects.filter(name=told["name"]).first()
    if found is None:
        return dict(told)
    now = {field: getattr(found, field) for field in EndpointSpec.model_fields}
    usual = dialect(found.dialect).structured
    return now | {"json_schema": None if found.json_schema == usual else found.json_schema}


def _imported(study: Study) -> dict[str, Any]:
    """What a study that was made by importing has instead of a file: its responses' runs, and nobody to judge."""
    runs = study.items.order_by().values_list(
        "response__run__suite__slug", "response__run__suite__version", "response__run__subject__name",
        "response__run__condition__name",
    ).distinct()  # fmt: skip
    found = sorted(runs)
    slug, version = found[-1][:2] if found else ("", 1)
    own = [run for run in found if run[:2] == (slug, version)]
    return {
        "study": study.slug, "title": study.title, "description": study.description, "suite": f"{slug}@{version}",
        "responses": {"subjects": sorted({run[2] for run in own}), "conditions": sorted({run[3] for run in own})},
        "scheme": study.scheme.key, "humans": study.humans or None,
        "settlement": {"voters": study.voters, "gold_decides": study.gold_decides},
    }  # fmt: skip


def template_files(study: Study | None) -> dict[str, str]:
    """The texts of the judges' templates that came from files, by name."""
    if study is None:
        return {}
    judges = study.judges.filter(active=True).values_list("judge__template_name", "judge__template_text")
    return {name: text for name, text in judges if is_file(name)}


def version_of(study: Study) -> str:
    """Changes with whatever the document says."""
    return digest(json.dumps([document(study), template_files(study)], sort_keys=True))[:20]


class _Dumper(yaml.SafeDumper):
    """Text of several lines as a block, as people write it; with a line break that YAML would take for a blank, in quotes."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = '"' if set(text) & set(ODD_BREAKS) else "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(str, _Dumper.represent_text)


def as_yaml(told: Mapping[str, Any]) -> str:
    return yaml.dump(dict(told), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def as_file(study: Study) -> str:
    """The document to take away; at its head the files it needs beside it."""
    head = [f"# {study.slug}, as it is now. To apply it: manage.py study apply FILE"]
    if files := sorted(template_files(study)):
        head.append(f"# Put beside it: {', '.join(files)}")
    return "\n".join([*head, as_yaml(document(study))])


# Checking


def spec_from_text(text: str, study: Study | None) -> StudySpec:
    """The study a person wrote as YAML. Raises UserError, one sentence with line and key."""
    if len(text) > LONGEST:
        raise UserError(
            f"The file has {len(text)} characters, more than the {LONGEST} a page takes; apply it by command."
        )
    _refuse_aliases(text)
    return study_of(parse_yaml(text, "The file"), template_files(study))


def _refuse_aliases(text: str) -> None:
    """A few lines of aliases of aliases stand for more than any memory holds."""
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                line = f", line {event.start_mark.line + 1}" if event.start_mark else ""
                raise UserError(
                    f"The file{line}: aliases (*{event.anchor}) are not taken here; write the value out."
                )
    except (yaml.YAMLError, RecursionError):
        return  # told with its place when it is parsed


def spec_from_document(told: Mapping[str, Any], study: Study | None) -> StudySpec:
    return study_of(dict(told), template_files(study))


def explained(error: UserError, text: str = "") -> tuple[list[str], str]:
    """The keys it is about, and the sentence; with its line where the study was written as this text."""
    if isinstance(error, Mistake):
        keys, said = [str(key) for key in error.keys], f"{error.said}."
    elif found := ABOUT.match(str(error)):
        keys, said = found[1].split("."), found[2]
    else:
        return [], str(error)
    if not text:
        return keys, f"{'.'.join(keys) or 'The study'}: {said}"
    numbered = [int(key) if key.isdecimal() and len(key) < 7 else key for key in keys]
    return keys, f"{place('The file', text, numbered)}: {said}"


def guard(spec: StudySpec, study: Study | None, user: User) -> None:
    """Refuse what may not come from a browser, where the study doesn't have it already. Raises Mistake."""
    base = spec_of(study) if study else None
    if study and study.humans and spec.humans is None:
        raise Mistake(
            ["humans"],
            "people label this study already, and what was drawn stays; pause its raters on the People page instead",
        )
    if study and spec.study != study.slug:
        raise Mistake(["study"], f"this is the study {study.slug!r}, and its name can't change")
    _refuse_files(spec, base, template_files(study))
    if user.is_superuser:
        return
    for key, what in [
        ("endpoints", "where it would send the server's key"),
        ("scorers", "which program it would run"),
    ]:
        there = {one.name: one for one in getattr(base, key, [])}
        for place_, one in enumerate(getattr(spec, key)):
            if there.get(one.name) != one:
                raise Mistake(
                    [key, place_],
                    f"{one.name!r} is not as the study has it, and only a superuser may say {what}; "
                    "ask one, or have the file applied by command",
                )


def _refuse_files(spec: StudySpec, base: StudySpec | None, templates: Mapping[str, str]) -> None:
    nobody = "names a file, and from the browser no file is read"
    schemes: list[tuple[list[Any], Any]] = [(["scheme"], spec.scheme)]
    schemes += [(["questions", place_, "scheme"], one.scheme) for place_, one in enumerate(spec.questions)]
    for keys, scheme in schemes:
        if names_scheme(scheme):
            raise Mistake(keys, f"{scheme!r} {nobody}; write the scheme out here")
    for place_, judge in enumerate(spec.judges):
        if is_file(judge.template) and judge.template not in templates:
            known = ", ".join([*sorted(templates), *shipped()])
            raise Mistake(["judges", place_, "template"], f"{judge.template!r} {nobody}; there are {known}")
    told = spec.humans.guidelines if spec.humans else ""
    unchanged = base is not None and base.humans is not None and base.humans.guidelines == told
    if names_guidelines(told) and not unchanged:
        raise Mistake(["humans", "guidelines"], f"{told.strip()!r} {nobody}; write the guidelines themselves")


# Saving


@dataclass(frozen=True)
class Trial:
    """What saving would do."""

    added: int
    draws: list[dict[str, Any]] | None = None  # None: so many items that it was not tried
    waiting: tuple[str, ...] = ()


def save(spec: StudySpec, user: User, study: Study | None = None, version: str = "") -> Applied:
    """Make the study, its maker the owner; or bring the one there is to what the document says.

    All of it is one transaction. Of two who edit at once the second is told (Changed), and nothing of theirs is kept.
    """
    guard(spec, study, user)
    for scorer in spec.scorers:  # now, and not while the database waits
        load_program(scorer.name, scorer.entry_point)
    try:
        with transaction.atomic():
            return _save(spec, user, study, version)
    except IntegrityError as error:
        raise UserError(
            "Somebody else is changing the same judges or studies at this moment. Nothing was saved; try again."
        ) from error


def _save(spec: StudySpec, user: User, study: Study | None, version: str) -> Applied:
    if study is None:
        applied = apply(spec, {})
        if not applied.created:
            raise Mistake(["study"], f"there is a study {spec.study!r} already; choose another name")
        Membership.objects.create(study=applied.study, user=user, role=Membership.Role.OWNER)
        return applied
    rows = Study.objects.all()
    if connection.features.has_select_for_update:
        rows = rows.select_for_update(no_key=True, of=("self",))
    study = rows.select_related("scheme").get(
        pk=study.pk
    )  # as it is now, not as it was when the page was asked for
    if version_of(study) != version:
        raise Changed("This study was changed after you opened this page. Nothing was saved.")
    guard(spec, study, user)
    return apply(spec, template_files(study))


def trial(spec: StudySpec, user: User, study: Study | None = None) -> Trial:
    """Do it, look what came of it, and take it back; where that would take long, count the items alone."""
    guard(spec, study, user)
    added = adding(study, spec)
    if added + (study.items.count() if study else 0) > TRIED:
        return Trial(added)
    with transaction.atomic():
        applied = _save(spec, user, study, version_of(study) if study else "")
        draws = [draw_figures(draw) for draw in applied.study.draws.order_by("-purpose", "pk")]
        transaction.set_rollback(True)
    return Trial(applied.items_added, draws, tuple(applied.waiting))


def differences(before: str, after: str) -> list[tuple[str, str]]:
    """Lines with what they are: added, removed, kept, or a gap between them."""
    kinds = {"+": "added", "-": "removed", "@": "gap"}
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2))[2:]
    return [(kinds.get(line[:1], "kept"), "" if line.startswith("@") else line[1:]) for line in lines]
