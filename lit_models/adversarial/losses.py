"""Adversarial losses: functions of the discriminator's outputs only.

Each is a frozen dataclass on `AdversarialLoss`. Arguments are in the order real, fake; results are
scalars to minimise, means over the batch. What needs the discriminator itself stands in
`penalties.py`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import relu, softplus

from lit_models.training.collectives import global_mean

__all__ = [
    "AdversarialLoss",
    "HingeLoss",
    "LeastSquaresLoss",
    "MinimaxLoss",
    "NonSaturatingLoss",
    "RelativisticAverageLoss",
    "SigmoidLeastSquaresLoss",
    "WassersteinLoss",
]


class AdversarialLoss(ABC):
    """What the GAN asks of a loss.

    Attributes:
        generator_sees_real: Whether the generator's loss looks at the logits of real samples; if
            not, they are not computed.
    """

    generator_sees_real: ClassVar[bool] = False

    @abstractmethod
    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the scalar that the discriminator minimises; logits have shape (B,)."""

    @abstractmethod
    def generator_loss(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """Return the scalar that the generator minimises; logits have shape (B,), or are None."""

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

    def generator_loss(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        return -softplus(fake_logits).mean()


@dataclass(frozen=True)
class NonSaturatingLoss(MinimaxLoss):
    r"""Non-saturating GAN loss (Goodfellow et al., 2014, https://arxiv.org/abs/1406.2661, Sec. 3).

    .. math::
        L_D = -E \log \sigma(D(x)) - E \log(1 - \sigma(D(G(z)))), \quad
        L_G = -E \log \sigma(D(G(z)))
    """

    def generator_loss(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
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

    def generator_loss(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
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

    def generator_loss(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
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

    def generator_loss(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        return 0.5 * (fake_logits - self.c).square().mean()


@dataclass(frozen=True)
class SigmoidLeastSquaresLoss(LeastSquaresLoss):
    """LSGAN's loss on probabilities, as in the published code of Lucic et al. (2018).

    Differs from the paper: D is the sigmoid of the logit. (The table printed there, and copies of
    it, give both losses with the wrong sign.)
    """

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return super().discriminator_loss(real_logits.sigmoid(), fake_logits.sigmoid())

    def generator_loss(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        return super().generator_loss(None, fake_logits.sigmoid())


@dataclass(frozen=True)
class RelativisticAverageLoss(AdversarialLoss):
    r"""Relativistic average GAN loss (Jolicoeur-Martineau, 2018, arXiv:1807.00734, Eq. 9-10).

    .. math::
        L_D = -E \log \sigma(C(x) - E C(G(z))) - E \log(1 - \sigma(C(G(z)) - E C(x))), \quad
        L_G = -E \log \sigma(C(G(z)) - E C(x)) - E \log(1 - \sigma(C(x) - E C(G(z))))

    with the means inside over the global batch.
    """

    generator_sees_real: ClassVar[bool] = True

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return _relativistic(real_logits, fake_logits)

    def generator_loss(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        assert real_logits is not None
        return _relativistic(fake_logits, real_logits)


def _relativistic(higher: Tensor, lower: Tensor) -> Tensor:
    """Return the cross-entropy of telling that one side's logits exceed the other's mean."""
    above, below = higher - global_mean(lower), lower - global_mean(higher)
    return softplus(-above).mean() + softplus(below).mean()
