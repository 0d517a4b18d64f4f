"""The study's gold in two parts: one to tune prompts and fit settlement on,
one kept sealed until somebody asks to look.

The parts are made of whole tasks, since two answers to one task are alike. Every task there is gets its part
at once, those that have gold by then spread evenly, so that the parts stay as they are while gold grows; a
task that comes later gets its part by a number of its own.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from annotation.models import Gold, Rater, Study
from arbiter.core.errors import UserError
from benchmark.importunderway import refuse_while_importing
from judging.models import GoldSplit, Reveal


def number_of(seed: int, task: int) -> float:
    """Return a task's own random number in [0, 1): the same for ever, whatever other tasks there are."""
    return int.from_bytes(sha256(f"{seed}:{task}".encode()).digest()[:8]) / 2**64


def is_sealed(split: GoldSplit | None, task: int) -> bool:
    if split is None:
        return False
    known = split.parts.get(str(task))
    return number_of(split.seed, task) < split.share if known is None else bool(known)


def split_of(study: Study) -> GoldSplit | None:
    return GoldSplit.objects.filter(study=study).first()


def split_gold(study: Study, seed: int = 0, share: float = 0.5) -> GoldSplit:
    """Split it, once: what was seen of the sealed part can't be unseen,
    so a second split would not be one."""
    if not 0 < share < 1:
        raise UserError(f"The sealed share must lie between 0 and 1, not at {share:g}.")
    if split_of(study):
        raise UserError(f"The gold of study {study.slug!r} is split already, and is split only once.")
    refuse_while_importing(study.pk)
    with_gold = set(
        Gold.objects.filter(item__study=study)
        .order_by()
        .values_list("item__response__task", flat=True)
        .distinct()
    )
    rows = list(study.items.order_by().values_list("response__task", "response__task__category").distinct())
    if len(rows) < 2:
        raise UserError(
            f"Study {study.slug!r} has too few tasks to be split; the parts are made of whole tasks."
        )
    strata = [(category, task in with_gold, task) for task, category in rows]
    parts = seal(strata, seed, share)
    refuse_while_importing(study.pk)  # one that has begun since: its gold would lie in no stratum
    try:
        with transaction.atomic():
            return GoldSplit.objects.create(
                study=study,
                seed=seed,
                share=share,
                parts={str(task): sealed for task, sealed in parts.items()},
            )
    except IntegrityError as error:  # somebody else was first
        raise UserError(
            f"The gold of study {study.slug!r} is split already, and is split only once."
        ) from error


def seal(tasks: Iterable[tuple[int, bool, int]], seed: int, share: float) -> dict[int, bool]:
    """Seal the tasks with the smallest numbers of every stratum (category, and whether a task has gold yet).
    What a stratum's share leaves over is carried to the next, so that all of them together come out right."""
    strata: dict[tuple[int, bool], list[int]] = defaultdict(list)
    for category, has_gold, task in tasks:
        strata[category, has_gold].append(task)
    parts: dict[int, bool] = {}
    seen, taken = 0, 0
    for key in sorted(strata, key=lambda key: (not key[1], key[0])):  # those with gold first
        order = sorted(strata[key], key=lambda task: number_of(seed, task))
        seen += len(order)
        room = min(len(order), max(0, round(share * seen) - taken))
        taken += room
        parts |= {task: place < room for place, task in enumerate(order)}
    return parts


# Looking at the sealed part


@dataclass(frozen=True)
class RevealCount:
    """Who was looked at, and how often in all: the more looks, the less sealed the rest of it is."""

    total: int
    raters: frozenset[int]


def looks(study: Study) -> RevealCount:
    raters = list(Reveal.objects.filter(split__study=study).values_list("rater", flat=True))
    return RevealCount(len(raters), frozenset(raters))


def reveal(study: Study, rater: Rater, reason: str, by: User | None = None) -> Reveal:
    """Look at a judge's figures on the sealed gold. Each look is a row that stays, with who, when and why."""
    split = split_of(study)
    if split is None:
        raise UserError(f"The gold of study {study.slug!r} is not split, so nothing of it is sealed.")
    if not reason.strip():
        raise UserError("Say why you look: the reason is kept, and shown with the figures.")
    refuse_while_importing(study.pk)
    return Reveal.objects.create(split=split, rater=rater, by=by, reason=reason.strip()[:2000])
