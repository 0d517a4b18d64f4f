"""A study as a document that people edit in the browser or take away as a file.

The document is written out in full and names no file but the templates the study has, since from the browser
nobody reads files of the server.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from annotation.guidelines import current
from annotation.models import LabelScheme, Study
from annotation.schemes import BUILTIN
from arbiter.calls.dialects import dialect
from arbiter.core.errors import UserError
from arbiter.core.text import digest
from arbiter.core.yamlfile import parse_yaml
from arbiter.studies.setup.studyfile import StudyMistake, StudySpec, place_of_key, study_of
from benchmark.endpoints import REACHING, EndpointSpec
from benchmark.models import Endpoint
from judging.prompts import is_file

ODD_BREAKS = "\r\x85\u2028\u2029"
# How `apply` begins what it refuses: with the key, and a colon or the rest of the sentence.
ABOUT = re.compile(rf"((?:{'|'.join(StudySpec.model_fields)})(?:\.[\w-]+)*):? (.*)", re.DOTALL)


# The document


def document(study: Study) -> dict[str, Any]:
    """Return the study as a file would describe it now, without what is usual, in the order of
    docs/study-file.md.
    """
    return spec_of(study).model_dump(mode="json", exclude_defaults=True)


def spec_of(study: Study) -> StudySpec:
    """Return the study file as last applied, files written out, its endpoints as they are by now."""
    contents = dict(study.config) or _imported(study)
    contents["scheme"] = _written_out(contents.get("scheme", "four-class"), study.scheme)
    asked = {question.name: question.scheme for question in study.questions.select_related("scheme")}
    contents["questions"] = [
        question | {"scheme": _written_out(question["scheme"], asked[question["name"]])}
        for question in contents.get("questions", [])
    ]
    contents["endpoints"] = [_endpoint(endpoint) for endpoint in contents.get("endpoints", [])]
    if contents.get("humans") is not None:
        now = current(study)
        contents["humans"] = contents["humans"] | {"guidelines": now.text if now else ""}
    try:
        return study_of(contents, template_files(study))
    except StudyMistake as error:
        raise UserError(
            f"What the study {study.slug!r} was made from can't be edited here ({str(error).rstrip('.')}); "
            "apply its file by command."
        ) from error


def _written_out(chosen: Any, scheme: LabelScheme) -> Any:
    """Return a built-in scheme by its name, as long as it is still that one; any other in full."""
    if (
        isinstance(chosen, str)
        and chosen in BUILTIN
        and BUILTIN[chosen].content_hash() == scheme.content_hash
    ):
        return chosen
    labels = scheme.labels.order_by("position").values("key", "title", "role", "definition", "example")
    return {
        "key": scheme.key,
        "title": scheme.title,
        "question": scheme.question,
        "ordinal": scheme.ordinal,
        "evidence": "target" if scheme.evidence_for_target else "optional",
        "labels": list(labels),
    }


def _endpoint(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return an endpoint as it is now: another study's file may have changed it."""
    endpoint = Endpoint.objects.filter(name=described["name"]).first()
    if endpoint is None:
        return dict(described)
    columns = {field: getattr(endpoint, field) for field in EndpointSpec.model_fields}
    usual = dialect(endpoint.dialect).structured
    unset = {name: None for name in REACHING if not columns[name]}
    return columns | unset | {"json_schema": None if endpoint.json_schema == usual else endpoint.json_schema}


def _imported(study: Study) -> dict[str, Any]:
    """Return what a study made by importing has for a file: its responses' runs, and nobody to judge."""
    suite, run = "response__run__suite", "response__run"
    columns = (f"{suite}__slug", f"{suite}__version", f"{run}__subject__name", f"{run}__condition__name")
    runs = sorted(study.items.order_by().values_list(*columns).distinct())
    slug, version = runs[-1][:2] if runs else ("", 1)
    own = [run for run in runs if run[:2] == (slug, version)]
    return {
        "study": study.slug,
        "title": study.title,
        "description": study.description,
        "suite": f"{slug}@{version}",
        "responses": {
            "subjects": sorted({subject for *_, subject, _ in own}),
            "conditions": sorted({condition for *_, condition in own}),
        },
        "scheme": study.scheme.key,
        "humans": study.humans or None,
        "settlement": {"voters": study.voters, "gold_decides": study.gold_decides},
    }


def template_files(study: Study | None) -> dict[str, str]:
    """Return the texts of the judges' templates that came from files, by name."""
    if study is None:
        return {}
    judges = study.judges.filter(active=True).values_list("judge__template_name", "judge__template_text")
    return {name: text for name, text in judges if is_file(name)}


def version_of(study: Study) -> str:
    """Return a hash that changes with whatever the document says."""
    return digest(json.dumps([document(study), template_files(study)], sort_keys=True))[:20]


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, as people do; one with a line break that YAML takes for a
    blank, in quotes.
    """

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = '"' if set(text) & set(ODD_BREAKS) else "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(str, _Dumper.represent_text)


def as_yaml(contents: Mapping[str, Any]) -> str:
    return yaml.dump(dict(contents), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def as_file(study: Study) -> str:
    """Return the document to take away, at its head the files that it needs beside it."""
    head = [f"# {study.slug}, as it is now. To apply it: manage.py study apply FILE"]
    if files := sorted(template_files(study)):
        head.append(f"# Put beside it: {', '.join(files)}")
    return "\n".join([*head, as_yaml(document(study))])


# Checking


def spec_from_text(text: str, study: Study | None) -> StudySpec:
    """Return the study a person wrote as YAML. Raises UserError, one sentence with line and key."""
    return study_of(parse_yaml(text, "The file", from_a_page=True), template_files(study))


def spec_from_document(contents: Mapping[str, Any], study: Study | None) -> StudySpec:
    return study_of(dict(contents), template_files(study))


def explained(error: UserError, text: str = "") -> tuple[list[str], str]:
    """Return the keys that an error is about, and its sentence.

    Where the study was written as this text, the sentence names the line.
    """
    if isinstance(error, StudyMistake):
        keys, said = [str(key) for key in error.keys], f"{error.said}."
    elif match := ABOUT.match(str(error)):
        keys, said = match[1].split("."), match[2]
    else:
        return [], str(error)
    if not text:
        return keys, f"{'.'.join(keys) or 'The study'}: {said}"
    numbered = [int(key) if key.isdecimal() and len(key) < 7 else key for key in keys]
    return keys, f"{place_of_key('The file', text, numbered)}: {said}"


# Saving
