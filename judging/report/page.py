"""A study as one printable page without outside references: what was studied, how far raters agree, how judges err, what was
settled, the rates, what it cost, and what failed."""

import os
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from importlib import metadata
from pathlib import Path

from django.template.loader import render_to_string
from django.utils import timezone

from annotation.models import Rating, Study
from benchmark.errors import UserError
from judging.keeping import kept, stamp
from judging.report.parts import Section, told
from judging.report.results import agreement, biases, judged, rated, settled
from judging.report.setup import costs, failures, humans, judges, studied

STYLES = Path(__file__).resolve().parents[2] / "static" / "report.css"


@dataclass(frozen=True)
class Report:
    study: Study
    made_at: datetime
    version: str
    state: str  # of all labels and settlements: equal states, equal figures
    sections: tuple[Section, ...]
    simulated: bool

    @property
    def sentences(self) -> list[str]:
        """To put in a paper, in the order of the sections."""
        found = [figure.sentence for section in self.sections for figure in section.figures]
        return list(dict.fromkeys(one for one in found if one))


PARTS = (
    ("studied", "What was studied", studied),
    ("judges", "Judges", judges),
    ("humans", "People, draws and gold", humans),
    ("rates", "Rates", rated),
    ("agreement", "Agreement", agreement),
    ("gold", "Judges against gold", judged),
    ("biases", "Biases of the judges", biases),
    ("settlement", "Settlement", settled),
    ("failures", "Failures are outcomes", failures),
    ("costs", "Costs", costs),
)


def report(study: Study) -> Report:
    """Each section is kept by itself, so that a page may be made anew without working it all out."""
    sections = tuple(
        kept(study, f"report:{part[0]}", None, partial(_section, study, *part)) for part in PARTS
    )
    return Report(
        study, timezone.now(), metadata.version("arbiter"), stamp(study), sections, _simulated(study)
    )


def _section(study: Study, key: str, title: str, make: Callable[[Study, Section], None]) -> Section:
    return told(key, title, partial(make, study))


def _simulated(study: Study) -> bool:
    return Rating.objects.filter(item__study=study, simulated=True)[:1].exists()


def html(study: Study) -> str:
    return render_to_string("report/page.html", {"report": report(study), "style": style()})


def style() -> str:
    return STYLES.read_text(encoding="utf-8")


def style_hash() -> str:
    """As a content policy names the one style sheet that may apply."""
    text = f"\n{style()}"  # as the template has it between its tags
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def write(study: Study, path: Path) -> int:
    """Write the report, whole or not at all; returns its size in bytes."""
    text = html(study).encode()
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(text)
        os.replace(part, path)
    except OSError as error:
        raise UserError(f"The report can't be written to {path}: {error.strerror}.") from error
    return len(text)
