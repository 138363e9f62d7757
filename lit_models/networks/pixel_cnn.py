"""PixelCNN: masked convolutions over pixels in raster order, channels in order within a pixel."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["MaskedConv2d", "PixelCNN"]


def causal_mask(
    out_channels: int, in_channels: int, kernel_size: int, groups: int, strict: bool
) -> Tensor:
    """Return the mask of a causal kernel, shape (out_channels, in_channels, k, k), 0 or 1.

    Feature i belongs to image channel i // (features / groups). Rows above and pixels to the left
    are seen; of the centre pixel, channels before (strict, mask A) or up to (mask B) one's own.
    """
    mask = torch.zeros(out_channels, in_channels, kernel_size, kernel_size)
    centre = kernel_size // 2
    mask[:, :, :centre] = 1
    mask[:, :, centre, :centre] = 1
    out_group = torch.arange(out_channels) * groups // out_channels
    in_group = torch.arange(in_channels) * groups // in_channels
    before, after = in_group[None, :], out_group[:, None]
    mask[:, :, centre, centre] = (before < after if strict else before <= after).float()
    return mask


class MaskedConv2d(nn.Conv2d):
    """Convolution that keeps size and sees earlier pixels only (van den Oord 2016, Sec. 3.4).

    Args:
        in_channels: Input features, a multiple of groups.
        out_channels: Output features, a multiple of groups.
        kernel_size: Odd side of the kernel.
        image_channels: Number of image channels the features are divided among, in order.
        strict: Mask A (a channel does not see itself) instead of mask B.
    """

    mask: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        image_channels: int,
        strict: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        mask = causal_mask(out_channels, in_channels, kernel_size, image_channels, strict)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, H, W)."""
        weight = self.weight * self.mask
        return functional.conv2d(input, weight, self.bias, padding=self.padding)


class ResidualBlock(nn.Module):
    """ReLU - 1x1, h - ReLU - kxk, h - ReLU - 1x1, 2h, added to the input (Fig. 5 of the paper)."""

    def __init__(self, features: int, kernel_size: int, image_channels: int) -> None:
        super().__init__()
        half = features // 2
        self.layers = nn.Sequential(
            nn.ReLU(),
            MaskedConv2d(features, half, 1, image_channels),
            nn.ReLU(),
            MaskedConv2d(half, half, kernel_size, image_channels),
            nn.ReLU(),
            MaskedConv2d(half, features, 1, image_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, features, H, W) to the same shape."""
        return x + self.layers(x)


class PixelCNN(nn.Module):
    """From integer levels (B, C, H, W) to logits of every level, (B, num_levels, C, H, W).

    Van den Oord, Kalchbrenner and Kavukcuoglu, 2016, https://arxiv.org/abs/1601.06759, Table 1:
    a 7x7 mask-A convolution, residual blocks with mask B, two ReLU + 1x1 layers, a softmax. The
    logits of a pixel's channel depend on earlier pixels and on that pixel's earlier channels.

    Args:
        image_shape: (C, H, W).
        num_levels: Number of levels of a pixel.
        features: Features 2h of the residual stream, a multiple of 2C.
        num_blocks: Number of residual blocks.
        kernel_size: Odd side of the blocks' kernels (3 in the paper).
        first_kernel_size: Odd side of the first kernel (7 in the paper).
        head_features: Features of the layer before the softmax, a multiple of C.

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
    ) -> None:
        super().__init__()
        channels = image_shape[0]
        if features % (2 * channels) or head_features % channels:
            raise ValueError(
                f"features must be a multiple of {2 * channels} and head_features of {channels}, "
                f"got {features} and {head_features}"
            )
        if not (kernel_size % 2 and first_kernel_size % 2):
            raise ValueError(
                "kernel_size and first_kernel_size must be odd, "
                f"got {kernel_size} and {first_kernel_size}"
            )
        self.num_levels, self.channels = num_levels, channels
        blocks = [ResidualBlock(features, kernel_size, channels) for _ in range(num_blocks)]
        self.layers = nn.Sequential(
            MaskedConv2d(channels, features, first_kernel_size, channels, strict=True),
            *blocks,
            nn.ReLU(),
            MaskedConv2d(features, head_features, 1, channels),
            nn.ReLU(),
            MaskedConv2d(head_features, num_levels * channels, 1, channels),
        )

    def forward(self, levels: Tensor) -> Tensor:
        """Map levels (B, C, H, W), integers, to logits (B, num_levels, C, H, W)."""
        x = levels.to(self.layers[0].weight.dtype) * (2 / (self.num_levels - 1)) - 1
        return self.layers(x).unflatten(1, (self.channels, self.num_levels)).transpose(1, 2)
