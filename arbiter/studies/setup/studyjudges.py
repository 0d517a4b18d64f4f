"""The judges of a study file: their exact versions, their prices, and the caps on what they may spend."""

import json

from annotation.models import Rater, Study
from annotation.raters import make_way, next_version, shown_name
from arbiter.calls.prices import PICO, Price, listed_price, per_token, price_columns
from arbiter.core.errors import UserError
from arbiter.core.text import digest
from arbiter.studies.setup.studyfile import JudgeSpec, StudySpec
from benchmark.endpoints import save_endpoint
from benchmark.models import Endpoint
from judging.models import Budget, Judge, StudyJudge
from judging.panel.metering import set_caps
from judging.panel.prompting import check_labels, token_limit
from judging.prompts import Beside, template_text


def apply_judges(study: Study, spec: StudySpec, beside: Beside) -> None:
    """Bring the study's judges to those of the file; one that it leaves out is asked no more."""
    endpoints = {endpoint.name: save_endpoint(endpoint) for endpoint in spec.endpoints}
    judges = []
    for wanted in spec.judges:
        judge = save_judge(wanted, endpoints[wanted.endpoint], beside)
        _check_labels(study, judge)
        make_way(study, judge.rater)
        judges.append(judge)
        prices = price_columns(_price(wanted, judge.endpoint))
        StudyJudge.objects.update_or_create(study=study, judge=judge, defaults={"active": True, **prices})
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
    """Return the price that the file says, else the list price of a service that is known."""
    if wanted.price:
        cached = wanted.price.cached_input
        return Price(
            per_token(wanted.price.input),
            per_token(wanted.price.output),
            None if cached is None else per_token(cached),
        )
    return listed_price(endpoint.base_url, wanted.model)


def apply_caps(study: Study, spec: StudySpec) -> None:
    """Set what the study's judges may spend. A cap in dollars can hold only where the worst case of every
    call is known.
    """
    calls, dollars = spec.caps.calls, spec.caps.dollars
    asked = study.judges.filter(active=True).select_related("judge__rater")
    for study_judge in asked if dollars is not None else []:
        name = study_judge.judge.rater.name
        if study_judge.output_price is None:
            raise UserError(
                f"caps.dollars: the price of judge {name!r} is not known; give it one "
                "(price: {input: 0.4, output: 1.6}, in dollars for a million tokens)."
            )
        if study_judge.output_price and (token_limit(study_judge.judge) or 0) < 1:
            raise UserError(
                f"caps.dollars: what a call of judge {name!r} may cost has no limit; "
                "set max_tokens (or max_completion_tokens) in its parameters."
            )
    if calls is not None or dollars is not None or Budget.objects.filter(study=study).exists():
        set_caps(study, calls, None if dollars is None else round(dollars * PICO))


def save_judge(spec: JudgeSpec, endpoint: Endpoint, beside: Beside) -> Judge:
    """Return the judge with exactly this definition, or a new version under its name."""
    spec = spec.model_copy(update={"name": shown_name(spec.name)})
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
    # Only where they say something: a key new to study files must not make new versions of judges there are.
    options = {
        "dialect": endpoint.dialect,
        "question": spec.question,
        "mapping": spec.mapping,
        "label_order": spec.label_order,
        "label_seed": spec.label_seed,
        "repeats": spec.repeats,
        "probability": spec.probability,
    }
    usual = {
        "dialect": "openai",
        "question": "",
        "mapping": {},
        "label_order": "scheme",
        "label_seed": 0,
        "repeats": 1,
        "probability": "",
    }
    unusual = {key: value for key, value in options.items() if value != usual[key]}
    content = digest(spec.name, json.dumps([*parts, unusual] if unusual else parts, sort_keys=True))
    if judge := Judge.objects.filter(rater__name=spec.name, rater__definition=content).first():
        return judge
    rater = next_version(
        spec.name, Rater.Kind.JUDGE, where="judges: ", family=spec.family, definition=content
    )
    return Judge.objects.create(
        rater=rater,
        endpoint=endpoint,
        model=spec.model,
        template_name=spec.template,
        template_text=template,
        parameters=spec.parameters,
        show_condition=spec.show_condition,
        json_schema=endpoint.json_schema,
        **options,
    )
