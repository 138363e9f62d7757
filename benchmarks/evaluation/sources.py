"""Where images come from that are scored, and how they are shared among processes."""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.core.seeds import chunk_seed
from datamodules.base import DataModule
from lit_models.base import LitGenerativeModel
from lit_models.callbacks.monitor import DivergedError
from lit_models.callbacks.sample_grids import sampling
from lit_models.training.collectives import any_process, world
from lit_models.training.interruption import stop_if_asked

__all__ = [
    "ImageSource",
    "ModelSource",
    "TensorSource",
    "check_shape",
    "finite_samples",
    "model_of",
    "own_chunks",
    "real_source",
    "trial",
]


class ImageSource(Protocol):
    """Where the images that are scored come from."""

    @property
    def device(self) -> torch.device:
        """Where the images lie, and where metrics are computed."""

    def __call__(self, index: range, generator: torch.Generator) -> Tensor:
        """Return images `index`, (B, C, H, W), floats in [0, 255]; or vectors (B, D)."""


@dataclass(frozen=True)
class ModelSource:
    """Samples of a model."""

    model: LitGenerativeModel

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return self.model.device

    def __call__(self, index: range, generator: torch.Generator) -> Tensor:
        model: Any = self.model
        with sampling(model):
            return model.to_images(model.sample(len(index), generator))


def model_of(source: ImageSource) -> Any:
    """Return the model of a source that has one; what else it can do is for the caller to know.

    Raises:
        TypeError: if it has none.
    """
    if not isinstance(source, ModelSource):
        raise TypeError(f"source must be of a model, got {type(source).__name__}")
    return source.model


class TensorSource:
    """Images or vectors that exist already (a split, a folder), in an order drawn by a seed.

    Args:
        images: Levels (N, C, H, W), or vectors (N, D).
        num_levels: Number of levels; None for vectors, which are taken as they are.
        seed: The seed of the order.
        device: Where they are scored.
    """

    def __init__(
        self, images: Tensor, num_levels: int | None, seed: int, device: str | torch.device = "cpu"
    ) -> None:
        self.device = torch.device(device)
        self.images, self.num_levels, self.seed = images, num_levels, seed
        self.order = torch.from_numpy(np.random.default_rng(seed).permutation(len(images)))
        self.scale = 1 if num_levels is None else 255 / (num_levels - 1)

    def drawn_again(self, draw: int) -> "TensorSource":
        """Return the same images in another order, of draw number `draw`; 0 is this one."""
        again = copy.copy(self)
        if draw:
            order = np.random.default_rng([self.seed, draw]).permutation(len(self.images))
            again.order = torch.from_numpy(order)
        return again

    def require(self, count: int) -> None:
        """Refuse if there are fewer images.

        Raises:
            ValueError: naming both numbers.
        """
        if count > len(self.images):
            raise ValueError(f"the protocol needs at least {count} images, got {len(self.images)}")

    def __call__(self, index: range, generator: torch.Generator) -> Tensor:
        self.require(index.stop)
        images = self.images[self.order[index.start : index.stop]].to(self.device)
        return images.float() * self.scale


def real_source(datamodule: DataModule, split: str, seed: int) -> TensorSource:
    """Return a split's images or vectors, in an order drawn by the seed."""
    return TensorSource(datamodule.split(split)[0], datamodule.num_levels, seed)


def _check_finite(finite: bool, device: torch.device) -> None:
    """End all processes if the samples of one are not finite; every process must call this.

    Raises:
        DivergedError: on every process.
    """
    if any_process(not finite, device):
        raise DivergedError("samples are not finite")


def finite_samples(
    source: ImageSource, count: int, chunk_size: int, seed: int, label: str
) -> Iterator[tuple[range, Tensor]]:
    """Yield this process's chunks of samples; every process must go through all of them.

    Raises:
        DivergedError: on every process, if the samples of one are not finite.
    """
    finite = True
    for index, generator in own_chunks(count, chunk_size, seed, label):
        if finite:  # after that, this process only keeps step with the others
            images = source(index, generator)
            finite = bool(images.isfinite().all())
        if finite:
            yield index, images
    _check_finite(finite, source.device)


def trial(source: ImageSource, count: int) -> Tensor:
    """Return two samples of a source, to try before anything long.

    Raises:
        ValueError: if it has fewer than count.
    """
    if isinstance(source, TensorSource):
        source.require(count)
    return source(range(2), torch.Generator().manual_seed(0))


def check_shape(source: ImageSource, count: int, datamodule: DataModule) -> None:
    """Refuse a source with fewer than count samples, or of another shape than the data.

    Raises:
        ValueError: naming both.
    """
    found = tuple(trial(source, count).shape[1:])
    if found != datamodule.shape:
        raise ValueError(f"samples must have shape {datamodule.shape}, got {found}")


def own_chunks(
    total: int, size: int, seed: int, label: str
) -> Iterator[tuple[range, torch.Generator]]:
    """Yield this process's chunks, each with a generator seeded by (seed, chunk), with a bar.

    Every process must go through all of its chunks: they keep step, and so can stop together.

    Raises:
        Interrupted: on every process, before the next chunk, if a signal came to one.
    """
    rank, world_size = world()
    chunks = _chunks(total, size)
    rounds = range(rank, world_size * math.ceil(len(chunks) / world_size) + rank, world_size)
    for i in tqdm(rounds, desc=label, unit="chunk", disable=rank > 0 or None, leave=False):
        stop_if_asked()
        if i < len(chunks):
            yield chunks[i], torch.Generator().manual_seed(chunk_seed(seed, i))


def _chunks(total: int, size: int) -> list[range]:
    return [range(i * size, min((i + 1) * size, total)) for i in range(math.ceil(total / size))]
