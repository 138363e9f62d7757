"""`dgmbench status`: what runs are doing, of a table or of all."""

import os
import re

from benchmarks.__main__ import main
from benchmarks.config.compose import compose
from benchmarks.execution import status
from benchmarks.runs.folder import Run
from benchmarks.runs.record import Record
from benchmarks.runs.writer import RunWriter
from tests.benchmarks.execution.conftest import submission, work
from tests.benchmarks.tables.helpers import put


def test_status_is_a_matrix_and_names_what_is_not_finished(mini, capsys):
    put(mini.runs[0])
    put(mini.runs[2], status="diverged")
    put(mini.runs[3], status="failed")
    assert main(["status", "mini"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^A +1/2 *$", shown, re.M)
    assert re.search(r"^B +0/2, 1 failed, 1 diverged *$", shown, re.M)
    assert re.search(r"^B digits s1 \[\S+\] +failed: why$", shown, re.M)


def test_status_names_stale_and_running_runs(outputs, capsys, monkeypatch):
    composed = compose(["experiment=toy_ns_gan"])
    one = Run.of(composed)
    record = RunWriter.open(composed, one).record
    record.reason = "started and not ended"
    record.write(one.record_path)
    one.progress_path.write_text('{"images_seen": 5, "budget_images": 10, "seconds_left": null}')
    assert main(["status"]) == 0
    assert "interrupted at 50%" in capsys.readouterr().out
    with one.locked():
        main(["status"])
    assert f"running at 50% (process {os.getpid()} on " in capsys.readouterr().out
    monkeypatch.setattr(status, "_revision", lambda experiment, dataset: 2)
    main(["status"])
    assert "stale (revision 1, now 2): interrupted at 50%" in capsys.readouterr().out


def test_status_shows_damaged_records_beside_the_others(outputs, capsys):
    composed = compose(["experiment=toy_ns_gan"])
    run = Run.of(composed)
    RunWriter.open(composed, run).record.write(run.record_path)
    broken = run.record_path.parent.with_name("0000000000-r1-s0") / "record.json"
    broken.parent.mkdir()
    broken.write_text("{")
    assert main(["status"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "damaged: " in first
    assert "interrupted" in second


def test_outputs_that_are_a_file(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DGMBENCH_OUTPUTS", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    assert main(["status"]) == 2
    assert "DGMBENCH_OUTPUTS must be a folder" in capsys.readouterr().err


def test_status_of_a_table(outputs, capsys):
    assert main(["status", "quick"]) == 0
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert len(lines) == 1 + 13  # 12 rows and the floor, runs by row and data set
    assert lines[0].split() == ["fashion_mnist_small", "digits"]
    assert lines[1].split() == ["MM", "GAN", "0/5", "–"]
    assert shown.count("0/5") == 12
    assert shown.count("0/1") == 1
    assert main(["status"]) == 0
    assert "start one with: dgmbench table quick" in capsys.readouterr().out


def test_status_goes_on_without_the_queue(outputs, monkeypatch, capsys):
    submission("quick-1", (work(0),))
    Record("toy_ns_gan", "gaussian_ring", "ab-r1-s0", 0, "interrupted", "x").write(
        work(0).run.record_path
    )
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["status"]) == 0
    said = capsys.readouterr()
    assert "interrupted: x" in said.out
    assert "the queue could not be read: there is no SLURM on this machine" in said.err
