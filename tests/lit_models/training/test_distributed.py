"""Two and three processes are one: training in float64 over 20 updates, metrics, errors."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.config.catalogue import flat
from benchmarks.config.instantiate import instantiate
from benchmarks.runs.record import Record
from lit_models.training.checkpoint_files import find_checkpoints
from tests.helpers import (
    KINDS,
    METHODS,
    assert_same_state,
    bare_trainer,
    run_of_processes,
    without_dead_biases,
)

WORKER = Path(__file__).with_name("ddp_worker.py")
ROOT = Path(__file__).parents[3]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What one process and two processes saved, by (name, rank, world size)."""
    out = tmp_path_factory.mktemp("ddp")
    jobs = []
    for world in (1, 2, 3):
        port = free_port()
        jobs += [
            subprocess.Popen(
                [sys.executable, str(WORKER), str(out), str(rank), str(world), str(port)],
                cwd=ROOT,
                env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(out)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for rank in range(world)
        ]
    try:
        for job in jobs:
            output, _ = job.communicate(timeout=600)
            assert job.returncode == 0, output[-3000:]
    finally:
        for job in jobs:
            job.kill()

    def get(name, rank=0, world=1):
        return torch.load(out / f"{flat(name)}-{rank}of{world}.pt", weights_only=True)

    get.out = out
    return get


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("experiment", KINDS)
def test_several_processes_train_the_model_of_one(results, experiment, world):
    one, many = results(experiment), results(experiment, 0, world)
    assert one[next(iter(one))].dtype == torch.float64
    for rank in range(1, world):
        assert_same_state(results(experiment, rank, world), many)
    assert_same_but_for_rounding(many, one)


@pytest.mark.parametrize("method", ["wgan_gp", "wgan", "began", "dragan", "ns_gan"])
def test_batch_norm_in_a_discriminator_is_among_them(results, method):
    """Some experiments have none by default, but the search of their paper may choose it."""
    trained = results(METHODS[method])
    means = [k for k in trained if k.startswith("discriminator.") and "running_mean" in k]
    assert means
    assert all(trained[key].count_nonzero() for key in means)


def assert_same_but_for_rounding(a, b):
    # float64; 20 updates amplify the rounding of another order of sums
    assert_same_state(without_dead_biases(a), without_dead_biases(b), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("experiment", KINDS)
def test_saved_on_two_processes_and_resumed_on_one(results, experiment):
    torch.manual_seed(0)
    cfg = run_of_processes(experiment, steps=20)
    model = instantiate(cfg.model, "model").double()
    data = instantiate(cfg.datamodule, "datamodule")
    data.setup()
    (_, half) = find_checkpoints(results.out / "half-of2" / experiment)
    assert int(half.stem) == 10 * model.images_per_step
    trainer = bare_trainer(20, precision="64-true")
    trainer.fit(model, datamodule=data, ckpt_path=half, weights_only=True)
    assert_same_but_for_rounding(model.state_dict(), results(experiment))


def test_metrics_with_counts_that_do_not_divide(results):
    for rank in range(2):
        torch.testing.assert_close(
            torch.tensor(results("metrics", rank, 2)), torch.tensor(results("metrics"))
        )


def test_a_protocol_of_1001_samples_shares_its_chunks(results):
    alone = results("protocol")
    for rank in range(2):
        first, again, few = results("protocol", rank, 2)
        assert first == again  # by the real features that the first kept
        assert first == pytest.approx(alone[0], rel=1e-12)
        assert len(first) == 10
        assert few == alone[2]  # one chunk: the other process had none


def test_samples_that_are_not_finite_end_all_ranks_alike(results):
    for rank in range(2):
        assert results("nan", rank, 2) == "samples are not finite"


def test_two_processes_train_under_bf16(results):
    state = results("bf16", 0, 2)
    assert_same_state(state, results("bf16", 1, 2))
    assert all(value.isfinite().all() for value in state.values())
    # bf16 has 8 bits; Adam's first steps are of the size of its learning rate
    assert_same_state(state, results("bf16"), rtol=0.05, atol=5e-3)


def test_batch_norm_is_over_the_joined_batch(results):
    one, parts = results("norm"), [results("norm", rank, 2) for rank in range(2)]
    torch.testing.assert_close(torch.cat([p["y"] for p in parts]), one["y"])
    for part in parts:
        torch.testing.assert_close(part["mean"], one["mean"])
        torch.testing.assert_close(part["var"], one["var"])


def test_ranks_with_different_gradients_are_found(results):
    for rank in range(2):
        differs, averages = results("disagreement", rank, 2)
        assert differs == [False, True, True, False]
        assert averages == [0.5] * 4
        assert (
            results("uneven", rank, 2) == "the processes hold gradients for different parameters"
        )


def test_gradients_of_any_size_and_layout_are_averaged(results):
    for rank in range(2):
        averaged = results("large", rank, 2)
        for ours, theirs in zip(averaged, results("large"), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_divergence_on_one_rank_ends_all(results):
    assert results("divergence").startswith("train/loss = nan")
    for rank in range(2):
        assert results("divergence", rank, 2) == results("divergence")


def test_processes_with_different_configs_end_at_once(results):
    for rank in range(2):
        message, images_seen = results("configs", rank, 2)
        assert message == "run id must be the same in all processes, got r-s0 and r-s1"
        assert images_seen == 0


def run_all(commands, **settings):
    """Run commands side by side; return their exit codes and outputs."""
    jobs = [
        subprocess.Popen(
            c, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **settings
        )
        for c in commands
    ]
    try:
        outputs = [job.communicate(timeout=240)[0] for job in jobs]
    finally:
        for job in jobs:
            job.kill()
    return [job.returncode for job in jobs], outputs


RUN = ["experiment=lucic2018/ns_gan_quick", "images_seen=640", "protocols=[]", "logger=wandb"]


@pytest.mark.slow
def test_torchrun_and_lightnings_launcher_train_the_same_run(tmp_path):
    """Both with two processes: one record and one W&B run each, the same model."""
    states = {}
    tracked = ["track.protocol=fd_lenet_2k_test2k", "track.every_images=320"]
    train = ["-m", "benchmarks", "train", *RUN, "trainer=ddp_cpu", *tracked]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"]
    torchrun.append(f"--master_port={free_port()}")
    for name, command in (("torchrun", torchrun), ("lightning", [sys.executable])):
        env = {**os.environ, "DGMBENCH_OUTPUTS": str(tmp_path / name), "WANDB_MODE": "offline"}
        codes, outputs = run_all([[*command, *train]], cwd=ROOT, env=env)
        assert codes == [0], outputs
        (record,) = (tmp_path / name).rglob("record.json")
        found = Record.from_json(record.read_text())
        assert (found.status, found.cost["processes"]) == ("finished", 2)
        assert [e.checkpoint for e in found.evaluations] == ["320", "640"]
        assert len(list((tmp_path / name).rglob("*.wandb"))) == 1
        checkpoint = torch.load(next(record.parent.rglob("640.ckpt")), weights_only=True)
        states[name] = checkpoint["state_dict"]
    assert_same_state(states["torchrun"], states["lightning"])


@pytest.mark.slow
def test_two_processes_with_different_seeds_end_with_one_line(tmp_path):
    port = str(free_port())
    env = {**os.environ, "DGMBENCH_OUTPUTS": str(tmp_path), "WORLD_SIZE": "2"}
    env |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "NODE_RANK": "0"}
    jobs = [
        [
            *("env", f"LOCAL_RANK={rank}", f"RANK={rank}", sys.executable, "-m", "benchmarks"),
            *("train", *RUN[:3], "trainer=ddp_cpu", f"seed={rank}"),
        ]
        for rank in range(2)
    ]
    codes, outputs = run_all(jobs, cwd=ROOT, env=env)
    assert codes == [2, 2], outputs
    assert "run id must be the same in all processes, got" in outputs[0]
    assert "Traceback" not in outputs[0] + outputs[1]
