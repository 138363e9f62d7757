"""Checkpoints by images_seen: the last two to resume from, and snapshots to sample from."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

__all__ = [
    "CheckpointError",
    "Checkpoints",
    "find_checkpoint",
    "find_snapshots",
    "load_checkpoint",
    "save_snapshot",
    "snapshot_path",
]

KEPT = 2


class CheckpointError(ValueError):
    """A checkpoint that cannot be used."""


def find_checkpoints(folder: Path) -> list[Path]:
    """Return the resumable checkpoints of a folder, newest first."""
    return sorted(folder.glob("[0-9]*.ckpt"), key=lambda p: int(p.stem), reverse=True)


def snapshot_path(folder: Path, name: int | str) -> Path:
    """Return where a snapshot lies, by its images_seen or another name."""
    return folder / f"snapshot-{name}.pt"


def find_snapshots(folder: Path) -> list[int]:
    """Return the images_seen of a folder's snapshots, in order."""
    return sorted(int(p.stem.split("-")[1]) for p in folder.glob("snapshot-[0-9]*.pt"))


def save_snapshot(model: Any, folder: Path, name: int | str, run_id: str) -> None:
    """Write what sampling needs of a model, as the snapshot of a name; on one process."""
    folder.mkdir(parents=True, exist_ok=True)
    path = snapshot_path(folder, name)
    state: dict[str, Tensor] = model.sampling_state()
    part = path.with_suffix(".part")
    torch.save(
        {"state_dict": state, "images_seen": model.images_seen, "run_id": run_id},
        part,
    )
    part.replace(path)


def load_checkpoint(path: Path, run_id: str) -> dict[str, Any]:
    """Read a checkpoint (tensors and plain values only) onto the CPU.

    Raises:
        CheckpointError: if it cannot be read, or belongs to another run.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        found = checkpoint["run_id"]
    except Exception as error:
        raise CheckpointError(f"{path} is no readable checkpoint: {error}") from error
    if found != run_id:
        raise CheckpointError(f"{path} must come from run {run_id}, got one of run {found}")
    return checkpoint


def find_checkpoint(folder: Path, run_id: str) -> tuple[Path, dict[str, Any]] | None:
    """Return the newest checkpoint that can be read, and its content; None where there is none.

    Raises:
        CheckpointError: if there are some and none can be used.
    """
    failure = None
    for path in find_checkpoints(folder):
        try:
            return path, load_checkpoint(path, run_id)
        except CheckpointError as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return None


class Checkpoints(Callback):
    """Saves at the first update at or past every `every_images`, and keeps the last two.

    Args:
        folder: Where they lie, as `<images_seen>.ckpt`.
        every_images: Distance of resumable checkpoints.
        run_id: Of the run; written into each file.
        snapshot_every_images: Distance of snapshots (`snapshot-<images_seen>.pt`, weights only,
            never removed); None for none.
    """

    def __init__(
        self,
        folder: Path,
        every_images: int,
        run_id: str,
        snapshot_every_images: int | None = None,
    ) -> None:
        for name, value in (
            ("checkpoint_every_images", every_images),
            ("snapshot_every_images", snapshot_every_images),
        ):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be >= 1, got {value}")
        self.folder, self.every_images = folder, every_images
        self.run_id = run_id
        self.snapshot_every_images = snapshot_every_images

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["run_id"] = self.run_id

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now, step = pl_module.images_seen, pl_module.images_per_step
        if crossed(now, step, self.every_images):
            self.save(trainer)
        every = self.snapshot_every_images
        if every and crossed(now, step, every) and trainer.is_global_zero:
            save_snapshot(pl_module, self.folder, pl_module.images_seen, self.run_id)

    def save(self, trainer: Trainer) -> None:
        """Save a resumable checkpoint of this moment; every process must call this."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{trainer.lightning_module.images_seen}.ckpt"
        part = path.with_suffix(".part")
        trainer.save_checkpoint(part)
        if trainer.is_global_zero:
            _flush(part)
            part.replace(path)
            for old in find_checkpoints(self.folder)[KEPT:]:
                old.unlink()
        trainer.strategy.barrier()


def crossed(images_seen: int, images_per_step: int, every: int) -> bool:
    """Return whether the step that ended at `images_seen` reached or passed a multiple."""
    return images_seen // every > (images_seen - images_per_step) // every


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
