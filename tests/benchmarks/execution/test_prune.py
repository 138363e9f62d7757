"""`dgmbench prune`: what nothing needs goes, and all else stays."""

from benchmarks.__main__ import main
from benchmarks.execution.prune import prunable
from benchmarks.tables.plan.choice import Choice
from benchmarks.tables.plan.plan import make_plan
from tests.benchmarks.tables.helpers import put
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
