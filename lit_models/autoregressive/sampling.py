"""Sampling dimension by dimension: pixels in raster order, channels within a pixel."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lit_models.autoregressive.likelihoods import PixelLikelihood
from lit_models.noise import Noise

__all__ = ["sample_in_raster_order"]


def sample_in_raster_order(
    network: Callable[[Tensor], Tensor],
    likelihood: PixelLikelihood,
    shape: Sequence[int],
    noise: Noise,
) -> Tensor:
    """Return levels (B, C, H, W): C x H x W passes, each over the rows so far.

    Rows below the current one cannot matter to a causal network, so they are left out.

    Args:
        network: From levels (B, C, h, W) to parameters (B, P, C, h, W).
        likelihood: Draws a level from a dimension's parameters.
        shape: (B, C, H, W).
        noise: Source of the uniforms.
    """
    batch, channels, height, width = shape
    uniform = noise((batch, height, width, channels), "uniform")
    levels = torch.zeros(batch, channels, height, width, dtype=torch.long, device=uniform.device)
    for row in range(height):
        for column in range(width):
            for channel in range(channels):
                parameters = network(levels[:, :, : row + 1])[:, :, channel, row, column]
                u = uniform[:, row, column, channel]
                levels[:, channel, row, column] = likelihood.draw(parameters, u)
    return levels
