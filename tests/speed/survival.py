"""What it costs to survive and to share: checkpoints, a second process, bytes between them."""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning import Trainer

from benchmarks.config.compose import compose
from benchmarks.runs.record import read_record
from lit_models.callbacks.checkpoints import Checkpoints
from lit_models.training.distributed import ReplicatedStrategy
from tests.speed.training import bare_trainer, build

__all__ = ["survival"]

EXPERIMENT = ("experiment=lucic2018/ns_gan", "datamodule=fashion_mnist_small")
BATCH = 64
UPDATES = 60
ROUNDS = 3
SAVES = 7


def survival() -> Iterator[str]:
    """Yield a line per measurement, each on the 28x28 InfoGAN net."""
    yield _checkpoint()
    yield _two_processes()
    yield _bytes()


def _fit(updates: int, **settings: Any) -> tuple[Any, Trainer]:
    model, data = build(compose(list(EXPERIMENT)).cfg)
    trainer = bare_trainer(updates, **settings)
    trainer.fit(model, datamodule=data)
    return model, trainer


def _checkpoint() -> str:
    """Time whole saves: written, read back, renamed."""
    with tempfile.TemporaryDirectory() as folder:
        saving = Checkpoints(Path(folder), 10**9, "speed")
        _, trainer = _fit(1, devices=1, callbacks=[saving])
        seconds = []
        for _ in range(SAVES):
            began = time.perf_counter()
            saving.save(trainer)
            seconds.append(time.perf_counter() - began)
        size = sum(p.stat().st_size for p in Path(folder).iterdir()) / 2**20
    took = statistics.median(seconds)
    return (
        f"a checkpoint of {size:.0f} MB every minute: {took:.2f} s, {took / 60:.2%} of the time "
        "(goal < 1 %)"
    )


def _two_processes() -> str:
    """Compare runs of the command line, one core per process, the same batch per process."""
    one, two = (BATCH, ()), (2 * BATCH, ("trainer=ddp_cpu",))
    rates = [(_rate(*one), _rate(*two)) for _ in range(ROUNDS)]
    alone, both = (statistics.median(r) for r in zip(*rates, strict=True))
    ratio = statistics.median(b / a for a, b in rates)
    return (
        f"two processes of one core: {both:,.4g} against {alone:,.4g} images/s of one, ratio "
        f"{ratio:.2f} (goal >= 1.7; {ROUNDS} rounds)"
    )


def _rate(batch_size: int, overrides: Sequence[str]) -> float:
    settings = [f"model.batch_size={batch_size}", f"images_seen={batch_size * UPDATES}"]
    command = [sys.executable, "-m", "benchmarks", "train", "--no-bar", *EXPERIMENT, *settings]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [*command, "protocols=[]", *overrides],
            env={**os.environ, "DGMBENCH_OUTPUTS": folder},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        (path,) = Path(folder).rglob("record.json")
        record = read_record(path)
    assert record is not None
    return record.cost["images_per_second"]


def _bytes() -> str:
    """Count what two processes exchange in an update, beside the gradients alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    places = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "NODE_RANK": "0"}
    jobs = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.speed.survival"],
            env={**os.environ, **places, "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for rank in range(2)
    ]
    out = [job.communicate()[0] for job in jobs]
    found = json.loads(out[0].splitlines()[-1])
    return (
        f"exchanged per update: {found['sent']:,} bytes in {found['calls']} calls, gradients "
        f"alone {found['ideal']:,}, ratio {found['sent'] / found['ideal']:.3f} (goal <= 1.01)"
    )


def _count() -> None:
    """Print, as one process of two, the bytes of an update's exchanges, and of its gradients."""
    torch.set_num_threads(1)
    plain, sizes = dist.all_reduce, []

    def counting(x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        sizes.append(x.numel() * x.element_size())
        return plain(x, *args, **kwargs)

    dist.all_reduce = counting
    strategy = ReplicatedStrategy(process_group_backend="gloo")
    totals, calls = [], []
    for updates in (1, 3):
        sizes.clear()
        model, _ = _fit(updates, devices=2, strategy=strategy)
        totals.append(sum(sizes))
        calls.append(len(sizes))
        strategy = ReplicatedStrategy(process_group_backend="gloo")
    weights = [
        sum(p.numel() * 4 for p in m.parameters()) for m in (model.discriminator, model.generator)
    ]
    ideal = model.n_critic * weights[0] + weights[1]
    sent, number = ((x[1] - x[0]) // 2 for x in (totals, calls))
    print(json.dumps({"sent": sent, "calls": number, "ideal": ideal}))


if __name__ == "__main__":
    _count()
