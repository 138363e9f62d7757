"""Several processes: one that dies or hangs is named, and a signal to one ends all."""

import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from tests.helpers import assert_same_state
from tests.reliability.jobs import (
    Job,
    assert_same_run,
    checkpoints,
    command,
    folder,
    record,
    run,
)

pytestmark = pytest.mark.slow
TWO = ("trainer=ddp_cpu", "process_timeout_seconds=8")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


def child_of(pid):
    """Return the process that the launcher has started; None while there is none."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            with suppress(OSError):  # it may be gone, as git is soon
                if "LOCAL_RANK=1" in Path(f"/proc/{child}/environ").read_text():
                    return int(child)
    return None


def lives(pid):
    """Return whether a process is there and no zombie."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in "ZX"


@pytest.mark.parametrize(
    "rank",
    [
        pytest.param(
            rank,
            marks=pytest.mark.outcome(
                f"SIGTERM to the {which} of two processes",
                "both stop at one update, exit code 75; the same command continues to the bit",
            ),
        )
        for rank, which in enumerate(("first", "second"))
    ],
)
def test_a_signal_to_one(tmp_path, rank, seen):
    arguments = command("NS GAN", *TWO, "checkpoint_every_images=16000", steps=400)
    assert run(tmp_path / "whole", arguments)[0] == 0
    cut = tmp_path / "cut"
    with Job(cut, arguments) as job:
        assert job.wait_for(lambda: list(cut.rglob("progress.json"))), job.end()
        began = time.monotonic()
        os.kill(job.process.pid if rank == 0 else child_of(job.process.pid), signal.SIGTERM)
        code, said = job.end()
    assert code == 75, said
    assert record(cut).status == "interrupted"
    assert 0 < int(checkpoints(cut)[0].stem) < 3200
    assert run(cut, arguments)[0] == 0
    assert_same_run(tmp_path / "whole", cut)
    seen(f"ended after {time.monotonic() - began:.0f} s, run again included")


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(
            signal.SIGKILL,
            marks=pytest.mark.outcome(
                "one of two processes is killed",
                "the other ends with code 1 and names it, in the record too",
            ),
        ),
        pytest.param(
            signal.SIGSTOP,
            marks=pytest.mark.outcome(
                "one of two processes hangs",
                "after process_timeout_seconds (8 here) the other ends with code 1 and names it",
            ),
        ),
    ],
)
def test_one_that_dies(tmp_path, seen, number):
    arguments = command("NS GAN", *TWO, steps=20000)
    with Job(tmp_path, arguments) as job:
        assert job.trains(), job.end()
        began, child = time.monotonic(), child_of(job.process.pid)
        os.kill(child, number)
        job.process.wait(timeout=60)
        seconds = time.monotonic() - began
        if lives(child):
            os.kill(child, signal.SIGKILL)
        code, said = job.end()
    assert code == 1, said
    found = record(tmp_path)
    assert found.status == "failed"
    assert found.reason.startswith("rank 1 has not answered for ")
    assert f"rank 1 was process {child} on " in said
    assert seconds < 30
    seen(f"ended after {seconds:.0f} s")


@pytest.mark.outcome(
    "the first of two processes is killed", "the other ends too, and names it; the run continues"
)
def test_the_first_dies(tmp_path, seen):
    arguments = command("NS GAN", *TWO, steps=400)
    with Job(tmp_path, arguments) as job:
        assert job.trains(), job.end()
        began, child = time.monotonic(), child_of(job.process.pid)
        job.send(signal.SIGKILL)
        _, said = job.end()  # its pipe is closed when the other one ends
        assert not lives(child)
        seconds = time.monotonic() - began
    assert "rank 0 has not answered" in said
    assert "Traceback" not in said
    assert run(tmp_path, arguments)[0] == 0
    assert record(tmp_path).status == "finished"
    seen(f"ended after {seconds:.0f} s")


@pytest.mark.outcome(
    "two machines (two launchers with addresses of their own)",
    "one run, one record, the model of one process (to rounding)",
)
def test_two_nodes(tmp_path):
    both = ("trainer=ddp_cpu", "trainer.devices=1", "trainer.num_nodes=2", "precision=64-true")
    arguments = command("NS GAN", *both, steps=20)
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "WORLD_SIZE": "2"}
    places = [
        {**shared, "NODE_RANK": str(i), "GLOO_SOCKET_IFNAME": "lo", "HOSTNAME": f"node{i}"}
        for i in range(2)
    ]
    with (
        Job(tmp_path / "two", arguments, **places[0]) as one,
        Job(tmp_path / "two", arguments, **places[1]) as other,
    ):
        codes, said = zip(one.end(), other.end(), strict=True)
    assert codes == (0, 0), said
    assert record(tmp_path / "two").cost["processes"] == 2
    assert [p.name for p in tmp_path.rglob("metrics.csv")] == ["metrics.csv"]
    alone = command("NS GAN", "precision=64-true", steps=20)
    assert run(tmp_path / "one", alone)[0] == 0
    states = [
        torch.load(checkpoints(tmp_path / n)[0], weights_only=True)["state_dict"]
        for n in ("one", "two")
    ]
    assert_same_state(*states, rtol=1e-7, atol=1e-7)  # a dead bias moves by rounding
    assert folder(tmp_path / "one").name == folder(tmp_path / "two").name


@pytest.mark.outcome("more processes than images in a batch", "one line, exit code 2")
def test_too_many_processes(tmp_path):
    arguments = command("VAE", "trainer=ddp_cpu", "trainer.devices=16", steps=20)
    code, said = run(tmp_path, arguments)
    assert code == 2, said
    assert said.count("\n") == 1, said
    assert "batch_size must be" in said


@pytest.mark.outcome("one process ends before it meets the others", "it is named, exit code 1")
def test_one_that_never_came(tmp_path):
    with Job(tmp_path, command("VAE", "trainer=ddp_cpu", steps=20)) as job:
        assert job.wait_for(lambda: child_of(job.process.pid))
        os.kill(child_of(job.process.pid), signal.SIGKILL)
        code, said = job.end()
    assert code == 1
    assert "rank 1 ended with code -9 before it met the others" in said
