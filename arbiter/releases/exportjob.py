"""The job that writes a study's dataset to a file."""

from dataclasses import dataclass
from typing import Any

from annotation.studyfinder import study_of
from arbiter.core.jobkinds import JobKind
from arbiter.core.jobworkers import RunningJob
from arbiter.releases.exporting import export_study, filename


@dataclass(frozen=True)
class ExportArguments:
    extension: str
    long: bool = False
    names: bool = False
    spreadsheet: bool = False

    def __str__(self) -> str:
        parts = [
            self.extension.upper() + (" for a spreadsheet" if self.spreadsheet else ""),
            "one row a rating" if self.long else "one row an item",
        ]
        return ", ".join([*parts, "with people's names"] if self.names else parts)


def export(asked: ExportArguments, running: RunningJob) -> dict[str, Any]:
    study = study_of(running.job)
    out = running.folder / filename(study, asked.extension, long=asked.long, spreadsheet=asked.spreadsheet)
    exported = export_study(
        study, out, long=asked.long, names=asked.names, spreadsheet=asked.spreadsheet, progress=running
    )
    return {"rows": exported["rows"], "bytes": out.stat().st_size}


EXPORT = JobKind("export", "Export", ExportArguments, export)
