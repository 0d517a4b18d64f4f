"""How right each judge is, held against the study's gold."""

from annotation.models import Rater, Study
from annotation.raters import latest_raters
from judging.counting import votes_of
from judging.statistics import HumanError, human_error


def human_error_of(study: Study) -> HumanError:
    """How often one human errs, from the items that two or more labelled; Undefined, with the reason, where too few are.

    What gold that is one human's word (`GoldSample.single`) tells is carried over by `rate_under_human_error(rate, low,
    high, found, target, single)`, with `target` the labels that count (a boolean for each of `GoldSample.labels`) and
    `single` that gold's share of the weight; several shares at once by `shares_under_human_error`. Gold that several agreed
    on, or an adjudicator decided, is taken as true. Experts are taken to err as the raters do.
    """
    humans = [rater for rater in latest_raters(study) if rater.kind == Rater.Kind.HUMAN]
    votes = votes_of(study, raters=humans)
    return human_error(votes.label_counts(), votes.counts)
