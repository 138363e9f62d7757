"""PixelCNN++: a causal U-net of gated residual layers, whole pixels at a time.

Salimans, Karpathy, Chen and Kingma, 2017, https://arxiv.org/abs/1701.05517, Sec. 2.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lit_models.networks.causal.streaming import (
    CausalConv2d,
    Memory,
    RasterNetwork,
    Spot,
    check_condition,
    pixel,
    row_of,
    shift,
)
from lit_models.training.collectives import mean_over_processes

__all__ = ["PixelCNNPP"]


class NormalisedConv2d(CausalConv2d):
    """Weight normalisation with a data-dependent start.

    Salimans and Kingma, 2016, https://arxiv.org/abs/1602.07868: w = g v / |v|. While `starting` is
    set, a pass sets g and the bias so that the outputs have mean 0 and deviation `scale` over the
    global batch.

    Args:
        in_channels: Input features.
        out_channels: Output features.
        kernel_size: (rows, columns).
        pads: Zeros to the left, right, top and bottom.
        stride: The stride of both axes.
        scale: Deviation of the outputs after the start.
    """

    starting = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int] = (1, 1),
        pads: tuple[int, int, int, int] = (0, 0, 0, 0),
        stride: int = 1,
        scale: float = 1.0,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, pads, stride)
        self.scale = scale
        self.gain = nn.Parameter(torch.full((out_channels,), scale))
        nn.init.normal_(self.weight, std=0.05)
        nn.init.zeros_(self.bias)

    def kernel(self) -> Tensor:
        norm = self.weight.flatten(1).norm(dim=1)
        return self.weight * (self.gain / norm)[:, None, None, None]

    def forward(self, x: Tensor, spot: Spot | None = None) -> Tensor:
        if self.starting:
            self._start(x)
        return super().forward(x, spot)

    @torch.no_grad()
    def _start(self, x: Tensor) -> None:
        self.gain.fill_(1.0)
        self.bias.zero_()
        y = super().forward(x).transpose(0, 1).flatten(1)
        mean = mean_over_processes(y.mean(1))
        variance = mean_over_processes((y - mean[:, None]).square().mean(1))
        self.gain.copy_(self.scale / (variance + 1e-10).sqrt())
        self.bias.copy_(-mean * self.gain)


class GatedResidual(nn.Module):
    """concat ELU - conv - concat ELU - dropout - conv - gate, added to the input (Sec. 2.3 there).

    Args:
        features: Features of the input and output.
        kernel_size: The kernel size of both convolutions.
        pads: The padding of both convolutions.
        extra: Features of a second input, 0 for none.
        dropout: Rate.
        condition_features: Features of the condition, 0 for none.
    """

    def __init__(
        self,
        features: int,
        kernel_size: tuple[int, int],
        pads: tuple[int, int, int, int],
        extra: int,
        dropout: float,
        condition_features: int,
    ) -> None:
        super().__init__()
        self.first = NormalisedConv2d(2 * features, features, kernel_size, pads)
        self.extra = NormalisedConv2d(2 * extra, features) if extra else None
        self.dropout = nn.Dropout(dropout)
        self.second = NormalisedConv2d(2 * features, 2 * features, kernel_size, pads, scale=0.1)
        self.condition = None
        if condition_features:
            self.condition = nn.Conv2d(condition_features, 2 * features, 1, bias=False)
            nn.init.normal_(self.condition.weight, std=0.05)

    def forward(
        self, x: Tensor, extra: Tensor | None, condition: Tensor | None, spot: Spot | None
    ) -> Tensor:
        """Map x (B, features, H, W) to the same shape."""
        hidden = self.first(concat_elu(x), spot)
        if self.extra is not None:
            hidden = hidden + self.extra(concat_elu(extra), spot)
        hidden = self.second(self.dropout(concat_elu(hidden)), spot)
        if self.condition is not None:
            hidden = hidden + self.condition(condition)
        a, b = hidden.chunk(2, dim=1)
        return x + a * b.sigmoid()


class Grow(nn.Module):
    """Twice the size: a 1x1 convolution to the 2x2 pixels of each place."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.spread = NormalisedConv2d(features, 4 * features)

    def forward(self, x: Tensor, spot: Spot | None) -> Tensor:
        """Map (B, F, H, W) to (B, F, 2H, 2W); at a spot off the grid of x, recall."""
        if spot is None:
            return functional.pixel_shuffle(self.spread(x), 2)
        if x.numel():
            fine = functional.pixel_shuffle(self.spread(x, spot.half()), 2)
            for i in range(2):
                spot_i = Spot(spot.row + i, spot.column, spot.size, spot.memory)
                spot_i.write(self, fine[:, :, i : i + 1])
        return spot.read(spot.memory[self])


@dataclass
class Tape:
    """The vertical features that the horizontal stack takes beside its own."""

    down: list[Tensor] = field(default_factory=list)
    up: list[Tensor] = field(default_factory=list)
    inner: "Tape | None" = None


class Scale(nn.Module):
    """One resolution: residual layers down, all smaller resolutions, residual layers up.

    Every layer's output on the way down is an input of one layer on the way up.

    Args:
        features: Features of both stacks.
        num_blocks: Residual layers on the way down.
        dropout: Rate.
        condition_features: Features of the condition, 0 for none.
        scales: Resolutions from this one on.
    """

    def __init__(
        self, features: int, num_blocks: int, dropout: float, condition_features: int, scales: int
    ) -> None:
        super().__init__()

        def vertical(extra: int) -> GatedResidual:
            return GatedResidual(
                features, (2, 3), (1, 1, 1, 0), extra, dropout, condition_features
            )

        def horizontal(extra: int) -> GatedResidual:
            return GatedResidual(
                features, (2, 2), (1, 0, 1, 0), extra, dropout, condition_features
            )

        ups = num_blocks + (scales > 1)
        self.down_v = nn.ModuleList(vertical(0) for _ in range(num_blocks))
        self.down_h = nn.ModuleList(horizontal(features) for _ in range(num_blocks))
        self.up_v = nn.ModuleList(vertical(features) for _ in range(ups))
        self.up_h = nn.ModuleList(horizontal(2 * features) for _ in range(ups))
        self.inner: Scale | None = None
        if scales > 1:
            self.shrink_v = NormalisedConv2d(features, features, (2, 3), (1, 1, 1, 0), stride=2)
            self.shrink_h = NormalisedConv2d(features, features, (2, 2), (1, 0, 1, 0), stride=2)
            self.inner = Scale(features, num_blocks, dropout, condition_features, scales - 1)
            self.grow_v, self.grow_h = Grow(features), Grow(features)

    def vertical(
        self, v: Tensor, condition: Tensor | None, spot: Spot | None = None
    ) -> tuple[Tensor, Tape]:
        """Map the vertical features (B, F, H, W) to the same shape, and keep all on the way."""
        tape = Tape([v])
        for layer in self.down_v:
            v = layer(v, None, here(condition, v, spot), spot)
            tape.down.append(v)
        remaining = list(tape.down)
        if self.inner is None:
            v = remaining.pop()
        else:
            small = self.shrink_v(v, spot)
            if small.numel():
                below = None if spot is None else spot.half()
                small, tape.inner = self.inner.vertical(small, condition, below)
            v = self.grow_v(small, spot)
        for layer in self.up_v:
            v = layer(v, remaining.pop(), here(condition, v, spot), spot)
            tape.up.append(v)
        return v, tape

    def horizontal(
        self, h: Tensor, tape: Tape, condition: Tensor | None, spot: Spot | None = None
    ) -> Tensor:
        """Map the horizontal features (B, F, H, W) to the same shape."""
        downs = [h]
        for layer, v in zip(self.down_h, tape.down[1:], strict=True):
            h = layer(h, read(v, spot), here(condition, h, spot), spot)
            downs.append(h)
        if self.inner is None:
            h = downs.pop()
        else:
            small = self.shrink_h(h, spot)
            if small.numel():
                assert tape.inner is not None
                below = None if spot is None else spot.half()
                small = self.inner.horizontal(small, tape.inner, condition, below)
            h = self.grow_h(small, spot)
        for layer, v in zip(self.up_h, tape.up, strict=True):
            extra = torch.cat([read(v, spot), downs.pop()], dim=1)
            h = layer(h, extra, here(condition, h, spot), spot)
        return h


class PixelCNNPP(RasterNetwork):
    """Levels (B, C, H, W) to the parameters of whole pixels, (B, P, 1, H, W).

    Salimans et al., 2017, https://arxiv.org/abs/1701.05517. A pixel's parameters depend on earlier
    pixels; its channels are coupled by the likelihood (`DiscretizedLogisticMixture`).

    Differs from the paper: features grow by 2x2 instead of 2x3 kernels in the vertical stack.

    Args:
        image_shape: (C, H, W).
        num_levels: Number of levels of a pixel.
        features: Features of both stacks (160 for CIFAR-10 in the paper).
        num_blocks: Residual layers per resolution and direction (5).
        num_scales: Number of resolutions (3).
        dropout: Rate (.5).
        outputs: Parameters P of a pixel.
        condition_features: Features D of the condition (B, D, 1, 1), 0 for none.

    Raises:
        ValueError: if the sides of the image cannot be halved num_scales - 1 times, or a size is
            below 1.
    """

    groups = 1

    def __init__(
        self,
        image_shape: Sequence[int],
        num_levels: int,
        features: int,
        num_blocks: int,
        num_scales: int,
        dropout: float,
        outputs: int,
        condition_features: int = 0,
    ) -> None:
        super().__init__()
        channels, *sides = image_shape
        if num_scales < 1 or num_blocks < 1:
            raise ValueError(
                f"num_scales and num_blocks must be >= 1, got {num_scales} and {num_blocks}"
            )
        factor = 2 ** (num_scales - 1)
        if any(side % factor for side in sides):
            raise ValueError(
                f"image_shape must have sides that are multiples of {factor}, to be halved "
                f"{num_scales - 1} times, got {tuple(image_shape)}"
            )
        self.num_levels, self.outputs = num_levels, outputs
        self.condition_features = condition_features
        # a channel of ones tells the image from the zeros around it
        self.first_v = NormalisedConv2d(channels + 1, features, (2, 3), (1, 1, 1, 0))
        self.first_above = NormalisedConv2d(channels + 1, features, (1, 3), (1, 1, 0, 0))
        self.first_left = NormalisedConv2d(channels + 1, features, (2, 1), (0, 0, 1, 0))
        self.scales = Scale(features, num_blocks, dropout, condition_features, num_scales)
        self.head = NormalisedConv2d(features, outputs)

    def forward(self, levels: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map levels (B, C, H, W), integers, to parameters (B, P, 1, H, W)."""
        check_condition(condition, self.condition_features)
        x = self._input(levels)
        above = shift(x, down=1, right=0)
        _, tape = self.scales.vertical(self.first_v(above), condition)
        h = self.first_above(above) + self.first_left(shift(x, down=0, right=1))
        h = self.scales.horizontal(h, tape, condition)
        return self.head(functional.elu(h)).unsqueeze(2)

    def start_row(
        self, levels: Tensor, row: int, memory: Memory, condition: Tensor | None = None
    ) -> None:
        spot = Spot(row, None, (levels.shape[2], levels.shape[3]), memory)
        above = row_of(self._input(levels), row - 1)
        _, tape = self.scales.vertical(self.first_v(above, spot), condition, spot)
        before: Any = memory.get(self)
        keep_inner(tape, before)
        memory[self] = tape
        memory[self, "above"] = self.first_above(above, spot)

    def at(self, levels: Tensor, spot: Spot, condition: Tensor | None = None) -> Tensor:
        assert spot.column is not None
        left = pixel(self._input(levels), spot.row, spot.column - 1)
        h = spot.read(spot.memory[self, "above"]) + self.first_left(left, spot)
        tape: Any = spot.memory[self]
        h = self.scales.horizontal(h, tape, condition, spot)
        return self.head(functional.elu(h), spot)[..., 0]

    @contextmanager
    def _starting(self) -> Iterator[None]:
        layers = [m for m in self.modules() if isinstance(m, NormalisedConv2d)]
        for layer in layers:
            layer.starting = True
        try:
            yield
        finally:
            for layer in layers:
                layer.starting = False

    @torch.no_grad()
    def start(self, levels: Tensor, condition: Tensor | None = None) -> None:
        """Set gains and biases from the first batch; every process must call this."""
        # autocast would keep the weights of before in its cache
        with self._starting(), torch.autocast(levels.device.type, enabled=False):
            self.forward(levels, condition)

    def _input(self, levels: Tensor) -> Tensor:
        x = self.centred(levels)
        return torch.cat([x, torch.ones_like(x[:, :1])], dim=1)


def concat_elu(x: Tensor) -> Tensor:
    """Return ELU of x and of -x, (B, 2F, H, W)."""
    return functional.elu(torch.cat([x, -x], dim=1))


def read(x: Tensor, spot: Spot | None) -> Tensor:
    """Return the part of a map at the spot; all of it without one."""
    return x if spot is None else spot.read(x)


def here(condition: Tensor | None, x: Tensor, spot: Spot | None) -> Tensor | None:
    """Return the part of the condition that belongs to the features x."""
    return condition if condition is None or spot is None else spot.read(condition)


def keep_inner(tape: Tape, before: Tape | None) -> None:
    """Keep the smaller resolutions' features in rows that do not compute them."""
    if before is not None and tape.inner is None:
        tape.inner = before.inner
    elif before is not None and tape.inner is not None:
        keep_inner(tape.inner, before.inner)
