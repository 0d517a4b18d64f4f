"""What a report is made of: sections with paragraphs, tables and figures. All of it is text until the
template escapes it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any

from annotation.models import Rater, Study
from annotation.raters import pseudonym, raters_of
from arbiter.analysis.figures.catalogue import Figure, make_figure
from arbiter.analysis.notation import cell
from arbiter.core.errors import UserError
from arbiter.statistics import Undefined
from benchmark.importunderway import ImportUnderWay

IDS = re.compile(r'(\bid="|url\(#|href="#)')


@dataclass(frozen=True)
class Table:
    """Cells as they are written. `numbers`: which columns stand right."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int] = frozenset()

    @property
    def columns(self) -> list[tuple[str, bool]]:
        return [(heading, place in self.numbers) for place, heading in enumerate(self.headings)]

    @property
    def cells(self) -> list[list[tuple[str, bool]]]:
        return [[(text, place in self.numbers) for place, text in enumerate(row)] for row in self.rows]


@dataclass(frozen=True)
class PrintedFigure:
    """A figure as it is printed: its picture, the table behind it and its sentence."""

    title: str
    svg: str  # safe: the renderer has escaped what it says
    table: Table
    sentence: str
    alt: str
    tabled: bool = True  # else the section has a fuller table


@dataclass
class Section:
    key: str
    title: str
    paragraphs: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    figures: list[PrintedFigure] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # what can't be said, and why

    def add(
        self, study: Study, name: str, query: Mapping[str, str] | None = None, *, tabled: bool = True
    ) -> None:
        """Add the figure of that name, or the reason why there is none."""
        try:
            figure = make_figure(study, name, query or {})
            printed = printed_figure(study, figure, f"{self.key}-{len(self.figures)}-")
            self.figures.append(replace(printed, tabled=tabled))
        except ImportUnderWay:
            raise
        except (UserError, Undefined) as why:
            self.missing.append(sentence(str(why)))


def sentence(text: str) -> str:
    """Return a text with a capital and a full stop."""
    text = " ".join(text.split())
    return text[:1].upper() + text[1:] + ("" if text[-1:] in ".!?" else ".")


def printed_figure(study: Study, figure: Figure, prefix: str) -> PrintedFigure:
    """Return a figure as it is printed. Pictures share a page, so each one's ids get its own prefix."""
    svg = IDS.sub(rf"\g<1>{prefix}", figure.svg("light"))
    numbers = frozenset(place for place, column in enumerate(figure.columns) if column.kind != "text")
    rows = [[cell(row, column) for column in figure.columns] for row in figure.rows]
    headings = [column.heading for column in figure.columns]
    hide = _hidden(study) if figure.name == "agreement-pairs" else str
    table = Table(figure.title, headings, [[hide(text) for text in row] for row in rows], numbers)
    return PrintedFigure(figure.title, hide(svg), table, hide(figure.sentence), figure.alt)


def _hidden(study: Study) -> Callable[[str], str]:
    """Return a function that puts pseudonyms for the people whose names a figure has: a report is passed
    on."""
    people = {str(one): pseudonym(study, one) for one in raters_of(study).filter(kind=Rater.Kind.HUMAN)}
    if not people:
        return str
    names = sorted({*people, *map(escape, people)}, key=len, reverse=True)
    pattern = re.compile(r"(?<![\w@-])(" + "|".join(map(re.escape, names)) + r")(?![\w@-])")
    by_name = people | {escape(name): shown for name, shown in people.items()}
    return lambda text: pattern.sub(lambda match: by_name[match[1]], text)


def section_or_why(key: str, title: str, make: Callable[[Section], Any]) -> Section:
    """Make a section; what a domain function refuses to say becomes the reason.
    But an import that is under way is none: the whole report waits for its end."""
    section = Section(key, title)
    try:
        make(section)
    except ImportUnderWay:
        raise
    except (UserError, Undefined) as why:
        section.missing.append(sentence(str(why)))
    return section
