"""The job that settles a study."""

from dataclasses import dataclass
from typing import Any

from annotation.studyfinder import study_of
from arbiter.core.jobkinds import JobKind
from arbiter.core.jobworkers import RunningJob


@dataclass(frozen=True)
class SettleArguments:
    rule: str
    threshold: float = 0.9
    audit_share: float = 0.0

    def __str__(self) -> str:
        said = f"{self.rule}, from {100 * self.threshold:g} %" if self.rule == "model" else self.rule
        return f"{said}, audit of {100 * self.audit_share:g} %" if self.audit_share else said


def run_settling(asked: SettleArguments, running: RunningJob) -> dict[str, Any]:
    """Settle the study. One that was cut off is gone on with: the same labels make the same version."""
    from judging.settlement import settling  # with what it computes by, which few processes need

    study = study_of(running.job)
    return settling.settle(
        study,
        asked.rule,
        threshold=asked.threshold,
        audit_share=asked.audit_share,
        by=running.job.by,
        progress=running,
    )


SETTLE = JobKind("settle", "Settlement", SettleArguments, run_settling, makes_file=False)
