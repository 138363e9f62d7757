"""Images that exist already: a split of the data, a folder, an npz, an array."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.config.identity import SPLITS
from benchmarks.core.errors import UserError
from datamodules.base import DataModule, DataSpec, Splits
from datamodules.npz import nchw, read_arrays
from datamodules.pictures import find_pictures, read_pictures
from datamodules.root import expanded

__all__ = ["GivenImages", "Images", "images_of", "read_files", "read_images"]

FLOATS = (np.float16, np.float32, np.float64)
CHANNELS = (1, 3)
CLEARLY_255 = 128  # values that reach it are in [0, 255]; below, they may be in another range


@dataclass(frozen=True)
class Images:
    """Images to score.

    Attributes:
        pixels: Levels, or floats in [0, 255], (N, C, H, W); or vectors (N, D).
        num_levels: 256 for floats; None for vectors.
        name: Without a path.
        left_out: What else the folder holds; None where that is nothing.
    """

    pixels: Tensor
    num_levels: int | None
    name: str
    left_out: str | None = None


def read_images(
    images: str, datamodule: DataModule, value_range: Sequence[float] | None = None
) -> Images:
    """Read what `images` names: a split's name, a folder, or an npz with `images`.

    Args:
        images: The name.
        datamodule: The data set that the images are compared with.
        value_range: Lowest and highest value that a pixel may have; None where the file states it
            (an array `value_range` of an npz) or the pixels leave no doubt.

    Raises:
        UserError: if there is nothing such.
        ValueError: if it cannot be read or used, or its range is in doubt; the message names the
            file.
    """
    if not images:
        raise UserError("images must be given: a split's name, a folder or an npz")
    if images in SPLITS:
        if value_range is not None:
            raise UserError(f"value_range is that of the data set with images={images}")
        return Images(datamodule.split(images)[0], datamodule.num_levels, images)
    path = expanded(images, "images")
    if not (path.is_dir() or (path.suffix == ".npz" and path.is_file())):
        raise UserError(
            f"images must be one of {', '.join(SPLITS)}, a folder of images, or an npz, "
            f"got {images!r}"
        )
    return read_files(path, value_range)


def read_files(path: Path, value_range: Sequence[float] | None = None) -> Images:
    """Read a folder of images, or an npz with `images`, as `read_images` does.

    Raises:
        UserError: if there is nothing such, or two ranges are stated.
        ValueError: if it cannot be read or used, or its range is in doubt.
    """
    if path.is_dir():
        files, left_out = find_pictures(path)
        array = read_pictures(files, path.name)
    elif path.suffix == ".npz" and path.is_file():
        arrays = read_arrays(path, ["images"], ["value_range"])
        array, left_out = arrays["images"], None
        stated = arrays.get("value_range")
        if stated is not None and value_range and stated.tolist() != list(value_range):
            raise UserError(
                f"value_range must be that of {path.name}, {stated.tolist()}, got {value_range}"
            )
        value_range = value_range if stated is None else stated.tolist()
    else:
        raise UserError(f"images must be a folder of images, or an npz, got {str(path)!r}")
    return _checked(array, path.name, value_range, left_out)


def images_of(
    array: np.ndarray | Tensor, name: str, value_range: Sequence[float] | None = None
) -> Images:
    """Take images from memory.

    Args:
        array: uint8 or floats, (N, H, W), (N, H, W, C) or (N, C, H, W) with C of 1 or 3, where
            the shape leaves no doubt which of the last two it is.
        name: What messages call it.
        value_range: As for `read_images`.

    Raises:
        ValueError: naming what does not fit.
    """
    if isinstance(array, Tensor):
        array = array.detach().cpu()
        array = (array.float() if array.dtype == torch.bfloat16 else array).numpy()
    array = np.asarray(array)
    if array.ndim == 4:
        first, last = array.shape[1] in CHANNELS, array.shape[3] in CHANNELS
        if first == last:
            raise ValueError(
                f"{name} must have 1 or 3 channels either second (N, C, H, W) or last "
                f"(N, H, W, C), got shape {array.shape}"
            )
        array = array.transpose(0, 2, 3, 1) if first else array
    return _checked(array, name, value_range, None)


class GivenImages(DataModule):
    """Images to compare with, as a data set whose every split they are.

    Args:
        images: The images.
        name: The name of the data set.
    """

    def __init__(self, images: Images, name: str) -> None:
        shape = tuple(images.pixels.shape[1:])
        super().__init__(DataSpec(name, "images", shape, images.num_levels, 1, 0, None))
        self.images, self.left_out = images.pixels, images.left_out

    def load(self) -> Splits:
        x = self.images.numpy()
        labels = np.zeros(len(x), np.int64)
        return Splits(x[:0], labels[:0], x, labels)

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        """Return the images, whatever split a protocol asks for."""
        return super().split("test")

    def _check(self, splits: Splits) -> None:
        """Nothing: they were checked as they were read, and may be floats."""


def _checked(
    array: np.ndarray, name: str, value_range: Sequence[float] | None, left_out: str | None
) -> Images:
    _check_array(array, name)
    bounds = _stated(value_range, name) or _evident(array, name)
    return _in_range(array, bounds, name, left_out)


def _check_array(array: np.ndarray, name: str) -> None:
    if array.dtype not in (np.uint8, *FLOATS) or array.ndim not in (3, 4) or array.size == 0:
        raise ValueError(
            f"{name} must hold uint8 or float (N, H, W) or (N, H, W, C), "
            f"got {array.dtype} {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must hold finite images, got NaN or infinity")


def _stated(value_range: Sequence[float] | None, name: str) -> tuple[float, float] | None:
    if value_range is None:
        return None
    try:
        low, high = map(float, value_range)
        fits = np.isfinite([low, high]).all() and low < high
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise ValueError(
            f"value_range of {name} must be two numbers, low and high, got {value_range}"
        )
    return low, high


def _evident(array: np.ndarray, name: str) -> tuple[float, float]:
    """Return the range of pixels that leave no doubt.

    Raises:
        ValueError: if they do.
    """
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > 255 or high < CLEARLY_255:  # few levels, or a cast, or another range
        raise ValueError(
            f"{name} must state its range: its {array.dtype} values lie in "
            f"[{low:.4g}, {high:.4g}], and could mean [0, 255] or another (give value_range=0,1 "
            "or the like, or an array value_range in an npz)"
        )
    return 0.0, 255.0


def _in_range(
    array: np.ndarray, bounds: tuple[float, float], name: str, left_out: str | None
) -> Images:
    low, high = bounds
    if array.dtype == np.uint8 and (low < 0 or high > 255):
        raise ValueError(
            f"value_range of {name} must lie in [0, 255], its values are uint8, got "
            f"[{low:g}, {high:g}]"
        )
    found = float(array.min()), float(array.max())
    if found[0] < low or found[1] > high:
        raise ValueError(
            f"{name} must have values in its range [{low:g}, {high:g}], got "
            f"[{found[0]:.6g}, {found[1]:.6g}]"
        )
    if array.dtype == np.uint8 and low == 0 and high.is_integer() and high <= 255:
        return Images(torch.from_numpy(nchw(array)), int(high) + 1, name, left_out)
    pixels = array
    if bounds != (0.0, 255.0):
        pixels = (array.astype(np.float64) - low) * (255 / (high - low))
    return Images(torch.from_numpy(nchw(pixels.astype(np.float32))), 256, name, left_out)
