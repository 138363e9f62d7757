"""The only conversions between stored data and what a model computes with.

Stored images are uint8 levels 0 .. num_levels - 1, shape (B, C, H, W); vectors are floats (B, D).
A range is a pair of maps: `encode` from stored data to the model's range, `to_images` from the
model's range to floats in [0, 255], unrounded.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

__all__ = [
    "DataRange",
    "LevelRange",
    "SignedRange",
    "UnitRange",
    "VectorRange",
    "centred",
    "check_levels",
    "round_to_uint8",
]


class DataRange(Protocol):
    """What a model asks of a range."""

    def encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Return stored data in the model's range."""

    def to_images(self, x: Tensor) -> Tensor:
        """Return the model's data as floats in [0, 255]."""


@dataclass(frozen=True)
class UnitRange:
    """Images in [0, 1].

    Attributes:
        num_levels: Number of stored levels (256 for 8-bit images).
    """

    num_levels: int

    def encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        return x.to(dtype) / (self.num_levels - 1)

    def to_images(self, x: Tensor) -> Tensor:
        return x.clamp(0, 1) * 255


@dataclass(frozen=True)
class SignedRange:
    """Images in [-1, 1].

    Attributes:
        num_levels: Number of stored levels (256 for 8-bit images).
    """

    num_levels: int

    def encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        return centred(x, self.num_levels, dtype)

    def to_images(self, x: Tensor) -> Tensor:
        return (x.clamp(-1, 1) + 1) * 127.5


@dataclass(frozen=True)
class LevelRange:
    """Images as integer levels (int64), for models of discrete pixels.

    Attributes:
        num_levels: Number of levels.
    """

    num_levels: int

    def encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        return x.long()

    def to_images(self, x: Tensor) -> Tensor:
        return x.float() * (255 / (self.num_levels - 1))


@dataclass(frozen=True)
class VectorRange:
    """Vectors (B, D), taken and given back as they are; they are no images."""

    def encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        return x.to(dtype)

    def to_images(self, x: Tensor) -> Tensor:
        return x


def centred(levels: Tensor, num_levels: int, dtype: Any) -> Tensor:
    """Return levels 0 .. num_levels - 1 as floats in [-1, 1]."""
    return levels.to(dtype) * (2 / (num_levels - 1)) - 1


def check_levels(levels: Tensor, num_levels: int) -> None:
    """Refuse what is no image of so many levels.

    Raises:
        ValueError: if a level is outside 0 .. num_levels - 1.
    """
    if levels.dtype.is_floating_point:
        raise ValueError(f"x must be integer levels, got {levels.dtype}")
    low, high = int(levels.min()), int(levels.max())
    if not 0 <= low <= high < num_levels:
        raise ValueError(f"x must be levels 0 .. {num_levels - 1}, got {low} .. {high}")


def round_to_uint8(images: Tensor) -> Tensor:
    """Round floats in [0, 255] to the nearest uint8 level (never truncate)."""
    return images.clamp(0, 255).round().to(torch.uint8)
