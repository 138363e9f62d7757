"""Likelihoods of discrete pixels, in nats."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

__all__ = ["CategoricalLikelihood", "PixelLikelihood"]


class PixelLikelihood(Protocol):
    """What the autoregressive model asks of a pixel's distribution."""

    def log_prob(self, levels: Tensor, parameters: Tensor) -> Tensor:
        """Return log p(x), (B,), summed over all dimensions."""

    def draw(self, parameters: Tensor, uniform: Tensor) -> Tensor:
        """Return levels drawn with uniforms in [0, 1)."""


@dataclass(frozen=True)
class CategoricalLikelihood:
    """A softmax over all levels (van den Oord et al., 2016, https://arxiv.org/abs/1601.06759)."""

    def log_prob(self, levels: Tensor, parameters: Tensor) -> Tensor:
        """Take levels (B, C, H, W) and logits (B, num_levels, C, H, W)."""
        return -cross_entropy(parameters, levels, reduction="none").flatten(1).sum(1)

    def draw(self, parameters: Tensor, uniform: Tensor) -> Tensor:
        """Invert the distribution function: logits (B, num_levels), uniforms (B,) to (B,)."""
        cumulative = torch.softmax(parameters.double(), dim=1).cumsum(1)
        last = parameters.shape[1] - 1  # rounding may leave the sum below the uniform
        return (uniform.double()[:, None] >= cumulative).sum(1).clamp(max=last)
