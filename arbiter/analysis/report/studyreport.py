"""A study as one printable page without outside references: what was studied, how far raters agree, how
judges err, what was settled, the rates, what it cost, and what failed."""

import os
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from importlib import metadata
from pathlib import Path

from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils import timezone

from annotation.models import Rating, Study
from arbiter.analysis.notation import unbroken
from arbiter.analysis.report.methods import (
    costs_section,
    failures_section,
    judges_section,
    people_section,
    responses_section,
)
from arbiter.analysis.report.results import (
    agreement_section,
    biases_section,
    gold_section,
    rates_section,
    settlement_section,
)
from arbiter.analysis.report.sections import Section, section_or_why
from arbiter.core.errors import UserError
from arbiter.core.longwork import TellProgress, tell_nobody
from benchmark.importunderway import refuse_while_importing
from judging.votes.kept_figures import kept, stamp

STYLES = "analysis/report.css"


@dataclass(frozen=True)
class StudyReport:
    study: Study
    made_at: datetime
    version: str
    state: str  # of all labels and settlements: equal states, equal figures
    sections: tuple[Section, ...]
    simulated: bool

    @property
    def sentences(self) -> list[str]:
        """Return the sentences to put in a paper, in the order of the sections."""
        sentences = [figure.sentence for section in self.sections for figure in section.figures]
        return list(dict.fromkeys(one for one in sentences if one))


PARTS = (
    ("studied", "What was studied", responses_section),
    ("judges", "Judges", judges_section),
    ("humans", "People, draws and gold", people_section),
    ("rates", "Rates", rates_section),
    ("agreement", "Agreement", agreement_section),
    ("gold", "Judges against gold", gold_section),
    ("biases", "Biases of the judges", biases_section),
    ("settlement", "Settlement", settlement_section),
    ("failures", "Failures are outcomes", failures_section),
    ("costs", "Costs", costs_section),
)


def study_report(study: Study, progress: TellProgress = tell_nobody) -> StudyReport:
    """Make a study's report. Each section is kept by itself, so that a page may be made anew without working
    it all out."""
    sections = []
    for done, part in enumerate(PARTS):
        progress(done, len(PARTS), "sections")
        sections.append(kept(study, f"report:{part[0]}", None, partial(_section, study, *part)))
    return StudyReport(
        study, timezone.now(), metadata.version("arbiter"), stamp(study), tuple(sections), _simulated(study)
    )


def _section(study: Study, key: str, title: str, make: Callable[[Study, Section], None]) -> Section:
    return section_or_why(key, title, partial(make, study))


def _simulated(study: Study) -> bool:
    return Rating.objects.filter(item__study=study, simulated=True)[:1].exists()


def report_html(study: Study, progress: TellProgress = tell_nobody) -> str:
    """Return the report as a page. Refuses while an import is under way, also one that has begun since."""
    refuse_while_importing(study.pk)
    context = {"report": study_report(study, progress), "style": report_style()}
    refuse_while_importing(study.pk)
    return unbroken(render_to_string("analysis/report/page.html", context))


def report_style() -> str:
    """Return the report's style sheet, which stands in it, as it is one file."""
    return Path(str(finders.find(STYLES))).read_text(encoding="utf-8")


def style_hash() -> str:
    """Return the hash by which a content policy names the one style sheet that may apply."""
    text = f"\n{report_style()}"  # as the template has it between its tags
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def write_report(study: Study, path: Path, progress: TellProgress = tell_nobody) -> int:
    """Write the report, whole or not at all; return its size in bytes."""
    text = report_html(study, progress).encode()
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(text)
        os.replace(part, path)
    except OSError as error:
        raise UserError(f"The report can't be written to {path}: {error.strerror}.") from error
    return len(text)
