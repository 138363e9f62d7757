"""Checkpoints by images_seen: the last two to resume from, and snapshots to sample from."""

import math
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer

from lit_models.training.checkpoint_files import (
    SCHEMA_VERSION,
    find_checkpoints,
    put_in_place,
    save_snapshot,
    saving,
)
from lit_models.training.clock import crossed
from lit_models.training.collectives import group_device, world
from lit_models.training.interruption import Interrupted, interrupted, requested
from lit_models.training.lightning_internals import checkpoint_content

__all__ = ["Checkpoints"]

KEPT = 2
ASK_SECONDS = 0.5  # how often processes ask each other for signals


class Checkpoints(Callback):
    """Saves at the first update at or past every `every_images`, and keeps the last two.

    Also after every `every_minutes`, and when a signal has come: then it ends the training, on all
    processes at the same update.

    Args:
        folder: Where they lie, as `<images_seen>.ckpt`.
        every_images: Distance of resumable checkpoints.
        run_id: The id of the run; written into each file.
        snapshot_every_images: Distance of snapshots (`snapshot-<images_seen>.pt`, weights only,
            never removed); None for none.
        every_minutes: Longest time between resumable checkpoints; None for no limit.

    Raises:
        SaveError: from training, if one cannot be written.
        Interrupted: from training, on every process, once a signal's checkpoint is saved.
    """

    def __init__(
        self,
        folder: Path,
        every_images: int,
        run_id: str,
        snapshot_every_images: int | None = None,
        every_minutes: float | None = None,
    ) -> None:
        for name, value in (
            ("checkpoint_every_images", every_images),
            ("snapshot_every_images", snapshot_every_images),
        ):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be >= 1, got {value}")
        if every_minutes is not None and every_minutes <= 0:
            raise ValueError(f"checkpoint_every_minutes must be > 0 or null, got {every_minutes}")
        self.folder, self.every_images = folder, every_images
        self.run_id = run_id
        self.snapshot_every_images = snapshot_every_images
        self.every_minutes = every_minutes
        self.saved_at: int | None = None  # images_seen of the last one
        self._questions = Questions()

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["run_id"] = self.run_id
        checkpoint["schema_version"] = SCHEMA_VERSION

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._begin_waiting()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now, step = pl_module.images_seen, pl_module.images_per_step
        every = self.snapshot_every_images
        if every and crossed(now, step, every) and trainer.is_global_zero:
            save_snapshot(pl_module, self.folder, pl_module.images_seen, self.run_id)
        asked, late = self._questions.ask(
            requested() is not None, time.monotonic() > self._latest, trainer.global_step
        )
        if asked or late or crossed(now, step, self.every_images):
            self.save(trainer)
        if asked:
            raise interrupted()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Save where another callback was told to end, between two updates."""
        if isinstance(exception, Interrupted) and self.saved_at != pl_module.images_seen:
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Save a resumable checkpoint of this moment; every process must call this."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{trainer.lightning_module.images_seen}.ckpt"
        part = path.with_suffix(".part")
        content = checkpoint_content(trainer)
        if trainer.is_global_zero:
            with saving(part):
                trainer.strategy.save_checkpoint(content, part)
                put_in_place(part, path)
            self._forget_others(path)
        trainer.strategy.barrier()
        self.saved_at = trainer.lightning_module.images_seen
        self._begin_waiting()

    def _forget_others(self, newest: Path) -> None:
        """Remove all but the newest two; one with a higher number is torn, or of a life undone."""
        found = find_checkpoints(self.folder)
        kept = found[found.index(newest) :][:KEPT]
        for old in found:
            if old not in kept:
                old.unlink()

    def _begin_waiting(self) -> None:
        minutes = math.inf if self.every_minutes is None else self.every_minutes
        self._latest = time.monotonic() + 60 * minutes


class Questions:
    """Lets processes answer together, now and then, so that they act at the same update.

    One process alone answers at once. Several do every so many steps, about twice a second by
    the first one's clock, since each time costs an exchange.
    """

    def __init__(self) -> None:
        self._next = 0
        self._last: tuple[int, float] | None = None  # (step, time)

    def ask(self, any_of: bool, first: bool, step: int) -> tuple[bool, bool]:
        """Return (whether `any_of` holds on some process, `first` of the first process).

        Every process must call this at each step; where they do not exchange, both are False.
        """
        if world()[1] == 1:
            return any_of, first
        if step < self._next:
            return False, False
        answer = torch.tensor(
            [any_of, first and world()[0] == 0, 0 if world()[0] else self._steps_until(step)],
            dtype=torch.float64,
        ).to(group_device())
        dist.all_reduce(answer)
        any_of_all, of_first, steps = answer.tolist()
        self._next = step + int(steps)
        return any_of_all > 0, of_first > 0

    def _steps_until(self, step: int) -> int:
        now, last = time.monotonic(), self._last
        self._last = (step, now)
        if last is None:
            return 1
        rate = (step - last[0]) / max(now - last[1], 1e-6)
        return max(int(rate * ASK_SECONDS), 1)
