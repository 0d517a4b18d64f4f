"""Applying a study file. All of it is one transaction, and applying the same file again changes nothing."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, QuerySet

from annotation.models import Adjudication, Gold, Item, LabelScheme, Rater, Rating, Study
from annotation.raters import LIKE_A_VERSION
from annotation.routing import extend_draws, plan_draw
from annotation.schemes import builtin_scheme, save_scheme, scheme_from_file
from benchmark.batching import batches
from benchmark.endpoints import save_endpoint
from benchmark.errors import UserError
from benchmark.models import Endpoint, Response
from benchmark.suites import get_suite
from benchmark.text import digest
from judging.models import Judge, StudyJudge
from judging.prompts import template_text
from judging.studyfile import JudgeSpec, StudySpec, read_study_file


@dataclass(frozen=True)
class Applied:
    study: Study
    created: bool
    items_added: int

    def summary(self) -> dict[str, Any]:
        judges = [
            str(sj.judge) for sj in self.study.judges.filter(active=True).select_related("judge__rater")
        ]
        return {
            "study": self.study.slug,
            "created": self.created,
            "scheme": str(self.study.scheme),
            "items": self.study.items.count(),
            "items_added": self.items_added,
            "judges": judges,
        }


def apply_file(path: Path) -> Applied:
    return apply(read_study_file(path), path.parent)


@transaction.atomic
def apply(spec: StudySpec, beside: Path | None = None) -> Applied:
    """Make the study, or bring it to what the file says. Items and ratings only ever come to it."""
    scheme = _scheme(spec, beside)
    study, created = Study.objects.get_or_create(
        slug=spec.study, defaults={"title": spec.title or spec.study, "scheme": scheme}
    )
    _keep_scheme(study, scheme)
    study.title, study.description = spec.title or spec.study, spec.description
    study.voters, study.gold_decides = spec.settlement.voters, spec.settlement.gold_decides
    study.config = spec.model_dump(mode="json")
    study.save()
    added = _add_items(study, spec)
    _apply_judges(study, spec, beside)
    _refuse_unknown_voters(spec)
    if spec.humans:
        plan_draw(study, share=spec.humans.share, raters_per_item=spec.humans.per_item, seed=spec.humans.seed)
    else:
        extend_draws(study)
    return Applied(study, created, added)


def _scheme(spec: StudySpec, beside: Path | None) -> LabelScheme:
    """Built in, written out in the study file, or in a file of its own beside it."""
    if not isinstance(spec.scheme, str):
        return save_scheme(spec.scheme)
    if spec.scheme.endswith((".yaml", ".yml")):
        return save_scheme(scheme_from_file((beside or Path()) / spec.scheme))
    return builtin_scheme(spec.scheme)


def _keep_scheme(study: Study, scheme: LabelScheme) -> None:
    if study.scheme_id == scheme.pk:
        return
    if any(kind.objects.filter(item__study=study).exists() for kind in (Rating, Gold, Adjudication)):
        raise UserError(
            f"Study {study.slug!r} has labels under scheme {study.scheme}; labels of {scheme} could not be compared with them. "
            "Describe a new study for the new scheme."
        )
    study.scheme = scheme


def _refuse_unknown_voters(spec: StudySpec) -> None:
    """A voter is a judge of the file, `humans`, or somebody known: a misspelt one would silently not vote."""
    judges = {judge.name for judge in spec.judges}
    for name in spec.settlement.voters:
        version = LIKE_A_VERSION.search(name)
        known = Rater.objects.filter(name=LIKE_A_VERSION.sub("", name))
        if version:
            known = known.filter(version=int(version[0][1:]))
        if name != "humans" and not known.exists():
            raise UserError(
                f"settlement.voters: nobody is called {name!r}; name judges of this file ({', '.join(sorted(judges)) or 'none'}), "
                "raters there are already, or humans for every person."
            )


def _add_items(study: Study, spec: StudySpec) -> int:
    there = Item.objects.filter(study=study, response=OuterRef("pk"))
    missing = (
        chosen(spec)
        .filter(~Exists(there))
        .order_by("pk")
        .values_list("pk", flat=True)
        .iterator(chunk_size=2000)
    )
    added = 0
    for batch in batches(missing, 1000):
        Item.objects.bulk_create(Item(study=study, response_id=pk) for pk in batch)
        added += len(batch)
    return added


def chosen(spec: StudySpec) -> QuerySet[Response]:
    """The responses the file asks for; never those to tasks reserved for training."""
    suite, wanted = get_suite(spec.suite), spec.responses
    responses = Response.objects.filter(run__suite=suite, state=Response.State.DONE, task__training=False)
    for key, field, names in [
        ("subjects", "run__subject__name", wanted.subjects),
        ("conditions", "run__condition__name", wanted.conditions),
        ("categories", "task__category__title", wanted.categories),
    ]:
        if not names:
            continue
        known = set(responses.order_by().values_list(field, flat=True).distinct())
        if missing := [name for name in names if name not in known]:
            raise UserError(
                f"responses.{key}: suite {suite} has no responses of {missing[0]!r} (it has: {', '.join(sorted(known)) or 'none'})."
            )
        responses = responses.filter(**{f"{field}__in": names})
    if wanted.epochs:
        responses = responses.filter(epoch__in=wanted.epochs)
    return responses if wanted.controls else responses.filter(task__control=False)


def _apply_judges(study: Study, spec: StudySpec, beside: Path | None) -> None:
    endpoints = {endpoint.name: save_endpoint(endpoint) for endpoint in spec.endpoints}
    judges = [(save_judge(judge, endpoints[judge.endpoint], beside), judge.repeats) for judge in spec.judges]
    study.judges.exclude(judge__in=[judge for judge, _ in judges]).update(active=False)
    for judge, repeats in judges:
        StudyJudge.objects.update_or_create(
            study=study, judge=judge, defaults={"repeats": repeats, "active": True}
        )


def save_judge(spec: JudgeSpec, endpoint: Endpoint, beside: Path | None) -> Judge:
    """The judge with exactly this definition, or a new version under its name."""
    template = template_text(spec.template, beside)
    parts = [
        endpoint.name,
        endpoint.json_schema,
        spec.model,
        spec.family,
        template,
        spec.parameters,
        spec.show_condition,
    ]
    content = digest(spec.name, json.dumps(parts, sort_keys=True))
    found = Judge.objects.filter(rater__name=spec.name, rater__definition=content).first()
    return found or Judge.objects.create(
        rater=_new_version(spec, content), endpoint=endpoint, model=spec.model, template_name=spec.template, template_text=template,
        parameters=spec.parameters, show_condition=spec.show_condition,
        json_schema=endpoint.json_schema,
    )  # fmt: skip


def _new_version(spec: JudgeSpec, definition: str) -> Rater:
    same = Rater.objects.filter(name=spec.name)
    if other := same.exclude(kind=Rater.Kind.JUDGE).first():
        raise UserError(
            f"judges: {spec.name!r} is already the name of a {other.kind}; give the judge another."
        )
    version = (same.aggregate(top=Max("version"))["top"] or 0) + 1
    return Rater.objects.create(
        name=spec.name, version=version, kind=Rater.Kind.JUDGE, family=spec.family, definition=definition
    )


def studies() -> list[dict[str, Any]]:
    """One row a study, for `study list`."""
    return [
        {
            "study": study.slug,
            "title": study.title,
            "scheme": str(study.scheme),
            "items": study.items.count(),
            "judges": study.judges.filter(active=True).count(),
            "ratings": Rating.objects.filter(item__study=study).count(),
        }
        for study in Study.objects.select_related("scheme")
    ]
