"""Approximate posteriors q(z | x)."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import softplus

from lit_models.vae.densities import normal_log_prob

__all__ = ["DiagonalNormal"]


@dataclass(frozen=True)
class DiagonalNormal:
    """N(mu, diag(sigma^2)); mu and sigma have shape (B, D)."""

    mu: Tensor
    sigma: Tensor

    @classmethod
    def from_features(cls, features: Tensor, min_sigma: float) -> "DiagonalNormal":
        """Split (B, 2D) into the mean and, by a softplus, the deviation."""
        mu, raw = features.chunk(2, dim=1)
        return cls(mu, softplus(raw) + min_sigma)

    def transform(self, eps: Tensor) -> Tensor:
        """Return z = mu + sigma eps for eps ~ N(0, I), (..., B, D)."""
        return self.mu + self.sigma * eps

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log q(z), (..., B), in nats."""
        return normal_log_prob(z, self.mu, self.sigma)

    def kl_to_standard_normal(self) -> Tensor:
        """Return KL(q, N(0, I)), (B,), in nats (Kingma and Welling, 2014, appendix B)."""
        variance = self.sigma.square()
        return 0.5 * (self.mu.square() + variance - 1 - variance.log()).sum(1)
