"""Causal networks that compute whole maps, or one pixel at a time from what they remember.

A causal layer is written once, as `forward(x, spot=None)`. Without a spot it maps whole feature
maps. With one, x holds the features of one pixel, or of one row, and the layer takes what it needs
of earlier places from the spot's memory: sampling then costs one pass over the pixels instead of
one pass per pixel (as in Ramachandran et al., 2017, https://arxiv.org/abs/1704.06001).
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lit_models.images import centred

__all__ = ["CausalConv2d", "Chain", "RasterNetwork", "Spot", "Streamed", "causal_mask", "shift"]

Memory = dict[Hashable, Any]


@dataclass(frozen=True)
class Spot:
    """A pixel, or a whole row, of maps that are computed in raster order.

    Attributes:
        row: Index of the row.
        column: Index of the pixel; None for the whole row.
        size: (H, W) of the maps.
        memory: What earlier places left behind, by layer.
    """

    row: int
    column: int | None
    size: tuple[int, int]
    memory: Memory = field(repr=False)

    def before(self) -> "Spot | None":
        """Return the pixel before this one in raster order; None before the first."""
        assert self.column is not None
        row, column = divmod(self.row * self.size[1] + self.column - 1, self.size[1])
        return None if row < 0 else Spot(row, column, self.size, self.memory)

    @property
    def columns(self) -> slice:
        """The columns of the spot."""
        return slice(None) if self.column is None else slice(self.column, self.column + 1)

    def write(self, key: Hashable, x: Tensor, pads: Sequence[int] = (0, 0, 0, 0)) -> Tensor:
        """Write x at this spot of the map kept under key; return the map, padded with zeros."""
        left, right, top, bottom = pads
        height, width = self.size
        if key not in self.memory:
            shape = (*x.shape[:2], height + top + bottom, width + left + right)
            self.memory[key] = x.new_zeros(shape)
        first = left + (self.column or 0)
        self.memory[key][:, :, top + self.row, first : first + x.shape[3]] = x[:, :, 0]
        return self.memory[key]

    def read(self, x: Tensor) -> Tensor:
        """Return the part of a map (B, F, H or 1, W or 1) that lies here."""
        x = x if x.shape[2] == 1 else x[:, :, self.row : self.row + 1]
        return x if x.shape[3] == 1 else x[..., self.columns]

    def divides(self, stride: int) -> bool:
        """Return whether a map of that stride has a value here."""
        return self.row % stride == 0 and (self.column or 0) % stride == 0

    def half(self) -> "Spot":
        """Return the spot in maps of half the size."""
        column = None if self.column is None else self.column // 2
        return Spot(self.row // 2, column, (self.size[0] // 2, self.size[1] // 2), self.memory)


class Streamed(nn.Module):
    """A layer whose forward takes (x, spot=None)."""


class Chain(Streamed, nn.Sequential):
    """Layers one after the other; those that are no `Streamed` act on each pixel by itself."""

    def forward(self, x: Tensor, spot: Spot | None = None) -> Tensor:
        for layer in self:
            x = layer(x, spot) if isinstance(layer, Streamed) else layer(x)
        return x


class CausalConv2d(Streamed, nn.Conv2d):
    """Convolution over earlier places, (B, F, H, W) to (B, F', H / stride, W / stride).

    Args:
        in_channels: Input features.
        out_channels: Output features.
        kernel_size: (rows, columns).
        pads: Zeros to the left, right, top and bottom; the place of the output is the input's
            element (top, left) within the kernel.
        stride: The stride of both axes.
        bias: Whether to add one.
        mask: 0 or 1 per weight, broadcast against (out, in, rows, columns); None for all ones.
    """

    mask: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int],
        pads: tuple[int, int, int, int] = (0, 0, 0, 0),
        stride: int = 1,
        bias: bool = True,
        mask: Tensor | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride=stride, bias=bias)
        self.pads = pads
        self.register_buffer("mask", mask, persistent=False)

    def kernel(self) -> Tensor:
        """Return the weights in use, (out, in, rows, columns)."""
        return self.weight if self.mask is None else self.weight * self.mask

    def forward(self, x: Tensor, spot: Spot | None = None) -> Tensor:
        """Map x; at a spot off the stride's grid only remember it, and return nothing (B, 0)."""
        if spot is not None:
            return self._at(x, spot)
        left, right, top, bottom = self.pads
        if left == right and top == bottom:
            padding = (top, left)
        else:
            x, padding = functional.pad(x, self.pads), (0, 0)
        return functional.conv2d(x, self.kernel(), self.bias, self.stride, padding)

    def complete(self, x: Tensor, spot: Spot) -> None:
        """Remember the input of one pixel once it is wholly known."""
        spot.write(self, x, self.pads)

    def _at(self, x: Tensor, spot: Spot) -> Tensor:
        kernel = self._remembered_kernel(spot.memory)
        rows, columns = self.kernel_size
        local = rows == columns == 1
        map_ = x if local else spot.write(self, x, self.pads)
        if not spot.divides(self.stride[0]):
            return x.new_empty(len(x), 0)
        first = 0 if local else spot.row
        if spot.column is None:
            window = map_[:, :, first : first + rows]
            return functional.conv2d(window, kernel, self.bias, (1, self.stride[1]))
        left = 0 if local else spot.column
        window = map_[:, :, first : first + rows, left : left + columns].flatten(1)
        return functional.linear(window, kernel.flatten(1), self.bias)[:, :, None, None]

    def _remembered_kernel(self, memory: Memory) -> Tensor:
        key = (self, "kernel")
        if key not in memory:
            memory[key] = self.kernel()
        return memory[key]


def causal_mask(
    out_channels: int, in_channels: int, groups: int, strict: bool, parts: int = 1
) -> Tensor:
    """Return which input features of its own pixel an output feature sees, (out, in), 0 or 1.

    Feature i of each of `parts` equal parts belongs to image channel i // (size / groups). Image
    channels before (strict, mask A) or up to (mask B) one's own are seen (van den Oord et al.,
    2016, https://arxiv.org/abs/1601.06759, Sec. 3.4).
    """
    size = out_channels // parts
    out_group = (torch.arange(size) * groups // size).repeat(parts)
    in_group = torch.arange(in_channels) * groups // in_channels
    before, after = in_group[None, :], out_group[:, None]
    return (before < after if strict else before <= after).float()


def shift(x: Tensor, down: int, right: int) -> Tensor:
    """Move a map (B, F, H, W) down and to the right; zeros come in."""
    height, width = x.shape[2:]
    return functional.pad(x, (right, 0, down, 0))[:, :, :height, :width]


class RasterNetwork(nn.Module, ABC):
    """A causal network over levels (B, C, H, W), for likelihoods and for sampling.

    `forward(levels, condition)` returns the parameters of all pixels, (B, P, G, H, W): those of
    group g, its share of the C channels, depend on earlier pixels and on earlier groups of the
    same pixel. `start_row` and `at` return the same, pixel by pixel.

    Attributes:
        num_levels: Levels of a pixel.
        outputs: P.
        groups: G, the passes that sampling needs per pixel.
        condition_features: Features of the condition (B, D, 1, 1) or (B, D, H, W), 0 for none.
    """

    num_levels: int
    outputs: int
    groups: int
    condition_features: int = 0

    def start(self, levels: Tensor, condition: Tensor | None = None) -> None:
        """Set itself from the first batch, where a network does so; every process must call this.

        Args:
            levels: The batch (B, C, H, W).
            condition: What the network is conditioned on.
        """

    def start_row(
        self, levels: Tensor, row: int, memory: Memory, condition: Tensor | None = None
    ) -> None:
        """Compute what the pixels of a row share; all earlier rows are known."""

    @abstractmethod
    def at(self, levels: Tensor, spot: Spot, condition: Tensor | None = None) -> Tensor:
        """Return the parameters of one pixel, (B, P, G)."""

    def centred(self, levels: Tensor) -> Tensor:
        """Return levels as the network's floats in [-1, 1]."""
        return centred(levels, self.num_levels, next(self.parameters()).dtype)

    def complete_before(self, first: CausalConv2d, levels: Tensor, spot: Spot) -> None:
        """Let the first layer remember the pixel before, whose last group is known by now."""
        if (before := spot.before()) is not None:
            first.complete(self.centred(before.read(levels)), before)


def pixel(x: Tensor, row: int, column: int) -> Tensor:
    """Return one pixel (B, F, 1, 1) of a map; zeros outside it."""
    if row < 0 or column < 0:
        return x.new_zeros(*x.shape[:2], 1, 1)
    return x[:, :, row : row + 1, column : column + 1]


def row_of(x: Tensor, row: int) -> Tensor:
    """Return one row (B, F, 1, W) of a map; zeros outside it."""
    return x[:, :, row : row + 1] if row >= 0 else x.new_zeros(*x.shape[:2], 1, x.shape[3])


def check_condition(condition: Tensor | None, features: int) -> None:
    """Refuse a condition that does not fit.

    Raises:
        ValueError: if it is missing, not asked for, or has other features.
    """
    found = 0 if condition is None else condition.shape[1]
    if found != features:
        raise ValueError(f"condition must have {features} features, got {found}")
