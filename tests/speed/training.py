"""Training as `dgmbench train` runs it, against the same updates in plain PyTorch."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from omegaconf import DictConfig
from torch import Tensor

from benchmarks.config.compose import compose
from benchmarks.config.instantiate import instantiate
from benchmarks.loggers.csv_logger import CsvLogger
from datamodules.base import DataModule
from lit_models.callbacks.monitor import Monitor
from lit_models.callbacks.progress import Progress

__all__ = ["Side", "bare_trainer", "build", "training"]

Side = Callable[[], float]  # does the work once and returns a rate


def training(overrides: Sequence[str], updates: int) -> tuple[Side, Side]:
    """An experiment as `dgmbench train` runs it, and its updates in plain PyTorch."""
    cfg = compose(list(overrides)).cfg
    bare = _bare_began if "BEGAN" in cfg.model._target_ else _bare
    return partial(_ours, cfg, updates), partial(bare, cfg, updates)


def bare_trainer(updates: int, logger: Any = False, **settings: Any) -> Trainer:
    """Return a Trainer on the CPU without files and bars, as `dgmbench train` sets it up."""
    return Trainer(
        accelerator="cpu",
        max_epochs=-1,
        max_steps=updates,
        logger=logger,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )


def build(cfg: DictConfig) -> tuple[Any, DataModule]:
    """Build the model of a run from seed 0, and its data, set up."""
    torch.manual_seed(0)
    data = instantiate(cfg.datamodule, "datamodule")
    data.setup()
    return instantiate(cfg.model, "model"), data


def _ours(cfg: DictConfig, updates: int) -> float:
    """Train as `dgmbench train` does, with logging and progress; time the updates alone."""
    model, data = build(cfg)
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock(Path(folder) / "progress.json", updates * model.images_per_step, "", False)
        trainer = bare_trainer(
            updates,
            devices=1,
            logger=CsvLogger(Path(folder), "speed", 0),
            callbacks=[Monitor(cfg.log_every_updates), clock],
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
    model, data = build(cfg)
    g, d, loss = model.generator, model.discriminator, model.loss
    opt_d, opt_g = model.configure_optimizers()
    batches, noise = _shuffled(data.split("train")[0], model.batch_size), _draw(cfg)
    penalty = None if cfg.model.penalty is None else PENALTIES[cfg.model.penalty._target_]
    began = time.perf_counter()
    for _ in range(updates):
        for _ in range(model.n_critic):
            real, z = next(batches), noise()
            with torch.no_grad():
                fake = g(z)
            objective = loss.discriminator_loss(d(real), d(fake))
            if penalty is not None:
                objective = objective + penalty(d, real, fake)
            opt_d.zero_grad()
            objective.backward()
            opt_d.step()
        d.requires_grad_(False)
        objective = loss.generator_loss(None, d(g(z if model.reuse_noise else noise())))
        opt_g.zero_grad()
        objective.backward()
        opt_g.step()
        d.requires_grad_(True)
    return updates * model.images_per_step / (time.perf_counter() - began)


def _bare_began(cfg: DictConfig, updates: int) -> float:
    """BEGAN with k from errors under the new weights, as in the code of Lucic et al. (2018)."""
    model, data = build(cfg)
    assert model.k_by_new_weights
    g, d, k = model.generator, model.discriminator, torch.tensor(0.0)
    opt_d, opt_g = model.configure_optimizers()
    batches, noise = _shuffled(data.split("train")[0], model.batch_size), _draw(cfg)
    began = time.perf_counter()
    for i in range(1, updates * model.n_critic + 1):
        real, z = next(batches), noise()
        with torch.no_grad():
            fake = g(z)
        opt_d.zero_grad()
        (_l1(real, d(real)) - k * _l1(fake, d(fake))).backward()
        opt_d.step()
        if i % model.n_critic == 0:
            d.requires_grad_(False)
            fake = g(z)
            opt_g.zero_grad()
            _l1(fake, d(fake)).backward()
            opt_g.step()
            d.requires_grad_(True)
        with torch.no_grad():
            fake = g(z)
            k += model.k_rate * (model.balance * _l1(real, d(real)) - _l1(fake, d(fake)))
    return updates * model.images_per_step / (time.perf_counter() - began)


def _l1(x: Tensor, x_hat: Tensor) -> Tensor:
    return (x - x_hat).abs().mean()


def _draw(cfg: DictConfig) -> Callable[[], Tensor]:
    prior, shape = cfg.model.prior, (cfg.model.batch_size, cfg.model.prior.dim)
    uniform = "Uniform" in prior._target_
    return lambda: torch.rand(shape) * 2 - 1 if uniform else torch.randn(shape)


def _gradient_penalty(d: Any, real: Tensor, fake: Tensor) -> Tensor:
    return _unit_slope(d, fake + torch.rand(len(real), 1, 1, 1) * (real - fake))


def _dragan_penalty(d: Any, real: Tensor, fake: Tensor) -> Tensor:
    u = torch.rand(len(real), 1, 1, 1)
    x = real + u * 0.5 * real.std() * torch.rand_like(real)
    return _unit_slope(lambda x: d(x).sigmoid(), x)


def _unit_slope(function: Any, x: Tensor) -> Tensor:
    x = x.requires_grad_()
    (gradient,) = torch.autograd.grad(function(x).sum(), x, create_graph=True)
    return 10 * ((gradient.square().sum((1, 2, 3)) + 1e-4).sqrt() - 1).square().mean()


PENALTIES = {
    "lit_models.adversarial.penalties.GradientPenalty": _gradient_penalty,
    "lit_models.adversarial.penalties.DraganPenalty": _dragan_penalty,
}


def _shuffled(x: Tensor, batch_size: int) -> Iterator[Tensor]:
    while True:
        for index in torch.randperm(len(x)).split(batch_size):
            if len(index) == batch_size:
                yield x[index] / 255 if x.dtype == torch.uint8 else x[index]
