"""Checkpoints by images_seen: the last two to resume from, and snapshots to sample from."""

import logging
import math
import os
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from lit_models.collectives import group_device, world
from lit_models.interruption import Interrupted, interrupted, requested

__all__ = [
    "CheckpointError",
    "Checkpoints",
    "SaveError",
    "TornError",
    "find_checkpoint",
    "find_snapshots",
    "load_checkpoint",
    "save_snapshot",
    "snapshot_path",
]

KEPT = 2
SCHEMA_VERSION = 1
ASK_SECONDS = 0.5  # how often processes ask each other for signals

log = logging.getLogger("dgmbench")


class CheckpointError(ValueError):
    """A checkpoint that cannot be used."""


class TornError(CheckpointError):
    """A checkpoint that was not written whole, or has changed since."""


class SaveError(RuntimeError):
    """A checkpoint could not be written; those before it are untouched."""


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
    content = {"state_dict": state, "images_seen": model.images_seen}
    with _saving(part):
        torch.save({**content, "run_id": run_id, "schema_version": SCHEMA_VERSION}, part)
        _put_in_place(part, path)


UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,
    RuntimeError,
    EOFError,
    OSError,
    UnpicklingError,
)


def load_checkpoint(path: Path, *run_ids: str) -> dict[str, Any]:
    """Read a checkpoint (tensors and plain values only) onto the CPU.

    Args:
        path: The file.
        run_ids: The id of the run that it must come from, and that which it had before.

    Raises:
        TornError: if it cannot be read.
        CheckpointError: if it belongs to another run, or to a newer version of this program.
    """
    try:
        _check_whole(path)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        found, version = checkpoint["run_id"], int(checkpoint["schema_version"])
    except PermissionError as error:
        raise CheckpointError(f"{path} cannot be opened: {error.strerror}") from error
    except UNREADABLE as error:
        raise TornError(f"{path} is no readable checkpoint: {error}") from error
    if version > SCHEMA_VERSION:
        raise CheckpointError(
            f"{path} must have schema_version <= {SCHEMA_VERSION}, got {version}: it was written "
            "by a newer version of this program"
        )
    if found not in run_ids:
        wanted = " or ".join(run_ids)
        raise CheckpointError(f"{path} must come from run {wanted}, got one of run {found}")
    return checkpoint


def find_checkpoint(folder: Path, *run_ids: str) -> tuple[Path, dict[str, Any]] | None:
    """Return the newest checkpoint that can be read, and its content; None where there is none.

    One that was torn is named on the way.

    Raises:
        CheckpointError: if there are some and none can be used.
    """
    torn: list[TornError] = []
    for path in find_checkpoints(folder):
        try:
            found = path, load_checkpoint(path, *run_ids)
        except TornError as error:
            torn.append(error)
            continue
        for failure in torn:
            log.warning("dgmbench: %s; going on from %s", failure, path.name)
        return found
    if torn:
        raise CheckpointError(f"{torn[0]} (delete {folder} to begin anew)")
    return None


class Checkpoints(Callback):
    """Saves at the first update at or past every `every_images`, and keeps the last two.

    Also after every `every_minutes`, and when a signal has come: then it ends the training, on all
    processes at the same update.

    Args:
        folder: Where they lie, as `<images_seen>.ckpt`.
        every_images: Distance of resumable checkpoints.
        run_id: Of the run; written into each file.
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
        # not save_checkpoint, in which the others wait while this one may fail
        content = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
        if trainer.is_global_zero:
            with _saving(part):
                trainer.strategy.save_checkpoint(content, part)
                _put_in_place(part, path)
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


def crossed(images_seen: int, images_per_step: int, every: int) -> bool:
    """Return whether the step that ended at `images_seen` reached or passed a multiple."""
    return images_seen // every > (images_seen - images_per_step) // every


def _put_in_place(part: Path, path: Path) -> None:
    """Give a file its name once it is on the disk and whole."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    _check_whole(part)
    part.replace(path)


def _check_whole(path: Path) -> None:
    """Compare the checksums in a file, at which torch.load does not look.

    Raises:
        ValueError: if one is wrong, or the file is not whole.
    """
    try:
        with zipfile.ZipFile(path) as file:
            broken = file.testzip()
    except zipfile.BadZipFile as error:
        raise ValueError(str(error)) from error
    if broken is not None:
        raise ValueError(f"{broken} has a wrong checksum")


@contextmanager
def _saving(part: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:  # torch's writer raises RuntimeError
        reason = _why_not(part, error)
        part.unlink(missing_ok=True)
        raise SaveError(
            f"checkpoint {part.stem} could not be saved in {part.parent}: {reason}; those before "
            "it are untouched"
        ) from error


def _why_not(part: Path, error: Exception) -> str:
    """Return the system's reason, which torch's writer does not tell."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    try:
        with part.open("ab") as file:
            file.write(bytes(1 << 16))
            os.fsync(file.fileno())
    except OSError as again:
        return again.strerror or str(again)
    return " ".join(str(error).split())
