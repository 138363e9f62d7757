"""Offline logs of a table to the server of W&B."""

import subprocess

import pytest

from benchmarks.__main__ import main
from benchmarks.execution import sync
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.spec import load_spec


@pytest.fixture
def runs(outputs):
    """Two runs of the quick table with two and one offline logs."""
    found = make_plan(load_spec("quick"), 1).runs[:2]
    for i, run in enumerate(found):
        for part in range(2 - i):
            folder = run.run.logs / f"wandb/offline-run-2026010{part}_000000-x"
            folder.mkdir(parents=True)
            (folder / "run-x.wandb").touch()
    return found


@pytest.fixture
def called(monkeypatch):
    """The commands of W&B."""
    found = []

    def run(command, **options):
        if "wandb" in command:  # which itself asks git, the first time
            found.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(sync.subprocess, "run", run)
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    return found


def test_one_call_for_all_logs_in_order(runs, called, capsys):
    assert main(["sync", "quick", "--seeds", "1", "--dry-run"]) == 0
    assert "3 offline log(s) not uploaded yet" in capsys.readouterr().out
    assert called == []
    assert main(["sync", "quick", "--seeds", "1"]) == 0
    (command,) = called
    assert command[1:5] == ["-m", "wandb", "sync", "--yes"]
    names = [path.rsplit("-", 2)[1] for path in command[5:]]
    assert names == ["20260100_000000", "20260101_000000", "20260100_000000"]


def test_what_is_uploaded_or_at_work_is_left(runs, called, capsys):
    (uploaded,) = runs[1].run.logs.glob("wandb/*/*.wandb")
    uploaded.with_name("run-x.wandb.synced").touch()
    with runs[0].run.locked():
        assert main(["sync", "quick", "--seeds", "1"]) == 0
    said = capsys.readouterr().out
    assert "1 run(s) are at work and left out" in said
    assert "0 offline log(s)" in said
    assert called == []


def test_rows_are_chosen(runs, called, capsys):
    row = runs[1].row.label
    assert main(["sync", "quick", "--seeds", "1", "--rows", row, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "1 offline log(s) not uploaded yet" in said
    assert runs[1].run_id in said


def test_a_key_is_needed(runs, called, capsys, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setattr("benchmarks.loggers.wandb_logger.has_key", lambda: False)
    assert main(["sync", "quick", "--seeds", "1"]) == 2
    assert "W&B needs a key to upload" in capsys.readouterr().err
