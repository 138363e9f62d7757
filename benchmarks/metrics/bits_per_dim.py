"""Bits per dimension from log-likelihoods."""

import math

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["BitsPerDim"]


class BitsPerDim(Metric):
    """-log2 p(x) / dimensions, a mean over images (a sum divided by their count, not by batches).

    Raises:
        ValueError: from compute, without any image.
    """

    full_state_update = False
    higher_is_better = False

    def __init__(self) -> None:
        super().__init__()
        self.add_state("nats", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("dims", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, log_likelihood: Tensor, num_dims: int) -> None:
        """Add log-likelihoods (B,), in nats, of images with num_dims dimensions."""
        self.nats = self.nats - log_likelihood.double().sum()
        self.dims = self.dims + len(log_likelihood) * num_dims

    def compute(self) -> Tensor:
        """Return bits per dimension, a float64 scalar."""
        if int(self.dims) == 0:
            raise ValueError("bits per dimension needs at least 1 image, got 0")
        return self.nats / self.dims / math.log(2)
