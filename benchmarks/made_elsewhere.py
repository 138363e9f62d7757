"""Images that exist already: a split of the data, a folder, an npz."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.errors import UserError, one_line
from datamodules.base import DataModule
from datamodules.npz import nchw, read_arrays

__all__ = ["SPLITS", "Images", "read_images"]

SPLITS = ("train", "validation", "test")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


@dataclass(frozen=True)
class Images:
    """Images to score.

    Attributes:
        pixels: Levels, or floats in [0, 255], (N, C, H, W); or vectors (N, D).
        num_levels: 256 for floats; None for vectors.
        name: Without a path.
    """

    pixels: Tensor
    num_levels: int | None
    name: str


def read_images(images: str, datamodule: DataModule) -> Images:
    """Read what `images` names: a split's name, a folder, or an npz with `images`.

    Raises:
        UserError: if there is nothing such.
        ValueError: if it cannot be read or used; the message names the file.
    """
    if images in SPLITS:
        return Images(datamodule.split(images)[0], datamodule.num_levels, images)
    path = Path(images).expanduser()
    if path.is_dir():
        return Images(_tensor(_read_folder(path)), 256, path.name)
    if path.suffix == ".npz" and path.is_file():
        array = read_arrays(path, ["images"])["images"]
        _check_array(array, path)
        return Images(_tensor(array), 256, path.name)
    raise UserError(
        f"images must be one of {', '.join(SPLITS)}, a folder of images, or an npz, got {images!r}"
    )


def _read_folder(folder: Path) -> np.ndarray:
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES)
    if not files:
        raise UserError(f"images: {folder} holds no image files ({', '.join(SUFFIXES)})")
    arrays: list[np.ndarray] = []
    for file in tqdm(files, desc=folder.name, unit="image", disable=None, leave=False):
        array = _read_file(file)
        if arrays and array.shape != arrays[0].shape:
            raise ValueError(
                f"images of a folder must have one shape: {files[0].name} has {arrays[0].shape}, "
                f"{file.name} has {array.shape}"
            )
        arrays.append(array)
    return np.stack(arrays)


def _read_file(file: Path) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            if image.mode not in ("L", "RGB"):
                raise ValueError(f"{file.name} must be 8-bit grey or RGB, got mode {image.mode}")
            return np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{file.name} is no readable image: {one_line(error)}") from error


def _check_array(array: np.ndarray, path: Path) -> None:
    if array.dtype not in (np.uint8, np.float32, np.float64) or array.ndim not in (3, 4):
        raise ValueError(
            f"{path.name} must hold uint8 or float (N, H, W) or (N, H, W, C), "
            f"got {array.dtype} {array.shape}"
        )
    if array.dtype == np.uint8 or array.size == 0:
        return
    if not np.isfinite(array).all():
        raise ValueError(f"{path.name} must hold finite images, got NaN or infinity")
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > 255 or high <= 1:
        scale = " (in [0, 1]? multiply by 255)" if low >= 0 and high <= 1 else ""
        raise ValueError(
            f"{path.name} must hold floats in [0, 255], some above 1, got values in "
            f"[{low:.4g}, {high:.4g}]{scale}"
        )


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(nchw(array if array.dtype == np.uint8 else array.astype(np.float32)))
