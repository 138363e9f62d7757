"""PixelCNN: masked convolutions over pixels in raster order, channels in order within a pixel."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lit_models.networks.causal.streaming import (
    CausalConv2d,
    Chain,
    RasterNetwork,
    Spot,
    Streamed,
    causal_mask,
    check_condition,
    pixel,
)

__all__ = ["MaskedConv2d", "PixelCNN", "RasterStack"]


class MaskedConv2d(CausalConv2d):
    """Convolution that keeps size and sees earlier pixels only (van den Oord 2016, Sec. 3.4).

    Args:
        in_channels: Input features, a multiple of groups.
        out_channels: Output features, a multiple of groups.
        kernel_size: Odd side of the kernel.
        image_channels: Number of image channels the features are divided among, in order.
        strict: Mask A (a channel does not see itself) instead of mask B.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        image_channels: int,
        strict: bool = False,
    ) -> None:
        centre = kernel_size // 2
        mask = torch.zeros(out_channels, in_channels, kernel_size, kernel_size)
        mask[:, :, :centre] = 1
        mask[:, :, centre, :centre] = 1
        mask[:, :, centre, centre] = causal_mask(out_channels, in_channels, image_channels, strict)
        sides = (kernel_size, kernel_size)
        super().__init__(in_channels, out_channels, sides, pads=(centre,) * 4, mask=mask)


class ResidualBlock(Streamed):
    """ReLU - 1x1, h - ReLU - kxk, h - ReLU - 1x1, 2h, added to the input (Fig. 5 of the paper).

    Args:
        features: Features 2h of the residual stream.
        image_channels: Number of image channels.
        kernel_size: Odd side k of the kernel in the middle.
    """

    def __init__(self, features: int, image_channels: int, kernel_size: int) -> None:
        super().__init__()
        half = features // 2
        self.layers = Chain(
            nn.ReLU(),
            MaskedConv2d(features, half, 1, image_channels),
            nn.ReLU(),
            MaskedConv2d(half, half, kernel_size, image_channels),
            nn.ReLU(),
            MaskedConv2d(half, features, 1, image_channels),
        )

    def forward(self, x: Tensor, spot: Spot | None = None) -> Tensor:
        """Map (B, features, H, W) to the same shape."""
        return x + self.layers(x, spot)


class RasterStack(RasterNetwork):
    """Levels (B, C, H, W) to parameters (B, P, C, H, W): the frame of PixelCNN and PixelRNN.

    Van den Oord, Kalchbrenner and Kavukcuoglu, 2016, https://arxiv.org/abs/1601.06759, Table 1:
    a 7x7 mask-A convolution, blocks with mask B, two ReLU + 1x1 layers. The parameters of a
    pixel's channel depend on earlier pixels and on that pixel's earlier channels.

    Args:
        image_shape: (C, H, W).
        num_levels: Number of levels of a pixel.
        features: Features 2h of the residual stream, a multiple of 2C.
        blocks: Maps of (B, features, H, W) to itself.
        first_kernel_size: Odd side of the first kernel (7 in the paper).
        head_features: Features of the layer before the last, a multiple of C.
        outputs: Parameters per channel; None for one logit per level.

    Raises:
        ValueError: if features do not divide among the channels, or a kernel side is even.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_levels: int,
        features: int,
        blocks: Sequence[nn.Module],
        first_kernel_size: int,
        head_features: int,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        channels = image_shape[0]
        check_features(features, head_features, channels)
        if not first_kernel_size % 2:
            raise ValueError(f"first_kernel_size must be odd, got {first_kernel_size}")
        self.num_levels, self.groups = num_levels, channels
        self.outputs = num_levels if outputs is None else outputs
        self.layers = Chain(
            MaskedConv2d(channels, features, first_kernel_size, channels, strict=True),
            *blocks,
            nn.ReLU(),
            MaskedConv2d(features, head_features, 1, channels),
            nn.ReLU(),
            MaskedConv2d(head_features, self.outputs * channels, 1, channels),
        )

    def forward(self, levels: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map levels (B, C, H, W), integers, to parameters (B, P, C, H, W)."""
        check_condition(condition, self.condition_features)
        return self._run(levels)

    def at(self, levels: Tensor, spot: Spot, condition: Tensor | None = None) -> Tensor:
        assert spot.column is not None
        self.complete_before(self.layers[0], levels, spot)
        return self._run(pixel(levels, spot.row, spot.column), spot)[..., 0, 0]

    def _run(self, levels: Tensor, spot: Spot | None = None) -> Tensor:
        x = self.centred(levels)
        return self.layers(x, spot).unflatten(1, (self.groups, self.outputs)).transpose(1, 2)


class PixelCNN(RasterStack):
    """The residual blocks are masked convolutions (van den Oord et al., 2016, Table 1).

    Args:
        image_shape: (C, H, W).
        num_levels: Number of levels of a pixel.
        features: Features 2h of the residual stream, a multiple of 2C.
        num_blocks: Number of residual blocks.
        kernel_size: Odd side of the blocks' kernels (3 in the paper).
        first_kernel_size: Odd side of the first kernel (7 in the paper).
        head_features: Features of the layer before the last, a multiple of C.
        outputs: Parameters per channel; None for one logit per level.

    Raises:
        ValueError: if features do not divide among the channels, or a kernel side is even.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_levels: int,
        features: int,
        num_blocks: int,
        kernel_size: int,
        first_kernel_size: int,
        head_features: int,
        outputs: int | None = None,
    ) -> None:
        channels = image_shape[0]
        check_features(features, head_features, channels)
        if not kernel_size % 2:
            raise ValueError(f"kernel_size must be odd, got {kernel_size}")
        blocks = [ResidualBlock(features, channels, kernel_size) for _ in range(num_blocks)]
        super().__init__(
            image_shape, num_levels, features, blocks, first_kernel_size, head_features, outputs
        )


def check_features(features: int, head_features: int, channels: int) -> None:
    """Refuse features that do not divide among the image channels."""
    if features % (2 * channels) or head_features % channels:
        raise ValueError(
            f"features must be a multiple of {2 * channels} and head_features of {channels}, "
            f"got {features} and {head_features}"
        )
