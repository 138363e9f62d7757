"""Image sets prepared as `<root>/<name>.npz`, by `dgmbench prefetch` or by hand."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torchvision

from datamodules.base import ImageDataModule, Splits
from datamodules.npz import read_npz
from datamodules.root import data_root, expanded

__all__ = ["PreparedImages", "download_with_torchvision"]


class PreparedImages(ImageDataModule):
    """A well-known image set in its official splits.

    Args:
        source: Name of the class in torchvision.datasets that downloads it; None where there is
            none, and the file must be made by hand.
        root: Folder of the file; None for `data_root()`.
        shared: The arguments of `ImageDataModule`.

    Raises:
        ValueError: from setup, if the file is missing or wrong.
    """

    def __init__(
        self,
        source: str | None,
        root: str | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.source = source
        self.root = expanded(root, f"root of {self.name}") if root else data_root()
        self.file = self.root / f"{self.name}.npz"

    @property
    def path(self) -> Path:
        """What `prepare` makes."""
        return self.file

    def load(self) -> Splits:
        if not self.file.exists():
            raise ValueError(
                f"data set {self.name} is missing: run `dgmbench prefetch {self.name}`, or put "
                f"{self.name}.npz into the folder that DGMBENCH_DATA names"
            )
        return read_npz(self.file)

    def is_prepared(self) -> bool:
        """Return whether the file is there."""
        return self.path.exists()

    def prepare(self) -> None:
        """Download the data and write the file.

        Raises:
            OSError, RuntimeError: if they cannot be had.
        """
        if self.source is None:
            raise RuntimeError(f"no download is known; put the file at {self.path}")
        arrays = download_with_torchvision(self.source, self.root / "torchvision")
        part = self.path.with_suffix(f".{os.getpid()}.part")
        with part.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        part.replace(self.path)


def download_with_torchvision(source: str, folder: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a class of torchvision.datasets, which keeps and checks its files."""
    cls: Any = getattr(torchvision.datasets, source)
    out = {}
    for split, is_train in (("train", True), ("test", False)):
        data = cls(str(folder), train=is_train, download=True)
        out[f"{split}_images"] = np.asarray(data.data, dtype=np.uint8)
        out[f"{split}_labels"] = np.asarray(data.targets, dtype=np.int64)
    return out
