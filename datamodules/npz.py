"""Image sets from one prepared npz file."""

import lzma
import math
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.base import ImageDataModule, Splits
from datamodules.root import expanded

__all__ = ["NpzImages", "nchw", "read_arrays", "read_npz"]

BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    TypeError,
    EOFError,
    OSError,
    MemoryError,
    OverflowError,
    SyntaxError,
    NotImplementedError,
    RuntimeError,  # encrypted
    lzma.LZMAError,
)
KEYS = ("train_images", "train_labels", "test_images", "test_labels")


def read_npz(path: str | Path) -> Splits:
    """Read a prepared file: uint8 images (N, H, W) or (N, H, W, C), integer labels (N,).

    Raises:
        ValueError: if the file is absent, unreadable, or not of this form.
    """
    arrays = read_arrays(path, KEYS)
    for split in ("train", "test"):
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or len(images) == 0:
            raise ValueError(
                f"{path}: {split}_images must be uint8 (N, H, W) or (N, H, W, C), N >= 1, "
                f"got {images.dtype} {images.shape}"
            )
        if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
            raise ValueError(
                f"{path}: {split}_labels must be integers of shape {images.shape[:1]}, one per "
                f"image, got {labels.dtype} {labels.shape}"
            )
    return Splits(
        nchw(arrays["train_images"]),
        arrays["train_labels"].astype(np.int64),
        nchw(arrays["test_images"]),
        arrays["test_labels"].astype(np.int64),
    )


def read_arrays(
    path: str | Path, keys: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Read arrays of an npz file, without pickles; nothing is read before its size is checked.

    Args:
        path: The file.
        keys: Names of arrays that it must hold.
        optional: Names of arrays that it may hold.

    Raises:
        ValueError: if the file is absent, unreadable, lacks one of them, or declares more than it
            holds or the memory can.
    """
    path = expanded(path, "path")
    try:
        with zipfile.ZipFile(path) as members, np.load(path, allow_pickle=False) as file:
            present = [*keys, *(key for key in optional if key in file)]
            for key in present:
                _check_declared(members, key)
            return {key: file[key] for key in present}
    except FileNotFoundError:
        raise ValueError(f"path must name a prepared npz file, got {path}: no such file") from None
    except KeyError as error:
        missing = str(error.args[0]).removesuffix(".npy")
        raise ValueError(f"{path} must hold {', '.join(keys)}: {missing}") from None
    except BROKEN as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} is truncated or no npz file: {said}") from None


def _check_declared(members: zipfile.ZipFile, key: str) -> None:
    """Refuse an array whose header declares more than the file holds, before room is made for it.

    Raises:
        KeyError: if there is no such array.
        ValueError: naming both sizes.
    """
    member = members.getinfo(f"{key}.npy")
    with members.open(member) as file:
        version = np.lib.format.read_magic(file)
        headers: dict[tuple[int, int], Any] = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        if version not in headers:
            raise ValueError(f"{key} has format {version}, not 1.0 or 2.0")
        shape, _, dtype = headers[version](file)
        held = member.file_size - file.tell()
    if dtype.hasobject:
        raise ValueError(f"{key} holds Python objects, not numbers")
    declared = math.prod(shape) * dtype.itemsize
    if declared != held:
        raise ValueError(f"{key} declares {declared} bytes {shape}, and holds {held}")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if declared > memory:
        raise ValueError(f"{key} declares {declared} bytes, and the memory has {memory}")


def nchw(images: np.ndarray) -> np.ndarray:
    """Return images (N, H, W) or (N, H, W, C) as (N, C, H, W)."""
    if images.ndim == 3:
        images = images[..., None]
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


class NpzImages(ImageDataModule):
    """Any image set prepared as `<name>.npz`.

    Args:
        path: The file, with train_images, train_labels, test_images, test_labels.
        shared: The arguments of `ImageDataModule`.
    """

    def __init__(
        self,
        path: str,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.path = path

    def load(self) -> Splits:
        return read_npz(self.path)
