"""`make speed`: ratios measured in turn, in one run. A benchmark, not a test: nothing is gated.

Each comparison runs its sides alternately and prints the median of the rounds' ratios, so that a
busy machine slows both.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Trainer
from omegaconf import DictConfig
from torch import Tensor
from tqdm import tqdm

from benchmarks.compose import compose
from benchmarks.instantiate import instantiate
from benchmarks.report.csv_logger import CsvLogger
from datamodules.base import BatchStream, DataModule
from lit_models.callbacks.monitor import Monitor
from lit_models.callbacks.progress import Progress

__all__ = ["main"]

ROUNDS = 20
THREADS = 1
Side = Callable[[], float]  # images per second


def main() -> None:
    """Print one line per comparison."""
    torch.set_num_threads(THREADS)
    cases: list[tuple[str, str, Callable[[], tuple[Side, Side]]]] = [
        ("training, 28x28 InfoGAN net, batch 64", "goal >= 0.97 of a bare loop", infogan),
        ("training, ring MLP, batch 256", "goal >= 0.80 of a bare loop", ring),
        ("batches, Fashion-MNIST, batch 64", "against torchvision + DataLoader", batches),
    ]
    print(f"torch {torch.__version__}, {THREADS} thread, medians of {ROUNDS} rounds in turn")
    for label, goal, build in cases:
        ours, theirs = build()
        a, b, ratio = alternate(ours, theirs, label)
        print(f"{label}: {a:,.0f} against {b:,.0f} images/s, ratio {ratio:.2f} ({goal})")


def alternate(ours: Side, theirs: Side, label: str) -> tuple[float, float, float]:
    """Return the median rates of both sides, and the median of the rounds' ratios.

    The first round warms up and does not count; every second round begins with the other side.
    """
    rates = []
    for i in tqdm(range(ROUNDS + 1), desc=label, leave=False):
        pair = (ours(), theirs()) if i % 2 else (theirs(), ours())[::-1]
        rates.append(pair)
    a, b = zip(*rates[1:], strict=True)
    ratios = [x / y for x, y in rates[1:]]
    return statistics.median(a), statistics.median(b), statistics.median(ratios)


def infogan() -> tuple[Side, Side]:
    """The NS GAN of Lucic et al. at full width."""
    cfg = compose(["experiment=lucic2018_ns_gan", "model.reuse_noise=false"]).cfg
    return partial(_ours, cfg, 8), partial(_bare, cfg, 8)


def ring() -> tuple[Side, Side]:
    """The NS GAN with an MLP on a ring."""
    cfg = compose(["experiment=toy_ns_gan"]).cfg
    return partial(_ours, cfg, 200), partial(_bare, cfg, 200)


def _build(cfg: DictConfig) -> tuple[Any, DataModule]:
    torch.manual_seed(0)
    data = instantiate(cfg.datamodule, "datamodule")
    data.setup()
    return instantiate(cfg.model, "model"), data


def _ours(cfg: DictConfig, updates: int) -> float:
    """Train as `dgmbench train` does, with logging and progress; time the updates alone."""
    model, data = _build(cfg)
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock(Path(folder) / "progress.json", updates * model.images_per_step, "", False)
        trainer = Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=-1,
            max_steps=updates,
            logger=CsvLogger(Path(folder), "speed", 0),
            callbacks=[Monitor(cfg.log_every_updates), clock],
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(model, datamodule=data)
    return updates * model.images_per_step / clock.elapsed


class Clock(Progress):
    """Progress that also keeps the time between its first and its last batch."""

    elapsed = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        super().on_train_start(trainer, pl_module)
        self._zero = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        self.elapsed = time.perf_counter() - self._zero


def _bare(cfg: DictConfig, updates: int) -> float:
    """The same training in plain PyTorch: no Lightning, no logging, no seeds per step."""
    model, data = _build(cfg)
    g, d, loss = model.generator, model.discriminator, model.loss
    opt_d, opt_g = model.configure_optimizers()
    prior = cfg.model.prior
    batches = _shuffled(data.split("train")[0], model.batch_size)
    uniform = "Uniform" in prior._target_

    def noise() -> Tensor:
        shape = (model.batch_size, prior.dim)
        return torch.rand(shape) * 2 - 1 if uniform else torch.randn(shape)

    began = time.perf_counter()
    for _ in range(updates):
        real = next(batches)
        real = real / 255 if real.dtype == torch.uint8 else real
        with torch.no_grad():
            fake = g(noise())
        objective = loss.discriminator_loss(d(real), d(fake))
        opt_d.zero_grad()
        objective.backward()
        opt_d.step()
        d.requires_grad_(False)
        objective = loss.generator_loss(d(g(noise())))
        opt_g.zero_grad()
        objective.backward()
        opt_g.step()
        d.requires_grad_(True)
    return updates * model.batch_size / (time.perf_counter() - began)


def _shuffled(x: Tensor, batch_size: int) -> Iterator[Tensor]:
    while True:
        for index in torch.randperm(len(x)).split(batch_size):
            if len(index) == batch_size:
                yield x[index]


def batches() -> tuple[Side, Side]:
    """One epoch of float images in [0, 1] with labels."""
    import torchvision

    cfg = compose(["experiment=lucic2018_ns_gan"]).cfg
    _, data = _build(cfg)
    folder = tempfile.TemporaryDirectory()
    _write_idx(data, Path(folder.name) / "FashionMNIST" / "raw")
    to_tensor = torchvision.transforms.ToTensor()
    theirs = torchvision.datasets.FashionMNIST(folder.name, train=True, transform=to_tensor)
    loader = torch.utils.data.DataLoader(theirs, batch_size=64, shuffle=True, drop_last=True)
    count = len(theirs) // 64

    def ours(keep: Any = folder) -> float:
        stream = iter(BatchStream(*data.split("train"), batch_size=64))
        began = time.perf_counter()
        for _ in range(count):
            x, _ = next(stream)
            x.float() / 255
        return count * 64 / (time.perf_counter() - began)

    def torchvisions() -> float:
        began = time.perf_counter()
        for _ in loader:
            pass
        return count * 64 / (time.perf_counter() - began)

    return ours, torchvisions


def _write_idx(data: DataModule, folder: Path) -> None:
    """Write the splits in the format torchvision reads, so that nothing is downloaded."""
    folder.mkdir(parents=True)
    for split, stem in (("train", "train"), ("test", "t10k")):
        x, labels = (t.numpy().astype(np.uint8) for t in data.split(split))
        for array, kind in ((x[:, 0], "images-idx3"), (labels, "labels-idx1")):
            head = bytes([0, 0, 8, array.ndim])
            sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
            (folder / f"{stem}-{kind}-ubyte").write_bytes(head + sizes + array.tobytes())


if __name__ == "__main__":
    from benchmarks.train import quiet

    quiet()
    main()
