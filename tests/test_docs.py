"""Pages of docs/ are whole, and their links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere_and_nothing_is_left_to_fill_in(page):
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert all((page.parent / link).exists() for link in links), links
    assert not re.search(r"\{[A-Z]\w*\}|TODO|TBD|\?\?\?", text)


def test_the_readme_names_every_page():
    readme = PAGES[0].read_text()
    assert all(f"docs/{page.name}" in readme for page in PAGES[1:])
