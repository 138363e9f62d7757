"""Approximate posteriors q(z | x), and what makes them more flexible."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from zuko.flows.autoregressive import MaskedAutoregressiveTransform

from lit_models.likelihoods.densities import normal_log_prob, normal_log_probs

__all__ = ["DiagonalNormal", "Exponential", "InverseAutoregressiveFlow"]


class Exponential(nn.Module):
    """exp(x), which makes a raw deviation positive as in the code of Burda et al. (2016)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return exp(x) of any shape."""
        return x.exp()


@dataclass(frozen=True)
class DiagonalNormal:
    """N(mu, diag(sigma^2)); mu and sigma have shape (..., D)."""

    mu: Tensor
    sigma: Tensor

    @classmethod
    def from_features(
        cls, features: Tensor, min_sigma: float, positive: Callable[[Tensor], Tensor] = softplus
    ) -> "DiagonalNormal":
        """Split (..., 2D) into the mean and, made positive by a function, the deviation."""
        mu, raw = features.chunk(2, dim=-1)
        return cls(mu, positive(raw) + min_sigma)

    def transform(self, eps: Tensor) -> Tensor:
        """Return z = mu + sigma eps for eps ~ N(0, I), (..., B, D)."""
        return self.mu + self.sigma * eps

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log q(z), (..., B), in nats."""
        return normal_log_prob(z, self.mu, self.sigma)

    def log_probs(self, z: Tensor) -> Tensor:
        """Return log q of every dimension, (..., B, D), in nats."""
        return normal_log_probs(z, self.mu, self.sigma)

    def kls_to(self, other: "DiagonalNormal") -> Tensor:
        """Return KL(q, other) of every dimension, (..., D), in nats."""
        ratio = (self.sigma / other.sigma).square()
        shift = ((self.mu - other.mu) / other.sigma).square()
        return 0.5 * (ratio + shift - 1 - ratio.log())

    def kls_to_standard_normal(self) -> Tensor:
        """Return KL(q, N(0, 1)) of every dimension, (..., D), in nats."""
        variance = self.sigma.square()
        return 0.5 * (self.mu.square() + variance - 1 - variance.log())

    def kl_to_standard_normal(self) -> Tensor:
        """Return KL(q, N(0, I)), (...), in nats (Kingma and Welling, 2014, appendix B)."""
        return self.kls_to_standard_normal().sum(-1)


class InverseAutoregressiveFlow(nn.Module):
    """z = f_T(... f_1(z_0)), each affine with coefficients from earlier dimensions and a context.

    Kingma et al., 2016, https://arxiv.org/abs/1606.04934, Eq. 10-13; the order of the dimensions
    is reversed from step to step. The masked networks and the affine map are zuko's, whose scales
    are bounded exponentials instead of the paper's gates.

    Args:
        dim: D of z.
        context_features: Features that the encoder gives beside mean and deviation.
        num_steps: T.
        hidden: Widths of each step's masked network.
    """

    def __init__(
        self, dim: int, context_features: int, num_steps: int, hidden: Sequence[int]
    ) -> None:
        super().__init__()
        self.context_features = context_features
        with torch.device("cpu"):  # zuko computes its masks, which a meta device cannot
            orders = [torch.arange(dim), torch.arange(dim).flip(0)]
            self.steps = nn.ModuleList(
                MaskedAutoregressiveTransform(
                    dim, context_features, order=orders[t % 2], hidden_features=tuple(hidden)
                )
                for t in range(num_steps)
            )
        self.steps.to(torch.get_default_device())

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Map z (..., D) given context (..., F); return it and log |det dz_T / dz_0|, (...)."""
        total = torch.zeros_like(z[..., 0])
        for step in self.steps:
            z, log_det = step(context).call_and_ladj(z)
            total = total + log_det
        return z, total
