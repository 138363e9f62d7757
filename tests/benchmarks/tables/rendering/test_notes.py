"""What stands below a table."""

from benchmarks.tables.rendering.render import render


def test_the_last_checkpoint_is_stated(mini):
    notes = render(mini, {}).notes
    assert "Selection: none; the last checkpoint of each run is scored." in notes
