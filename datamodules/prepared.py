"""Image sets prepared as `<root>/<name>.npz`, by `dgmbench prefetch` or by hand."""

from collections.abc import Sequence
from pathlib import Path

from datamodules.base import ImageDataModule, Splits
from datamodules.npz import read_npz
from datamodules.root import data_root

__all__ = ["PreparedImages"]


class PreparedImages(ImageDataModule):
    """A well-known image set in its official splits.

    Args:
        name: Name of the data set, and of its file.
        image_shape: (C, H, W).
        num_levels: Levels of a pixel.
        num_classes: Number of labels.
        validation_size: Training images set aside.
        source: Name of the class in torchvision.datasets that downloads it; None where there is
            none, and the file must be made by hand.
        root: Folder of the file; None for `data_root()`.
        fingerprint: Expected SHA-256 of the arrays, or None.

    Raises:
        ValueError: from setup, if the file is missing or wrong.
    """

    def __init__(
        self,
        name: str,
        image_shape: Sequence[int],
        num_levels: int,
        num_classes: int,
        validation_size: int,
        source: str | None,
        root: str | None = None,
        fingerprint: str | None = None,
    ) -> None:
        super().__init__(name, image_shape, num_levels, num_classes, validation_size, fingerprint)
        self.source = source
        self.path = (Path(root).expanduser() if root else data_root()) / f"{name}.npz"

    def load(self) -> Splits:
        if not self.path.exists():
            raise ValueError(
                f"data set {self.name} is missing: run `dgmbench prefetch {self.name}`, or put "
                f"{self.name}.npz into the folder that DGMBENCH_DATA names"
            )
        return read_npz(self.path)
