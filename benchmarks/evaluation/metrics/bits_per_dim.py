"""Bits per dimension from log-likelihoods."""

import math

from torch import Tensor

from benchmarks.evaluation.metrics.mean_nats import MeanNats

__all__ = ["BitsPerDim"]


class BitsPerDim(MeanNats):
    """-log2 p(x) / dimensions, a mean over images (a sum divided by their count, not by batches).

    Raises:
        ValueError: from compute, without any image.
    """

    def update(self, log_likelihood: Tensor, num_dims: int) -> None:
        """Add log-likelihoods (B,), in nats, of images with num_dims dimensions."""
        self.add(log_likelihood, num_dims)

    def compute(self) -> Tensor:
        """Return bits per dimension, a float64 scalar."""
        return self.mean("bits per dimension needs") / math.log(2)
