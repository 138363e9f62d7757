"""A table's jobs out of the queue."""

import pytest

from benchmarks.__main__ import main
from benchmarks.execution.slurm import commands, submit
from benchmarks.execution.slurm.launcher import load_launcher
from benchmarks.execution.slurm.submissions import Notes, all_submissions
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.spec import load_spec


@pytest.fixture
def cancelled(outputs, taken, monkeypatch):
    """Two seeds of the quick table in the queue, two runs to a job; what is cancelled of it."""
    found = []
    monkeypatch.setattr(commands, "max_array_size", lambda: 100)
    monkeypatch.setattr(commands, "cancel", found.extend)
    launcher = load_launcher("slurm", ["launcher.runs_per_job=2"])
    runs = make_plan(load_spec("quick"), 2).all_runs
    assert len(list(submit.submit(runs, [], launcher, "quick"))) == 1
    assert len(taken) == 13
    return found


def test_a_row_alone(cancelled, capsys):
    assert main(["cancel", "quick", "--seeds", "1", "--rows", "MM GAN"]) == 0
    said = capsys.readouterr().out
    assert "cancelled 1 job(s) with 1 run(s) of quick" in said
    assert "these jobs held 1 other run(s), too" in said
    assert cancelled == ["7_0"]


def test_all_that_was_submitted_for_the_table(cancelled, capsys):
    (made,) = all_submissions()
    Notes("7_0", "n", 1, left="queued again").write(made.notes_path(0))
    assert main(["cancel", "quick", "--seeds", "1"]) == 0  # the second seed's, too
    assert "cancelled 13 job(s) with 25 run(s) of quick" in capsys.readouterr().out
    assert sorted(cancelled) == sorted(f"7_{i}" for i in range(13))
    assert {made.notes(i).left for i in range(13)} == {"cancelled"}
    assert made.notes(0).lives == 1


def test_nothing_there(cancelled, capsys):
    assert main(["cancel", "real_images"]) == 0
    assert "cancelled 0 job(s) with 0 run(s)" in capsys.readouterr().out
    assert main(["cancel", "quick", "--rows", "MM GaN"]) == 2
    assert (
        "rows must be of table quick, got 'MM GaN'; did you mean MM GAN" in capsys.readouterr().err
    )
    assert cancelled == []
