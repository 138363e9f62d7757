"""Gated PixelCNN: a vertical and a horizontal stack, which together have no blind spot."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lit_models.networks.causal.pixel_cnn import MaskedConv2d, check_features
from lit_models.networks.causal.streaming import (
    CausalConv2d,
    Chain,
    Memory,
    RasterNetwork,
    Spot,
    causal_mask,
    check_condition,
    pixel,
    row_of,
    shift,
)

__all__ = ["GatedPixelCNN"]


class GatedLayer(nn.Module):
    """One layer of both stacks (van den Oord et al., 2016, arXiv:1606.05328, Fig. 2).

    The vertical stack is shifted down by one row at its very input, so that its features at row i
    know rows before i only.

    Args:
        in_features: Features of the input.
        features: Features of the output.
        kernel_size: (rows, columns) of the vertical kernel; the horizontal one has the columns up
            to the centre.
        image_channels: Number of image channels.
        strict: Mask A in the horizontal kernel; then there is no residual connection.
        condition_features: Features of the condition, 0 for none.
    """

    def __init__(
        self,
        in_features: int,
        features: int,
        kernel_size: tuple[int, int],
        image_channels: int,
        strict: bool,
        condition_features: int,
    ) -> None:
        super().__init__()
        rows, columns = kernel_size
        left = columns // 2
        self.residual = not strict
        self.vertical = CausalConv2d(
            in_features, 2 * features, kernel_size, (left, left, rows - 1, 0)
        )
        self.link = CausalConv2d(2 * features, 2 * features, (1, 1))
        mask = torch.ones(2 * features, in_features, 1, left + 1)
        mask[:, :, 0, left] = causal_mask(2 * features, in_features, image_channels, strict, 2)
        self.horizontal = CausalConv2d(
            in_features, 2 * features, (1, left + 1), (left, 0, 0, 0), mask=mask
        )
        self.out = MaskedConv2d(features, features, 1, image_channels)
        if condition_features:
            self.condition = nn.Conv2d(condition_features, 4 * features, 1, bias=False)

    def conditions(self, condition: Tensor | None) -> tuple[Tensor | float, Tensor | float]:
        """Return what the condition adds to the vertical and the horizontal gates."""
        return (0.0, 0.0) if condition is None else self.condition(condition).chunk(2, dim=1)

    def down(
        self, v: Tensor, bias: Tensor | float, spot: Spot | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the vertical features, and what the horizontal stack takes of them."""
        v = self.vertical(v, spot)
        return gate(v + bias), self.link(v, spot)

    def right(
        self, h: Tensor, link: Tensor, bias: Tensor | float, spot: Spot | None = None
    ) -> Tensor:
        """Return the horizontal features."""
        out: Tensor = self.out(gate(self.horizontal(h, spot) + link + bias), spot)
        return h + out if self.residual else out


class GatedPixelCNN(RasterNetwork):
    """Levels (B, C, H, W) to parameters (B, P, C, H, W), with gates and without a blind spot.

    Van den Oord et al., 2016, https://arxiv.org/abs/1606.05328, Eq. 2-5. A condition, of the whole
    image (B, D, 1, 1) or of each place (B, D, H, W), is added to both gates' arguments.

    Differs from the paper: the vertical stack is shifted down once, at its input, instead of at
    every link between the stacks, which sees the same pixels.

    Args:
        image_shape: (C, H, W).
        num_levels: Number of levels of a pixel.
        features: Features of both stacks, a multiple of C.
        num_layers: Number of gated layers, the first included.
        kernel_size: Odd side of the kernels.
        first_kernel_size: Odd side of the first kernel (7).
        head_features: Features of the layer before the last, a multiple of C.
        outputs: Parameters per channel; None for one logit per level.
        condition_features: Features D of the condition, 0 for none.

    Raises:
        ValueError: if features do not divide among the channels, or a kernel side is even.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_levels: int,
        features: int,
        num_layers: int,
        kernel_size: int,
        first_kernel_size: int,
        head_features: int,
        outputs: int | None = None,
        condition_features: int = 0,
    ) -> None:
        super().__init__()
        channels = image_shape[0]
        check_features(2 * features, head_features, channels)
        if not (kernel_size % 2 and first_kernel_size % 2):
            raise ValueError(
                "kernel_size and first_kernel_size must be odd, "
                f"got {kernel_size} and {first_kernel_size}"
            )
        self.num_levels, self.groups = num_levels, channels
        self.outputs = num_levels if outputs is None else outputs
        self.condition_features = condition_features
        first = (max(1, first_kernel_size // 2), first_kernel_size)
        later = (kernel_size // 2 + 1, kernel_size)
        self.first = GatedLayer(channels, features, first, channels, True, condition_features)
        self.layers = nn.ModuleList(
            GatedLayer(features, features, later, channels, False, condition_features)
            for _ in range(num_layers - 1)
        )
        self.head = Chain(
            nn.ReLU(),
            MaskedConv2d(features, head_features, 1, channels),
            nn.ReLU(),
            MaskedConv2d(head_features, self.outputs * channels, 1, channels),
        )

    @property
    def _all(self) -> list[GatedLayer]:
        return [self.first, *self.layers]  # type: ignore[list-item]

    def forward(self, levels: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map levels (B, C, H, W), integers, to parameters (B, P, C, H, W)."""
        check_condition(condition, self.condition_features)
        h = self.centred(levels)
        v = shift(h, down=1, right=0)
        for layer in self._all:
            bias_v, bias_h = layer.conditions(condition)
            v, link = layer.down(v, bias_v)
            h = layer.right(h, link, bias_h)
        return self._per_channel(self.head(h))

    def start_row(
        self, levels: Tensor, row: int, memory: Memory, condition: Tensor | None = None
    ) -> None:
        spot = Spot(row, None, (levels.shape[2], levels.shape[3]), memory)
        v = row_of(self.centred(levels), row - 1)
        for layer in self._all:
            bias_v, bias_h = layer.conditions(condition)
            bias_v = spot.read(bias_v) if isinstance(bias_v, Tensor) else bias_v
            bias_h = spot.read(bias_h) if isinstance(bias_h, Tensor) else bias_h
            v, link = layer.down(v, bias_v, spot)
            memory[layer] = link + bias_h

    def at(self, levels: Tensor, spot: Spot, condition: Tensor | None = None) -> Tensor:
        assert spot.column is not None
        self.complete_before(self.first.horizontal, levels, spot)
        h = self.centred(pixel(levels, spot.row, spot.column))
        for layer in self._all:
            h = layer.right(h, spot.read(spot.memory[layer]), 0.0, spot)
        return self._per_channel(self.head(h, spot))[..., 0, 0]

    def _per_channel(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (self.groups, self.outputs)).transpose(1, 2)


def gate(x: Tensor) -> Tensor:
    """Return tanh(a) sigmoid(b) of the two halves of the features (Eq. 2)."""
    a, b = x.chunk(2, dim=1)
    return a.tanh() * b.sigmoid()
