"""Discriminator penalties: functions of the discriminator itself, added to its loss."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from lit_models.noise import Noise

__all__ = ["GradientPenalty", "Penalty"]


class Penalty(Protocol):
    """What the GAN asks of a penalty."""

    def __call__(
        self, discriminator: nn.Module, real: Tensor, fake: Tensor, noise: Noise
    ) -> Tensor:
        """Return the scalar added to the discriminator's loss; real and fake are (B, ...)."""


@dataclass(frozen=True)
class GradientPenalty:
    r"""WGAN-GP's penalty (Gulrajani et al., 2017, https://arxiv.org/abs/1704.00028, Eq. 3).

    .. math:: \lambda E (\|\nabla D(\hat x)\|_2 - 1)^2, \quad \hat x = u x + (1 - u) G(z)

    with one u ~ U[0, 1) per example. The norm is sqrt(epsilon + sum of squares).

    Attributes:
        weight: lambda (10 in the paper).
        target: The norm asked for (1 in the paper).
        epsilon: Under the root. The paper has none; a tiny one keeps the gradient finite at a
            zero gradient. Lucic et al.'s code uses 1e-4.
    """

    weight: float
    target: float
    epsilon: float

    def __call__(
        self, discriminator: nn.Module, real: Tensor, fake: Tensor, noise: Noise
    ) -> Tensor:
        """Return the penalty on points between real and fake, both (B, ...)."""
        u = noise((real.shape[0], *[1] * (real.dim() - 1)), "uniform")
        x_hat = torch.lerp(fake.detach(), real, u).requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator(x_hat).sum(), x_hat, create_graph=True)
        norm = (gradient.flatten(1).square().sum(1) + self.epsilon).sqrt()
        return self.weight * (norm - self.target).square().mean()
