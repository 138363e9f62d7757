"""Logging and the check for finite losses, every N updates: the only device synchronisations."""

import math
from typing import Any

import torch
from lightning import Callback, Trainer

from lit_models.training.collectives import mean_over_processes

__all__ = ["DivergedError", "Monitor"]


class DivergedError(RuntimeError):
    """A training quantity is NaN or infinite: a result, not a fault."""


class Monitor(Callback):
    """Sends the model's scalars, averaged over processes, to the loggers at step images_seen.

    Args:
        every_updates: Distance in training steps.

    Raises:
        ValueError: if every_updates < 1.
        DivergedError: from a run whose scalars are not finite, on every process.
    """

    def __init__(self, every_updates: int) -> None:
        if every_updates < 1:
            raise ValueError(f"log_every_updates must be >= 1, got {every_updates}")
        self.every_updates = every_updates

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if step % self.every_updates and step != trainer.max_steps:
            return
        names = list(pl_module.scalars)
        values = mean_over_processes(torch.stack([pl_module.scalars[n].float() for n in names]))
        scalars = dict(zip(names, values.tolist(), strict=True))
        bad = sorted(n for n, v in scalars.items() if not math.isfinite(v))
        if bad:  # so on every process
            raise DivergedError(
                f"{bad[0]} = {scalars[bad[0]]} after {pl_module.images_seen} images"
            )
        for logger in trainer.loggers:
            logger.log_metrics(scalars, step=pl_module.images_seen)
