"""What a variational autoencoder minimises, from draws of its posterior; all in nats."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from lit_models.training.collectives import mean_over_processes
from lit_models.vae.bounds import importance_weighted_bound

__all__ = [
    "Draws",
    "ElboObjective",
    "IwaeObjective",
    "ScoreFunctionObjective",
    "VariationalObjective",
]


@dataclass(frozen=True)
class Draws:
    """K draws of the posterior of each of B images.

    Attributes:
        log_likelihood: log p(x | z), (K, B).
        kls: Per stochastic layer, from the data upwards, of every dimension (K or 1, B, D):
            log q - log p at the draws, or the divergence itself of the top layer, where it has a
            closed form; with a flow, one number for all dimensions. The mean of their sum over
            layers and dimensions is KL(q, p).
        log_weights: log p(x, z) - log q(z | x) at the draws, (K, B).
        log_q: log q(z | x), (K, B).
    """

    log_likelihood: Tensor
    kls: tuple[Tensor, ...]
    log_weights: Tensor
    log_q: Tensor


class VariationalObjective(Protocol):
    """What the model asks of an objective.

    Attributes:
        reparameterised: Whether gradients flow through the draws.
    """

    reparameterised: ClassVar[bool]

    @property
    def num_samples(self) -> int:
        """The number of draws, K."""

    @property
    def label(self) -> str | None:
        """What it is, where it is not the plain ELBO; None for that."""

    def loss(self, draws: Draws, images_seen: int) -> Tensor:
        """Return a scalar to minimise."""


@dataclass(frozen=True)
class ElboObjective:
    """-E_q[log p(x|z)] + w KL(q, p), averaged over K draws (Kingma and Welling, 2014, Eq. 10).

    With kl_weight 1, and without warm-up and free bits, its negative is the ELBO; otherwise it is
    no bound.

    Attributes:
        kl_weight: w; beta of Higgins et al. (2017); in Lucic et al. (2018) the number of channels.
        num_samples: K.
        warm_up_images: w rises from 0 in proportion to the images seen up to here (Bowman et al.,
            2016; Sonderby et al., 2016); None for none.
        free_nats: Divergence of a dimension that costs nothing, on average over the batch (Kingma
            et al., 2016, appendix C.8); None for none.

    Raises:
        ValueError: if a number is out of range.
    """

    kl_weight: float = 1.0
    num_samples: int = 1
    warm_up_images: int | None = None
    free_nats: float | None = None
    reparameterised: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_samples(self.num_samples)
        if self.kl_weight < 0:
            raise ValueError(f"kl_weight must be >= 0, got {self.kl_weight}")
        if self.warm_up_images is not None and self.warm_up_images < 1:
            raise ValueError(f"warm_up_images must be >= 1 or null, got {self.warm_up_images}")
        if self.free_nats is not None and self.free_nats < 0:
            raise ValueError(f"free_nats must be >= 0 or null, got {self.free_nats}")

    @property
    def label(self) -> str | None:
        parts = [f"KL weight {self.kl_weight:g}"] if self.kl_weight != 1 else []
        if self.warm_up_images is not None:
            parts.append(f"KL warm-up over {self.warm_up_images:,} images")
        if self.free_nats is not None:
            parts.append(f"{self.free_nats:g} free nats per dimension")
        return f"ELBO with {', '.join(parts)}" if parts else None

    def loss(self, draws: Draws, images_seen: int) -> Tensor:
        kl = torch.stack([self._kl(kls) for kls in draws.kls]).sum()
        return -draws.log_likelihood.mean() + self.weight(images_seen) * kl

    def _kl(self, kls: Tensor) -> Tensor:
        if self.free_nats is None:
            return kls.sum(-1).mean()
        own = kls.mean(dim=(0, 1))
        counts = mean_over_processes(own) > self.free_nats  # of the global batch
        return torch.where(counts, own, torch.full_like(own, self.free_nats)).sum()

    def weight(self, images_seen: int) -> float:
        """Return w after so many images."""
        if self.warm_up_images is None:
            return self.kl_weight
        return self.kl_weight * min(images_seen / self.warm_up_images, 1.0)


@dataclass(frozen=True)
class IwaeObjective:
    """-log (1/K) sum_k w_k (Burda et al., 2016, https://arxiv.org/abs/1509.00519, Eq. 8).

    Attributes:
        num_samples: K.
    """

    num_samples: int
    reparameterised: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_samples(self.num_samples)

    @property
    def label(self) -> str | None:
        return f"IWAE bound, K = {self.num_samples}"

    def loss(self, draws: Draws, images_seen: int) -> Tensor:
        return -importance_weighted_bound(draws.log_weights).mean()


@dataclass(frozen=True)
class ScoreFunctionObjective:
    """The ELBO, with the posterior's gradient by the score function (Paisley et al., 2012).

    Each draw's log-weight multiplies the gradient of log q; with several draws the mean of the
    others is subtracted first (Mnih and Rezende, 2016, https://arxiv.org/abs/1602.06725, Eq. 8),
    which leaves the expectation as it is. Its value is the ELBO's, its gradient an unbiased one of
    a far larger variance than that of the reparameterised ELBO.

    Attributes:
        num_samples: K.
    """

    num_samples: int
    reparameterised: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_samples(self.num_samples)

    @property
    def label(self) -> str | None:
        return f"ELBO by the score function, {self.num_samples} draws"

    def loss(self, draws: Draws, images_seen: int) -> Tensor:
        signal = draws.log_weights.detach()
        if self.num_samples > 1:
            others = (signal.sum(0) - signal) / (self.num_samples - 1)
            signal = signal - others
        log_joint = draws.log_weights + draws.log_q
        surrogate = -(log_joint + signal * draws.log_q).mean()
        value = -draws.log_weights.mean()
        return surrogate + (value - surrogate).detach()


def _check_samples(num_samples: int) -> None:
    if not isinstance(num_samples, int) or num_samples < 1:
        raise ValueError(f"num_samples must be an integer >= 1, got {num_samples}")
