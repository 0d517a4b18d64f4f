"""The training round: reserved examples with their gold label, reason and evidence, and a score to pass."""

from annotation.models import Purpose
from annotation.routing import Desk


def passed(desk: Desk) -> bool:
    """Whether the rater may enter the pool. Experts are taken at their word."""
    assert desk.plan is not None
    return desk.plan.training is None or desk.purpose == Purpose.GOLD or desk.enrolment.trained_at is not None
