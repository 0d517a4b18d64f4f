"""How often one person errs in a study, from the items that several labelled, and what that can't tell."""

from annotation.models import Rater, Study
from annotation.raters import latest_raters
from arbiter.statistics import HumanError, Undefined, human_error
from judging.votes.counting import votes_of
from judging.votes.kept_figures import kept


def human_error_of(study: Study) -> HumanError:
    """Return how often one human errs, from the items that two or more labelled; Undefined, with the reason,
    where too few are.

    What gold that is one human's word (`GoldSample.single`) tells is carried over by
    `rate_under_human_error(rate, low, high, found, target, single)`, with `target` the labels that count (a
    boolean for each of `GoldSample.labels`) and `single` that gold's share of the weight; several shares at
    once by `shares_under_human_error`. Gold that several agreed on, or an adjudicator decided, is taken as
    true. Experts are taken to err as the raters do.
    """
    humans = [rater for rater in latest_raters(study) if rater.kind == Rater.Kind.HUMAN]
    votes = votes_of(study, raters=humans)
    return human_error(votes.label_counts(), votes.counts)


def human_error_or_why(study: Study) -> tuple[HumanError | None, str]:
    try:
        return human_error_of(study), ""
    except Undefined as why:
        return None, str(why)


def error_said(error: HumanError) -> str:
    """Say what a figure takes in, and what it can't, once humans' errors are taken out of it."""
    if error.full:
        known_from = (
            f"from {error.items:,} items with several labels, {error.tripled:,} of them with three, which "
            "tell misses from inventions"
        )
    else:
        known_from = (
            f"from {error.items:,} items with two labels, which don't tell misses from inventions: the "
            "bounds hold both extremes, misses alone and inventions alone"
        )
    return (
        f"Humans' errors are known {known_from}; what so few leave open of them is in the bounds. Humans who "
        "err together agree, so errors that they share are seen by nobody, and are not in the bounds."
    )


def human_error_kept(study: Study) -> tuple[HumanError | None, str]:
    return kept(study, "human-error", "", lambda: human_error_or_why(study))
