"""Applying a study file. All of it is one transaction, and applying the same file again changes nothing."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, Max, OuterRef, QuerySet

from annotation.draws import Waiting, extend_draws, plan_draw, waits_for
from annotation.guidelines import set_guidelines
from annotation.humanplan import DrawSpec, humans_of
from annotation.models import Adjudication, Draw, Gold, Item, LabelScheme, Question, Rater, Rating, Study
from annotation.raters import LIKE_A_VERSION
from annotation.schemes import SchemeSpec, builtin_scheme, save_scheme, scheme_from_file
from benchmark.batching import batches
from benchmark.endpoints import save_endpoint
from benchmark.errors import UserError
from benchmark.models import Endpoint, Response
from benchmark.suites import get_suite
from benchmark.text import digest
from judging.models import Attempt, Budget, Judge, StudyJudge
from judging.panel.metering import set_caps
from judging.panel.money import PICO, Price, listed_price, per_token
from judging.panel.prompting import check_labels, token_limit
from judging.panel.scoring import apply_scorers, load_program
from judging.prompts import Beside, template_text
from judging.studies.file import JudgeSpec, StudySpec, read_study_file


@dataclass(frozen=True)
class Applied:
    study: Study
    created: bool
    items_added: int
    waiting: list[str]

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
            "waiting": self.waiting,
        }


def apply_file(path: Path) -> Applied:
    spec = read_study_file(path)
    for scorer in spec.scorers:  # now, and not while the database waits: what they import may take its time
        load_program(scorer.name, scorer.entry_point)
    return apply(spec, path.parent)


@transaction.atomic
def apply(spec: StudySpec, beside: Beside = None) -> Applied:
    """Make the study, or bring it to what the file says. Items and ratings only ever come to it.

    Files it names are looked for `beside` it; where that holds their texts, none is read."""
    scheme = _scheme(spec.scheme, beside)
    study, created = Study.objects.get_or_create(
        slug=spec.study, defaults={"title": spec.title or spec.study, "scheme": scheme}
    )
    _keep_scheme(study, scheme)
    study.title, study.description = spec.title or spec.study, spec.description
    study.voters, study.gold_decides = spec.settlement.voters, spec.settlement.gold_decides
    study.config = spec.model_dump(mode="json")
    study.save()
    _apply_questions(study, spec, beside)
    _apply_humans(study, spec, beside)
    added = _add_items(study, spec)
    _apply_judges(study, spec, beside)
    apply_scorers(study, spec.scorers)
    _apply_caps(study, spec)
    _refuse_unknown_voters(spec)
    return Applied(study, created, added, draw_items(study))


def draw_items(study: Study, *, now: bool = False) -> list[str]:
    """Make or grow the draws of the study's human plan; returns what they wait for."""
    plan, waiting = humans_of(study), []
    plans: list[tuple[DrawSpec, str, str]] = [(plan, "main", Draw.Purpose.SLOT)] if study.humans else []
    if plan.gold:
        plans.append((plan.gold, "gold", Draw.Purpose.GOLD))
    for spec, name, purpose in plans:
        draw = plan_draw(study, spec, name=name, purpose=purpose, now=now)
        waiting.append(draw.reason if isinstance(draw, Waiting) else waits_for(study, spec, draw, name))
    extend_draws(study)
    return [reason for reason in waiting if reason]


def draw_now(study: Study) -> dict[str, Any]:
    """Draw without waiting for judges, and tell what is drawn by stratum, for `study draw`."""
    if not study.humans and not study.draws.exists():
        raise UserError(
            f"Study {study.slug!r} has no human plan; describe one under humans in its study file and apply it."
        )
    with transaction.atomic():
        draw_items(study, now=True)
    return {
        "study": study.slug,
        "draws": [draw_figures(draw) for draw in study.draws.order_by("-purpose", "pk")],
    }


def draw_figures(draw: Draw) -> dict[str, Any]:
    counts = draw.framed.order_by().values("stratum")
    items = dict(counts.annotate(n=Count("pk")).values_list("stratum", "n"))
    drawn = dict(counts.drawn().annotate(n=Count("pk")).values_list("stratum", "n"))  # type: ignore[attr-defined]
    strata = [
        {
            "stratum": one.name,
            "probability": one.probability,
            "items": items.get(one.name, 0),
            "drawn": drawn.get(one.name, 0),
        }
        for one in draw.strata.order_by("position")
    ]
    return {
        "draw": draw.name,
        "purpose": draw.purpose,
        "raters_per_item": draw.raters_per_item,
        "strata": strata,
    }


def _apply_humans(study: Study, spec: StudySpec, beside: Beside) -> None:
    """How people label. Guidelines that changed are a new version; what raters were shown names it."""
    if spec.humans is None:
        return
    study.humans = spec.humans.model_dump(mode="json", exclude={"guidelines"})
    study.save(update_fields=["humans"])
    set_guidelines(study, _text_or_file(spec.humans.guidelines, beside))


def names_guidelines(told: str) -> bool:
    """Whether this is a file's name rather than the guidelines themselves."""
    return told.strip().endswith(".md") and "\n" not in told.strip()


def names_scheme(told: object) -> bool:
    return isinstance(told, str) and told.endswith((".yaml", ".yml"))


def _text_or_file(told: str, beside: Beside) -> str:
    if not names_guidelines(told) or isinstance(beside, Mapping):
        return told
    path = (beside or Path()) / told.strip()
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"humans.guidelines: {path} can't be read ({error}).") from error


def _scheme(chosen: str | SchemeSpec, beside: Beside) -> LabelScheme:
    """Built in, written out in the study file, or in a file of its own beside it."""
    if not isinstance(chosen, str):
        return save_scheme(chosen)
    if names_scheme(chosen) and not isinstance(beside, Mapping):
        return save_scheme(scheme_from_file((beside or Path()) / chosen))
    return builtin_scheme(chosen)


def _apply_questions(study: Study, spec: StudySpec, beside: Beside) -> None:
    """A question that was asked stays, with its scheme: its ratings would mean nothing without."""
    for wanted in spec.questions:
        scheme = _scheme(wanted.scheme, beside)
        found, _ = Question.objects.get_or_create(study=study, name=wanted.name, defaults={"scheme": scheme})
        if found.scheme_id == scheme.pk:
            continue
        if Rating.objects.filter(item__study=study, question=wanted.name).exists() or _asked(
            study, wanted.name
        ):
            raise UserError(
                f"questions: {wanted.name!r} was asked under scheme {found.scheme}; under {scheme} it would be another question, so give it another name."
            )
        found.scheme = scheme
        found.save()


def _asked(study: Study, question: str = "") -> bool:
    """Whether calls were made for it: their prompts are put together again from the scheme."""
    return Attempt.objects.filter(study_judge__study=study, study_judge__judge__question=question).exists()


def _keep_scheme(study: Study, scheme: LabelScheme) -> None:
    if study.scheme_id == scheme.pk:
        return
    labelled = any(kind.objects.filter(item__study=study).exists() for kind in (Rating, Gold, Adjudication))
    if labelled:
        raise UserError(
            f"Study {study.slug!r} has labels under scheme {study.scheme}; labels of {scheme} could not be compared with them. "
            "Describe a new study for the new scheme."
        )
    if _asked(study):
        raise UserError(
            f"Study {study.slug!r} had its judges asked under scheme {study.scheme}; what they were asked could not be told under {scheme}. "
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


def _missing(study: Study, spec: StudySpec) -> QuerySet[Response]:
    there = Item.objects.filter(study=study, response=OuterRef("pk"))
    return chosen(spec).filter(~Exists(there)).order_by("pk")


def adding(study: Study | None, spec: StudySpec) -> int:
    """How many items applying this would add."""
    return _missing(study, spec).count() if study else chosen(spec).count()


def _add_items(study: Study, spec: StudySpec) -> int:
    missing = _missing(study, spec).values_list("pk", flat=True).iterator(chunk_size=2000)
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


def _apply_judges(study: Study, spec: StudySpec, beside: Beside) -> None:
    endpoints = {endpoint.name: save_endpoint(endpoint) for endpoint in spec.endpoints}
    judges = []
    for wanted in spec.judges:
        judge = save_judge(wanted, endpoints[wanted.endpoint], beside)
        _check_labels(study, judge)
        judges.append(judge)
        price = _price(wanted, judge.endpoint)
        prices = {"input_price": price.input, "output_price": price.output} if price else {}
        StudyJudge.objects.update_or_create(
            study=study,
            judge=judge,
            defaults={"active": True, "input_price": None, "output_price": None, **prices},
        )
    study.judges.exclude(judge__in=judges).update(active=False)


def _check_labels(study: Study, judge: Judge) -> None:
    keys = [label.key for label in study.scheme_of(judge.question).labels.all()]
    try:
        check_labels(judge.template_text, judge.mapping, keys)
    except ValueError as error:
        raise UserError(
            f"judges: {judge.rater.name!r}, template {judge.template_name!r}: {str(error).rstrip('.')}."
        ) from error


def _price(wanted: JudgeSpec, endpoint: Endpoint) -> Price | None:
    """What the file says, else the list price of a service that is known."""
    if wanted.price:
        return Price(per_token(wanted.price.input), per_token(wanted.price.output))
    return listed_price(endpoint.base_url, wanted.model)


def _apply_caps(study: Study, spec: StudySpec) -> None:
    """A cap in dollars can hold only where the worst case of every call is known."""
    calls, dollars = spec.caps.calls, spec.caps.dollars
    for study_judge in (
        study.judges.filter(active=True).select_related("judge__rater") if dollars is not None else []
    ):
        name = study_judge.judge.rater.name
        if study_judge.output_price is None:
            raise UserError(
                f"caps.dollars: the price of judge {name!r} is not known; give it one (price: {{input: 0.4, output: 1.6}}, in dollars for a million tokens)."
            )
        if study_judge.output_price and (token_limit(study_judge.judge) or 0) < 1:
            raise UserError(
                f"caps.dollars: what a call of judge {name!r} may cost has no limit; set max_tokens (or max_completion_tokens) in its parameters."
            )
    if calls is not None or dollars is not None or Budget.objects.filter(study=study).exists():
        set_caps(study, calls, None if dollars is None else round(dollars * PICO))


def save_judge(spec: JudgeSpec, endpoint: Endpoint, beside: Beside) -> Judge:
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
    # Only where they say something: a key that is new to study files must not make new versions of judges there are.
    chosen = {
        "dialect": endpoint.dialect, "question": spec.question, "mapping": spec.mapping, "label_order": spec.label_order,
        "label_seed": spec.label_seed, "repeats": spec.repeats,
    }  # fmt: skip
    usual = {
        "dialect": "openai",
        "question": "",
        "mapping": {},
        "label_order": "scheme",
        "label_seed": 0,
        "repeats": 1,
    }
    told = {key: value for key, value in chosen.items() if value != usual[key]}
    content = digest(spec.name, json.dumps([*parts, told] if told else parts, sort_keys=True))
    found = Judge.objects.filter(rater__name=spec.name, rater__definition=content).first()
    return found or Judge.objects.create(
        rater=_new_version(spec, content), endpoint=endpoint, model=spec.model, template_name=spec.template, template_text=template,
        parameters=spec.parameters, show_condition=spec.show_condition, json_schema=endpoint.json_schema, **chosen,
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
