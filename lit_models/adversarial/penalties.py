"""Discriminator penalties: functions of the discriminator itself, added to its loss."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from lit_models.training.collectives import global_std
from lit_models.training.noise import Noise

__all__ = ["DraganPenalty", "GaussianDraganPenalty", "GradientPenalty", "Penalty"]

Network = Callable[[Tensor], Tensor]  # the discriminator's forward, from (B, ...) to (B,)


class Penalty(Protocol):
    """What the GAN asks of a penalty."""

    def __call__(self, discriminator: Network, real: Tensor, fake: Tensor, noise: Noise) -> Tensor:
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

    def __call__(self, discriminator: Network, real: Tensor, fake: Tensor, noise: Noise) -> Tensor:
        """Return the penalty on points between real and fake, both (B, ...)."""
        u = noise((real.shape[0], *[1] * (real.dim() - 1)), "uniform")
        norm = gradient_norm(
            discriminator, torch.lerp(fake.detach().to(real.dtype), real, u), self.epsilon
        )
        return self.weight * (norm - self.target).square().mean()


@dataclass(frozen=True)
class DraganPenalty:
    r"""DRAGAN's penalty as in the published code of Lucic et al. (2018), arXiv:1711.10337.

    .. math:: \lambda E (\|\nabla f(\hat x)\|_2 - 1)^2, \quad \hat x = x + u\, s\, \mathrm{std}\, v

    with one u ~ U[0, 1) per example, v ~ U[0, 1) per number, and std the deviation of all numbers
    of the global batch. The gradient is taken through `output`, a sigmoid in that code.

    Differs from the paper (Kodali et al., 2017): see `GaussianDraganPenalty`.

    Attributes:
        weight: lambda (10).
        target: The norm asked for (1).
        epsilon: Under the root of the norm (1e-4).
        scale: s (.5).
        output: Applied to the logits before the gradient is taken.
    """

    weight: float
    target: float
    epsilon: float
    scale: float
    output: nn.Module

    def __call__(self, discriminator: Network, real: Tensor, fake: Tensor, noise: Noise) -> Tensor:
        """Return the penalty on points near real, (B, ...); fake is not used."""
        u = noise((real.shape[0], *[1] * (real.dim() - 1)), "uniform")
        v = noise(real.shape, "uniform")
        x_hat = real + u * self.scale * global_std(real) * v
        norm = gradient_norm(lambda x: self.output(discriminator(x)), x_hat, self.epsilon)
        return self.weight * (norm - self.target).square().mean()


@dataclass(frozen=True)
class GaussianDraganPenalty:
    r"""DRAGAN's penalty of the paper (Kodali et al., 2017, arXiv:1705.07215, Eq. 4).

    .. math:: \lambda E (\|\nabla f(x + \delta)\|_2 - k)^2, \quad \delta \sim N(0, c I)

    Attributes:
        weight: lambda (10).
        target: k (1).
        epsilon: Under the root of the norm; the paper has none.
        variance: c (10, for images of the paper's range).
        output: Applied to the logits before the gradient is taken; a sigmoid for the probability.
    """

    weight: float
    target: float
    epsilon: float
    variance: float
    output: nn.Module

    def __call__(self, discriminator: Network, real: Tensor, fake: Tensor, noise: Noise) -> Tensor:
        """Return the penalty on points near real, (B, ...); fake is not used."""
        x_hat = real + self.variance**0.5 * noise(real.shape, "normal")
        norm = gradient_norm(lambda x: self.output(discriminator(x)), x_hat, self.epsilon)
        return self.weight * (norm - self.target).square().mean()


def gradient_norm(function: Network, x: Tensor, epsilon: float) -> Tensor:
    """Return sqrt(epsilon + |grad f(x)|^2) of each example, (B,); differentiable.

    In the precision of x and the parameters, also under autocast, whose rounding is worth some
    percent of a penalty's gradient.
    """
    x = x.detach().requires_grad_()
    with torch.autocast(x.device.type, enabled=False):
        (gradient,) = torch.autograd.grad(function(x).sum(), x, create_graph=True)
    return (gradient.flatten(1).square().sum(1) + epsilon).sqrt()
