"""`make docs`: the website is made without a warning, loads nothing from elsewhere, and every
page of it is reached.
"""

import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.scripts.conftest import ROOT

pytest.importorskip("sphinx", reason="the extra `docs` is not installed")
LOADING = {
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "img": "src",
    "input": "src",
    "link": "href",
    "object": "data",
    "script": "src",
    "source": "src",
    "video": "src",
}
ELSEWHERE = re.compile(r"\s*(https?:)?//", re.IGNORECASE)


class SitePage(HTMLParser):
    """What one page loads, and where it links to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag in LOADING and LOADING[tag] in given:
            self.loads.append(given[LOADING[tag]])
        self.loads += [part.split()[0] for part in given.get("srcset", "").split(",") if part.strip()]
        if tag == "a":
            self.links.append(given.get("href", ""))


def command(folder: Path, built: Path) -> list[str]:
    """Return what scripts/docs.py runs, loaded by its path since the folder docs/ has the same name."""
    spec = importlib.util.spec_from_file_location("make_docs", ROOT / "scripts" / "docs.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script.sphinx(sys.executable, folder, built)


@pytest.mark.slow
def test_the_website_is_whole(tmp_path):
    site = tmp_path / "site"
    done = subprocess.run(command(tmp_path, site), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not loaded_from_elsewhere(site)
    pages = {page.relative_to(ROOT).with_suffix("") for page in (ROOT / "docs").glob("*.md")}
    assert {site / page.with_suffix(".html") for page in pages} <= reached(site)
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    assert all(f'"{page.as_posix()}"' in index for page in pages)


def loaded_from_elsewhere(site: Path) -> list[str]:
    """Return what pages and style sheets load from another host."""
    loaded = {load for page in site.rglob("*.html") for load in SitePage(page).loads}
    assert {".css", ".js", ".png"} <= {Path(urlsplit(load).path).suffix for load in loaded}
    for sheet in site.rglob("*.css"):
        named = re.findall(
            r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""", sheet.read_text(encoding="utf-8")
        )
        loaded |= {url or imported for url, imported in named}
    return [load for load in sorted(loaded) if ELSEWHERE.match(load)]


def reached(site: Path) -> set[Path]:
    """Return the pages that links lead to, from the first on."""
    pages, pending = set(), {site / "index.html"}
    while pending:
        page = pending.pop()
        pages.add(page)
        links = [urlsplit(link) for link in SitePage(page).links]
        there = {
            (page.parent / unquote(link.path)).resolve() for link in links if not link.scheme and link.path
        }
        pending |= {one for one in there if one.suffix == ".html"} - pages
    return pages
