"""The contract of a data set, and the stream its batches come from.

Data sets yield raw data: uint8 images (B, C, H, W) with levels 0 .. num_levels - 1, or float
vectors (B, D), each with int64 labels (B,). The model converts.
"""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor

from datamodules.root import checked_name

__all__ = ["BatchStream", "DataModule", "DataSpec", "ImageDataModule", "Splits", "fingerprint_of"]


A_FEW = 100  # images that are looked at, where all would take long


@dataclass(frozen=True)
class Splits:
    """Train and test arrays: images (N, C, H, W) uint8 or vectors (N, D) float32; labels int64."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


def fingerprint_of(splits: Splits) -> str:
    """Return the SHA-256 of the canonical arrays, train then test."""
    digest = hashlib.sha256()
    for array in (splits.train, splits.train_labels, splits.test, splits.test_labels):
        digest.update(np.ascontiguousarray(array).data)  # without a copy
    return digest.hexdigest()


class BatchStream:
    """Endless batches, a pure function of (seed, images_seen, global index).

    Every epoch is a new permutation; a batch may span two. One item holds `batches_per_step`
    consecutive global batches, of each of which process `rank` gets its slice.

    Args:
        x: The training data, (N, ...).
        labels: The labels of the data, (N,).
        batch_size: Global batch size.
        batches_per_step: Batches per item.
        images_seen: Where to begin.
        seed: The seed of the permutations.
        rank: Index of this process.
        world_size: Number of processes.

    Raises:
        ValueError: if the batch exceeds the data or does not divide among the processes.
    """

    def __init__(
        self,
        x: Tensor,
        labels: Tensor,
        batch_size: int,
        batches_per_step: int = 1,
        images_seen: int = 0,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if batch_size > len(x):
            raise ValueError(
                f"batch_size must be <= {len(x)}, the number of training images, got {batch_size}"
            )
        if batch_size % world_size:
            raise ValueError(
                f"batch_size must be a multiple of the {world_size} processes, got {batch_size}"
            )
        self.x, self.labels = x, labels
        self.images_seen, self.seed = images_seen, seed
        share = batch_size // world_size
        self.span = batches_per_step * batch_size
        within = np.arange(rank * share, (rank + 1) * share)
        self.offsets = (np.arange(batches_per_step)[:, None] * batch_size + within).ravel()
        self.permutation = lru_cache(maxsize=2)(self._permutation)

    def indices(self, images_seen: int) -> np.ndarray:
        """Return this process's indices of the item that begins after `images_seen` images."""
        positions = images_seen + self.offsets
        size = len(self.x)
        first, last = images_seen // size, (images_seen + self.span - 1) // size
        orders = [self.permutation(epoch) for epoch in range(first, last + 1)]
        order = orders[0] if len(orders) == 1 else np.concatenate(orders)
        return order[positions - first * size]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        images_seen = self.images_seen
        while True:
            index = torch.from_numpy(self.indices(images_seen)).to(
                self.x.device, non_blocking=True
            )
            yield self.x.index_select(0, index), self.labels.index_select(0, index)
            images_seen += self.span

    def _permutation(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.x))


@dataclass(frozen=True)
class DataSpec:
    """What a data set holds.

    Attributes:
        name: The name of the data set, as in records and tables.
        kind: "images" or "vectors".
        shape: The shape of one example, (C, H, W) or (D,); checked against the data.
        num_levels: The number of levels of a pixel; None for vectors.
        num_classes: The number of labels.
        validation_size: Training examples set aside, drawn by a fixed seed; 0 for none.
        fingerprint: The expected SHA-256 of the data; None is recorded as unpinned.

    Raises:
        ValueError: if the name is none for a folder, or kind and num_levels do not fit.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    num_levels: int | None
    num_classes: int
    validation_size: int
    fingerprint: str | None

    def __post_init__(self) -> None:
        checked_name(self.name, "name")
        if (self.kind, self.num_levels is None) not in (("images", False), ("vectors", True)):
            raise ValueError(
                f"num_levels must be given for images, and for them only, got {self.num_levels} "
                f"for {self.kind}"
            )


class DataModule(LightningDataModule, ABC):
    """A data set in memory. A subclass implements `load`.

    Args:
        spec: What it holds.

    Attributes:
        order_seed: The seed of the order of the batches.
        device: Where the training examples are kept, and so the batches made.
        found_fingerprint: SHA-256 of the data, once set up.
        left_out: What of the source is not in the data set, in one line; None for nothing.
    """

    left_out: str | None = None

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.spec, self.name = spec, spec.name
        self.found_fingerprint: str | None = None
        self.order_seed = 0
        self.device = torch.device("cpu")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example, (C, H, W) or (D,)."""
        return self.spec.shape

    @property
    def num_levels(self) -> int | None:
        """The number of levels of a pixel; None for vectors."""
        return self.spec.num_levels

    @property
    def num_classes(self) -> int:
        """The number of labels."""
        return self.spec.num_classes

    @property
    def validation_size(self) -> int:
        """The number of training examples set aside."""
        return self.spec.validation_size

    @property
    def fingerprint(self) -> str | None:
        """The expected SHA-256 of the data; None where it is not pinned."""
        return self.spec.fingerprint

    @property
    def num_dims(self) -> int:
        """Number of dimensions of one example."""
        return math.prod(self.shape)

    @abstractmethod
    def load(self) -> Splits:
        """Return the arrays."""

    def setup(self, stage: str | None = None) -> None:
        """Load, check and split; a second call does nothing.

        Raises:
            ValueError: if shape, levels, labels, fingerprint or validation_size do not fit.
        """
        if self.found_fingerprint is not None:
            return
        splits = self.load()
        self._check(splits)
        found = fingerprint_of(splits)
        if self.fingerprint not in (None, found):
            raise ValueError(f"fingerprint of {self.name} must be {self.fingerprint}, got {found}")
        train, validation = self._set_aside(len(splits.train))
        self._splits = {
            "train": _tensors(splits.train[train], splits.train_labels[train]),
            "validation": _tensors(splits.train[validation], splits.train_labels[validation]),
            "test": _tensors(splits.test, splits.test_labels),
        }
        self.found_fingerprint = found

    def _set_aside(self, size: int) -> tuple[Any, Any]:
        """Return what indexes the training and the validation examples."""
        if self.validation_size == 0:
            return slice(None), slice(0)  # a view: a memory map stays one
        order = np.random.default_rng(0).permutation(size)
        cut = size - self.validation_size
        return np.sort(order[:cut]), np.sort(order[cut:])

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        """Return the raw examples and labels of "train", "validation" or "test"."""
        if name not in self._splits:
            raise ValueError(f"split must be one of {sorted(self._splits)}, got {name!r}")
        return self._splits[name]

    def train_dataloader(self) -> BatchStream:
        """Return the stream that begins where the model's clock stands."""
        assert self.trainer is not None
        model: Any = self.trainer.lightning_module
        x, labels = (t.to(self.device) for t in self.split("train"))
        return BatchStream(
            x,
            labels,
            batch_size=model.batch_size,
            batches_per_step=model.batches_per_step,
            images_seen=model.images_seen,
            seed=self.order_seed,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )

    def _check(self, splits: Splits) -> None:
        """Check what was loaded by its content, wherever it came from."""
        if not isinstance(self.num_classes, int) or self.num_classes < 1:
            raise ValueError(f"num_classes must be an integer >= 1, got {self.num_classes}")
        for name, array in (("train", splits.train), ("test", splits.test)):
            if array.shape[1:] != self.shape:
                raise ValueError(
                    f"{name} examples must have shape {self.shape}, got {array.shape[1:]}"
                )
            if self.num_levels is None:
                check_vectors(array, name)
            else:
                check_levels(array, name, self.num_levels)
        for name, array, labels in (
            ("train_labels", splits.train, splits.train_labels),
            ("test_labels", splits.test, splits.test_labels),
        ):
            check_labels(labels, name, len(array), self.num_classes)
        if not 0 <= self.validation_size < len(splits.train):
            raise ValueError(
                f"validation_size must be >= 0 and < {len(splits.train)}, "
                f"got {self.validation_size}"
            )


class ImageDataModule(DataModule):
    """A data set of images (C, H, W), uint8.

    Args:
        name: Name of the data set.
        image_shape: (C, H, W); checked against the data.
        num_levels: Levels of a pixel (256 for 8-bit images).
        num_classes: Number of labels.
        validation_size: Training images set aside; 0 for none.
        fingerprint: Expected SHA-256 of the data, or None.
    """

    def __init__(
        self,
        name: str,
        image_shape: Sequence[int],
        num_levels: int,
        num_classes: int,
        validation_size: int,
        fingerprint: str | None = None,
    ) -> None:
        shape = tuple(image_shape)
        super().__init__(
            DataSpec(name, "images", shape, num_levels, num_classes, validation_size, fingerprint)
        )


def check_levels(images: np.ndarray, name: str, num_levels: int) -> None:
    """Refuse images that are no levels 0 .. num_levels - 1.

    Raises:
        ValueError: naming them.
    """
    if images.dtype != np.uint8:
        raise ValueError(f"{name} images must be uint8, got {images.dtype}")
    if num_levels < 256:
        high = int(images.max(initial=0))
        if high >= num_levels:
            raise ValueError(f"{name} images must have levels below {num_levels}, got {high}")
    elif len(images) >= A_FEW and int(images[:A_FEW].max()) <= 1:  # a map is not read whole
        raise ValueError(
            f"{name} images must have levels 0 .. 255, got none above 1 (floats in [0, 1] "
            "that were cast, or two levels: num_levels=2?)"
        )


def check_vectors(x: np.ndarray, name: str) -> None:
    """Refuse vectors that are no finite floats.

    Raises:
        ValueError: naming them.
    """
    if x.dtype.kind != "f" or not np.isfinite(x).all():
        raise ValueError(f"{name} vectors must be finite floats, got {x.dtype} or NaN or infinity")


def check_labels(labels: np.ndarray, name: str, count: int, num_classes: int) -> None:
    """Refuse labels that are no integers (count,) in 0 .. num_classes - 1.

    Raises:
        ValueError: naming them.
    """
    wanted = f"{name} must be integers of shape ({count},) in 0 .. {num_classes - 1}"
    if labels.dtype.kind not in "iu" or labels.shape != (count,):
        raise ValueError(f"{wanted}, got {labels.dtype} {labels.shape}")
    if not 0 <= labels.min(initial=0) <= labels.max(initial=0) < num_classes:
        raise ValueError(f"{wanted}, got {labels.min()} .. {labels.max()}")


def _tensors(x: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
    labels = labels.astype(np.int64, copy=False)
    return torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(labels)
