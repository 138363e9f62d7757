"""`dgmbench prefetch NAME`: a data set into the data folder, once, checked."""

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compose import compose_group, names
from benchmarks.errors import UserError, one_line, suggest, user_errors
from benchmarks.instantiate import instantiate
from benchmarks.paths import check_writable
from datamodules.prepared import PreparedImages

__all__ = ["prefetch"]

Download = Callable[[str, Path], dict[str, np.ndarray]]


def prefetch(wanted: Sequence[str]) -> int:
    """Download and prepare data sets by name; what is there and verified stays.

    Raises:
        UserError: for an unknown name, or a download that fails.
    """
    for data in [_prepared(name) for name in wanted]:
        check_writable(data.path.parent)
        with _alone(data.path):
            print(f"{data.name}: {_fetch(data, download_with_torchvision)}")
    return 0


def _prepared(name: str) -> PreparedImages:
    with user_errors(ValueError):
        known = [n for n in names("datamodule") if "source" in compose_group("datamodule", n)]
        if name not in known:
            raise UserError(f"data set {name!r} cannot be prefetched{suggest(name, known)}")
        return instantiate(compose_group("datamodule", name), "datamodule")


def _fetch(data: PreparedImages, download: Download) -> str:
    """Make the file if it is not there; verify it either way."""
    made = not data.path.exists()
    if made:
        if data.source is None:
            raise UserError(
                f"data set {data.name} has no download: put {data.path.name} into "
                f"{data.path.parent}"
            )
        try:
            arrays = download(data.source, data.path.parent / "torchvision")
        except (OSError, RuntimeError) as error:
            raise UserError(f"download of {data.name} failed: {one_line(error)}") from error
        part = data.path.with_suffix(f".{os.getpid()}.part")
        with part.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        part.replace(data.path)
    with user_errors(ValueError):
        data.setup()
    verified = "fingerprint verified" if data.fingerprint else "no pinned fingerprint"
    return f"{'prepared' if made else 'is there'}, {verified} ({data.path})"


def download_with_torchvision(source: str, folder: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a class of torchvision.datasets, which keeps and checks its files."""
    import torchvision

    cls: Any = getattr(torchvision.datasets, source)
    out = {}
    for split, is_train in (("train", True), ("test", False)):
        data = cls(str(folder), train=is_train, download=True)
        out[f"{split}_images"] = np.asarray(data.data, dtype=np.uint8)
        out[f"{split}_labels"] = np.asarray(data.targets, dtype=np.int64)
    return out


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process prepares this file."""
    with path.with_name(f".{path.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
