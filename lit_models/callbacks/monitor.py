"""Logging and the check for finite losses, every N updates: the only device synchronisations."""

import math
from typing import Any

import torch
from lightning import Callback, Trainer

from lit_models.distributed import any_process

__all__ = ["DivergedError", "Monitor"]


class DivergedError(RuntimeError):
    """A training quantity is NaN or infinite: a result, not a fault."""


class Monitor(Callback):
    """Sends the model's scalars to the loggers, with images_seen as the step.

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
        values = torch.stack([pl_module.scalars[n].float() for n in names]).tolist()
        scalars = dict(zip(names, values, strict=True))
        bad = sorted(n for n, v in scalars.items() if not math.isfinite(v))
        if any_process(bool(bad), pl_module.device):
            what = f"{bad[0]} = {scalars[bad[0]]}" if bad else "a loss on another process"
            raise DivergedError(f"{what} after {pl_module.images_seen} images")
        for logger in trainer.loggers:
            logger.log_metrics(scalars, step=pl_module.images_seen)
