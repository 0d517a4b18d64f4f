"""What a report is made of: sections with paragraphs, tables and figures. All of it is text until the template escapes it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any

from annotation.models import Rater, Study
from annotation.raters import pseudonym, raters_of
from benchmark.errors import UserError
from judging.figures import Figure, make_figure
from judging.statistics import Undefined
from judging.templatetags.figures import cell

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
class Printed:
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
    figures: list[Printed] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # what can't be said, and why

    def add(
        self, study: Study, name: str, query: Mapping[str, str] | None = None, *, tabled: bool = True
    ) -> None:
        """A figure, or the reason why there is none."""
        try:
            found = make_figure(study, name, query or {})
            made = printed(study, found, f"{self.key}-{len(self.figures)}-")
            self.figures.append(replace(made, tabled=tabled))
        except (UserError, Undefined) as why:
            self.missing.append(sentence(str(why)))


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    text = " ".join(text.split())
    return text[:1].upper() + text[1:] + ("" if text[-1:] in ".!?" else ".")


def printed(study: Study, figure: Figure, prefix: str) -> Printed:
    """Pictures share a page, so each one's ids get its own prefix."""
    svg = IDS.sub(rf"\g<1>{prefix}", figure.svg("light"))
    numbers = frozenset(place for place, column in enumerate(figure.columns) if column.kind != "text")
    rows = [[cell(row, column) for column in figure.columns] for row in figure.rows]
    headings = [column.heading for column in figure.columns]
    hide = _hidden(study) if figure.name == "agreement-pairs" else str
    table = Table(figure.title, headings, [[hide(text) for text in row] for row in rows], numbers)
    return Printed(figure.title, hide(svg), table, hide(figure.sentence), figure.alt)


def _hidden(study: Study) -> Callable[[str], str]:
    """Puts pseudonyms for the people whose names a figure has: a report is passed on."""
    people = {str(one): pseudonym(study, one) for one in raters_of(study).filter(kind=Rater.Kind.HUMAN)}
    if not people:
        return str
    names = sorted({*people, *map(escape, people)}, key=len, reverse=True)
    found = re.compile(r"(?<![\w@-])(" + "|".join(map(re.escape, names)) + r")(?![\w@-])")
    by_name = people | {escape(name): shown for name, shown in people.items()}
    return lambda text: found.sub(lambda match: by_name[match[1]], text)


def told(key: str, title: str, make: Callable[[Section], Any]) -> Section:
    """A section; what a domain function refuses to say becomes the reason."""
    section = Section(key, title)
    try:
        make(section)
    except (UserError, Undefined) as why:
        section.missing.append(sentence(str(why)))
    return section
