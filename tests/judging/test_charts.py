"""Charts are well-formed SVG that names its cells, and loads nothing from elsewhere."""

from xml.etree import ElementTree

import pytest

from judging.charts import THEMES, confusion_svg, rates_svg

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


@pytest.mark.parametrize("theme", THEMES)
def test_a_confusion_map_names_its_labels_and_raters_and_writes_its_counts(theme):
    titles = ["Convergence", "No convergence", "Safety refusal"]
    said = words(confusion_svg(titles, [[11, 2, 0], [3, 14, 0], [0, 0, 0]], "ann", "judge-a", theme))
    assert [said.count(title) for title in titles] == [2, 2, 2]
    assert {"ann", "judge-a"} <= set(said)
    numbers = [text for text in said if text.isdigit()]
    assert sorted(map(int, numbers)) == [0, 0, 0, 0, 0, 2, 3, 11, 14]


@pytest.mark.parametrize(
    "draw",
    [lambda: rates_svg(ROWS, ["subject"]), lambda: confusion_svg(["A", "B"], [[1, 0], [0, 1]], "x", "y")],
    ids=["rates", "confusion"],
)
def test_a_picture_loads_nothing_and_runs_nothing(draw):
    elements = list(ElementTree.fromstring(draw()).iter())
    assert not {element.tag for element in elements} & {f"{SVG}script", f"{SVG}image", f"{SVG}style"}
    attributes = [(name, value) for element in elements for name, value in element.attrib.items()]
    assert not [
        name
        for name, value in attributes
        if name.startswith("on") or name.endswith("href") or "url(http" in value
    ]
