"""Charts are well-formed SVG that names its cells, and loads nothing from elsewhere."""

from xml.etree import ElementTree

import pytest

from judging.charts import THEMES, rates_svg

SVG = "{http://www.w3.org/2000/svg}"


def row(subject, condition, rate, low, high):
    return {
        "subject": subject,
        "condition": condition,
        "rate_valid": rate,
        "low_valid": low,
        "high_valid": high,
    }


ROWS = [
    row("model-a", "baseline", 0.25, 0.1, 0.4),
    row("model-a", 'nudged & <so> "on"', 1.0, 0.8, 1.0),
    row("model-b", "baseline", None, None, None),
]


def words(svg):
    """Every text in the picture, in order."""
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    assert float(root.get("width")) > 0
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("theme", THEMES)
def test_a_rates_plot_names_its_cells_in_the_tables_order(theme):
    said = words(rates_svg(ROWS, ["subject", "condition"], theme))
    cells = [text for text in said if text.startswith("model-")]
    assert cells == [
        "model-a · baseline",
        'model-a · nudged & <so> "on"',
    ]  # without a rate there is no dot to draw
    assert {"0%", "100%"} <= set(said)
    assert "convergence rate, valid responses" in said


def test_a_plot_of_many_cells_names_each():
    rows = [row(f"model-{n:02}", "baseline", n / 40, n / 80, n / 40 + 0.1) for n in range(30)]
    said = words(rates_svg(rows, ["subject"]))
    assert [text for text in said if text.startswith("model-")] == [f"model-{n:02}" for n in range(30)]


def test_a_plot_of_nothing_is_still_a_picture():
    assert words(rates_svg([], ["subject"])) is not None


def test_a_picture_loads_nothing_and_runs_nothing():
    elements = list(ElementTree.fromstring(rates_svg(ROWS, ["subject"])).iter())
    assert not {element.tag for element in elements} & {f"{SVG}script", f"{SVG}image", f"{SVG}style"}
    attributes = [(name, value) for element in elements for name, value in element.attrib.items()]
    assert not [
        name
        for name, value in attributes
        if name.startswith("on") or name.endswith("href") or "url(http" in value
    ]
