"""Two processes are one: training in float64 over 20 updates, metrics, errors."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.helpers import METHODS, assert_same_state

WORKER = Path(__file__).with_name("ddp_worker.py")
ROOT = Path(__file__).parents[2]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What one process and two processes saved, by (name, rank, world size)."""
    out = tmp_path_factory.mktemp("ddp")
    jobs = []
    for world in (1, 2):
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
            output, _ = job.communicate(timeout=240)
            assert job.returncode == 0, output[-3000:]
    finally:
        for job in jobs:
            job.kill()

    def get(name, rank=0, world=1):
        return torch.load(out / f"{name}-{rank}of{world}.pt", weights_only=True)

    return get


def without_dead_biases(state):
    """Leave out a bias before BatchNorm, and the running mean that follows it.

    Its gradient is zero but for rounding, which Adam turns into steps; the two cancel.
    """
    means = [k for k in state if k.endswith("running_mean")]
    biases = []
    for mean in means:
        stem, index, _ = mean.rsplit(".", 2)
        biases.append(f"{stem}.{int(index) - 1}.bias")
    assert set(biases) <= set(state)
    return {k: v for k, v in state.items() if k not in {*means, *biases}}


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_train_the_model_of_one(results, method):
    one = results(method)
    assert one[next(iter(one))].dtype == torch.float64
    assert_same_state(results(method, 0, 2), results(method, 1, 2))
    # float64; 20 updates amplify the rounding of another order of sums
    assert_same_state(
        without_dead_biases(results(method, 0, 2)),
        without_dead_biases(one),
        rtol=1e-10,
        atol=1e-10,
    )


def test_metrics_with_counts_that_do_not_divide(results):
    for rank in range(2):
        torch.testing.assert_close(
            torch.tensor(results("metrics", rank, 2)), torch.tensor(results("metrics"))
        )


def test_a_protocol_shares_its_chunks(results):
    for rank in range(2):
        assert results("protocol", rank, 2) == pytest.approx(results("protocol"), rel=1e-12)


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


def test_divergence_on_one_rank_ends_all(results):
    assert results("divergence").startswith("train/loss = nan")
    for rank in range(2):
        assert results("divergence", rank, 2) == results("divergence")
