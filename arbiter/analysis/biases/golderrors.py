"""What gold's own random errors could do to a test: it is made under each of several, and says what holds
under all of them.

Gold that errs at random makes clean judges look as if they erred together, minded length or leaned in a
category. How often it errs is known within limits where several people labelled the same items, else it is
allowed to err as often as `ALLOWANCE`.
"""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np

from arbiter.analysis.biases.evidence import BiasEvidence, Floats
from arbiter.analysis.biases.findings import Effect, whole_percent
from arbiter.core.text import how_many
from arbiter.statistics import Undefined, error_corners, even_errors, truth_weights, wrong_labels

ALLOWANCE = 0.05  # chance of a wrong gold label, a miss or an invention, where nobody has measured it


def possible_truths(evidence: BiasEvidence) -> list[Floats]:
    """Return the weights of every gold item's true label, shape (items, labels), under each error of gold:
    the likeliest one first.

    The errors: none; even ones; misses alone; inventions alone, each as large as allowed. Gold of one
    person's word errs instead as people do where that is known: by the estimate and at the corners of what is
    still likely.
    """
    gold, k = evidence.gold, len(evidence.labels)
    none = np.eye(k)
    shares = np.bincount(gold.gold, weights=gold.weights, minlength=k)
    target = evidence.target
    if evidence.sure or not len(gold) or not target.any() or target.all():
        return [truth_weights(gold.gold, none)]
    allowed = [
        even_errors(shares, ALLOWANCE),
        wrong_labels(shares, target, ALLOWANCE, 0),
        wrong_labels(shares, target, 0, ALLOWANCE),
    ]
    if gold.people is None or not gold.single.any():
        return [truth_weights(gold.gold, error) for error in (none, *allowed)]
    rests = [none] if gold.single.all() else [none, allowed[0]]
    corners = error_corners(gold.people, target)
    pairs = [(gold.people.error, none), (none, none), *product(corners, rests)]
    single = gold.single[:, np.newaxis]
    return [
        np.where(single, truth_weights(gold.gold, word), truth_weights(gold.gold, rest))
        for word, rest in pairs
    ]


def effect_under_all(truths: Sequence[Floats], look: Callable[[Floats], Effect], nothing: float) -> Effect:
    """Return the likeliest error's effect, with the bounds and the p that hold whichever of these errors gold
    makes.

    look: the effect if the true labels have these weights. nothing: the effect of no bias, which is taken in
    where some errors of gold would make an effect one way and others the other way.

    Raises Undefined where under one of them nothing can be said.
    """
    effects = []
    for place, one in enumerate(truths):
        try:
            effects.append(look(one))
        except Undefined as why:
            raise Undefined(f"if gold errs, nothing is known of it: {why}" if place else str(why)) from why
    low, high = min(one.low for one in effects), max(one.high for one in effects)
    sides = {one.effect > nothing for one in effects if one.effect != nothing}
    p = 1.0 if len(sides) > 1 else max(one.p for one in effects)
    return Effect(effects[0].effect, low, high, p)


def gold_error_note(evidence: BiasEvidence) -> str:
    """Say in a sentence how far gold is taken to err."""
    gold = evidence.gold
    if not len(gold):
        return ""
    if gold.people is None or not gold.single.any():
        return (
            "How often this gold errs is not known, so what is held against it is said only where it holds "
            f"for gold that errs at random in up to {whole_percent(ALLOWANCE)} of labels, misses and "
            "inventions."
        )
    wrong = whole_percent(1 - gold.people.right)
    return (
        f"Gold of one person's word is taken to err as people do: {wrong} of their labels are wrong, going "
        f"by {how_many(gold.people.items, 'item')} that several labelled, and what is held against gold is "
        "said only where it holds for every error rate still likely. Errors that people share are not seen "
        "in this."
    )
