"""A study with three judges and gold drawn by disagreement, made by bulk insert:
what plans and reports begin from."""

import numpy as np

from annotation.draws import plan_draw
from annotation.humanplan import GoldDrawSpec
from annotation.itemvotes import keep_votes
from annotation.models import Gold, Item, Rating, Study
from annotation.schemes import builtin_scheme
from benchmark.models import Response
from tests import builders

JUDGES = ("judge-a", "judge-b", "judge-c")
SHARE = {"model-a": 0.55, "model-b": 0.2}  # of what each converges on, over all tasks
SAID = (0.25, 0.65)  # how often a judge calls a response convergent that is not, and one that is


def judged_study(slug="planned", tasks=40, epochs=5, subjects=tuple(SHARE), seed=2, **fields):
    """Make items of every subject, each labelled by three judges;
    and return the truth of each by its key in the database."""
    suite = builders.suite(slug, tasks)
    study = Study.objects.create(slug=slug, title=slug, scheme=builtin_scheme("four-class"), **fields)
    chance = np.random.default_rng(seed)
    responses, truth = [], []
    for subject in subjects:
        run = builders.run(suite, subject)
        share = SHARE.get(subject, 0.3)
        for task, rate in zip(suite.tasks.all(), chance.beta(share * 2, (1 - share) * 2, tasks), strict=True):
            for epoch in range(1, epochs + 1):
                text = f"{subject} {task.key} {epoch}"
                responses.append(
                    Response(
                        run=run,
                        task=task,
                        epoch=epoch,
                        text=text,
                        content_hash=Response.hash_of(text, "", ""),
                    )
                )
                truth.append(bool(chance.random() < rate))
    Response.objects.bulk_create(responses)
    Item.objects.bulk_create(Item(study=study, response=one) for one in responses)
    items = list(study.items.order_by("pk"))
    judge(study, items, truth, chance)
    return study, {item.pk: true for item, true in zip(items, truth, strict=True)}


def judge(study, items, truth, chance, names=JUDGES):
    target, other = (study.scheme.labels.get(key=key) for key in ("convergence", "no_convergence"))
    for name in names:
        rater = builders.rater(name)
        said = chance.random(len(items)) < np.where(truth, SAID[1], SAID[0])
        Rating.objects.bulk_create(
            Rating(item=item, rater=rater, label=target if yes else other)
            for item, yes in zip(items, said, strict=True)
        )
    for start in range(0, len(items), 500):
        keep_votes([item.pk for item in items[start : start + 500]])


def draw_gold(study, truth, **plan):
    """Write gold, free of error, on all that is drawn for experts by the plan."""
    made = plan_draw(study, GoldDrawSpec.model_validate(plan), name="gold", purpose="gold", now=True)
    write_gold(study, truth, made)
    return made


def write_gold(study, truth, draw, at_most=None):
    target, other = (study.scheme.labels.get(key=key) for key in ("convergence", "no_convergence"))
    drawn = draw.framed.drawn().order_by("number").values_list("item", flat=True)[:at_most]
    had = set(Gold.objects.filter(item__study=study).values_list("item", flat=True))
    Gold.objects.bulk_create(
        Gold(item_id=item, label=target if truth[item] else other, origin="single", draw=draw)
        for item in drawn
        if item not in had
    )
