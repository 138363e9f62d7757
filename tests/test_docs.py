"""Pages of docs/ are whole, their links lead somewhere, and commands that they show are taken."""

import re
import shlex
from pathlib import Path

import pytest

from benchmarks.__main__ import main

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


def test_what_the_page_of_tables_shows_is_planned(outputs, capsys):
    text = (ROOT / "docs" / "tables.md").read_text()
    (table,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (outputs.parent / "rates.yaml").write_text(table)
    commands = re.findall(r"^dgmbench (.+)$", text, re.MULTILINE)
    assert len(commands) == 6
    for command in commands:
        assert main(shlex.split(command)) == 0, command
    assert "hinge gaussian_ring s2: toy_ns_gan/gaussian_ring/" in capsys.readouterr().out
    assert not (outputs / "sweeps").exists()
