"""What a judge is asked. Pure: rows in, a request out."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import factorial
from typing import Any

from django.utils.crypto import salted_hmac

from annotation.models import Item, LabelScheme
from annotation.schemes import QUESTION
from arbiter.calls.dialects import TOKEN_FIELDS, dialect, limit_in
from arbiter.calls.findings import LEFT_OUT, Findings, said_of_left_out
from arbiter.core.text import digest
from benchmark.models import Response
from judging.models import Judge
from judging.prompts import NEEDED, PLACEHOLDERS, read_template
from judging.prompts.prompt_form import Choice, form_of
from judging.prompts.quote_places import evidence
from judging.prompts.response_fence import neutralise

__all__ = ["JudgeRequest", "ask", "check_labels", "check_template", "evidence", "shown_to", "token_limit"]

LEAST_LOGPROBS = 5  # alternatives to a token: there are several ways to begin one label
LONGEST_RATIONALE, SHORTEST_RATIONALE = 1000, 80
NOT_TEXT = frozenset({"yes", "no", "on", "off", "true", "false", "y", "n", "null"})  # in YAML


@dataclass(frozen=True, slots=True)
class JudgeRequest:
    request: dict[str, Any]  # parts of it are shared between calls: read it, don't change it
    marker: str
    cache_key: str


def check_template(text: str) -> None:
    """Raise ValueError where the template names something unknown or leaves out what a judge must see."""
    named = read_template(text).placeholders
    if unknown := named - PLACEHOLDERS:
        raise ValueError(
            f"unknown placeholder {sorted(unknown)[0]!r}; known are {', '.join(sorted(PLACEHOLDERS))}"
        )
    if missing := NEEDED - named:
        raise ValueError(f"the placeholder {sorted(missing)[0]!r} is missing")


def check_labels(text: str, mapping: Mapping[str, str], keys: Sequence[str]) -> None:
    """Raise ValueError where the template's labels are not the scheme's and no mapping makes them so."""
    labels = read_template(text).labels
    if not labels and mapping:
        raise ValueError(
            "the template takes the scheme's own labels, so it has no use for a mapping; take mapping out"
        )
    if mapping:
        _check_mapping(labels, mapping, keys)
    elif labels and set(labels) != set(keys):
        lacking = _listed(key for key in keys if key not in labels)
        foreign = _listed(label for label in labels if label not in keys)
        wrong = [f"can't give the scheme's {lacking}"] if lacking else []
        wrong += [f"gives {foreign}, which the scheme has not"] if foreign else []
        raise ValueError(
            f"the template {' and '.join(wrong)}; if that is meant, {_mapping_to_write(labels, {}, keys)}"
        )


def _check_mapping(labels: Sequence[str], mapping: Mapping[str, str], keys: Sequence[str]) -> None:
    to_write = _mapping_to_write(labels, mapping, keys)
    if missing := _listed(label for label in labels if label not in mapping):
        raise ValueError(f"mapping leaves out the template's {missing}; {to_write}")
    if unknown := _listed(label for label in mapping if label not in labels):
        raise ValueError(f"mapping names {unknown}, which the template does not give; {to_write}")
    if foreign := _listed(key for key in mapping.values() if key not in keys):
        raise ValueError(f"mapping leads to {foreign}, which the scheme has not; {to_write}")


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


def _mapping_to_write(labels: Sequence[str], mapping: Mapping[str, str], keys: Sequence[str]) -> str:
    """Write the line of a study file that maps these labels, filled in as far as the mapping there says;
    LABEL where only its author knows."""
    pairs = [(label, mapping.get(label, label)) for label in labels]
    said = [(label, key if key in keys else "LABEL") for label, key in pairs]
    line = ", ".join(f"{_quoted(label)}: {_quoted(key)}" for label, key in said)
    choice = f" (LABEL being one of {', '.join(keys)})" if any(key == "LABEL" for _, key in said) else ""
    return f"write mapping: {{{line}}}{choice}"


def _quoted(word: str) -> str:
    """Put a word in quotes where YAML would take it for something else, such as a number or a truth value."""
    return word if re.fullmatch(r"[A-Za-z][\w-]*", word) and word.lower() not in NOT_TEXT else f'"{word}"'


def ask(
    judge: Judge,
    item: Item,
    scheme: LabelScheme,
    repeat: int,
    *,
    marker: str = "",
    max_tokens: int | None = None,
) -> JudgeRequest:
    """Return the call's body, of which the fence's marker alone differs between equal questions, and the key
    these share."""
    task, response = item.response.task, item.response
    choices = _choices(judge, scheme, response)
    findings = judge.endpoint.findings(judge.model)
    structured = judge.json_schema and "response_format" not in findings.refused
    form = form_of(judge.template_text, choices, structured, longest_rationale(judge))
    shown = neutralise(response.text).text
    values = {
        "context": task.category.context.strip() or task.category.title,
        "question": _question(judge, item, scheme),
        "task": task.text + (response.run.condition.prompt_suffix if judge.show_condition else ""),
        "response": shown,
    }
    key = digest(_constant_key(judge, choices, findings), *values.values(), str(repeat))
    values["marker"] = marker or _marker(judge, response, repeat)
    body: dict[str, Any] = {"model": judge.model, "messages": form.messages(values)}
    if dialect(judge.dialect).sends_seed:
        body["seed"] = repeat  # parts repeats where the service honours it; the marker does elsewhere
    if form.response_format:
        body["response_format"] = form.response_format
    if top := top_logprobs(judge, findings, len(choices)):
        body |= {"logprobs": True, "top_logprobs": top}
    body |= judge.parameters if max_tokens is None else _with_budget(judge, max_tokens)
    body = {name: value for name, value in body.items() if value is not None}  # null takes a parameter out
    return JudgeRequest(findings.as_taken(body), values["marker"], key)


def probability_of(judge: Judge) -> str:
    """Return where a judge's probability over labels comes from: logprobs, stated or none. It is none where
    the template can't be read, as one that an earlier version read otherwise."""
    try:
        return judge.probability or read_template(judge.template_text).probability
    except ValueError:
        return "none"


def top_logprobs(judge: Judge, findings: Findings, labels: int) -> int:
    """Return how many alternatives to a token a judge's calls ask for; 0 where its probability does not come
    from them, or no check found that they come."""
    wanted = probability_of(judge) == "logprobs"
    return min(findings.top_logprobs, max(LEAST_LOGPROBS, labels)) if wanted else 0


def without_logprobs(judge: Judge) -> str:
    """Say why a judge's probability can't come from logprobs, though it is to; empty where it can."""
    if probability_of(judge) != "logprobs":
        return ""
    findings = judge.endpoint.findings(judge.model)
    if findings.top_logprobs:
        return ""
    at = f"{judge.model!r} at {judge.endpoint.name}"
    if not findings.checked_at:
        return (
            f"logprobs are not asked for: {at} was not checked; "
            f"manage.py endpoint check {judge.endpoint.name} tells whether they come"
        )
    return f"logprobs are not asked for: none come of {at}, as the check of {findings.checked_at[:10]} found"


def not_sent(judge: Judge) -> list[str]:
    """Say what of a judge's calls is not sent, since a check found it refused."""
    asked: dict[str, Any] = {"seed": 0} if dialect(judge.dialect).sends_seed else {}
    answer = read_template(judge.template_text).answer
    asked |= {"response_format": {}} if judge.json_schema and answer != "lines" else {}
    asked = {name: value for name, value in (asked | judge.parameters).items() if value is not None}
    findings = judge.endpoint.findings(judge.model)
    said = said_of_left_out(findings, asked, judge.model, judge.endpoint.name)
    return [*said, *filter(None, [without_logprobs(judge)])]


def _marker(judge: Judge, response: Response, repeat: int) -> str:
    """Return the marker that fences the response.
    Nobody who writes a response can guess it, and the same prompt can be made again."""
    of = f"{judge.rater.definition}:{response.content_hash}:{repeat}"
    return f"RESPONSE-{salted_hmac('arbiter.fence', of).hexdigest()[:16]}"


def _question(judge: Judge, item: Item, scheme: LabelScheme) -> str:
    """Return the question that a judge is asked: the category's, else the scheme's. A question asked beside
    the primary one is its own scheme's first."""
    of_category = item.response.task.category.question
    first, second = (scheme.question, of_category) if judge.question else (of_category, scheme.question)
    return first or second or QUESTION


def _choices(judge: Judge, scheme: LabelScheme, response: Response) -> tuple[Choice, ...]:
    """Return the labels in the order in which this judge is shown them for this response."""
    labels = [(label.key, label.definition, label.example) for label in scheme.labels.all()]
    offered = _offered(tuple(labels), judge.template_text if judge.mapping else "")
    if judge.label_order == Judge.LabelOrder.REVERSED:
        return offered[::-1]
    if judge.label_order == Judge.LabelOrder.PERMUTED:
        # Not by repeat: the repeats of an item share their order,
        # so that their noise can be told from the order's bias.
        drawn = int(digest(str(judge.label_seed), response.content_hash), 16)
        return _permuted(offered, drawn % factorial(len(offered)))
    return offered


@lru_cache(maxsize=512)
def _offered(labels: tuple[tuple[str, str, str], ...], mapped_template: str) -> tuple[Choice, ...]:
    """Return the scheme's labels, or those of a mapped template, whose own definitions come first: under a
    mapping a word may stand for more than the scheme's label of that name."""
    of_scheme = {key: Choice(key, definition, example) for key, definition, example in labels}
    if not mapped_template:
        return tuple(of_scheme.values())
    template = read_template(mapped_template)
    return tuple(
        Choice(word, template.definitions[word])
        if template.definitions[word]
        else of_scheme.get(word, Choice(word))
        for word in template.labels
    )


@lru_cache(maxsize=4096)
def _permuted(choices: tuple[Choice, ...], number: int) -> tuple[Choice, ...]:
    """Return the permutation with this number, of as many as there are."""
    left, order = list(choices), []
    while left:
        number, place = divmod(number, len(left))
        order.append(left.pop(place))
    return tuple(order)


def _constant_key(judge: Judge, choices: tuple[Choice, ...], findings: Findings) -> str:
    """Hash all that an answer depends on, but the item and the repeat. Without a check and settings that came
    later, it is what it was before there were any."""
    endpoint = judge.endpoint
    refused = sorted(set(LEFT_OUT) & findings.refused)
    named = [endpoint.headers, endpoint.query, *([refused] if refused else [])]
    named += ["logprobs"] if top_logprobs(judge, findings, len(choices)) else []
    return _digest_of(
        (endpoint.name, endpoint.base_url, judge.model, judge.template_text, judge.dialect)
        + ((json.dumps(named, sort_keys=True),) if any(named) else ()),
        (judge.json_schema, judge.show_condition),
        json.dumps([judge.parameters, judge.mapping], sort_keys=True),
        choices,
    )


@lru_cache(maxsize=4096)
def _digest_of(
    texts: tuple[str, ...], flags: tuple[bool, ...], settings: str, choices: tuple[Choice, ...]
) -> str:
    return digest(*texts, json.dumps(flags), settings, json.dumps(choices))


def longest_rationale(judge: Judge) -> int | None:
    """Return how many characters a judge's schema lets a rationale have, so that one which goes on and on
    ends before the token limit does (a character is a token at most in few scripts); None where the service
    refuses such a bound."""
    if not dialect(judge.dialect).bounds_texts:
        return None
    return min(LONGEST_RATIONALE, max(SHORTEST_RATIONALE, token_limit(judge) or LONGEST_RATIONALE))


def token_limit(judge: Judge) -> int | None:
    """Return the token limit in a judge's parameters; None where there is none."""
    return limit_in(judge.parameters)


def _with_budget(judge: Judge, max_tokens: int) -> dict[str, Any]:
    """Return the judge's parameters with another token limit, under the name they use, else the dialect's."""
    used = [field for field in TOKEN_FIELDS if judge.parameters.get(field) is not None]
    fields = used or [dialect(judge.dialect).token_field]
    return {**judge.parameters, **dict.fromkeys(fields, max_tokens)}


def shown_to(judge: Judge, item: Item, scheme: LabelScheme) -> dict[str, Any]:
    """Return what is stored with a rating of what its judge was shown."""
    context = ["category context"] if "context" in read_template(judge.template_text).placeholders else []
    suffix = ["prompt suffix"] if judge.show_condition else []
    shown = {
        "blind": not judge.show_condition,
        "fields": [*context, "task", "response", *suffix],
        "template": judge.template_name,
        "scheme": str(scheme),
        "label_order": [choice.word for choice in _choices(judge, scheme, item.response)],
    }
    neutralised = len(neutralise(item.response.text).changes)
    return shown | ({"neutralised": neutralised} if neutralised else {})
