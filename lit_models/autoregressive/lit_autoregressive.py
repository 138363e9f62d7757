"""Autoregressive models: exact likelihood, one pass per dimension to sample."""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_models.autoregressive.likelihoods import PixelLikelihood
from lit_models.autoregressive.sampling import sample_in_raster_order
from lit_models.base import LitGenerativeModel, OptimizerFactory
from lit_models.images import DataRange
from lit_models.noise import Noise
from lit_models.schedules import Schedule

__all__ = ["Autoregressive"]


class Autoregressive(LitGenerativeModel):
    """Minimises -log p(x) per dimension, in nats, of images as integer levels.

    Van den Oord et al., 2016, https://arxiv.org/abs/1601.06759, Eq. 1-2: p(x) is a product over
    pixels in raster order, and over channels within a pixel.

    Args:
        network: Causal; maps levels (B, C, H, W) to parameters (B, P, C, H, W).
        likelihood: The distribution of one dimension.
        image_shape: (C, H, W).
        optimizer: Builds the optimizer.
        batch_size: Images per update, over all processes.
        data_range: Gives integer levels.
        schedule: Factor on the learning rate.
    """

    likelihood_kind: ClassVar[str | None] = "exact"

    def __init__(
        self,
        network: nn.Module,
        likelihood: PixelLikelihood,
        image_shape: Sequence[int],
        optimizer: OptimizerFactory,
        batch_size: int,
        data_range: DataRange,
        schedule: Schedule | None = None,
    ) -> None:
        super().__init__(batch_size, data_range, schedule)
        self.network, self.likelihood = network, likelihood
        self.image_shape = tuple(image_shape)
        self.optimizer_factory = optimizer

    def configure_optimizers(self) -> Optimizer:
        return self.optimizer_factory(self.parameters())

    def train_step(self, x: Tensor, labels: Tensor) -> Tensor:
        loss = -self.log_likelihood(x).mean() / math.prod(self.image_shape)
        self.track(loss=loss, bits_per_dim=loss / math.log(2))
        return loss

    def sample(
        self, num_samples: int, generator: torch.Generator, labels: Tensor | None = None
    ) -> Tensor:
        noise = Noise(generator, self.device, torch.float64)
        shape = (num_samples, *self.image_shape)
        return sample_in_raster_order(self.network, self.likelihood, shape, noise)

    def log_likelihood(
        self, x: Tensor, generator: torch.Generator | None = None, num_importance_samples: int = 1
    ) -> Tensor:
        """Return log p(x), (B,), in nats; exact, so the other arguments do not matter."""
        return self.likelihood.log_prob(x, self.network(x))
