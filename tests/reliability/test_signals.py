"""Runs that are killed, told to end, or pressed twice."""

import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.reliability.jobs import (
    KINDS,
    Job,
    assert_same_run,
    checkpoints,
    command,
    record,
    run,
)

pytestmark = pytest.mark.slow
KILLS = 5  # of each kind
STEPS = 1500


def killed_often(space, kind):
    """Kill a run five times, twice of them within a save; return (kills, within a save)."""
    rng, arguments = random.Random(kind), command(kind, steps=STEPS)
    assert run(space / "whole", arguments)[0] == 0
    cut, kills, in_saves = space / "cut", 0, 0
    while kills < KILLS:
        with Job(cut, arguments) as job:
            before = {p.name for p in checkpoints(cut)}
            began = job.wait_for(lambda b=before: {p.name for p in checkpoints(cut)} - b)
            assert began, job.end()
            time.sleep(rng.uniform(0, 0.6))
            if kills % 2:
                job.wait_for(lambda: list(cut.rglob("checkpoints/*.part")))
            assert job.process.poll() is None, "the run was over before its kills"
            job.send(signal.SIGKILL)
            job.process.wait()
            in_saves += bool(list(cut.rglob("checkpoints/*.part")))
            kills += 1
    assert record(cut).status == "interrupted"
    assert run(cut, arguments)[0] == 0
    assert_same_run(space / "whole", cut)
    return kills, in_saves


@pytest.mark.outcome(
    "SIGKILL at 25 random times: NS GAN, WGAN-GP with EMA, BEGAN, VAE, PixelCNN, some of them "
    "while a checkpoint is written",
    "the same command continues; weights, optimizers, logs and pictures as never interrupted, "
    "to the bit",
)
def test_kills(tmp_path, seen):
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda k: killed_often(tmp_path / k.replace(" ", "_"), k), KINDS))
    kills, in_saves = (sum(x) for x in zip(*done, strict=True))
    assert kills == 25
    assert in_saves >= 3
    seen(f"{kills} of {kills}, {in_saves} within a save")


def stopped(space, arguments, numbers, when):
    """Send signals to a run when something holds; return (exit code, words, seconds it took)."""
    with Job(space, arguments) as job:
        assert job.wait_for(lambda: when(space)), job.end()
        began = time.monotonic()
        for number in numbers:
            job.send(number)
            time.sleep(0.05)
        code, said = job.end()
    return code, said, time.monotonic() - began


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=pytest.mark.outcome(
                f"{name} in training",
                "a checkpoint of that update, exit code 75; the same command continues to the bit",
            ),
        )
        for name in ("SIGTERM", "SIGINT", "SIGUSR1")
    ],
)
def test_told_to_end_in_training(tmp_path, seen, name):
    arguments = command("NS GAN", "checkpoint_every_images=16000", steps=STEPS)
    assert run(tmp_path / "whole", arguments)[0] == 0
    cut = tmp_path / "cut"
    training = lambda space: list(space.rglob("progress.json"))  # noqa: E731
    code, said, seconds = stopped(cut, arguments, [getattr(signal, name)], training)
    assert (code, said) == (75, f"dgmbench: stopped by {name}; the same command continues\n")
    assert 0 < int(checkpoints(cut)[0].stem) < 8 * STEPS
    assert record(cut).reason == f"stopped by {name}"
    assert run(cut, arguments)[0] == 0
    assert_same_run(tmp_path / "whole", cut)
    seen(f"ended after {seconds:.1f} s")


@pytest.mark.outcome(
    "SIGTERM in the evaluation after training",
    "exit code 75 at the next chunk of samples; then only the evaluation is done again",
)
def test_told_to_end_in_evaluation(tmp_path, seen):
    arguments = command("NS GAN", "protocols=[fd_lenet_2k_test2k]", steps=40)
    assert run(tmp_path / "whole", arguments)[0] == 0
    cut = tmp_path / "cut"
    last = lambda space: list(space.rglob("320.ckpt"))  # noqa: E731
    code, said, seconds = stopped(cut, arguments, [signal.SIGTERM], last)
    assert code == 75, said
    assert record(cut).evaluations == []
    assert record(cut).counters["images_seen"] == 320
    assert run(cut, arguments)[0] == 0
    assert_same_run(tmp_path / "whole", cut)
    seen(f"ended after {seconds:.1f} s")


@pytest.mark.outcome(
    "Ctrl-C twice", "ends at once, exit code 130; the same command continues to the bit"
)
def test_pressed_twice(tmp_path, seen):
    arguments = command("VAE", steps=STEPS)
    assert run(tmp_path / "whole", arguments)[0] == 0
    cut = tmp_path / "cut"
    assert stopped(cut, arguments, [signal.SIGTERM], checkpoints)[0] == 75
    saved = checkpoints(cut)[0]
    # once more, before it has come to an update at which it could end by itself
    held = lambda space: list(space.rglob(".lock"))  # noqa: E731
    code, _, seconds = stopped(cut, arguments, [signal.SIGINT, signal.SIGINT], held)
    assert (code, checkpoints(cut)[0]) == (130, saved)
    assert run(cut, arguments)[0] == 0
    assert_same_run(tmp_path / "whole", cut)
    seen(f"ended after {seconds:.1f} s")
