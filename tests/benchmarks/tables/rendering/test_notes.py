"""What stands below a table."""

import pytest

from benchmarks.core.errors import UserError
from benchmarks.tables.rendering.render import render
from tests.benchmarks.tables.helpers import put


def test_the_last_checkpoint_is_stated(mini):
    notes = render(mini, {}).notes
    assert "Selection: none; the last checkpoint of each run is scored." in notes


def scored_with(run, extractor):
    put(run, attributes={"likelihood": "exact", "extractor": extractor})


def test_the_extractor_of_a_column_is_named(mini):
    for run in mini.runs:
        scored_with(run, "Net 1")
    (note,) = [n for n in render(mini, mini.records(False)).notes if n.startswith("bits: `bits_")]
    assert "on `digits`, extractor Net 1 (" in note


def test_scores_of_several_extractors_are_refused(mini):
    scored_with(mini.runs[0], "Net 1")
    scored_with(mini.runs[2], "Net 2")
    with pytest.raises(UserError, match="column 'bits' mixes extractors: Net 1, Net 2"):
        render(mini, mini.records(False))


def test_notes_of_a_row_and_of_its_runs_name_them(mini):
    put(mini.runs[0], notes=["scored twice"])
    notes = render(mini, mini.records(False)).notes
    assert notes[0] == "A note."
    assert "B: of B" in notes
    assert "A digits s0: scored twice." in notes
    assert notes[-1] == (
        "Costs are of training, means per finished run, on: CPU, 1 process(es) of 1 thread(s)."
    )
