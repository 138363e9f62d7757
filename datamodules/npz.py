"""Image sets from one prepared npz file."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datamodules.base import ImageDataModule, Splits

__all__ = ["NpzImages", "nchw", "read_arrays", "read_npz"]

BROKEN = (zipfile.BadZipFile, zlib.error, ValueError, TypeError, EOFError, OSError)
KEYS = ("train_images", "train_labels", "test_images", "test_labels")


def read_npz(path: str | Path) -> Splits:
    """Read a prepared file: uint8 images (N, H, W) or (N, H, W, C), integer labels (N,).

    Raises:
        ValueError: if the file is absent, unreadable, or not of this form.
    """
    arrays = read_arrays(path, KEYS)
    for split in ("train", "test"):
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or len(images) != len(labels):
            raise ValueError(
                f"{path}: {split}_images must be uint8 (N, H, W) or (N, H, W, C) with N labels, "
                f"got {images.dtype} {images.shape} and {labels.shape}"
            )
    return Splits(
        nchw(arrays["train_images"]),
        arrays["train_labels"].astype(np.int64),
        nchw(arrays["test_images"]),
        arrays["test_labels"].astype(np.int64),
    )


def read_arrays(path: str | Path, keys: Sequence[str]) -> dict[str, np.ndarray]:
    """Read arrays of an npz file, without pickles.

    Raises:
        ValueError: if the file is absent, unreadable, or lacks one of them.
    """
    path = Path(path).expanduser()
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in keys}
    except FileNotFoundError:
        raise ValueError(f"path must name a prepared npz file, got {path}: no such file") from None
    except KeyError as error:
        raise ValueError(f"{path} must hold {', '.join(keys)}: {error.args[0]}") from None
    except BROKEN as error:
        raise ValueError(f"{path} is truncated or no npz file: {error}") from None


def nchw(images: np.ndarray) -> np.ndarray:
    """Return images (N, H, W) or (N, H, W, C) as (N, C, H, W)."""
    if images.ndim == 3:
        images = images[..., None]
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


class NpzImages(ImageDataModule):
    """Any image set prepared as `<name>.npz`.

    Args:
        name: Name of the data set.
        path: The file, with train_images, train_labels, test_images, test_labels.
        image_shape: (C, H, W).
        num_levels: Levels of a pixel (256 for 8-bit images).
        num_classes: Number of labels.
        validation_size: Training images set aside.
        fingerprint: Expected SHA-256 of the arrays, or None.
    """

    def __init__(
        self,
        name: str,
        path: str,
        image_shape: Sequence[int],
        num_levels: int,
        num_classes: int,
        validation_size: int,
        fingerprint: str | None = None,
    ) -> None:
        super().__init__(name, image_shape, num_levels, num_classes, validation_size, fingerprint)
        self.path = path

    def load(self) -> Splits:
        return read_npz(self.path)
