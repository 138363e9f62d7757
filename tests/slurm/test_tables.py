"""Tables on a real cluster: arrays, packed jobs, failures, what is refused."""

import pytest

from benchmarks.__main__ import main
from benchmarks.config.compose import compose
from benchmarks.core.paths import ROOT
from benchmarks.execution.slurm import commands, doctor
from benchmarks.execution.slurm.submissions import Submission
from benchmarks.runs.folder import Run
from benchmarks.runs.record import read_record
from tests.slurm.helpers import dgmbench, table_file, wait_for

pytestmark = pytest.mark.slurm


def records(space):
    """The records there are, by seed."""
    found = [read_record(p) for p in space.glob("*/*/*/record.json")]
    return {record.seed: record for record in found}


def mine():
    """The jobs of ours in the queue, active ones."""
    return [e for e in commands.queue() if e.name.startswith("dgmbench-") and e.active]


def test_a_table_is_an_array_and_one_of_its_runs_fails(cluster, space, tmp_path):
    spec = table_file(tmp_path, "six", 6)
    third = Run.of(compose(["experiment=untrained/pixelcnn_quick", "seed=3"]))
    (third.folder / "checkpoints").mkdir(parents=True)
    (third.folder / "checkpoints" / "0.ckpt").write_text("no checkpoint")

    held = ("launcher.time_minutes=5", "launcher.sbatch.hold=true")
    code, said = dgmbench("table", spec, "--launcher", "slurm", *held)
    assert code == 0, said
    assert "submitted 6 run(s) as " in said
    code, said = dgmbench("table", spec, "--launcher", "slurm")
    assert code == 0, said
    assert "submitted" not in said
    assert "6 run(s) are in the queue already" in said
    (job,) = space.glob("slurm/*/job")  # of one submission
    cluster.ask("scontrol", "release", job.read_text().strip())
    (name,) = {e.name for e in commands.queue() if "six" in e.name}
    assert len([e for e in commands.queue() if e.name == name]) == 6

    wait_for(lambda: not mine(), "the end of the six")
    found = records(space)
    assert sorted(found) == list(range(6))
    assert [s for s, r in found.items() if r.status != "finished"] == [3]
    assert "no readable checkpoint" in found[3].reason
    states = [e.state for e in sorted(commands.queue(), key=lambda e: e.task) if e.name == name]
    assert states == ["COMPLETED"] * 3 + ["FAILED"] + ["COMPLETED"] * 2

    code, said = dgmbench("table", spec, "--launcher", "slurm")
    assert code == 1
    assert "submitted" not in said
    assert "1 run(s) failed before (untrained digits s3)" in said
    said = dgmbench("status", spec)[1]
    assert "5/6, 1 failed" in said
    assert "no readable checkpoint" in said
    assert "no readable checkpoint" in dgmbench("logs", third.id)[1]

    (third.folder / "checkpoints" / "0.ckpt").unlink()
    code, said = dgmbench("table", spec, "--launcher", "slurm", "--retry", "failed")
    assert code == 0, said
    assert "submitted 1 run(s)" in said
    assert "failed" not in dgmbench("status", spec)[1]
    wait_for(lambda: not mine(), "the end of the retried one")
    assert {r.status for r in records(space).values()} == {"finished"}
    before = {s: r.started for s, r in records(space).items()}
    code, said = dgmbench("table", spec, "--launcher", "slurm")
    assert code == 0
    assert "submitted" not in said
    assert {s: r.started for s, r in records(space).items()} == before


def is_at_work(run):
    """Return whether a job has started a run, and it has not finished."""
    if not (run.folder / "run.log").exists():
        return False
    record = run.record()
    return record is None or record.status != "finished"


def test_two_runs_share_a_job(cluster, space, tmp_path):
    spec = table_file(tmp_path, "packed", 3)
    settings = ("launcher.runs_per_job=2", "launcher.side_by_side=2", "launcher.gpus_per_node=2")
    said = dgmbench("table", spec, "--launcher", "slurm", "trainer=default", *settings)[1]
    assert "submitted 3 run(s) in 2 jobs as " in said
    (path,) = space.glob("slurm/*/runs.json")
    pair = [work.run for work in Submission.read(path.parent).jobs[0]]
    assert len(pair) == 2
    wait_for(lambda: all(map(is_at_work, pair)), "both at once")
    wait_for(lambda: not mine(), "the end of the packed")
    assert {s: r.status for s, r in records(space).items()} == dict.fromkeys(range(3), "finished")


OWN = """# @package _global_
defaults:
  - /experiment/toy/ns_gan
  - _self_

method: mine
model: {loss: {_target_: parts_of_a_job.MyLoss}}
per_dataset:
  gaussian_ring: {images_seen: 512}
  gaussian_grid: null
"""
LOSS = """
from lit_models.adversarial.losses import NonSaturatingLoss

class MyLoss(NonSaturatingLoss): pass
"""


def test_a_folder_of_ones_own_reaches_its_jobs(cluster, space, tmp_path):
    """Named by a relative path, from a folder that holds another `benchmarks`."""
    (tmp_path / "mine" / "configs" / "experiment" / "mine").mkdir(parents=True)
    (tmp_path / "mine" / "configs" / "experiment" / "mine" / "loss.yaml").write_text(OWN)
    (tmp_path / "mine" / "parts_of_a_job.py").write_text(LOSS)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").write_text("raise SystemExit('not the suite')")
    spec = table_file(tmp_path, "own", 1, "mine/loss", "gaussian_ring", "modes_2500", "modes")
    script = tmp_path / "bin" / "dgmbench"
    script.parent.mkdir()
    script.write_text("import sys\nfrom benchmarks.__main__ import main\nsys.exit(main())\n")
    arguments = ("table", spec, "--launcher", "slurm", "--config-dir", "mine")
    code, said = dgmbench(*arguments, program=[str(script)], cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert code == 0, said
    wait_for(lambda: not mine(), "the end of one's own")
    assert {s: r.status for s, r in records(space).items()} == {0: "finished"}


def test_cancel_ends_what_runs_and_what_waits(cluster, space, tmp_path):
    spec = table_file(tmp_path, "long", 3, experiment="oord2016/pixelcnn_quick")
    code, said = dgmbench("table", spec, "--launcher", "slurm", "launcher.array_parallelism=1")
    assert code == 0, said
    wait_for(lambda: list(space.rglob("*.ckpt")), "a checkpoint")
    said = dgmbench("status", spec)[1]
    assert "0/3, 1 running, 2 pending" in said
    assert "pending (JobArrayTaskLimit)" in said
    assert "running on dgm" in said
    said = dgmbench("cancel", spec)[1]
    assert "cancelled 3 job(s) with 3 run(s)" in said
    wait_for(lambda: not mine(), "the end of the cancelled")
    said = dgmbench("status", spec)[1]
    assert said.count("cancelled at ") == 1
    assert said.count("cancelled before it began") == 2
    (log,) = space.glob("slurm/*/*_0_0_log.out")
    assert "SIGTERM: cancelled" in log.read_text()
    (record,) = records(space).values()
    assert record.status == "interrupted"
    images = record.counters["images_seen"]
    assert 0 < images < 100_000
    assert list(space.rglob(f"{images}.ckpt"))  # it saved before it left


def test_a_job_without_its_data_fails_at_once(cluster, space, tmp_path, monkeypatch):
    if not cluster.private:
        pytest.skip("no file systems of their own for nodes here (unshare, mount)")
    here = cluster.folder / "local" / "data"  # the nodes have another file system there
    here.mkdir(exist_ok=True)
    (here / "mnist.npz").touch()
    monkeypatch.setenv("DGMBENCH_DATA", str(here))
    spec = table_file(
        tmp_path, "absent", 1, experiment="oord2016/pixelcnn_mnist_quick",
        dataset="binarized_mnist_static", protocol="nll_test", metric="nll_nats",
    )  # fmt: skip
    code, said = dgmbench("table", spec, "--launcher", "slurm")
    assert code == 0, said
    assert "submitted 1" in said
    wait_for(lambda: not mine(), "the failure")
    (record,) = records(space).values()
    assert record.status == "failed"
    assert "is missing" in record.reason
    assert "prefetch mnist" in record.reason
    (entry,) = [e for e in commands.queue() if "-absent-" in e.name]
    assert entry.state == "FAILED"
    told = cluster.ask("squeue", "-h", "-t", "all", "-j", entry.job, "-o", "%M").strip()
    minutes, seconds = map(int, told.split(":"))
    assert 60 * minutes + seconds < 60  # most of them to import PyTorch


def test_the_doctor_looks_at_a_node(cluster, space, monkeypatch, capsys):
    code, said = dgmbench("doctor", "--launcher", "slurm", "launcher.nodes=2")
    assert "ok  exchange (gloo)" in said
    assert "2 of 2 processes added up" in said
    assert "the job reads and writes" in said
    assert "ok  clock" in said
    assert code == 0, said
    code, said = dgmbench("doctor", "--launcher", "slurm", "launcher.gpus_per_node=1")
    assert code == 1
    assert "!!  GPUs of the job" in said
    if not cluster.private:
        pytest.skip("no file systems of their own for nodes here (unshare, mount)")
    apart = cluster.folder / "local" / "outputs"
    monkeypatch.setattr(doctor, "LATE_SECONDS", 5.0)  # no slow file system here
    monkeypatch.setenv("DGMBENCH_OUTPUTS", str(apart))
    assert main(["doctor", "--launcher", "slurm"]) == 1
    said = capsys.readouterr().out
    assert "!!  shared outputs" in said
    assert "must name a folder that all nodes share" in said


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["launcher.partition=nowhere"], "launcher.partition must be of high, low, main, short"),
        (["launcher.account=nobody"], "Invalid account or account/partition combination"),
        (["launcher.gpus_per_node=3"], "launcher.gpus_per_node must be <= 2 in partition main"),
        (
            ["launcher.partition=short", "launcher.time_minutes=5"],
            "launcher.time_minutes must be <= 3 in partition short, got 5",
        ),
        (["launcher.nodes=3"], "SLURM refused: allocation failure: Requested node configuration"),
        (["launcher.constraint=mi300"], "SLURM refused: allocation failure: Invalid feature"),
    ],
)
def test_what_the_cluster_refuses_is_one_line(cluster, space, tmp_path, settings, message):
    spec = table_file(tmp_path, "refused", 1)
    code, said = dgmbench("table", spec, "--launcher", "slurm", *settings)
    assert code == 2
    assert message in said
    assert said.count("\n") == 1
    assert not (space / "slurm").exists()


def test_a_thousand_runs_are_two_arrays(cluster, space):
    arguments = ("quick", "--seeds", "84")
    code, said = dgmbench("table", *arguments, "--launcher", "slurm", "launcher.sbatch.hold=true")
    assert code == 0, said
    assert said.count("submitted ") == 4  # at once, and after the table
    assert len(mine()) == 1009
    said = dgmbench("status", *arguments)[1]
    assert said.count("pending (JobHeldUser)") == 1009
    assert "1009 job(s)" in dgmbench("cancel", *arguments)[1]
    wait_for(lambda: not mine(), "the end of the held")
