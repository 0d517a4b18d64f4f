"""A person's decision on a disputed item: a new row; an earlier decision stays."""

from django.db import IntegrityError, transaction
from django.db.models import Max

from annotation.models import Adjudication, Item, Rater
from benchmark.errors import UserError
from benchmark.text import storable


def adjudicate(item: Item, adjudicator: Rater, label_key: str, reason: str) -> Adjudication:
    label = item.study.scheme.labels.filter(key=label_key).first()
    if label is None:
        raise UserError("Choose a label first.")
    if not reason.strip():
        raise UserError("Give a reason: whoever reads the dataset will want it.")
    top = item.adjudications.aggregate(top=Max("revision"))["top"] or 0
    try:
        with transaction.atomic():
            return Adjudication.objects.create(
                item=item,
                label=label,
                revision=top + 1,
                adjudicator=adjudicator,
                reason=storable(reason.strip())[0],
            )
    except IntegrityError as error:
        raise UserError("Somebody else has just decided this item; look at their decision first.") from error
