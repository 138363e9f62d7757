"""Autoencoders without a probability: plain and denoising."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_models.base import LitGenerativeModel, OptimizerFactory
from lit_models.images import DataRange
from lit_models.training.noise import Noise
from lit_models.training.schedules import Schedule

__all__ = ["Autoencoder", "Corruption", "GaussianCorruption", "MaskingCorruption"]


class Corruption(Protocol):
    """What is done to an image before it is encoded."""

    def __call__(self, x: Tensor, noise: Noise) -> Tensor:
        """Return x (B, ...), corrupted."""


@dataclass(frozen=True)
class GaussianCorruption:
    """Adds normal noise.

    Attributes:
        sigma: The deviation of the noise, in units of the model's range.
    """

    sigma: float

    def __post_init__(self) -> None:
        if self.sigma < 0:
            raise ValueError(f"sigma must be >= 0, got {self.sigma}")

    def __call__(self, x: Tensor, noise: Noise) -> Tensor:
        return x + self.sigma * noise(x.shape)


@dataclass(frozen=True)
class MaskingCorruption:
    """Sets pixels to zero (Vincent et al., 2010, Sec. 3.3).

    Attributes:
        fraction: Probability of each.
    """

    fraction: float

    def __post_init__(self) -> None:
        if not 0 <= self.fraction <= 1:
            raise ValueError(f"fraction must be in [0, 1], got {self.fraction}")

    def __call__(self, x: Tensor, noise: Noise) -> Tensor:
        return x * (noise(x.shape, "uniform") >= self.fraction)


class Autoencoder(LitGenerativeModel):
    """Minimises the squared error of the reconstruction, summed over dimensions.

    With a corruption it reconstructs the clean image (Vincent et al., 2008, denoising
    autoencoder). It has no likelihood and draws no samples; its encoder is what it is for.

    Args:
        encoder: Maps x (B, C, H, W) to codes (B, dim).
        decoder: Maps codes to (B, C, H, W) in the data range.
        optimizer: Builds the optimizer.
        batch_size: Images per update, over all processes.
        data_range: The range of x.
        corruption: Applied to the encoder's input in training; None for none.
        schedule: Factor on the learning rate.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        optimizer: OptimizerFactory,
        batch_size: int,
        data_range: DataRange,
        corruption: Corruption | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        super().__init__(batch_size, data_range, schedule)
        self.encoder, self.decoder, self.corruption = encoder, decoder, corruption
        self.optimizer_factory = optimizer

    def configure_optimizers(self) -> Optimizer:
        return self.optimizer_factory(self.parameters())

    def train_step(self, x: Tensor, labels: Tensor) -> Tensor:
        given = x if self.corruption is None else self.corruption(x, self.noise)
        error = (self.decoder(self.encoder(given)) - x).square()
        loss = error.flatten(1).sum(1).mean()
        self.track(loss=loss, reconstruction_mse=error.mean())
        return loss

    def represent(self, x: Tensor) -> Tensor:
        """Return codes (B, dim) of clean images."""
        return self.encoder(x)

    def reconstruct(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the reconstructions of clean images, (B, C, H, W)."""
        return self.decoder(self.encoder(x))

    def grids(
        self, x: Tensor, labels: Tensor, generator: torch.Generator
    ) -> dict[str, tuple[Tensor, int]]:
        """Show images beside their reconstructions."""
        pairs = torch.stack([x, self.reconstruct(x)], dim=1)
        return {"reconstructions": (pairs[:32].flatten(0, 1), 16)}
