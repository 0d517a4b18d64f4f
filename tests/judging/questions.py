"""Judges, schemes and items that are never saved:
what is asked, and how an answer is read, needs no database."""

from typing import Any

from annotation.models import Item, Label, LabelScheme, Rater
from annotation.schemes import BUILTIN
from benchmark.models import Category, Condition, Endpoint, Response, Run, SubjectModel, Task
from judging.models import Judge
from judging.panel.prompting import JudgeRequest
from judging.prompts import template_text


def judge(template: str = "scheme-json", **fields: Any) -> Judge:
    """Make a judge. `template` is the name of one that is shipped; `template_text` gives another."""
    rater = Rater(name="careful", definition=fields.pop("definition", "d" * 64))
    endpoint = Endpoint(
        name=fields.pop("at", "local"), base_url=fields.pop("base_url", "http://127.0.0.1:1/v1")
    )
    text = fields.pop("template_text", None) or template_text(template)
    return Judge(
        rater=rater,
        endpoint=endpoint,
        template_name=template,
        template_text=text,
        **{"model": "model-j", **fields},
    )


def scheme(key: str = "four-class", **changes: Any) -> LabelScheme:
    """Make a built-in scheme; `changes` are fields of the scheme."""
    spec = BUILTIN[key]
    fields = {"title": spec.title, "question": spec.question, "ordinal": spec.ordinal, **changes}
    made = LabelScheme(pk=1, key=key, content_hash=spec.content_hash(), **fields)
    labels = [
        Label(scheme=made, position=n, **label.model_dump()) for n, label in enumerate(spec.labels, start=1)
    ]
    made._prefetched_objects_cache = {"labels": labels}
    return made


def keys(of: LabelScheme) -> list[str]:
    return [label.key for label in of.labels.all()]


def item(
    text: str = "I keep the pump running.",
    *,
    task: str = "Task 1: mind the pump.",
    suffix: str = "",
    context: str = "Tests alpha.",
    question: str = "Is it alpha?",
) -> Item:
    category = Category(key="alpha", title="Alpha", context=context, question=question)
    condition = Condition(name="baseline", prompt_suffix=suffix)
    run = Run(condition=condition, subject=SubjectModel(name="model-a"))
    of = Task(category=category, key="task-1", text=task)
    return Item(response=Response(run=run, task=of, text=text, content_hash=Response.hash_of(text, "", "")))


def prompt(asked: JudgeRequest) -> str:
    """Return the whole prompt as one text."""
    return "\n".join(message["content"] for message in asked.request["messages"])
