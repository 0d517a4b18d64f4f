"""Figures: a chart with the table behind it and the sentence to put in a paper, each to be had as a file.

A module registers its figures by `@figure("name")`; the page shows them by templates/web/study/_figure.html,
and one address serves them all. What a figure depends on beside the study is in its query.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any
from urllib.parse import urlencode

from annotation.models import Study
from arbiter.core.csvfile import csv_lines
from benchmark.importunderway import refuse_while_importing

Row = Mapping[str, Any]
KINDS = ("text", "count", "rate", "decimal", "p")
# Where figures are. Imported at the first one asked for, so that a web process starts without them.
REGISTERED: list[str] = [
    "arbiter.analysis.figures.agreement",
    "arbiter.analysis.figures.biases",
    "arbiter.analysis.figures.calibration",
    "arbiter.analysis.figures.costs",
    "arbiter.analysis.figures.planning",
    "arbiter.analysis.figures.rates",
    "arbiter.analysis.figures.settlement",
]
PNG_SCALE = 2.0
WHILE_IMPORTING = {"costs", "settlement-reliability"}  # of what was spent and settled: no import changes it


@dataclass(frozen=True)
class Column:
    key: str
    heading: str
    kind: str = "text"  # how pages write it: text, count, rate (per cent), decimal, p

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"a column is one of {', '.join(KINDS)}, not {self.kind!r}")


@dataclass(frozen=True)
class Figure:
    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    sentence: str  # for a paper: what was measured, on how many, with which interval
    chart: Callable[[dict[str, str]], Any]  # given a theme's colours, the Altair chart
    alt: str
    name: str = ""
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def parameters(self) -> str:
        return urlencode(self.query)

    def svg(self, theme: str = "light", *, narrow: bool = False) -> str:
        """Return the chart as SVG; `narrow` for a phone."""
        import vl_convert

        return str(vl_convert.vegalite_to_svg(self._spec(theme, narrow=narrow)))

    def png(self, theme: str = "light") -> bytes:
        import vl_convert

        return bytes(vl_convert.vegalite_to_png(self._spec(theme, opaque=True), scale=PNG_SCALE))

    def _spec(self, theme: str, *, opaque: bool = False, narrow: bool = False) -> str:
        from arbiter.analysis.figures.style import THEMES, narrowed, styled

        chart = styled(self.chart(THEMES[theme]), THEMES[theme])
        spec = chart.to_dict(validate=False)
        spec = narrowed(spec) if narrow else spec
        if opaque:  # a picture pasted into a paper has no page behind it
            spec.setdefault("config", {})["background"] = "#ffffff" if theme == "light" else "#14181c"
        return json.dumps(spec)

    def csv(self) -> str:
        """Return the table as CSV, numbers unrounded."""
        keys = [column.key for column in self.columns]
        return "".join(csv_lines(keys, ([row.get(key) for key in keys] for row in self.rows)))


Maker = Callable[[Study, Mapping[str, str]], Figure]
MAKERS: dict[str, Maker] = {}


def figure(name: str) -> Callable[[Maker], Maker]:
    """Register what makes the figure of that name from a study and a query. It raises UserError on a query it
    can't answer."""

    def register(maker: Maker) -> Maker:
        MAKERS[name] = maker
        return maker

    return register


def make_figure(study: Study, name: str, query: Mapping[str, str] | None = None) -> Figure:
    """Make the figure of that name. KeyError where there is none. While an import is under way, only what it
    doesn't change is drawn."""
    if name not in WHILE_IMPORTING:
        refuse_while_importing(study.pk)
    for module in REGISTERED:
        import_module(module)
    parameters = {key: value for key, value in (query or {}).items() if key not in ("theme", "narrow")}
    return replace(MAKERS[name](study, parameters), name=name, query=parameters)
