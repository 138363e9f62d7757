"""Spare hours: what is begun, what is left, and what is refused."""

import os
import time

import pytest

from benchmarks.__main__ import main
from benchmarks.core.errors import UserError
from benchmarks.execution import queue
from benchmarks.tables.plan.rates import kept_rates
from tests.benchmarks.tables.helpers import MINI, put, write_mini


@pytest.fixture(autouse=True)
def _as_nice_as_ever(monkeypatch):
    """The tests go on after the queue."""
    monkeypatch.setattr(os, "nice", lambda by: by)


def measured(mini, seconds):
    """Let a run of A be done, whose rate is that of its other seed."""
    record = put(mini.runs[0])
    record.cost["seconds"] = seconds
    record.write(mini.runs[0].run.record_path)


def test_what_is_missing_is_done_one_after_the_other(mini, python, tmp_path, capsys):
    measured(mini, 3.0)
    python(f'echo "$@" >> {tmp_path}/log')
    assert main(["queue", "mini", "--hours", "1"]) == 1  # the scripts leave no record
    told = capsys.readouterr().out
    commands = (tmp_path / "log").read_text().splitlines()
    assert len(commands) == len(mini.runs) - 1
    first, second, third, *_ = [c.split("experiment=")[1].split()[0] for c in commands]
    assert first == second == "untrained/pixelcnn_quick"  # it trains nothing
    assert third == "oord2016/pixelcnn_quick"  # whose cost is known
    assert "next: mini: A digits s1, 0." in told
    assert "beside no published number; 1.00 hours left" in told
    assert f"{len(commands)} of {len(commands)} runs were worked on" in told


def test_the_hours_end_what_is_at_work(mini, python, tmp_path, capsys):
    python(f"echo begun >> {tmp_path}/log; trap 'echo ended >> {tmp_path}/log; exit 75' TERM\n"
           "while true; do sleep 0.01; done")  # fmt: skip
    began = time.monotonic()
    assert main(["queue", "mini", "--hours", str(1 / 3600)]) == 0
    assert time.monotonic() - began >= 1
    assert (tmp_path / "log").read_text().split() == ["begun", "ended"]
    assert f"1 of {len(mini.runs)} runs were worked on" in capsys.readouterr().out


def test_a_dry_run_prints_the_order(mini, capsys):
    measured(mini, 300.0)  # far more than the published runs of C
    assert main(["queue", "mini", "--hours", "1", "--dry-run"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "mini: B digits s0, 0.00 device-hours, beside no published number"
    assert told[-1].startswith("mini: A digits s1, ")
    assert len(told) == len(mini.runs) - 1
    for run in mini.runs:
        put(run).write(run.run.record_path)
    assert main(["queue", "mini", "--hours", "1"]) == 0
    assert capsys.readouterr().out == "nothing is missing\n"


def test_hours_that_no_run_fits(mini, python, tmp_path, capsys, monkeypatch):
    measured(mini, 3e6)
    for run in mini.runs:
        if run.experiment != mini.runs[0].experiment:
            put(run).write(run.run.record_path)
    python(f"echo begun >> {tmp_path}/log")
    assert main(["queue", "mini", "--hours", "1"]) == 2
    error = capsys.readouterr().err
    assert "hours must be >= " in error
    assert "of the shortest missing run (A digits s1), got 1; --partial begins" in error
    assert main(["queue", "mini", "--hours", "1", "--partial"]) == 1
    assert (tmp_path / "log").read_text() == "begun\n"


@pytest.mark.parametrize("hours", ["0", "-1", "inf", "nan"])
def test_hours_are_a_time(mini, capsys, hours):
    assert main(["queue", "mini", f"--hours={hours}"]) == 2
    assert f"hours must be > 0, got {hours}" in capsys.readouterr().err


def test_a_full_disk_is_named(mini, python, capsys, monkeypatch):
    python("exit 0")
    usage = type("Usage", (), {"free": 2 * 10**7})
    monkeypatch.setattr(queue.shutil, "disk_usage", lambda folder: usage)
    assert main(["queue", "mini", "--hours", "1"]) == 2
    assert "must have at least 1 GB free for a run, got 0.02 GB" in capsys.readouterr().err


def test_what_is_at_work_elsewhere_is_left_alone(mini, python, tmp_path, capsys):
    python(f'echo "$@" >> {tmp_path}/log')
    mini.runs[0].run.folder.mkdir(parents=True)
    with mini.runs[0].run.locked():
        main(["queue", "mini", "--hours", "1"])
    assert "is at work elsewhere: process " in capsys.readouterr().out
    assert len((tmp_path / "log").read_text().splitlines()) == len(mini.runs) - 1


def test_it_runs_at_the_lowest_priority(mini, python, monkeypatch):
    asked = []
    python("exit 0")
    monkeypatch.setattr(os, "nice", asked.append)
    main(["queue", "mini", "--hours", "1"])
    assert asked == [19]


def test_what_runs_of_unknown_cost_take_is_measured(mini, python, tmp_path, capsys, monkeypatch):
    """Each kind is begun once; a run that says nothing of itself is told of."""
    write_mini(MINI + "  - {label: D, experiment: oord2016/row_lstm_quick}\n")
    for module in ("estimate", "rates"):
        monkeypatch.setattr(f"benchmarks.tables.plan.{module}.results_dir", lambda: tmp_path / "r")
    begun = mini.runs[0]
    record = put(begun, status="interrupted")
    record.write(tmp_path / "record.json")
    begun.run.record_path.unlink()
    (tmp_path / "progress.json").write_text(
        '{"images_seen": 640, "budget_images": 96000, "seconds_left": null}'
    )
    python(
        f'case "$*" in *row_lstm*) exit 1;; esac\ncp {tmp_path}/progress.json {begun.run.folder}\n'
        f"trap 'cp {tmp_path}/record.json {begun.run.record_path}; exit 75' TERM\n"
        "while true; do sleep 0.01; done"
    )
    assert main(["queue", "mini", "--measure", "0.05"]) == 1
    told = capsys.readouterr().out
    assert "A digits s0: 0." in told
    assert "D digits s0: no image was trained on" in told
    kind = (begun.experiment, begun.dataset)
    assert kept_rates() == {kind: pytest.approx(3.0 / 640)}
    main(["queue", "mini", "--hours", "1", "--dry-run"])
    lines = capsys.readouterr().out.splitlines()
    assert not [line for line in lines if ": A " in line and "unknown" in line]
    assert [line for line in lines if ": D " in line and "unknown" in line]
    assert main(["queue", "mini", "--measure=0"]) == 2
    assert main(["queue", "mini", "--measure", "1", "--dry-run"]) == 2
    assert "must not be given with --measure" in capsys.readouterr().err


def test_rates_that_are_none_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.tables.plan.rates.results_dir", lambda: tmp_path)
    (tmp_path / "rates.json").write_text('[{"experiment": "x", "dataset": "y"}]')
    with pytest.raises(UserError, match="rates.json: 0"):
        kept_rates()
    (tmp_path / "rates.json").write_text("{}")
    with pytest.raises(UserError, match="must hold a list of rates, got dict"):
        kept_rates()
