"""Adversarial losses: functions of the discriminator's outputs only.

Each is a frozen dataclass on `AdversarialLoss`. Arguments are in the order real, fake; results are
scalars to minimise, means over the batch. What needs the discriminator itself stands in
`penalties.py`.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import relu, softplus

__all__ = [
    "AdversarialLoss",
    "HingeLoss",
    "LeastSquaresLoss",
    "MinimaxLoss",
    "NonSaturatingLoss",
    "SigmoidLeastSquaresLoss",
    "WassersteinLoss",
]


class AdversarialLoss:
    """What the GAN asks of a loss."""

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the scalar the discriminator minimises; logits have shape (B,)."""
        raise NotImplementedError

    def generator_loss(self, fake_logits: Tensor) -> Tensor:
        """Return the scalar the generator minimises; logits have shape (B,)."""
        raise NotImplementedError

    def estimates(self, real_logits: Tensor, fake_logits: Tensor) -> dict[str, Tensor]:
        """Return what else the logits tell, scalars by name, to be logged."""
        return {}


@dataclass(frozen=True)
class MinimaxLoss(AdversarialLoss):
    r"""The minimax GAN loss, saturating (Goodfellow et al., 2014, arXiv:1406.2661, Eq. 1).

    .. math::
        L_D = -E \log \sigma(D(x)) - E \log(1 - \sigma(D(G(z)))), \quad
        L_G = E \log(1 - \sigma(D(G(z))))
    """

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return softplus(-real_logits).mean() + softplus(fake_logits).mean()

    def generator_loss(self, fake_logits: Tensor) -> Tensor:
        return -softplus(fake_logits).mean()


@dataclass(frozen=True)
class NonSaturatingLoss(MinimaxLoss):
    r"""Non-saturating GAN loss (Goodfellow et al., 2014, https://arxiv.org/abs/1406.2661, Sec. 3).

    .. math::
        L_D = -E \log \sigma(D(x)) - E \log(1 - \sigma(D(G(z)))), \quad
        L_G = -E \log \sigma(D(G(z)))
    """

    def generator_loss(self, fake_logits: Tensor) -> Tensor:
        return softplus(-fake_logits).mean()


@dataclass(frozen=True)
class WassersteinLoss(AdversarialLoss):
    r"""Wasserstein critic loss (Arjovsky et al., 2017, https://arxiv.org/abs/1701.07875, Eq. 2-3).

    .. math:: L_D = E D(G(z)) - E D(x), \quad L_G = -E D(G(z))

    E D(x) - E D(G(z)) is logged as the estimate of the Wasserstein-1 distance, up to the Lipschitz
    constant that the clipping or the penalty allows.
    """

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return fake_logits.mean() - real_logits.mean()

    def generator_loss(self, fake_logits: Tensor) -> Tensor:
        return -fake_logits.mean()

    def estimates(self, real_logits: Tensor, fake_logits: Tensor) -> dict[str, Tensor]:
        return {"wasserstein_estimate": real_logits.mean() - fake_logits.mean()}


@dataclass(frozen=True)
class HingeLoss(AdversarialLoss):
    r"""Hinge loss (Lim and Ye, 2017, https://arxiv.org/abs/1705.02894).

    .. math:: L_D = E \max(0, 1 - D(x)) + E \max(0, 1 + D(G(z))), \quad L_G = -E D(G(z))
    """

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return relu(1 - real_logits).mean() + relu(1 + fake_logits).mean()

    def generator_loss(self, fake_logits: Tensor) -> Tensor:
        return -fake_logits.mean()


@dataclass(frozen=True)
class LeastSquaresLoss(AdversarialLoss):
    r"""LSGAN's loss on the discriminator's output (Mao et al., 2017, arXiv:1611.04076, Eq. 2).

    .. math::
        L_D = \tfrac12 E (D(x) - b)^2 + \tfrac12 E (D(G(z)) - a)^2, \quad
        L_G = \tfrac12 E (D(G(z)) - c)^2

    Attributes:
        a: Target of the discriminator on fake samples.
        b: Target of the discriminator on real samples.
        c: What the generator wants the discriminator to say.
    """

    a: float
    b: float
    c: float

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        real, fake = real_logits - self.b, fake_logits - self.a
        return 0.5 * (real.square().mean() + fake.square().mean())

    def generator_loss(self, fake_logits: Tensor) -> Tensor:
        return 0.5 * (fake_logits - self.c).square().mean()


@dataclass(frozen=True)
class SigmoidLeastSquaresLoss(LeastSquaresLoss):
    """LSGAN's loss on probabilities, as in the published code of Lucic et al. (2018).

    Differs from the paper: D is the sigmoid of the logit. (The table printed there, and copies of
    it, give both losses with the wrong sign.)
    """

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return super().discriminator_loss(real_logits.sigmoid(), fake_logits.sigmoid())

    def generator_loss(self, fake_logits: Tensor) -> Tensor:
        return super().generator_loss(fake_logits.sigmoid())
