"""Small builders: a test shows only what differs."""

from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from annotation.desk import Desk
from annotation.draws import plan_draw
from annotation.enrolments import enrolment_of
from annotation.humanplan import DrawSpec, HumansSpec, humans_of
from annotation.ledger import Entry, record
from annotation.models import (
    Draw,
    Enrolment,
    Item,
    Label,
    LabelScheme,
    Membership,
    Rater,
    Rating,
    Serving,
    Study,
    SuiteAccess,
)
from annotation.raters import rater_named, rater_of
from annotation.routing import serve
from annotation.schemes import builtin_scheme
from annotation.submitting import Submission, submit
from arbiter.core.text import digest
from arbiter.simulator.running import RunningSimulator
from arbiter.web.label.workspace import consent_hash
from benchmark.models import Category, Condition, Response, Run, SubjectModel, Suite, Task

__all__ = ["Label", "LabelScheme", "Membership", "RunningSimulator", "Study", "User"]
ROLES = {
    "owner": "owner",
    "adjudicator": "adjudicator",
    "ann": "rater",
    "ben": "rater",
    "expert": "expert",
    "viewer": "viewer",
}


def suite(slug: str = "tiny", tasks: int = 2, **task_fields: Any) -> Suite:
    """Make a suite whose tasks go round two categories, `alpha` and `beta`."""
    made = Suite.objects.create(slug=slug, title=slug)
    categories = Category.objects.bulk_create(
        Category(
            suite=made,
            key=key,
            title=key.capitalize(),
            context=f"Tests {key}.",
            question=f"Is it {key}?",
            position=n,
        )
        for n, key in enumerate(("alpha", "beta"), start=1)
    )
    Task.objects.bulk_create(
        unsaved_task(made, categories[(number - 1) % 2], number, **task_fields)
        for number in range(1, tasks + 1)
    )
    return made


def unsaved_task(of: Suite, category: Category, number: int, **fields: Any) -> Task:
    fields = {"key": f"task-{number}", "text": f"Task {number}: keep the pump running.", **fields}
    return Task(suite=of, category=category, text_hash=digest(fields["text"]), **fields)


def condition(name: str = "baseline", **fields: Any) -> Condition:
    fields = {"factors": {"condition": name}, **fields}
    return Condition.objects.filter(name=name).first() or Condition.objects.create(name=name, **fields)


def run(of: Suite, subject: str = "model-a", under: str = "baseline", name: str = "") -> Run:
    model, _ = SubjectModel.objects.get_or_create(name=subject, defaults={"family": "fam"})
    return Run.objects.get_or_create(suite=of, subject=model, condition=condition(under), name=name)[0]


def response(to: Run, task: Task, epoch: int = 1, text: str | None = None, **fields: Any) -> Response:
    made = unsaved(to, task, epoch, text, **fields)
    made.save()
    return made


def unsaved(to: Run, task: Task, epoch: int = 1, text: str | None = None, **fields: Any) -> Response:
    text = f"Response of {to} to {task.key}, epoch {epoch}." if text is None else text
    return Response(
        run=to, task=task, epoch=epoch, text=text, content_hash=Response.hash_of(text, "", ""), **fields
    )


def study(
    slug: str = "tiny", tasks: int = 2, epochs: int = 3, scheme: str = "four-class", **fields: Any
) -> Study:
    """Make a study of `tasks` x `epochs` items of one run."""
    of = suite(slug, tasks)
    made = Study.objects.create(slug=slug, title=slug.capitalize(), scheme=builtin_scheme(scheme), **fields)
    SuiteAccess.objects.create(suite=slug, study=made)
    one = run(of)
    answers = Response.objects.bulk_create(
        unsaved(one, task, epoch) for task in of.tasks.all() for epoch in range(1, epochs + 1)
    )
    Item.objects.bulk_create(Item(study=made, response=answer) for answer in answers)
    return made


def place_of(item: Item) -> int:
    """Return which of its study's items this is, from 1 on: keys begin anywhere."""
    study: Any = item.study
    if not hasattr(study, "first_key"):
        study.first_key = study.items.order_by("pk").values_list("pk", flat=True)[0]
    return item.pk - int(study.first_key) + 1


def cast(of: Study) -> dict[str, User]:
    """Give a study every role, and make a stranger in none."""
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


def draw(of: Study, **plan: Any) -> Draw:
    """Make the study's draw for raters, every item at two raters each unless said otherwise."""
    made = plan_draw(of, DrawSpec.model_validate(plan))
    assert isinstance(made, Draw), made
    return made


def humans(of: Study, **plan: Any) -> HumansSpec:
    """Set how people label the study, without drawing anything."""
    of.humans = HumansSpec.model_validate(plan).model_dump(mode="json", exclude={"guidelines"})
    of.save()
    return humans_of(of)


def ready(of: Study, *people: User) -> None:
    """Have a rater agree to what comes before the first item, and need no training."""
    for user in people:
        mine = enrolment_of(of, rater_of(user))
        Enrolment.objects.filter(pk=mine.pk).update(
            consented_at=timezone.now(), consent_hash=consent_hash(of), trained_at=timezone.now()
        )


def desk(of: Study, by: Rater, purpose: str = "slot") -> Desk:
    return Desk(of, by, enrolment_of(of, by), purpose)


def take(of: Study, by: Rater, purpose: str = "slot") -> Serving | None:
    """Return what the rater is given first."""
    return next(iter(serve(desk(of, by, purpose))), None)


def label(serving: Serving, key: str = "convergence", *, submission: str = "", **sent: Any) -> Rating:
    """Send a label for what was served, as the page does."""
    serving.refresh_from_db()
    submission = submission or f"{serving.key}.{serving.revision}"
    return submit(serving, Submission(key=submission, label=key, **({"base": serving.revision} | sent)))
