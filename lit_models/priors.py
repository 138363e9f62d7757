"""Priors over the latent code z; their draws have shape (B, dim)."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from lit_models.training.noise import Noise

__all__ = ["NormalPrior", "Prior", "UniformPrior"]


class Prior(Protocol):
    """What models and the inversion of a generator ask of a prior."""

    def __call__(self, noise: Noise, num_samples: int) -> Tensor:
        """Return (num_samples, dim) draws."""

    def project(self, z: Tensor) -> Tensor:
        """Return the point of the prior's support nearest to z (B, dim)."""


@dataclass(frozen=True)
class NormalPrior:
    """z ~ N(0, I).

    Attributes:
        dim: Dimension of z.
    """

    dim: int

    def __call__(self, noise: Noise, num_samples: int) -> Tensor:
        """Return (num_samples, dim) draws."""
        return noise((num_samples, self.dim), "normal")

    def project(self, z: Tensor) -> Tensor:
        """Return z: the support is everything."""
        return z


@dataclass(frozen=True)
class UniformPrior:
    """z ~ U[low, high)^dim.

    Attributes:
        dim: Dimension of z.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    dim: int
    low: float
    high: float

    def __call__(self, noise: Noise, num_samples: int) -> Tensor:
        """Return (num_samples, dim) draws."""
        return self.low + (self.high - self.low) * noise((num_samples, self.dim), "uniform")

    def project(self, z: Tensor) -> Tensor:
        """Return z clamped to the interval."""
        return z.clamp(self.low, self.high)
