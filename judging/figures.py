"""Figures: a chart with the table behind it and the sentence to put in a paper, each to be had as a file.

A module registers its figures by `@figure("name")`; the page shows them by templates/study/_figure.html, and one address
serves them all. What a figure depends on beside the study is in its query.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from urllib.parse import urlencode

from annotation.models import Study

Row = Mapping[str, Any]
KINDS = ("text", "count", "rate", "decimal", "p")
# Where figures are. Imported at the first one asked for, so that a web process starts without them.
REGISTERED: list[str] = [
    "judging.rates.page",
    "judging.calibration.figures",
    "judging.agreement.figures",
    "judging.biases.figures",
    "judging.planning.figures",
    "judging.cost_figures",
    "judging.settlement.figures",
]
PNG_SCALE = 2.0


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
        """`narrow` for a phone."""
        import vl_convert

        return str(vl_convert.vegalite_to_svg(self._spec(theme, narrow=narrow)))

    def png(self, theme: str = "light") -> bytes:
        import vl_convert

        return bytes(vl_convert.vegalite_to_png(self._spec(theme, opaque=True), scale=PNG_SCALE))

    def _spec(self, theme: str, *, opaque: bool = False, narrow: bool = False) -> str:
        from judging.charts import THEMES, narrowed, styled

        chart = styled(self.chart(THEMES[theme]), THEMES[theme])
        spec = chart.to_dict(validate=False)
        spec = narrowed(spec) if narrow else spec
        if opaque:  # a picture pasted into a paper has no page behind it
            spec.setdefault("config", {})["background"] = "#ffffff" if theme == "light" else "#14181c"
        return json.dumps(spec)

    def csv(self) -> str:
        """The table, numbers unrounded."""
        out = io.StringIO(newline="")
        writer = csv.writer(out)
        writer.writerow([column.key for column in self.columns])
        writer.writerows(
            [_safe(row.get(column.key), column.kind) for column in self.columns] for row in self.rows
        )
        return out.getvalue()


def _safe(value: Any, kind: str) -> Any:
    """A text that a spreadsheet would run as a formula gets an apostrophe before it."""
    if kind == "text" and isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return "" if value is None else value


Maker = Callable[[Study, Mapping[str, str]], Figure]
MAKERS: dict[str, Maker] = {}


def figure(name: str) -> Callable[[Maker], Maker]:
    """Registers what makes the figure of that name from a study and a query. It raises UserError on a query it can't answer."""

    def register(maker: Maker) -> Maker:
        MAKERS[name] = maker
        return maker

    return register


def make_figure(study: Study, name: str, query: Mapping[str, str] | None = None) -> Figure:
    """KeyError where there is none of that name."""
    for module in REGISTERED:
        import_module(module)
    asked = {key: value for key, value in (query or {}).items() if key not in ("theme", "narrow")}
    made = MAKERS[name](study, asked)
    return Figure(
        **{**{key: getattr(made, key) for key in made.__dataclass_fields__}, "name": name, "query": asked}
    )
