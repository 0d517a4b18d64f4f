"""The job that writes a study's report to a file."""

from dataclasses import dataclass
from typing import Any

from annotation.studyfinder import study_of
from arbiter.core.jobkinds import JobKind
from arbiter.core.jobworkers import RunningJob


@dataclass(frozen=True)
class ReportArguments:
    def __str__(self) -> str:
        return ""


def make_report(arguments: ReportArguments, running: RunningJob) -> dict[str, Any]:
    from arbiter.analysis.report.studyreport import style_hash, write_report

    study = study_of(running.job)
    size = write_report(study, running.folder / f"{study.slug}-report.html", running)
    return {"bytes": size, "style": style_hash()}


REPORT = JobKind("report", "Report", ReportArguments, make_report)
