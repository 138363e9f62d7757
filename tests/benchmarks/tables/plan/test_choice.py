"""Rows and columns are chosen alike by every verb of a table."""

import re

from benchmarks.__main__ import main
from benchmarks.tables.plan.choice import Choice
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.spec import load_spec
from tests.benchmarks.tables.helpers import put


def test_rows_and_columns_choose_runs(mini, capsys):
    assert main(["table", "mini", "--dry-run", "--rows", "B", "--columns", "bits"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("untrained_pixelcnn_quick/digits/") == 2
    assert "oord2016" not in shown
    assert main(["table", "mini", "--dry-run", "--rows", "BB"]) == 2
    assert "rows must be of table mini, got 'BB'" in capsys.readouterr().err
    assert main(["table", "mini", "--retry", "lost"]) == 2
    assert "retry must be of failed, diverged, timeout, oom, got 'lost'" in capsys.readouterr().err


def test_rows_and_columns_are_chosen_alike(mini, capsys):
    for run in mini.runs:
        put(run, status="failed")
    assert main(["status", "mini", "--rows", "B", "--columns", "digits"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^B digits s1 .* failed: why$", shown, re.M)
    assert not re.search(r"^A ", shown, re.M)
    for run in mini.runs:
        put(run)
        run.run.checkpoints.mkdir()
        for name in ("64.ckpt", "128.ckpt"):
            (run.run.checkpoints / name).touch()
    assert main(["prune", "mini", "--rows", "A", "--seeds", "1", "--dry-run"]) == 0
    assert mini.runs[0].run_id in (shown := capsys.readouterr().out)
    assert "1 file(s)" in shown
    for verb in ("status", "sync", "prune", "cancel"):
        assert main([verb, "mini", "--rows", "D"]) == 2
        assert "rows must be of table mini, got 'D'" in capsys.readouterr().err
    assert main(["status", "--rows", "A"]) == 2
    assert "table must be given with" in capsys.readouterr().err


def test_columns_are_data_sets_or_labels(outputs):
    plan = make_plan(load_spec("mode_collapse_quick"), 1)
    by_name, by_label = Choice(columns=("gaussian_ring",)), Choice(columns=("Ring, modes",))
    found = {run.dataset for run in plan.all_runs}
    assert found == {"gaussian_ring", "gaussian_grid"}
    for choice in (by_name, by_label):
        assert choice.datasets(plan.spec) == ["gaussian_ring"]
        assert {run.dataset for run in choice.runs(plan)} == {"gaussian_ring"}
        assert len(choice.runs(plan)) == len(plan.all_runs) / 2
