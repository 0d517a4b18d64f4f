"""A study of judges who share their errors, with gold on a drawn part of it."""

import numpy as np

from annotation.draws import plan_draw
from annotation.humanplan import DrawSpec
from annotation.ledger import Entry, record
from annotation.models import Draw, DrawnItem, Gold, Item, Study
from annotation.schemes import builtin_scheme
from benchmark.models import Response
from tests import builders
from tests.arbiter.statistics.plain_em import correlated

LABELS = ("no_convergence", "convergence")
ARMS = ("baseline", "watched")


def panel(
    seed: int = 0, tasks: int = 20, epochs: int = 12, share: float = 0.4, slug: str = "panel", **how
) -> tuple[Study, dict[int, str]]:
    """Make tasks x epochs under two conditions, three judges' votes, gold through a draw;
    and return each item's true label by key."""
    of = builders.suite(slug, tasks)
    study = Study.objects.create(slug=slug, title="Panel", scheme=builtin_scheme("four-class"))
    runs = [builders.run(of, "model-a", arm, f"{slug}-{arm}") for arm in ARMS]
    responses = Response.objects.bulk_create(
        builders.unsaved(runs[epoch % 2], task, epoch)
        for task in of.tasks.all()
        for epoch in range(1, epochs + 1)
    )
    Item.objects.bulk_create([Item(study=study, response=response) for response in responses])
    items = list(study.items.order_by("id"))
    truth, votes = correlated(seed, items=len(items), **how)
    raters = [builders.rater(f"judge-{number}") for number in range(votes.shape[1])]
    record(
        study.scheme,
        [
            Entry(item_id=item.pk, rater=rater, label=LABELS[label])
            for item, row in zip(items, votes, strict=True)
            for rater, label in zip(raters, row, strict=True)
        ],
    )
    true = {item.pk: LABELS[label] for item, label in zip(items, truth, strict=True)}
    if share:
        gold(study, true, share)
    return study, true


def gold(study: Study, true: dict[int, str], share: float) -> Draw:
    """Write experts' labels, free of error, on every item of a random draw."""
    draw = plan_draw(study, DrawSpec(share=share, seed=3), name="gold", purpose=Draw.Purpose.GOLD)
    assert isinstance(draw, Draw)
    keys = {label.key: label for label in study.scheme.labels.all()}
    drawn = DrawnItem.objects.drawn().filter(draw=draw).values_list("item", flat=True)
    Gold.objects.bulk_create(
        [Gold(item_id=item, label=keys[true[item]], origin="single", draw=draw) for item in drawn]
    )
    return draw


def right_share(study: Study, true: dict[int, str]) -> float:
    """Return the share that is right of the items that have a final label."""
    finals = study.items.filter(final__isnull=False).values_list("pk", "final__key")
    return float(np.mean([true[item] == label for item, label in finals]))
