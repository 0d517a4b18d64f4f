"""Figures as files: the chart, the table behind it, the sentence; only for those who may read the study."""

import csv
import io
import re
from functools import partial

import pytest
from django.test import Client

from arbiter.analysis.figures import catalogue
from arbiter.analysis.figures.catalogue import Column, Figure, make_figure
from arbiter.analysis.figures.style import interval_dots
from arbiter.core.errors import UserError
from tests import builders

pytestmark = pytest.mark.django_db


def chart(colours):
    import altair as alt

    return (
        alt.Chart({"values": [{"x": 0.5, "y": "a"}]})
        .mark_circle(color=colours["accent"])
        .encode(x="x:Q", y="y:N")
    )


@pytest.fixture
def study(monkeypatch):
    def maker(study, query):
        if query.get("by") == "nonsense":
            raise UserError("there is no nonsense")
        rows = [{"name": "=1+1", "rate": 0.123456789, "n": None}]
        columns = [Column("name", "Name"), Column("rate", "Rate", "rate"), Column("n", "Items", "count")]
        return Figure("A title", columns, rows, f"Of {study.slug}, 12 % (n = 3).", chart, "What it shows")

    monkeypatch.setitem(catalogue.MAKERS, "tested", maker)
    made = builders.study()
    builders.cast(made)
    return made


@pytest.fixture
def viewer(study):
    client = Client()
    client.force_login(builders.User.objects.get(username="viewer"))
    return client


def test_the_chart_in_both_themes(study, viewer):
    light, dark = (
        viewer.get(f"/studies/tiny/figures/tested.svg?theme={theme}") for theme in ("light", "dark")
    )
    assert light["Content-Type"] == "image/svg+xml" and light.content.startswith(b"<svg")
    assert b"<script" not in light.content and light.content != dark.content
    assert "attachment" not in light.headers.get("Content-Disposition", "")
    assert (
        "tiny-tested.svg" in viewer.get("/studies/tiny/figures/tested.svg?download=1")["Content-Disposition"]
    )


def width_of(answer):
    return float(re.search(rb'<svg[^>]* width="([0-9.]+)"', answer.content)[1])


LONG = "a model with a long name · under a condition with a longer one"


@pytest.mark.parametrize("series", [(), ("corrected",), ("corrected", "as labelled")])
def test_on_a_phone_names_stand_over_their_marks_and_all_of_it_fits(study, viewer, monkeypatch, series):
    import altair as alt

    rows = [
        {"line": name, "series": of, "value": 0.9, "low": 0.8, "high": 1.0}
        for name in (LONG, "short")
        for of in series or ("",)
    ]
    drawn = partial(interval_dots, rows, axis=alt.Axis(format=".0%"), series=series)
    made = Figure(
        "A title", [Column("line", "Line")], rows, "Said.", lambda colours: drawn(colours=colours), ""
    )
    monkeypatch.setitem(catalogue.MAKERS, "tested", lambda study, query: made)
    wide, narrow = (viewer.get(f"/studies/tiny/figures/tested.svg?{query}") for query in ("", "narrow=1"))
    assert width_of(narrow) <= 350 < width_of(wide)
    assert LONG in narrow.content.decode()


def test_on_a_phone_a_grid_keeps_its_cells(study, viewer, monkeypatch):
    import altair as alt

    def grid(colours):
        cells = alt.Chart({"values": [{"x": "a", "y": "b"}]}).mark_rect().encode(x="x:N", y="y:N")
        return cells.properties(width=448, height=44)

    made = Figure("A title", [Column("x", "X")], [], "Said.", grid, "")
    monkeypatch.setitem(catalogue.MAKERS, "tested", lambda study, query: made)
    wide, narrow = (viewer.get(f"/studies/tiny/figures/tested.svg?{query}") for query in ("", "narrow=1"))
    assert wide.content == narrow.content


def test_the_picture_is_a_png(study, viewer):
    answer = viewer.get("/studies/tiny/figures/tested.png")
    assert answer["Content-Type"] == "image/png" and answer.content.startswith(b"\x89PNG")


def test_the_table_is_whole_unrounded_and_runs_nothing(study, viewer):
    answer = viewer.get("/studies/tiny/figures/tested.csv")
    rows = list(csv.reader(io.StringIO(answer.content.decode())))
    assert rows == [["name", "rate", "n"], ["'=1+1", "0.123456789", ""]]


def test_the_sentence(study, viewer):
    assert viewer.get("/studies/tiny/figures/tested.txt").content.decode() == "Of tiny, 12 % (n = 3).\n"


@pytest.mark.parametrize("address", ["unknown.svg", "tested.exe", "tested.svg?by=nonsense"])
def test_what_is_not_there(study, viewer, address):
    assert viewer.get(f"/studies/tiny/figures/{address}").status_code == 404


def test_every_registered_figure_is_found_by_name(study):
    with pytest.raises(KeyError):
        make_figure(study, "no-such-figure")
    assert make_figure(study, "tested", {"theme": "dark", "by": "x"}).query == {"by": "x"}


def test_a_kind_of_column_there_is_none_of():
    with pytest.raises(ValueError, match="a column is one of"):
        Column("name", "Name", "colour")
