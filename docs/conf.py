"""Configure Sphinx, which makes a website of the README and of the pages in this folder: see `make docs`."""

import tomllib
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

ROOT = Path(__file__).resolve().parent.parent
NAVIGATION = {
    "Studies": ["docs/concepts", "docs/running-a-study", "docs/importing", "docs/study-file"],
    "People": ["docs/labelling", "docs/adjudication", "docs/gold"],
    "Judges and models": ["docs/judges", "docs/scorers", "docs/dialects", "docs/money"],
    "Numbers": ["docs/results", "docs/calibration", "docs/statistics", "docs/coverage"],
    "Reference": ["docs/commands", "docs/settings", "docs/operating"],
    "The project": ["CONTRIBUTING", "docs/architecture", "SECURITY", "CHANGELOG"],
}

project = "Arbiter"
version = release = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
html_title = f"Arbiter {release}"

# The pages link to each other as the files lie, so the whole checkout is the source. Sphinx walks through
# all of it but for what is excluded.
root_doc = "README"
include_patterns = ["README.md", *(f"{page}.md" for pages in NAVIGATION.values() for page in pages)]
include_patterns += ["docs/*.md"]  # also one that the navigation lacks, so that Sphinx complains
exclude_patterns = [".*", "var", "build", "node_modules"]
templates_path = ["_templates"]

extensions = ["myst_parser"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"  # the usual one loads a script from another host
highlight_language = "text"
html_theme = "furo"
html_additional_pages = {"index": "forward.html"}
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False


def add_navigation(app: Sphinx, page: str, source: list[str]) -> None:
    """Append the tables of contents to the README, where a reader of the file itself would not want them."""
    if page == root_doc:
        source[0] += "".join(
            f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(pages) + "\n```\n"
            for caption, pages in NAVIGATION.items()
        )


def write_inline(writer: HTML5Translator, formula: nodes.math) -> None:
    """Write a formula of a sentence as MathML, which browsers show by themselves."""
    _write(writer, formula, as_block=False)


def write_block(writer: HTML5Translator, formula: nodes.math_block) -> None:
    """Write a formula that stands by itself as MathML."""
    _write(writer, formula, as_block=True)


def _write(writer: HTML5Translator, formula: nodes.Element, *, as_block: bool) -> None:
    writer.body.append(tex2mathml(formula.astext(), as_block=as_block))
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Connect what is above to Sphinx, which calls this function by its name."""
    app.connect("source-read", add_navigation)
    app.add_html_math_renderer("mathml", (write_inline, None), (write_block, None))
