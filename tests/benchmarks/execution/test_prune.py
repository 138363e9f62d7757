"""`dgmbench prune`: what nothing needs goes, and all else stays."""

import json
from dataclasses import asdict

import pytest

from benchmarks.__main__ import main
from benchmarks.execution.prune import prunable
from benchmarks.execution.slurm.submissions import Notes, Work
from benchmarks.runs.lock import Owner
from benchmarks.tables.plan.choice import Choice
from benchmarks.tables.plan.plan import make_plan
from tests.benchmarks.execution.conftest import submission
from tests.benchmarks.tables.helpers import put, score
from tests.benchmarks.tables.searched import SPEC, put_score


def test_prune_keeps_what_is_needed(mini, capsys):
    record = put(mini.runs[0])
    folder = mini.runs[0].run.checkpoints
    folder.mkdir()
    for name in ("64.ckpt", "128.ckpt", "snapshot-64.pt"):
        (folder / name).write_bytes(b"x" * 1000)
    assert main(["prune", "mini", "--dry-run"]) == 0
    assert "1 file(s), 0.000 GB would be removed" in capsys.readouterr().out
    assert (folder / "64.ckpt").exists()
    with mini.runs[0].run.locked():  # a run at work keeps all
        assert main(["prune", "mini"]) == 0
    assert (folder / "64.ckpt").exists()
    assert main(["prune", "mini"]) == 0
    assert sorted(p.name for p in folder.iterdir()) == ["128.ckpt", "snapshot-64.pt"]
    record.status = "interrupted"
    record.write(mini.runs[0].run.record_path)
    (folder / "64.ckpt").write_bytes(b"x")
    assert main(["prune", "mini"]) == 0
    assert (folder / "64.ckpt").exists()


def test_prune_takes_what_a_doctor_left(mini, outputs, capsys):
    for name in ("doctor-1", "doctor-2"):
        (outputs / "slurm" / name).mkdir(parents=True)
        (outputs / "slurm" / name / "7_0_log.out").touch()
    (outputs / "slurm/doctor-1/report.json").touch()
    assert main(["prune", "mini"]) == 0
    assert "2 file(s)" in capsys.readouterr().out
    assert [p.name for p in (outputs / "slurm").iterdir()] == ["doctor-2"]  # at work, perhaps


def test_prune_keeps_what_other_tables_show(outputs):
    plan = make_plan(SPEC)
    for run, value in zip(plan.searched, (5.0, 3.0, 4.0, 6.0), strict=True):
        put_score(run, value)
        run.run.checkpoints.mkdir()
        (run.run.checkpoints / "64.ckpt").write_bytes(b"x")
    plan = plan.with_best(plan.records(False))
    kept = plan.searched[0]  # the experiment's own values
    gone = {path.parent.parent.name for path in prunable(plan, Choice(), plan.records(False))}
    assert kept.run_id not in gone
    assert gone == {run.run_id for run in plan.searched[1:]}


def checkpoints_of(run, *names):
    """Put files into a run's folder of checkpoints."""
    run.run.checkpoints.mkdir(parents=True, exist_ok=True)
    for name in names:
        (run.run.checkpoints / name).write_bytes(b"x")


def gone(plan, choice=None):
    """Return the names of what would be removed."""
    return sorted(path.name for path in prunable(plan, choice or Choice(), plan.records(False)))


def test_the_last_checkpoint_is_the_one_of_most_images(mini):
    put(mini.runs[0])
    checkpoints_of(mini.runs[0], "64.ckpt", "128.ckpt", "1024.ckpt", "other.ckpt")
    assert gone(mini) == ["128.ckpt", "64.ckpt"]


@pytest.mark.parametrize("status", ["failed", "diverged", "interrupted", "unscored", None])
def test_a_run_that_is_not_done_keeps_all(mini, status):
    if status is not None:
        record = put(mini.runs[0], status="finished" if status == "unscored" else status)
        if status == "unscored":
            record.evaluations = []
            record.write(mini.runs[0].run.record_path)
    checkpoints_of(mini.runs[0], "64.ckpt", "128.ckpt")
    assert gone(mini) == []


@pytest.mark.parametrize(("change", "kept"), [({"place": "node7 boot pid"}, True), ({}, False)])
def test_a_lock_of_elsewhere_keeps_all_and_one_of_the_dead_nothing(mini, change, kept):
    put(mini.runs[0])
    checkpoints_of(mini.runs[0], "64.ckpt", "128.ckpt")
    owner = {**asdict(Owner.myself()), "pid": 2**22 + 1, **change}  # more than Linux gives
    mini.runs[0].run.lock_path.write_text(json.dumps(owner))
    assert gone(mini) == ([] if kept else ["64.ckpt"])


@pytest.mark.parametrize("selecting", [None], indirect=True)
def test_of_snapshots_the_shown_one_stays(selecting):
    run = selecting.runs[0]
    record = put(run)
    for at, value in zip(run.snapshots, (4.0, 2.0, 3.0), strict=True):
        score(run, record, str(at), value)
    names = [f"snapshot-{at}.pt" for at in run.snapshots]
    checkpoints_of(run, *names, "snapshot-best.pt", "64.ckpt")
    assert gone(selecting) == sorted([names[0], names[2]])


def test_a_search_that_goes_on_keeps_its_last_checkpoints(outputs):
    plan = make_plan(SPEC)
    for run in plan.searched[:3]:
        put_score(run, 1.0)
        checkpoints_of(run, "64.ckpt", "128.ckpt", "snapshot-64.pt")
    assert gone(plan) == ["64.ckpt"] * 3
    put_score(plan.searched[3], 2.0)
    shown = plan.with_best(plan.records(False))
    own = ["64.ckpt"]  # of the experiment's own values
    assert gone(shown) == sorted([*own, *["128.ckpt", "64.ckpt", "snapshot-64.pt"] * 2])


def submitted(run, task_left):
    """Write the submission of one planned run, and how its job left."""
    job = Work(run.label, *run.key, run.seed, "A", ())
    made = submission(f"mini-{run.row.label}{run.seed}", (job,))
    Notes("7", "n", 1, left=task_left).write(made.notes_path(0))
    made.log(0).write_text("x")
    return made.folder


def test_what_jobs_left_goes_once_their_runs_are_done(mini, capsys):
    a0, a1, b0, b1 = mini.runs
    for run in (a0, a1, b0):
        put(run)
    put(b1, status="failed")
    ended, at_work = submitted(a0, "done"), submitted(a1, None)
    cancelled, failed = submitted(b0, "cancelled"), submitted(b1, "done")
    assert main(["prune", "mini", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert {line.strip() for line in said.splitlines()[:-1]} == {
        str(path) for folder in (ended, cancelled) for path in folder.iterdir()
    }
    assert "6 file(s), 0.000 GB would be removed" in said
    assert main(["prune", "mini"]) == 0
    assert "6 file(s), 0.000 GB removed" in capsys.readouterr().out
    assert [folder.exists() for folder in (ended, at_work, cancelled, failed)] == [
        *(False, True, False, True)
    ]
