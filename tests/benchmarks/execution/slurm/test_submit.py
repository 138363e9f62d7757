"""Runs into the queue: as few arrays as possible, and nothing twice."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.config.catalogue import searching
from benchmarks.core.errors import UserError
from benchmarks.core.paths import ROOT
from benchmarks.execution.slurm import commands, submit
from benchmarks.execution.slurm.commands import Entry
from benchmarks.execution.slurm.launcher import load_launcher
from benchmarks.execution.slurm.submissions import Notes, all_submissions
from benchmarks.execution.slurm.submit import ClusterExecutor
from benchmarks.runs.record import Record, read_record
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.plan.planned_run import kinds_of_end
from benchmarks.tables.spec import load_spec

pytestmark = pytest.mark.usefixtures("outputs")


def submitted(*arguments, **settings):
    """Submit; return the lines."""
    return list(submit.submit(*arguments, **settings))


@pytest.fixture
def plan():
    return make_plan(load_spec("quick"), 1)


@pytest.fixture
def cluster(taken, monkeypatch):
    """A queue that keeps what it is given, in arrays of at most 8."""
    monkeypatch.setattr(commands, "max_array_size", lambda: 8)
    monkeypatch.setattr("benchmarks.execution.slurm.state.ended_states", lambda jobs: {})
    return taken


def test_no_run_is_submitted_twice(plan, cluster):
    executor = ClusterExecutor("quick", load_launcher("slurm", []), [])
    assert len(plan.all_runs) == 13
    first = submitted(plan.all_runs[:5], [], executor.launcher, "quick")
    assert first[0].startswith("submitted 5 run(s) as 7 (dgmbench-quick-")
    rest = submitted(plan.all_runs, [], executor.launcher, "quick")
    assert [line.split(" as ")[0] for line in rest] == [
        "submitted 8 run(s)",
        "5 run(s) are in the queue already",
    ]
    assert submitted(plan.all_runs, [], executor.launcher, "quick") == [
        "13 run(s) are in the queue already"
    ]
    keys = [w.key for s in all_submissions() for works in s.jobs for w in works]
    assert sorted(keys) == sorted(run.key for run in plan.all_runs)


def test_a_table_does_not_explain_what_is_in_the_queue(plan, cluster, monkeypatch, capsys):
    run = plan.all_runs[0]
    record = Record(run.experiment, run.dataset, run.run_id, 0, "interrupted", "started")
    record.write(run.run.record_path)
    monkeypatch.setattr(
        "benchmarks.execution.slurm.launcher.Launcher.check_cluster", lambda self: None
    )
    arguments = ["table", "quick", "--seeds", "1", "--rows", run.row.label]
    assert main([*arguments, "--launcher", "slurm"]) == 0
    said = capsys.readouterr().out
    assert said.count("submitted 1 run(s)") == 2
    assert said.rstrip().splitlines()[-1].startswith("submitted 1 run(s)")
    assert "interrupted: started" not in said


def test_many_runs_are_few_arrays(plan, cluster):
    launcher = load_launcher("slurm", ["launcher.runs_per_job=2"])
    assert len(submitted(plan.all_runs, [], launcher, "quick")) == 1
    (made,) = all_submissions()
    assert [len(works) for works in made.jobs] == [2] * 6 + [1]


def test_paths_travel_whole(plan, cluster, outputs, monkeypatch):
    monkeypatch.setenv("DGMBENCH_OUTPUTS", "outputs")
    monkeypatch.setenv("DGMBENCH_TRUST", "mine")
    monkeypatch.delenv("DGMBENCH_PATH", raising=False)
    Path("own").mkdir()
    with searching(["own"]):
        submitted(plan.all_runs, ["threads=2"], load_launcher("slurm", []), "quick")
    (made, _) = all_submissions()
    assert made.variables["DGMBENCH_PATH"] == str(Path("own").resolve())
    assert made.variables["DGMBENCH_OUTPUTS"] == str(outputs.resolve())
    assert made.variables["DGMBENCH_TRUST"] == "mine"
    assert made.jobs[0][0].command[0] == "train"
    assert made.jobs[0][0].command[-1] == "threads=2"


def test_what_failed_and_is_submitted_again_is_open(plan, cluster):
    run = plan.all_runs[0]
    record = Record(run.experiment, run.dataset, run.run_id, 0, "failed", "time limit: x")
    assert kinds_of_end(record) == {"failed", "timeout"}
    record.write(run.run.record_path)
    assert submitted([run], [], load_launcher("slurm", []), "quick") == []  # it failed meanwhile
    submitted([run], [], load_launcher("slurm", []), "quick", retry=["timeout"])
    assert read_record(run.run.record_path).status == "interrupted"


@pytest.mark.parametrize(
    ("state", "kinds"),
    [("TIMEOUT", {"failed", "timeout"}), ("OUT_OF_MEMORY", {"failed", "oom"}), ("FAILED", None)],
)
def test_what_slurm_ended_for_good_gets_a_record(plan, cluster, state, kinds):
    run = plan.all_runs[0]
    executor = ClusterExecutor("quick", load_launcher("slurm", []), [])
    submitted([run], [], executor.launcher, "quick")
    cluster[0] = Entry(cluster[0].name, "7", 0, state, "", "", "")
    executor.prepare(replace(plan, runs=(run,)), published=False)
    record = read_record(run.run.record_path)
    if kinds is None:  # the next call submits it again
        assert record is None
        return
    assert kinds_of_end(record) == kinds
    assert not any(run.is_done(record, retry=[kind]) for kind in kinds)
    assert run.is_done(record, retry=["diverged"])
    assert run.is_done(
        record, retry=[{"timeout": "oom", "oom": "timeout"}[max(kinds - {"failed"})]]
    )


def test_reasons_of_memory():
    for reason in (
        "OutOfMemoryError: CUDA out of memory",
        "MemoryError: ",
        "out of memory: killed by SIGKILL",
        "RuntimeError: DefaultCPUAllocator: can't allocate memory",
    ):
        assert kinds_of_end(Record("e", "d", "r", 0, "failed", reason)) == {"failed", "oom"}
    assert kinds_of_end(Record("e", "d", "r", 0, "diverged", "loss is nan")) == {"diverged"}
    assert kinds_of_end(Record("e", "d", "r", 0, "finished")) == set()


def test_slurm_is_quoted(plan, answering):
    answering(code=1, error="sbatch: error: QOSMaxSubmitJobPerUserLimit\n")
    with pytest.raises(UserError, match="QOSMaxSubmitJobPerUserLimit"):
        submitted(plan.all_runs, [], load_launcher("slurm", []), "quick")


def test_what_sbatch_is_given(plan, answering, monkeypatch):
    answering(says="Submitted batch job 17\n")
    monkeypatch.setenv("SLURM_JOB_ID", "3")  # from within another job
    settings = ["partition=gpu", "environment={A: b c}", "setup=[module load x]",
                "python=apptainer exec i.sif python", "array_parallelism=4"]  # fmt: skip
    monkeypatch.setattr(sys, "path", [str(Path.cwd()), *sys.path])  # as the command line does
    launcher = load_launcher("slurm", [f"launcher.{s}" for s in settings])
    submitted(plan.all_runs, [], launcher, "quick")
    (made,) = all_submissions()
    script = next(made.folder.glob("*submission*.sh"))
    text = script.read_text()
    for line in (
        "#SBATCH --partition=gpu", "#SBATCH --array=0-12%4", "#SBATCH --requeue",
        "#SBATCH --signal=USR2@120", "#SBATCH --open-mode=append", "#SBATCH --time=60",
        f"#SBATCH --job-name={made.name}", "module load x", "export A='b c'",
        "export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK",
        f"export PYTHONSAFEPATH=1 PYTHONPATH={ROOT}:{Path.cwd()}${{PYTHONPATH:+:$PYTHONPATH}}",
    ):  # fmt: skip
        assert f"\n{line}\n" in text
    assert "apptainer exec i.sif python -u -m submitit" in text
    assert made.job(2) == "17_2"
    assert "wckey" not in text


def test_what_is_refused_leaves_nothing(plan, monkeypatch, answering):
    answering(largest_array=0, code=1, error="sbatch: error: no\n")
    with pytest.raises(UserError, match="SLURM refused"):
        submitted(plan.all_runs, [], load_launcher("slurm", []), "quick")
    assert all_submissions() == []
    monkeypatch.setenv("DGMBENCH_OUTPUTS", "50%users")
    with pytest.raises(UserError, match="must have no % in their path"):
        submitted(plan.all_runs, [], load_launcher("slurm", []), "quick")


def test_variables_of_sbatch_do_not_win_over_a_launcher(monkeypatch):
    monkeypatch.setenv("SBATCH_JOB_NAME", "mine")
    with commands.outside_of_jobs():
        assert "SBATCH_JOB_NAME" not in os.environ


def test_runs_that_moved_or_never_began_are_not_failed(plan, cluster):
    runs = plan.all_runs[:3]
    launcher = load_launcher("slurm", ["launcher.runs_per_job=3"])
    submitted(runs, [], launcher, "quick")
    (made,) = all_submissions()
    began = {w.name: [-1, 0] for w in made.jobs[0][:2]}
    Notes("7", "n", 1, began=began).write(made.notes_path(0))
    runs[1].run.checkpoints.mkdir(parents=True)
    (runs[1].run.checkpoints / "64.ckpt").touch()
    cluster[0] = Entry(cluster[0].name, "7", 0, "TIMEOUT", "", "", "")
    ClusterExecutor("quick", launcher, []).prepare(
        replace(plan, runs=tuple(runs)), published=False
    )
    records = [read_record(run.run.record_path) for run in runs]
    assert [r and r.status for r in records] == ["failed", None, None]
