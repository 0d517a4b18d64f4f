"""Small builders: a test shows only what differs."""

from typing import Any

from django.contrib.auth.models import User

from annotation.ledger import Entry, record
from annotation.models import Item, Label, LabelScheme, Membership, Rater, Rating, Study
from annotation.raters import rater_named, rater_of
from annotation.schemes import builtin_scheme
from benchmark.models import Category, Condition, Response, Run, SubjectModel, Suite, Task
from benchmark.simulator.running import RunningSimulator

__all__ = ["Label", "LabelScheme", "Membership", "RunningSimulator", "Study", "User"]
ROLES = {"owner": "owner", "adjudicator": "adjudicator", "ann": "rater", "ben": "rater", "viewer": "viewer"}


def suite(slug: str = "tiny", tasks: int = 2, **task_fields: Any) -> Suite:
    """Tasks go round two categories, `alpha` and `beta`."""
    made = Suite.objects.create(slug=slug, title=slug)
    categories = [
        Category.objects.create(
            suite=made,
            key=key,
            title=key.capitalize(),
            context=f"Tests {key}.",
            question=f"Is it {key}?",
            position=n,
        )
        for n, key in enumerate(("alpha", "beta"), start=1)
    ]
    for number in range(1, tasks + 1):
        fields = {"key": f"task-{number}", "text": f"Task {number}: keep the pump running.", **task_fields}
        Task.objects.create(suite=made, category=categories[(number - 1) % 2], **fields)
    return made


def condition(name: str = "baseline", **fields: Any) -> Condition:
    fields = {"factors": {"condition": name}, **fields}
    return Condition.objects.filter(name=name).first() or Condition.objects.create(name=name, **fields)


def run(of: Suite, subject: str = "model-a", under: str = "baseline", name: str = "") -> Run:
    model, _ = SubjectModel.objects.get_or_create(name=subject, defaults={"family": "fam"})
    return Run.objects.get_or_create(suite=of, subject=model, condition=condition(under), name=name)[0]


def response(to: Run, task: Task, epoch: int = 1, text: str | None = None) -> Response:
    text = f"Response of {to} to {task.key}, epoch {epoch}." if text is None else text
    return Response.objects.create(
        run=to, task=task, epoch=epoch, text=text, content_hash=Response.hash_of(text, "", "")
    )


def study(
    slug: str = "tiny", tasks: int = 2, epochs: int = 3, scheme: str = "four-class", **fields: Any
) -> Study:
    """`tasks` x `epochs` items of one run."""
    of = suite(slug, tasks)
    made = Study.objects.create(slug=slug, title=slug.capitalize(), scheme=builtin_scheme(scheme), **fields)
    one = run(of)
    for task in of.tasks.all():
        for epoch in range(1, epochs + 1):
            Item.objects.create(study=made, response=response(one, task, epoch))
    return made


def cast(of: Study) -> dict[str, User]:
    """Every role in the study, and a stranger in none."""
    people = {}
    for name in [*ROLES, "stranger"]:
        people[name] = User.objects.create_user(name)
        if name in ROLES:
            Membership.objects.create(study=of, user=people[name], role=ROLES[name])
    return people


def rater(name: str = "judge-a", kind: str = "judge") -> Rater:
    return rater_named(name, kind)


def human(user: User) -> Rater:
    return rater_of(user)


def rate(item: Item, by: Rater, label: str = "convergence", **fields: Any) -> Rating:
    return record(item.study.scheme, [Entry(item_id=item.pk, rater=by, label=label, **fields)])[0]
