"""Runs that a real cluster interrupts: they go on, and end as if nothing had happened."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from benchmarks.loggers.wandb_logger import read_offline
from benchmarks.runs.record import read_record
from tests.helpers import assert_same_training
from tests.reliability.jobs import command
from tests.slurm.helpers import (
    ROOT,
    dgmbench,
    entry_of,
    is_done,
    last_state,
    log_of,
    reached,
    submit,
    wait_for,
    wait_for_progress,
)

pytestmark = pytest.mark.slurm

STEPS = 6_000
OVERRIDES = [o for o in command("VAE", steps=STEPS)[5:] if "checkpoint_every" not in o]
TRAINING = [*OVERRIDES, f"checkpoint_every_images={8 * 200}"]


@pytest.fixture(scope="module")
def background():
    """Runs that take their time are waited for side by side."""
    with ThreadPoolExecutor() as pool:
        yield pool


@pytest.fixture(scope="module")
def uninterrupted(background, tmp_path_factory):
    """The outputs of the training, in one go and without SLURM; to come."""
    space = tmp_path_factory.mktemp("uninterrupted")

    def train():
        code, said = dgmbench("train", "--no-bar", *TRAINING, DGMBENCH_OUTPUTS=str(space))
        assert code == 0, said
        return space

    return background.submit(train)


@pytest.fixture(scope="module")
def limited(cluster, background, tmp_path_factory):
    """The outputs of a run that has met its time limit; to come."""
    space = tmp_path_factory.mktemp("limited")
    job = submit(space, TRAINING, "signal_seconds=100", "sbatch.nodelist=dgmb")

    def meet_the_limit():
        wait_for_progress(space)
        # the signal is due as soon as SLURM looks at its limits, every half minute
        cluster.ask("scontrol", "update", f"JobId={job}", "TimeLimit=1")
        wait_for(lambda: "SIGUSR2: queued again\n" in log_of(space), "the signal")
        stopped_at = reached(space)
        cluster.ask("scontrol", "update", f"JobId={job}", "TimeLimit=10")
        wait_for(lambda: is_done(space), "the end")
        return space, stopped_at

    return background.submit(meet_the_limit)


def test_requeue_preemption_and_a_dead_node_leave_no_trace(cluster, space, uninterrupted, limited):
    """One run; three ways to be interrupted, each in mid-training."""
    job = submit(space, [*TRAINING, "logger=wandb"], "partition=low", "signal_seconds=60")
    at = wait_for_progress(space)

    cluster.ask("scontrol", "requeue", job)
    wait_for(lambda: "SIGTERM: queued again by SLURM" in log_of(space), "the first end")
    wait_for(lambda: entry_of(job).state == "PENDING", "the queue")
    said = dgmbench("status", DGMBENCH_OUTPUTS=str(space))[1]
    assert "requeued (BeginTime)" in said
    assert "its life 1 on dgm" in said
    at = wait_for_progress(space, max(at, reached(space)))

    node = entry_of(job).node
    higher = ("-p", "high", "--exclusive", "-w", node, "-o", "/dev/null", "--wrap", "sleep 4")
    subprocess.run(["sbatch", *higher], check=True, capture_output=True)
    wait_for(lambda: "queued again\n" in log_of(space), "the second end")
    at = wait_for_progress(space, max(at, reached(space)))

    node = entry_of(job).node
    if node == "dgmb":
        limited.result()  # it is there
    cluster.kill_node(node)
    said = dgmbench("status", DGMBENCH_OUTPUTS=str(space))[1]
    assert f"on {node}: ended without a word: it, or its node, was killed" in said
    wait_for(lambda: entry_of(job).node not in ("", node), "the other node")
    assert 0 < at <= reached(space) < 8 * STEPS
    cluster.start_node(node)
    wait_for(lambda: is_done(space), "the end")
    assert log_of(space).count("\nlife ") == 3
    assert_same_training(last_state(space), last_state(uninterrupted.result()))
    wait_for(lambda: cluster.node_is(node, "idle"), "the node")

    (logs,) = space.glob("*/*/*/logs")
    found = read_offline(logs)
    assert len(found.ids) == 1
    steps = [row["images_seen"] for row in found.rows if "train/loss" in row]
    assert steps == sorted(set(steps))
    assert steps[-1] > at


def test_the_time_limit_leaves_no_trace(limited, uninterrupted):
    space, stopped_at = limited.result()
    assert 0 < stopped_at < 8 * STEPS
    assert_same_training(last_state(space), last_state(uninterrupted.result()))


def test_a_job_script_of_ones_own_is_queued_again(cluster, space, tmp_path):
    short = [o for o in TRAINING if not o.startswith("images_seen=")]
    script, log = tmp_path / "own.sh", tmp_path / "own.log"
    script.write_text(
        f"#!/bin/bash\n#SBATCH --requeue --output={log} --open-mode=append\ncd {ROOT}\n"
        f"srun {sys.executable} -m benchmarks train --no-bar images_seen={8 * 3000} "
        f"{' '.join(short)}\n"
    )
    job = cluster.ask("sbatch", "--parsable", str(script)).strip()
    wait_for_progress(space)
    cluster.ask("scancel", "--signal=USR1", job)
    wait_for(lambda: "stopped by SIGUSR1; job queued again" in log.read_text(), "the signal")
    wait_for(lambda: is_done(space), "the end")


def test_two_processes_by_srun_are_one(cluster, tmp_path):
    """On one node, and across two: 20 updates in float64."""
    short = [o for o in command("PixelCNN", steps=20)[5:] if "checkpoint_every" not in o]
    short += ["precision=64-true"]
    spaces = [tmp_path / name for name in ("one", "same", "across")]
    two = ["trainer=ddp_cpu"]
    submit(spaces[0], short)
    submit(spaces[1], [*short, *two], "processes_per_node=2")
    submit(spaces[2], [*short, *two, "trainer.devices=1", "trainer.num_nodes=2"], "nodes=2")
    for space in spaces:
        wait_for(lambda space=space: is_done(space), f"the end of {space.name}")
    one, *others = (last_state(space)["state_dict"] for space in spaces)
    for space, other in zip(spaces[1:], others, strict=True):
        for name, value in one.items():
            torch.testing.assert_close(other[name], value, rtol=1e-9, atol=1e-10)
        (record,) = space.glob("*/*/*/record.json")
        assert read_record(record).cost["processes"] == 2


def test_a_node_of_a_distributed_run_dies(cluster, space):
    """The node of the second process: the first one has to give up, and to say so to nobody."""
    longer = [o for o in command("VAE", steps=700)[5:] if "checkpoint_every" not in o]
    across = ["trainer=ddp_cpu", "trainer.devices=1", "trainer.num_nodes=2"]
    job = submit(space, [*longer, *across, "checkpoint_every_images=800"], "nodes=2")
    wait_for_progress(space)
    cluster.kill_node("dgmb")
    wait_for(lambda: entry_of(job).state == "PENDING", "the queue")
    said = dgmbench("status", DGMBENCH_OUTPUTS=str(space))[1]
    assert "ended without a word: it, or its node, was killed" in said
    assert 0 < reached(space) < 8 * 700
    cluster.start_node("dgmb")
    wait_for(lambda: reached(space) == 8 * 700, "the end of the training")
    wait_for(lambda: is_done(space), "the end")
    assert log_of(space).count("\nlife 2 ") == 1
    wait_for(lambda: entry_of(job).state == "COMPLETED", "the end of the job")
    wait_for(lambda: cluster.node_is("dgmb", "idle"), "the node")


def test_two_processes_are_queued_again_as_one(cluster, space):
    longer = [o for o in command("VAE", steps=1500)[5:] if "checkpoint_every" not in o]
    settings = ("processes_per_node=2", "signal_seconds=60")
    job = submit(space, [*longer, "trainer=ddp_cpu", "checkpoint_every_images=800"], *settings)
    wait_for_progress(space)
    cluster.ask("scancel", "--signal=USR2", job)
    wait_for(lambda: "queued again\n" in log_of(space), "the signal")
    stopped_at = reached(space)
    assert 0 < stopped_at < 8 * 1500
    wait_for(lambda: is_done(space), "the end")
    assert reached(space) == 8 * 1500
    assert log_of(space).count("\nlife 2 ") == 1
    wait_for(lambda: entry_of(job).state == "COMPLETED", "the end of the job")
