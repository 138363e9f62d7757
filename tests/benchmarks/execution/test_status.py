"""`dgmbench status`: what runs are doing, of a table or of all."""

import os
import re

import pytest

from benchmarks.__main__ import main
from benchmarks.config.catalogue import flat
from benchmarks.config.compose import compose
from benchmarks.execution import status
from benchmarks.execution.slurm import commands
from benchmarks.execution.slurm.commands import Entry
from benchmarks.execution.slurm.submissions import Work
from benchmarks.runs.folder import Run
from benchmarks.runs.record import Record
from benchmarks.runs.writer import RunWriter
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.spec import load_spec
from tests.benchmarks.execution.conftest import submission, work
from tests.benchmarks.tables.helpers import put
from tests.benchmarks.tables.searched import put_score


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
    composed = compose(["experiment=toy/ns_gan"])
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
    composed = compose(["experiment=toy/ns_gan"])
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
    Record("toy/ns_gan", "gaussian_ring", "ab-r1-s0", 0, "interrupted", "x").write(
        work(0).run.record_path
    )
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["status"]) == 0
    said = capsys.readouterr()
    assert "interrupted: x" in said.out
    assert "the queue could not be read: there is no SLURM on this machine" in said.err


def matrix(shown):
    """Return the cells of a table with one data set, by row."""
    lines = [line.split("  ") for line in shown.splitlines() if "[" not in line]
    return {line[0].strip(): " ".join(line[1:]).strip() for line in lines}


def test_a_finished_run_without_a_score_of_the_table_is_unscored(mini, capsys):
    record = put(mini.runs[0])
    record.evaluations = []
    record.write(mini.runs[0].run.record_path)
    put(mini.runs[1])
    assert main(["status", "mini"]) == 0
    shown = capsys.readouterr().out
    assert matrix(shown)["A"] == "1/2, 1 unscored"
    assert re.search(r"^A digits s0 .* finished, but not scored under all protocols", shown, re.M)


def test_what_has_not_begun_has_no_line_of_its_own(mini, capsys):
    assert main(["status", "mini"]) == 0
    assert matrix(capsys.readouterr().out) == {"": "digits", "A": "0/2", "B": "0/2", "C": "–"}


def test_a_damaged_record_of_a_table_is_named_beside_the_others(mini, capsys):
    put(mini.runs[0])
    put(mini.runs[1])
    mini.runs[1].run.record_path.write_text("{")
    assert main(["status", "mini"]) == 0
    shown = capsys.readouterr().out
    assert matrix(shown)["A"] == "1/2, 1 damaged"
    assert re.search(r"^A digits s1 .* damaged: .*record.json: not a record", shown, re.M)


def test_a_failed_run_shows_the_end_of_its_log(mini, capsys):
    put(mini.runs[0], status="failed")
    (mini.runs[0].run.folder / "run.log").write_text("begins\nTraceback\n\nout of luck\n")
    assert main(["status", "mini"]) == 0
    shown = capsys.readouterr().out
    assert "failed: why\n    | begins\n    | Traceback\n    | out of luck\n" in shown


def test_a_search_is_counted_apart_from_the_seeds_of_its_best(outputs, capsys):
    arguments = ["status", "quick_search", "--seeds", "2", "--configurations", "3"]
    plan = make_plan(load_spec("quick_search"), 2, 3)
    mine = [run for run in plan.searched if run.row.label == "NS GAN"]
    put_score(mine[0], 3.0)
    put_score(mine[1], None, "failed")
    assert main(arguments) == 0
    found = matrix(capsys.readouterr().out)
    assert found["NS GAN"] == "search 1/3, 1 failed"
    assert found["WGAN-GP"] == "search 0/3"
    put_score(mine[2], 2.0)
    best = plan.with_best(plan.records(False)).runs
    assert len(best) == 2
    put_score(best[0], None, "diverged")
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert matrix(shown)["NS GAN"] == "search 2/3, 1 failed; 0/2, 1 diverged"
    assert "NS GAN fashion_mnist_small s1 [" in shown


def test_a_run_in_the_queue_is_counted_as_such(mini, capsys, monkeypatch):
    a0, a1, *_ = mini.runs
    put(a0)
    works = [(Work(run.label, *run.key, run.seed, "A", ()),) for run in (a0, a1)]
    made = submission("mini-1", *works)
    waiting = [
        Entry(made.name, f"7_{task}", task, "PENDING", "Priority", "", "") for task in (0, 1)
    ]
    monkeypatch.setattr(commands, "queue", lambda users: waiting)
    monkeypatch.setattr("benchmarks.execution.slurm.state.ended_states", lambda jobs: {})
    assert main(["status", "mini"]) == 0
    shown = capsys.readouterr().out
    assert matrix(shown)["A"] == "1/2, 1 pending"  # what is done is done, wherever it waits
    assert re.search(r"^A digits s1 .* pending \(Priority\), job 7_1$", shown, re.M)


@pytest.mark.parametrize("experiment", ["gone_since", "toy/ns_gan"])
def test_runs_of_todays_revision_or_of_none_are_not_stale(outputs, capsys, experiment):
    record = Record(experiment, "gaussian_ring", "0123456789-r1-s0", 0, "interrupted", "x")
    record.write(outputs / flat(experiment) / "gaussian_ring" / record.run_id / "record.json")
    assert main(["status"]) == 0
    line = capsys.readouterr().out
    assert line.split() == [
        f"{flat(experiment)}/gaussian_ring/0123456789-r1-s0",
        "interrupted:",
        "x",
    ]


def test_scored_images_have_no_revision(outputs, capsys):
    record = Record("images", "digits", "0123456789", 0, "finished")
    record.write(outputs / "images" / "digits" / record.run_id / "record.json")
    assert main(["status"]) == 0
    assert "images/digits/0123456789 " in (line := capsys.readouterr().out)
    assert line.rstrip().endswith("  finished, 0 evaluation(s)")
