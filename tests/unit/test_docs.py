"""Pages that are cited are there, by links and by docstrings.  (Sphinx lets links be, since some lead out of docs/.)"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SOURCES = [path for folder in ("src", "tests", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]


def anchors(page):
    """Of a page's headings, as myst and forges make them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for heading in re.findall(r"^#+ (.+)$", text, re.M):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_docstrings_cite_pages_that_exist():
    cited = {
        (path.name, page)
        for path in SOURCES
        for page in re.findall(r"docs/(?:[\w-]+/)*[\w-]+\.md", path.read_text(encoding="utf-8"))
    }
    assert ("reference.py", "docs/theory.md") in cited
    assert not [(source, page) for source, page in cited if not (ROOT / page).is_file()]
