"""The same table as Markdown, CSV, LaTeX, text and JSON."""

import csv
import io
import json
import re

import pytest

from benchmarks.tables.analysis.cells import join
from benchmarks.tables.rendering.formats import to_csv, to_json, to_latex, to_markdown, to_terminal
from benchmarks.tables.rendering.render import render, rendered
from tests.benchmarks.tables.helpers import put


def test_formats(mini):
    put(mini.runs[0], 1.0, deviations=["a <b>"])
    table = render(mini, mini.records(False))
    rows = list(csv.reader(io.StringIO(to_csv(table))))
    costs = ["images seen", "device-hours", "images/s", "memory (GB)"]
    assert rows[0] == ["method", "bits ↓", "n", "failures", *costs]
    assert rows[1][:2] == ["A", "1.00"]
    markdown = to_markdown(table)
    body = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(body) == 2 + 3
    assert {line.count("|") for line in body} == {9}
    assert re.search(
        r"bits: `bits_per_dim` of protocol `bits_per_dim_test` \([0-9a-f]{12}\)", markdown
    )
    assert "likelihood exact" in markdown
    assert "B: of B" in markdown
    assert "A deviates from the paper: a <b>" in markdown
    lines = to_terminal(table).splitlines()
    assert len({len(line) for line in lines[2:7]}) == 1


def test_latex_is_escaped_and_json_is_whole(mini):
    put(mini.runs[0], 1.0, deviations=["50 % of_it & more"])
    put(mini.runs[1], 2.0)
    table = join(mini, mini.records(False))
    text = to_latex(rendered(table))
    assert r"Mini | table" in text
    assert r"bits $\downarrow$" in text
    assert r"1.50 $\pm$ 0.71" in text
    assert all(line.startswith("%") for line in text.splitlines() if "of_it" in line)
    values = json.loads(to_json(table))
    (cell,) = [c for c in values["cells"] if c["row"] == "A"]
    assert cell["by_seed"] == {"0": 1.0, "1": 2.0}
    assert cell["interval"][0] < 1.5 < cell["interval"][1]
    (cost,) = values["costs"]
    assert (cost["row"], cost["dataset"]) == ("A", "digits")
    assert cost["device_hours"] == pytest.approx(3 / 3600)
