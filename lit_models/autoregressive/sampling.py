"""Sampling in raster order: pixel by pixel, within a pixel group by group."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from lit_models.likelihoods.pixels import PixelLikelihood
from lit_models.networks.causal.streaming import Memory, RasterNetwork, Spot
from lit_models.training.noise import Noise

__all__ = ["first_pixels_only", "sample_in_raster_order", "sample_naively"]

_most_pixels: ContextVar[int | None] = ContextVar("most_pixels", default=None)


@contextmanager
def first_pixels_only(count: int) -> Iterator[None]:
    """Draw so many pixels of the first image, in raster order; all others are 0: for a trial."""
    token = _most_pixels.set(count)
    try:
        yield
    finally:
        _most_pixels.reset(token)


def sample_in_raster_order(
    network: RasterNetwork,
    likelihood: PixelLikelihood,
    shape: Sequence[int],
    noise: Noise,
    condition: Tensor | None = None,
    given: Tensor | None = None,
    num_given: int = 0,
) -> Tensor:
    """Return levels (B, C, H, W); the network remembers what earlier pixels computed.

    Args:
        network: Gives the parameters of one pixel at a time.
        likelihood: Draws a pixel's group of channels from its parameters.
        shape: (B, C, H, W).
        noise: Source of the uniforms.
        condition: What the network is conditioned on, (B, D, 1, 1) or (B, D, H, W).
        given: Levels (B, C, H, W) whose first pixels are kept.
        num_given: Number of pixels in raster order that are kept.
    """
    batch, channels, height, width = shape
    most = _most_pixels.get()
    if most is not None and batch > 1:
        one = [None if x is None else x[:1] for x in (condition, given)]
        first = sample_in_raster_order(
            network, likelihood, (1, *shape[1:]), noise, one[0], one[1], num_given
        )
        return torch.cat([first, first.new_zeros(batch - 1, *shape[1:])])
    share = channels // network.groups
    per_group = likelihood.num_uniforms(share)
    uniform = noise((batch, height, width, network.groups * per_group), "uniform")
    levels = torch.zeros(batch, channels, height, width, dtype=torch.long, device=uniform.device)
    memory: Memory = {}
    for row in range(height):
        network.start_row(levels, row, memory, condition)
        for column in range(width):
            if row * width + column == most:
                return levels
            spot = Spot(row, column, (height, width), memory)
            if given is not None and row * width + column < num_given:
                levels[:, :, row, column] = given[:, :, row, column]
                network.at(levels, spot, condition)  # for what it remembers
                continue
            for group in range(network.groups):
                parameters = network.at(levels, spot, condition)[:, :, group]
                u = uniform[:, row, column, group * per_group : (group + 1) * per_group]
                drawn = likelihood.draw(parameters, u)
                levels[:, group * share : (group + 1) * share, row, column] = drawn
    return levels


def sample_naively(
    network: RasterNetwork,
    likelihood: PixelLikelihood,
    shape: Sequence[int],
    noise: Noise,
    condition: Tensor | None = None,
    pixels: Sequence[int] | None = None,
) -> Tensor:
    """Return what `sample_in_raster_order` returns, by a pass over the whole image for each group.

    Args:
        network: Causal.
        likelihood: Draws a pixel's group of channels from its parameters.
        shape: (B, C, H, W).
        noise: Source of the uniforms.
        condition: What the network is conditioned on.
        pixels: The only pixels to draw, in raster order; None for all. For timing.
    """
    batch, channels, height, width = shape
    share = channels // network.groups
    per_group = likelihood.num_uniforms(share)
    uniform = noise((batch, height, width, network.groups * per_group), "uniform")
    levels = torch.zeros(batch, channels, height, width, dtype=torch.long, device=uniform.device)
    for index in range(height * width) if pixels is None else pixels:
        row, column = divmod(index, width)
        for group in range(network.groups):
            parameters = network(levels, condition)[:, :, group, row, column]
            u = uniform[:, row, column, group * per_group : (group + 1) * per_group]
            drawn = likelihood.draw(parameters, u)
            levels[:, group * share : (group + 1) * share, row, column] = drawn
    return levels
