"""Files of checkpoints: written whole, read with a check, and never another run's."""

import logging
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "SCHEMA_VERSION",
    "CheckpointError",
    "SaveError",
    "TornError",
    "find_checkpoint",
    "find_checkpoints",
    "find_snapshots",
    "load_checkpoint",
    "put_in_place",
    "save_snapshot",
    "saving",
    "snapshot_path",
]

SCHEMA_VERSION = 1

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
    with saving(part):
        torch.save({**content, "run_id": run_id, "schema_version": SCHEMA_VERSION}, part)
        put_in_place(part, path)


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


def put_in_place(part: Path, path: Path) -> None:
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
def saving(part: Path) -> Iterator[None]:
    """Write a file under another name; where that fails, say why and leave nothing.

    Raises:
        SaveError: with the system's reason.
    """
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
