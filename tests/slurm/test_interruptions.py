"""Runs that a real cluster interrupts: they go on, and end as if nothing had happened."""

import subprocess

import pytest
import torch

from benchmarks.records import read_record
from benchmarks.report.wandb_logger import read_offline
from benchmarks.slurm import commands
from tests.helpers import assert_same_training
from tests.reliability.jobs import command
from tests.slurm.helpers import ROOT, dgmbench, is_done, reached, submit, wait_for, work_of

pytestmark = pytest.mark.slurm

STEPS = 12_000
OVERRIDES = [o for o in command("VAE", steps=STEPS)[5:] if o != "checkpoint_every_images=160"]
TRAINING = [*OVERRIDES, f"checkpoint_every_images={8 * 200}"]


def last_state(folder):
    """The newest checkpoint of the only run below a folder."""
    newest = max(folder.rglob("[0-9]*.ckpt"), key=lambda p: int(p.stem))
    return torch.load(newest, weights_only=True)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The outputs of the training, in one go and without SLURM."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    code, said = dgmbench("train", "--no-bar", *TRAINING, DGMBENCH_OUTPUTS=str(folder))
    assert code == 0, said
    return folder


def entry_of(work):
    """The queue's entry of the newest job."""
    found = [e for e in commands.queue() if e.name.startswith("dgmbench-test-")]
    return max(found, key=lambda e: int(e.job.partition("_")[0]))


def wait_for_progress(work, beyond):
    """Wait until a run has saved more than it had; return what it has now."""
    return wait_for(lambda: reached(work) if reached(work) > beyond else None, "a checkpoint")


def log_of(space):
    (path,) = space.glob("slurm/test-*/*_0_log.out")
    return path.read_text()


def assert_ended_as(space, uninterrupted):
    assert_same_training(last_state(space), last_state(uninterrupted))


def test_requeue_preemption_and_a_dead_node_leave_no_trace(cluster, space, uninterrupted):
    """One run; three ways to be interrupted, each in mid-training."""
    work = submit([*TRAINING, "logger=wandb"], "partition=low", "signal_seconds=60")
    at = wait_for_progress(work, 0)

    job = entry_of(work).job
    cluster.ask("scontrol", "requeue", job)
    wait_for(lambda: "queued again by SLURM" in log_of(space), "the first end")
    wait_for(lambda: entry_of(work).state == "PENDING", "the queue")
    said = dgmbench("status")[1]
    assert "requeued (BeginTime)" in said
    assert "its life 1 on dgm" in said
    at = wait_for_progress(work, max(at, reached(work)))

    subprocess.run(
        ["sbatch", "-p", "high", "--exclusive", "-N2", "-o", "/dev/null", "--wrap", "sleep 4"],
        check=True, capture_output=True,
    )  # fmt: skip
    wait_for(lambda: "queued again\n" in log_of(space), "the second end")
    assert entry_of(work).state in ("PENDING", "RUNNING", "COMPLETING")
    at = wait_for_progress(work, max(at, reached(work)))

    node = entry_of(work).node
    cluster.kill_node(node)
    assert entry_of(work).node == node
    wait_for(lambda: entry_of(work).node not in ("", node) or is_done(work), "the other node")
    assert reached(work) < 8 * STEPS
    cluster.start_node(node)
    wait_for(lambda: is_done(work), "the end")
    said = log_of(space)
    assert "SIGUSR2: queued again\n" in said  # of the preemption; SIGTERM of the requeue
    assert "SIGTERM: queued again by SLURM" in said
    assert said.count("life ") == 3
    assert_ended_as(space, uninterrupted)
    wait_for(lambda: cluster.node_is(node, "idle"), "the node")

    found = read_offline(work.run.logs)
    assert len(found.ids) == 1
    steps = [row["images_seen"] for row in found.rows if "train/loss" in row]
    assert steps == sorted(set(steps))
    assert steps[-1] > at


def test_the_time_limit_leaves_no_trace(cluster, space, uninterrupted):
    work = submit(TRAINING, "time_minutes=10", "signal_seconds=100")
    wait_for_progress(work, 0)
    job = entry_of(work).job
    # the signal is due as soon as SLURM looks at its limits, which it does now and then
    cluster.ask("scontrol", "update", f"JobId={job}", "TimeLimit=1")
    wait_for(lambda: "SIGUSR2: queued again\n" in log_of(space), "the signal")
    cluster.ask("scontrol", "update", f"JobId={job}", "TimeLimit=10")
    assert reached(work) < 8 * STEPS
    wait_for(lambda: is_done(work), "the end")
    assert_ended_as(space, uninterrupted)
    record = read_record(work.run.record_path)
    assert record.status == "finished"


def test_a_job_script_of_ones_own_is_queued_again(cluster, space, tmp_path):
    short = [o for o in TRAINING if not o.startswith("images_seen=")]
    short += [f"images_seen={8 * 3000}"]
    work, log = work_of(short), tmp_path / "own.log"
    script = tmp_path / "own.sh"
    python = f"{ROOT}/.venv/bin/python"
    script.write_text(
        f"#!/bin/bash\n#SBATCH --requeue --output={log} --open-mode=append\ncd {ROOT}\n"
        f"srun {python} -m benchmarks train --no-bar {' '.join(short)}\n"
    )
    job = cluster.ask("sbatch", "--parsable", str(script)).strip()
    wait_for_progress(work, 0)
    cluster.ask("scancel", "--signal=USR1", job)
    wait_for(lambda: "stopped by SIGUSR1; job queued again" in log.read_text(), "the signal")
    wait_for(lambda: is_done(work), "the end")
