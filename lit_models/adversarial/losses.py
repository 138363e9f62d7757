"""Adversarial losses: functions of the discriminator's outputs only.

Each is a frozen dataclass with the two methods of `AdversarialLoss`. Arguments are in the order
real, fake; results are scalars to minimise, means over the batch. What needs the discriminator
itself stands in `penalties.py`.
"""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from torch.nn.functional import relu, softplus

__all__ = ["AdversarialLoss", "HingeLoss", "NonSaturatingLoss", "WassersteinLoss"]


class AdversarialLoss(Protocol):
    """What the GAN asks of a loss."""

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the scalar the discriminator minimises; logits have shape (B,)."""

    def generator_loss(self, fake_logits: Tensor) -> Tensor:
        """Return the scalar the generator minimises; logits have shape (B,)."""


@dataclass(frozen=True)
class NonSaturatingLoss:
    r"""Non-saturating GAN loss (Goodfellow et al., 2014, https://arxiv.org/abs/1406.2661, Sec. 3).

    .. math::
        L_D = -E \log \sigma(D(x)) - E \log(1 - \sigma(D(G(z)))), \quad
        L_G = -E \log \sigma(D(G(z)))
    """

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return softplus(-real_logits).mean() + softplus(fake_logits).mean()

    def generator_loss(self, fake_logits: Tensor) -> Tensor:
        return softplus(-fake_logits).mean()


@dataclass(frozen=True)
class WassersteinLoss:
    r"""Wasserstein critic loss (Arjovsky et al., 2017, https://arxiv.org/abs/1701.07875, Eq. 2-3).

    .. math:: L_D = E D(G(z)) - E D(x), \quad L_G = -E D(G(z))

    The negated discriminator loss is the estimate of the (scaled) Wasserstein-1 distance.
    """

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return fake_logits.mean() - real_logits.mean()

    def generator_loss(self, fake_logits: Tensor) -> Tensor:
        return -fake_logits.mean()


@dataclass(frozen=True)
class HingeLoss:
    r"""Hinge loss (Lim and Ye, 2017, https://arxiv.org/abs/1705.02894).

    .. math:: L_D = E \max(0, 1 - D(x)) + E \max(0, 1 + D(G(z))), \quad L_G = -E D(G(z))
    """

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return relu(1 - real_logits).mean() + relu(1 + fake_logits).mean()

    def generator_loss(self, fake_logits: Tensor) -> Tensor:
        return -fake_logits.mean()
