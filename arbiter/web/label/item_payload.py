"""What the raters' page is told of a scheme, of the guidelines and of an item: the task's own text, the
response, and what the study shows beside. Nothing else of an item leaves the server."""

from collections.abc import Sequence
from typing import Any

from annotation import guidelines
from annotation.humanplan import humans_of
from annotation.models import Item, LabelScheme, Serving, Study
from annotation.schemes import QUESTION

SHOWN = {
    "text": "response__text",
    "task": "response__task__text",
    "language": "response__task__language",
    "category": "response__task__category__title",
    "question": "response__task__category__question",
}
BESIDE = {
    "reasoning": ["response__reasoning"],
    "transcript": ["response__transcript"],
    "condition": [f"response__run__condition__{name}" for name in ("name", "system_prompt", "prompt_suffix")],
}


def guidelines_for_page(study: Study) -> dict[str, Any] | None:
    now = guidelines.current(study)
    return {"version": now.version, "html": guidelines.formatted(now.text)} if now else None


def scheme_for_page(scheme: LabelScheme) -> dict[str, Any]:
    return {
        "title": scheme.title,
        "question": scheme.question or QUESTION,
        "evidence_for_target": scheme.evidence_for_target,
        "labels": [
            {
                "key": label.key,
                "title": label.title,
                "definition": label.definition,
                "example": label.example,
                "role": label.role,
                "position": label.position,
            }
            for label in scheme.labels.all()
        ],
    }


def items_for_page(study: Study, servings: Sequence[Serving]) -> list[dict[str, Any]]:
    """Return what the page shows of each serving, in their order: the task's own text, the response, and what
    the study shows beside."""
    show = humans_of(study).show
    fields = ["pk", *SHOWN.values(), *(path for name in show for path in BESIDE[name])]
    rows = (
        Item.objects.filter(pk__in=[serving.item_id for serving in servings]).values(*fields)
        if servings
        else ()
    )
    by_item = {row["pk"]: row for row in rows}
    return [_for_page(study, serving, by_item[serving.item_id], show) for serving in servings]


def _for_page(study: Study, serving: Serving, row: dict[str, Any], show: Sequence[str]) -> dict[str, Any]:
    item = {name: row[path] for name, path in SHOWN.items()}
    shown = {
        "key": serving.key,
        "base": serving.revision,
        "draft": serving.draft,
        "question": item["question"] or study.scheme.question or QUESTION,
        "category": item["category"],
        "language": item["language"],
        "task": item["task"],
        "response": item["text"],
    }
    for name in show:
        values = [row[path] for path in BESIDE[name]]
        if name == "condition":
            shown[name] = dict(zip(("name", "system_prompt", "prompt_suffix"), values, strict=True))
        elif values[0]:
            shown[name] = values[0]
    return shown
