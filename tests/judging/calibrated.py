"""Studies with gold and judges who err in known ways."""

from collections.abc import Callable, Sequence
from typing import Any

from annotation.draws import plan_draw
from annotation.humanplan import DrawSpec
from annotation.ledger import Entry, record
from annotation.models import Draw, Gold, Item, Rater, Study
from tests import builders

TRUTH = ("convergence", "no_convergence", "no_convergence", "safety_refusal", "convergence")


def truth_of(item: Item) -> str:
    return TRUTH[builders.place_of(item) % len(TRUTH)]


def golden(
    study: Study, items: Sequence[Item] | None = None, origin: str = "single", draw: Draw | None = None
) -> None:
    """Write gold that says the truth, on these items or on all."""
    label = {one.key: one for one in study.scheme.labels.all()}
    chosen = study.items.all() if items is None else items
    Gold.objects.bulk_create(
        Gold(item=item, label=label[truth_of(item)], origin=origin, draw=draw) for item in chosen
    )


def gold_draw(study: Study, **plan: Any) -> Draw:
    made = plan_draw(study, DrawSpec(**plan), name="gold", purpose=Draw.Purpose.GOLD)
    assert isinstance(made, Draw)
    return made


def labels(study: Study, by: Rater, said: Callable[[Item], str | None], **fields: Any) -> None:
    """Record one rater's labels of every item it says something of; `fields` may be functions of the item."""
    entries = [
        Entry(
            item_id=item.pk,
            rater=by,
            label=label,
            **{name: value(item) if callable(value) else value for name, value in fields.items()},
        )
        for item in study.items.order_by("pk")
        if (label := said(item))
    ]
    record(study.scheme, entries)


def off(item: Item, by: int) -> str:
    """Return the truth, but on every `by`-th item."""
    if builders.place_of(item) % by:
        return truth_of(item)
    return "no_convergence" if truth_of(item) == "convergence" else "convergence"


def judged(study: Study, name: str = "judge-a", by: int = 7, **fields: Any) -> Rater:
    """Make a judge that errs on every `by`-th item."""
    rater = builders.rater(name)
    labels(study, rater, lambda item: off(item, by), **fields)
    return rater
